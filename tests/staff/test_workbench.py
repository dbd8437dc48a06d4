"""The workbench inside an application of this process."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant.city import City
from assistant.conversations.events import Events
from assistant.conversations.handover import Handover
from assistant.crypto import Vault
from assistant.db.models import Conversation, now
from assistant.db.session import Database
from assistant.staff.login import SESSION_COOKIE, Sessions
from assistant.staff.services import StaffServices
from assistant.staff.users import Users
from assistant.staff.workbench import setup_staff
from tests.staff.encoder import PairEncoder

SECRET = "a-secret-of-the-tests-that-is-long-enough"
CITY = City.load(Path(__file__).resolve().parents[2] / "city" / "demo")


def application(db: Database, **other: Any) -> FastAPI:
    unused: Any = SimpleNamespace()
    parts = {
        "handover": Handover(db, Events(), max_chars=100),
        "kb": unused,
        "tickets": unused,
        "desk": unused,
        "additions": unused,
        "learning": unused,
        "explain": unused,
        "kb_health": unused,
        **other,
    }
    app = FastAPI()
    setup_staff(app, StaffServices(db=db, vault=Vault(SECRET), city=CITY, reader=PairEncoder(), **parts))
    return app


async def client_of(db: Database, app: FastAPI) -> httpx.AsyncClient:
    users = Users(db)
    found = [user for user in await users.list() if user.name == "agent"]
    user = found[0] if found else await users.add("agent", "李晓燕", "Jinshui-River-88", ["agent"])
    cookie = Sessions(users, Vault(SECRET).derive("staff-session")).issue(user)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://city.test", cookies={SESSION_COOKIE: cookie})


async def test_two_applications_after_each_other_show_their_own_data(db: Database) -> None:
    async with db.begin() as session:
        session.add(Conversation(id="c-1", token_hash="x", state="waiting", waiting_since=now()))
    for reason in ("第一个应用", "第二个应用"):
        async with db.begin() as session:
            (await session.get_one(Conversation, "c-1")).waiting_reason = reason
        app = application(db)
        async with app.router.lifespan_context(app), await client_of(db, app) as client:
            page = await client.get("/staff/queue")
        assert page.status_code == 200
        assert f"原因：{reason}" in page.text


async def test_a_page_that_cannot_be_built_says_nothing_of_the_error(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Handover):
        async def waiting(self) -> Any:
            raise RuntimeError("居民张三的电话是 13812345678")

    app = application(db, handover=Broken(db, Events(), max_chars=100))
    async with app.router.lifespan_context(app), await client_of(db, app) as client:
        page = await client.get("/staff/queue")
    assert page.status_code == 500
    assert "页面打不开" in page.text and "13812345678" not in page.text and "RuntimeError" not in page.text
    assert "RuntimeError" in caplog.text and "13812345678" not in caplog.text
