"""A bot API, a house behind the bot, and the bot between them."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from assistant.conversations.events import Events
from assistant.conversations.gateway import Gateway
from assistant.conversations.handover import Handover
from assistant.crypto import Vault
from assistant.db.models import Message
from assistant.db.session import Database
from assistant.settings import Settings
from channels.telegram import TelegramChannel
from tests.channels.bot_api import TOKEN, BotApi, bot_api
from tests.house import Engine


class House:
    """The real gateway over a real database, behind the channel under test."""

    def __init__(self, db: Database) -> None:
        self.db, self.engine = db, Engine()
        events = Events()

        async def understand(text: str) -> dict[str, Any]:
            return {}

        vault = Vault("a secret of the tests, long enough to be taken")
        handover = Handover(db, events, max_chars=8000)
        self.gateway = Gateway(db, vault, self.engine, handover, events, understand, Settings(_env_file=None))

    async def push(self, chat: int, text: str, sender: str = "agent") -> None:
        """Somebody else writes into the resident's conversation."""
        opened = await self.gateway.open("telegram", str(chat))
        async with self.db.begin() as session:
            session.add(Message(conversation_id=opened.id, sender=sender, text=text))


@pytest.fixture
async def house(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[House]:
    path = tmp_path / "minsheng.db"
    shutil.copy(sqlite_template, path)
    db = Database(f"sqlite+aiosqlite:///{path}")
    yield House(db)
    await db.close()


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with bot_api() as server:
        yield server


def make_channel(house: House, api: BotApi, **settings: Any) -> TelegramChannel:
    quick = {"push_every_s": 0.02, "poll_timeout_s": 5, "pause_s": 0.02, "api_url": api.base_url, "token": TOKEN}
    return TelegramChannel(house.gateway, **{**quick, **settings})


@contextlib.asynccontextmanager
async def running(channel: TelegramChannel) -> AsyncIterator[None]:
    """The channel at work, until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(channel.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
