"""`minsheng outbox` shows what was given up and sends it again only when told to."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from assistant.db.models import OutboxRow
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.dispatch.cli import app
from assistant.settings import get_settings
from tests.dispatch.conftest import add_ticket


@pytest.fixture
def dead_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    url = f"sqlite+aiosqlite:///{tmp_path / 'minsheng.db'}"
    monkeypatch.setenv("MINSHENG_DATABASE_URL", url)
    get_settings.cache_clear()

    async def prepare() -> None:
        db = Database(url)
        await upgrade(db)
        await add_ticket(db, "ZZ1")
        async with db.begin() as session:
            await session.execute(update(OutboxRow).values(state="dead", last_error="对方回答 400：地址", attempts=7))
        await db.close()

    asyncio.run(prepare())
    return 1


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_dead_rows_are_listed_and_replayed_with_commit_only(dead_row: int) -> None:
    try:
        listed = json.loads(invoke("list", "--json"))
        assert listed["dead"] == 1
        assert listed["dead_rows"] == [
            {
                "id": dead_row,
                "ticket": "ZZ1",
                "destination": "desk",
                "operation": "create",
                "attempts": 7,
                "reason": "对方回答 400：地址",
            }
        ]
        assert "ZZ1" in invoke("list")
        assert json.loads(invoke("replay", "--json")) == {"committed": False, "ids": [dead_row]}
        assert json.loads(invoke("replay", "99", "--json")) == {"committed": False, "ids": []}
        assert json.loads(invoke("replay", "-d", "water", "--json")) == {"committed": False, "ids": []}
        assert json.loads(invoke("list", "-d", "water", "--json"))["dead_rows"] == []
        assert len(json.loads(invoke("list", "-d", "desk", "--json"))["dead_rows"]) == 1
        assert json.loads(invoke("list", "--json"))["dead"] == 1
        assert json.loads(invoke("replay", "--commit", "--json")) == {"committed": True, "ids": [dead_row]}
        after = json.loads(invoke("list", "--json"))
        assert (after["dead"], after["pending"]) == (0, 1)
    finally:
        get_settings.cache_clear()
