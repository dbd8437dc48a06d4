"""A local server that speaks Telegram's Bot API as documented: its paths, its checks, its errors."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
BOT = {"id": 110201543, "is_bot": True, "first_name": "民声", "username": "minsheng_bot"}


class Refused(Exception):
    """An answer with `ok: false`."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


@dataclass
class BotApi:
    """The server's state. `failures[method]`: errors to answer next, one a call."""

    base_url: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: defaultdict[str, list[Refused]] = field(default_factory=lambda: defaultdict(list))
    blocked: set[int] = field(default_factory=set)
    webhook: dict[str, Any] | None = None
    updates: list[dict[str, Any]] = field(default_factory=list)
    closing: bool = False
    _asking: asyncio.Event | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: Any = field(default_factory=lambda: itertools.count(1000))

    # --- what residents do --------------------------------------------------------------------------------------------

    def message(
        self, chat: int, *, kind: str = "message", chat_type: str = "private", **content: Any
    ) -> dict[str, Any]:
        """An update that a resident caused, queued for getUpdates."""
        user = {"id": abs(chat), "is_bot": False, "first_name": "居民"}
        body = {
            "message_id": next(self._ids),
            "date": 1_700_000_000,
            "chat": {"id": chat, "type": chat_type, **({"title": "小区群"} if chat_type != "private" else {})},
            "from": user,
            **content,
        }
        return self._queue({"update_id": next(self._ids), kind: body})

    def press(self, sent: dict[str, Any], words: str) -> dict[str, Any]:
        """A resident presses the button `words` under a message that the bot sent."""
        keys = [key for row in sent["reply_markup"]["inline_keyboard"] for key in row]
        data = next(key["callback_data"] for key in keys if key["text"] == words)
        query = {
            "id": str(next(self._ids)),
            "from": {"id": sent["chat"]["id"], "is_bot": False, "first_name": "居民"},
            "chat_instance": "1",
            "message": sent,
            "data": data,
        }
        return self._queue({"update_id": next(self._ids), "callback_query": query})

    def _queue(self, update: dict[str, Any]) -> dict[str, Any]:
        self.updates.append(update)
        self._changed.set()
        return update

    def texts(self, chat: int) -> list[str]:
        """What the bot wrote to a chat."""
        return [message["text"] for message in self.sent if message["chat"]["id"] == chat]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true; the test's own time limit ends a vain wait."""
        while not condition():
            await asyncio.sleep(0.01)

    # --- methods ------------------------------------------------------------------------------------------------------

    async def call(self, token: str, method: str, given: dict[str, Any]) -> Any:
        if token != TOKEN:
            raise Refused(401, "Unauthorized")
        self.calls.append((method, given))
        if self.failures[method]:
            raise self.failures[method].pop(0)
        handler = getattr(self, f"_{method.lower()}", None)
        if handler is None:
            raise Refused(404, "Not Found")
        return await handler(given)

    async def _getme(self, given: dict[str, Any]) -> Any:
        return BOT

    async def _getupdates(self, given: dict[str, Any]) -> Any:
        if self.webhook is not None:
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active")
        if self._asking is not None:
            self._asking.set()
        asking = self._asking = asyncio.Event()
        offset, timeout = int(given.get("offset", 0)), int(given.get("timeout", 0))
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        try:
            async with asyncio.timeout(timeout):
                while not self.updates:
                    self._changed.clear()
                    change, other = asyncio.create_task(self._changed.wait()), asyncio.create_task(asking.wait())
                    try:
                        await asyncio.wait((change, other), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        change.cancel()
                        other.cancel()
                    if self.closing:
                        return []
                    if asking.is_set():
                        raise Refused(409, "Conflict: terminated by other getUpdates request")
        except TimeoutError:
            pass
        finally:
            if self._asking is asking:
                self._asking = None
        allowed = given.get("allowed_updates")
        return [u for u in self.updates[:100] if not allowed or any(kind in u for kind in allowed)]

    async def _sendmessage(self, given: dict[str, Any]) -> Any:
        chat, text = int(given["chat_id"]), str(given.get("text", ""))
        if chat in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        if not text.strip():
            raise Refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise Refused(400, "Bad Request: message is too long")
        markup = given.get("reply_markup")
        for key in (key for row in (markup or {}).get("inline_keyboard", []) for key in row):
            if not 1 <= len(key["callback_data"].encode()) <= 64:
                raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
        message = {
            "message_id": next(self._ids),
            "date": 1_700_000_000,
            "chat": {"id": chat, "type": "private"},
            "from": BOT,
            "text": text,
            **({"reply_markup": markup} if markup else {}),
        }
        self.sent.append(message)
        return message

    async def _setwebhook(self, given: dict[str, Any]) -> Any:
        if not str(given.get("url", "")).startswith("https://"):
            raise Refused(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        self.webhook = given
        return True

    async def _deletewebhook(self, given: dict[str, Any]) -> Any:
        self.webhook = None
        if given.get("drop_pending_updates"):
            self.updates.clear()
        return True

    async def _answercallbackquery(self, given: dict[str, Any]) -> Any:
        return True

    async def _sendchataction(self, given: dict[str, Any]) -> Any:
        return True

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> JSONResponse:
        token = request.path_params["token"]
        try:
            result = await self.call(token, request.path_params["method"], await _given(request))
        except Refused as refused:
            body: dict[str, Any] = {"ok": False, "error_code": refused.code, "description": refused.description}
            if refused.parameters:
                body["parameters"] = refused.parameters
            return JSONResponse(body, refused.code)
        return JSONResponse({"ok": True, "result": result})

    async def post_webhook(self, client: httpx.AsyncClient, update: dict[str, Any]) -> httpx.Response:
        """Bring an update to the webhook that the bot has set, as Telegram does."""
        assert self.webhook is not None, "no webhook is set"
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook["secret_token"]}
        return await client.post(self.webhook["url"], json=update, headers=headers)


async def _given(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/json"):
        return dict(await request.json())
    given: dict[str, Any] = {}
    for name, value in (await request.form()).items():
        try:
            given[name] = json.loads(value) if isinstance(value, str) and name != "text" else value
        except ValueError:
            given[name] = value
    return given


@asynccontextmanager
async def bot_api() -> AsyncIterator[BotApi]:
    """The server on a free port, in this event loop."""
    api = BotApi()
    routes = [Route("/bot{token}/{method}", api.answer, methods=["GET", "POST"])]
    config = uvicorn.Config(
        Starlette(routes=routes), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    api.base_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        api.closing = True
        api._changed.set()
        server.should_exit = True
        await task
