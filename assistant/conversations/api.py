"""The public HTTP API of conversations and of a resident's own tickets."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from assistant.conversations.events import Events
from assistant.conversations.gateway import Gateway
from assistant.conversations.limits import Attempts
from assistant.errors import NotAuthenticated, NotFound, TooMany
from assistant.tickets.service import TicketService


class NewMessage(BaseModel):
    """What a resident sends. `client_message_id`: chosen by the client, the same when it sends again."""

    model_config = ConfigDict(strict=True)

    text: str = Field(max_length=200_000)
    client_message_id: str = Field(min_length=1, max_length=80)


def _bearer(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


Token = Annotated[str, Depends(_bearer)]


def build_router(gateway: Gateway, tickets: TicketService, events: Events) -> APIRouter:
    """`/api/v1`: conversations, their messages and events, tickets."""
    router = APIRouter(prefix="/api/v1", tags=["public"])
    phone_attempts = Attempts(limit=5, per_s=3600)

    @router.post("/conversations", status_code=201)
    async def open_conversation() -> dict[str, str]:
        opened = await gateway.open("web")
        return {"id": opened.id, "token": opened.token}

    @router.post("/conversations/{conversation_id}/messages")
    async def send_message(conversation_id: str, message: NewMessage, token: Token) -> dict[str, Any]:
        await gateway.authenticate(conversation_id, token)
        turn = await gateway.receive(conversation_id, message.text, message.client_message_id)
        return {"messages": turn.messages, "handover": turn.handover}

    @router.get("/conversations/{conversation_id}/messages")
    async def list_messages(
        conversation_id: str, token: Token, after: Annotated[int, Query(ge=0, le=2**53)] = 0
    ) -> dict[str, Any]:
        await gateway.authenticate(conversation_id, token)
        turn = await gateway.messages(conversation_id, after=after)
        return {"messages": turn.messages, "handover": turn.handover}

    @router.get("/conversations/{conversation_id}/events")
    async def stream(
        conversation_id: str,
        request: Request,
        token: Token,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        last_event_id: Annotated[str, Header()] = "",
    ) -> EventSourceResponse:
        await gateway.authenticate(conversation_id, token)
        start = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else after

        async def watch() -> AsyncIterator[ServerSentEvent]:
            last, handover = start, object()
            while not await request.is_disconnected():
                turn = await gateway.messages(conversation_id, after=last)
                for item in turn.messages:
                    last = item["id"]
                    yield ServerSentEvent(json.dumps(item, ensure_ascii=False), event="message", id=str(last))
                if turn.handover != handover:
                    handover = turn.handover
                    yield ServerSentEvent(json.dumps(handover), event="handover")
                if not turn.messages:
                    await events.wait(conversation_id, 1.0)

        return EventSourceResponse(watch(), ping=15)

    @router.get("/tickets/{number}")
    async def show_ticket(
        number: str, request: Request, token: Token, x_phone_last4: Annotated[str, Header()] = ""
    ) -> dict[str, Any]:
        if not token and not x_phone_last4:
            raise NotAuthenticated("请提供会话凭证，或登记电话的后四位。")
        view = await tickets.get(number)
        owner = view is not None and bool(token) and await gateway.conversation_of(token) == view.conversation_id
        if not owner and x_phone_last4:
            # Four digits are soon guessed: few tries a ticket and address.
            address = request.client.host if request.client else "-"
            if not phone_attempts.allow(f"{number}:{address}"):
                raise TooMany("查询次数过多，请一小时后再试，或拨打12345。")
            owner = view is not None and await tickets.check_phone(number, x_phone_last4)
        if view is None or not owner:
            raise NotFound("没有找到这张工单，请核对工单号和电话后四位。")
        return {
            **view.public(),
            "request_type": view.request_type,
            "category": {"level1": view.category1, "level2": view.category2},
            "title": view.title,
            "place": view.place,
            "created_at": view.created_at.isoformat(),
            "history": [
                {
                    "at": step.at.isoformat(),
                    "operation": step.operation,
                    "state": step.to_state,
                    "reply": step.public_reply,
                }
                for step in view.history
            ],
        }

    return router
