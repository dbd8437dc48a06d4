"""The public API and the chat page over the real gateway; only the dialogue engine is the test's own."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select

from assistant.conversations.api import build_router as build_public_router
from assistant.conversations.engine import EngineReply
from assistant.conversations.events import Events
from assistant.conversations.gateway import Gateway
from assistant.conversations.handover import Handover
from assistant.crypto import Vault
from assistant.db.models import Conversation, Message
from assistant.db.session import Database
from assistant.problems import install_problem_handlers
from assistant.settings import Settings
from assistant.web.routes import build_router as build_web_router


class Engine:
    """Says what the test wants; `heard` is what reached it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.replies: Callable[[str], list[EngineReply]] = lambda text: [EngineReply(text=f"答：{text}")]

    async def send(self, sender_id: str, text: str) -> list[EngineReply]:
        self.heard.append(text)
        return self.replies(text)

    async def ready(self) -> bool:
        return True


class House:
    """The server in a thread of its own; `run` works in its event loop."""

    def __init__(self, database: str) -> None:
        self.engine = Engine()
        self.base_url = ""
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(30)

    def push(self, text: str, sender: str = "agent") -> None:
        """Somebody else writes into the newest conversation."""

        async def work() -> None:
            async with self.db.begin() as session:
                newest = await session.scalar(select(Conversation.id).order_by(Conversation.created_at.desc()).limit(1))
                session.add(Message(conversation_id=newest, sender=sender, text=text))

        self.run(work())

    @contextlib.contextmanager
    def serving(self) -> Iterator["House"]:
        ready, server = threading.Event(), cast("list[uvicorn.Server]", [])

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self.db, events = Database(self._database), Events()

            async def understand(text: str) -> dict[str, Any]:
                return {}

            vault = Vault("a secret of the tests, long enough to be taken")
            handover = Handover(self.db, events, max_chars=8000)
            gateway = Gateway(self.db, vault, self.engine, handover, events, understand, Settings(_env_file=None))
            app = FastAPI()
            install_problem_handlers(app)
            app.include_router(build_public_router(gateway, cast(Any, None), events))
            app.include_router(build_web_router())
            config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
            server.append(uvicorn.Server(config))
            task = asyncio.create_task(server[0].serve())
            while not server[0].started:
                await asyncio.sleep(0.01)
            self.base_url = f"http://127.0.0.1:{server[0].servers[0].sockets[0].getsockname()[1]}"
            ready.set()
            await task
            await self.db.close()

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        try:
            assert ready.wait(30), "the server did not start"
            yield self
        finally:
            server[0].should_exit = True
            thread.join(30)
