"""`minsheng open311 client`: a key is told once and kept as a digest only."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from assistant.db.models import ApiClient
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound
from assistant.open311.cli import app
from assistant.open311.clients import Clients
from assistant.settings import get_settings


async def test_a_key_opens_until_it_is_revoked(db: Database) -> None:
    clients = Clients(db)
    made, key = await clients.add(" 掌上郑州 ", trusted=True)
    _, other = await clients.add("某小程序", trusted=False)
    assert (made.name, made.trusted, made.active) == ("掌上郑州", True, True)
    assert await clients.of_key(key) == made
    for wrong in ("", "x", key[:-1], key.upper(), "密钥", "\udcff"):
        assert await clients.of_key(wrong) is None
    async with db.read() as session:
        stored = [f"{row.name}{row.key_hash}" for row in await session.scalars(select(ApiClient))]
    assert key not in str(stored) and other not in str(stored)
    assert (await clients.revoke("掌上郑州")).active is False
    assert await clients.of_key(key) is None and await clients.of_key(other) is not None
    with pytest.raises(Conflict, match="换一个名称"):
        await clients.add("某小程序", trusted=True)
    with pytest.raises(BadInput):
        await clients.add("  ", trusted=True)
    with pytest.raises(NotFound):
        await clients.revoke("没有")


@pytest.fixture
def settings_of_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINSHENG_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'minsheng.db'}")
    get_settings.cache_clear()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["client", *arguments])


@pytest.mark.usefixtures("settings_of_a_test")
def test_the_command_line() -> None:
    try:
        assert "还没有接入方" in invoke("list").output
        made = json.loads(invoke("add", "掌上郑州", "--trusted", "--json").output)
        assert made["trusted"] is True and made["api_key"].startswith("ms_")
        assert "先由座席受理" in invoke("add", "某小程序").output
        listed = json.loads(invoke("list", "--json").output)
        assert [(each["name"], each["trusted"], each["active"]) for each in listed] == [
            ("掌上郑州", True, True),
            ("某小程序", False, True),
        ]
        assert "api_key" not in listed[0] and made["api_key"] not in invoke("list").output
        assert "已停用" in invoke("revoke", "掌上郑州").output
        assert [each["active"] for each in json.loads(invoke("list", "--json").output)] == [False, True]
        assert isinstance(invoke("revoke", "没有").exception, NotFound)
    finally:
        get_settings.cache_clear()
