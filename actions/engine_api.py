"""The two addresses the dialogue engine calls: reading a text, and running an action.

What Rasa 3.6.21 sends: to its NLU endpoint a POST `{token, text, message_id}` at `<url>/model/parse`
(rasa.core.http_interpreter); to the action endpoint a POST `{next_action, sender_id, tracker, version}` with the
query parameter `token` (rasa.utils.endpoints). The secret is compared in constant time, and errors are turned into
statuses in one place; their bodies never hold what the resident wrote.
"""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from actions import (
    callback,
    city_question,
    danger,
    feedback,
    follow_up,
    handover,
    policy,
    small_talk,
    supplement,
    ticket_form,
    ticket_submit,
)
from actions.hearing import parse_result
from actions.protocol import (
    ActionCall,
    EngineCallError,
    Handler,
    MalformedCall,
    Reply,
    Turn,
    UnknownAction,
    WrongSecret,
)
from actions.services import ActionServices

log = structlog.get_logger()

TOPICS = (
    callback,
    city_question,
    danger,
    feedback,
    follow_up,
    handover,
    policy,
    small_talk,
    supplement,
    ticket_form,
    ticket_submit,
)
MAX_TEXT_CHARS = 20_000


def action_handlers() -> dict[str, Handler]:
    """Every action by name. Raises `ValueError` if two topics claim one name."""
    handlers: dict[str, Handler] = {}
    for topic in TOPICS:
        for name, handler in topic.ACTIONS.handlers.items():
            if name in handlers:
                raise ValueError(f"action {name} is defined twice")
            handlers[name] = handler
    return handlers


Endpoint = Callable[[Request], Awaitable[JSONResponse]]


def _answer_errors(endpoint: Endpoint) -> Endpoint:
    """The one place where an error becomes a status.

    400 is never used: Rasa would read it as "the action declines" and go on as if nothing had happened.
    """

    @wraps(endpoint)
    async def answer(request: Request) -> JSONResponse:
        try:
            return await endpoint(request)
        except EngineCallError as error:
            status, name = error.status, type(error).__name__
        except Exception as error:
            # The class and the place are enough to find the fault; the message could quote the resident.
            status, name = 500, type(error).__name__
            log.error("engine_call_failed", path=request.url.path, error=name, at=_origin(error))
        return JSONResponse({"action_name": getattr(request.state, "action", None), "error": name}, status)

    return answer


def _origin(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body())
    except ValueError:
        raise MalformedCall from None
    if not isinstance(body, dict):
        raise MalformedCall
    return body


def build_router(services: ActionServices, secret: str) -> APIRouter:
    """The router with `/internal/nlu/model/parse` and `/internal/actions`.

    Raises `ValueError` on an empty secret: without one, anybody who reaches the port could read trackers' contents
    into our actions.
    """
    if not secret:
        raise ValueError("the engine's secret is empty")
    handlers = action_handlers()
    router = APIRouter(include_in_schema=False)

    def check(token: object) -> None:
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), secret.encode()):
            raise WrongSecret

    @router.post("/internal/nlu/model/parse")
    @_answer_errors
    async def parse(request: Request) -> JSONResponse:
        body = await _json_object(request)
        check(body.get("token"))
        text = body.get("text")
        if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS:
            raise MalformedCall
        return JSONResponse(parse_result(await asyncio.to_thread(services.reader.read, text)))

    @router.post("/internal/actions")
    @_answer_errors
    async def run_action(request: Request) -> JSONResponse:
        check(request.query_params.get("token"))
        try:
            call = ActionCall.model_validate(await _json_object(request))
        except ValidationError:
            raise MalformedCall from None
        request.state.action = call.next_action
        handler = handlers.get(call.next_action)
        if handler is None:
            raise UnknownAction
        started = time.perf_counter()
        turn, reply = Turn.of(call), Reply()
        late = await danger.file_late(call.next_action, turn, services, reply)
        if not late or call.next_action == "action_request_human":
            await handler(turn, services, reply)
        log.debug("action_run", action=call.next_action, ms=round((time.perf_counter() - started) * 1000, 1))
        return JSONResponse(reply.as_dict())

    return router
