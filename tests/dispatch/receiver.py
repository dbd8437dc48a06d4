"""The dispatch desk behind a real HTTP server on a free port, with faults that a test can order."""

import asyncio
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.db.session import Database
from assistant.dispatch.desk import Desk
from assistant.dispatch.desk_server import build_router
from assistant.open311.services import Attribute, Catalogue, Service

API_KEY = "test-desk-key-0123456789"
OTHER_KEY = "test-third-party-key-9876"
SLOW_S = 0.3
CATALOGUE = Catalogue(
    [
        Service("construction.municipal", "城市建设和市政管理", "城乡建设", "道路、照明", ("路灯", "井盖")),
        Service("environment.pollution", "环境污染", "环境保护"),
        Service(
            "labour.wages",
            "工资",
            "劳动和社会保障",
            attributes=(
                Attribute("employer", "用人单位", required=True),
                Attribute("amount", "欠薪金额", "number"),
                Attribute("since", "从何时起", "datetime"),
                Attribute("means", "有什么材料", "multivaluelist", values=(("contract", "合同"), ("photo", "照片"))),
            ),
        ),
    ]
)


@dataclass(frozen=True)
class Fault:
    """How one POST goes wrong.

    `refuse`: answered with `status` before anything is stored; `garble`: stored, but the answer is nonsense; `lose`:
    stored, but no answer comes until the client gives up; `slow`: answered after a while.
    """

    kind: Literal["refuse", "garble", "lose", "slow"]
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"<html>Bad Gateway</html>"


class Faults:
    """Stands before the desk. `posts` takes one fault per POST; every request is counted by method and path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.posts: deque[Fault] = deque()
        self.seen: Counter[str] = Counter()
        self.queries: list[str] = []
        # A plain GeoReport server does not know the header.
        self.ignores_keys = False
        # Called when a POST has been stored and its answer is not sent yet.
        self.stored: Callable[[], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.seen[f"{scope['method']} {scope['path']}"] += 1
        self.queries.append(scope["query_string"].decode())
        if self.ignores_keys:
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"idempotency-key"]
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        fault = self.posts.popleft() if self.posts else None
        if fault is not None and fault.kind == "refuse":
            await _answer(send, fault.status, fault.body, fault.headers)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        if self.stored is not None:
            self.stored()
        if fault is not None and fault.kind == "garble":
            await _answer(send, 200, fault.body, {})
        elif fault is not None and fault.kind == "lose":
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            if fault is not None:
                await asyncio.sleep(SLOW_S)
            for message in held:
                await send(message)


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Receiver:
    base_url: str
    faults: Faults

    @property
    def desk_url(self) -> str:
        return f"{self.base_url}/desk/open311/v2"


@contextmanager
def serve(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Run an ASGI application in a thread; yields its base address."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_config=None, ws="none", loop="asyncio", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the test server did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@contextmanager
def desk_server(db_url: str, port: int = 0, catalogue: Catalogue = CATALOGUE) -> Iterator[Receiver]:
    """The desk over the database at `db_url`, with connections of its own."""
    db = Database(db_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.shield(db.close())

    app = FastAPI(lifespan=lifespan)
    router = build_router(Desk(db), catalogue, api_keys=[API_KEY, OTHER_KEY], jurisdiction_id="zhengzhou.gov.cn")
    app.include_router(router, prefix="/desk/open311/v2")
    faults = Faults(app)
    with serve(faults, port) as base_url:
        yield Receiver(base_url, faults)
