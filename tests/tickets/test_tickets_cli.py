import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.tickets.errors import TicketNotFound
from assistant.tickets.service import TicketService
from assistant.tickets_cli import app
from tests.tickets.drafts import PHONE, draft


@pytest.fixture
def number(tmp_path: Path, sqlite_template: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copy(sqlite_template, tmp_path / "minsheng.db")
    monkeypatch.setenv("MINSHENG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MINSHENG_DATABASE_URL", "")

    async def fill() -> str:
        db = Database(f"sqlite+aiosqlite:///{tmp_path / 'minsheng.db'}")
        service = TicketService(SqlTicketStore(db), city, Vault("s" * 40))
        view = await service.submit(draft(description=f"[red]油烟[/red]，电话{PHONE}"), key="k", actor="resident")
        await db.close()
        return view.number

    return asyncio.run(fill())


def test_list_as_json_and_table(number: str) -> None:
    result = CliRunner().invoke(app, ["list", "--json"])
    assert result.exit_code == 0, result.output
    [ticket] = json.loads(result.output)
    assert (ticket["number"], ticket["state"], ticket["lead_unit"]) == (number, "已派遣", "金水区城市管理局")
    assert PHONE not in result.output
    assert json.loads(CliRunner().invoke(app, ["list", "--json", "--state", "已结案"]).output) == []
    assert "没有工单" in CliRunner().invoke(app, ["list", "--state", "已结案"]).output
    assert CliRunner().invoke(app, ["list", "--state", "完成"]).exit_code == 2
    assert number[:8] in CliRunner().invoke(app, ["list"]).output


def test_show_has_the_history_and_no_personal_data(number: str) -> None:
    result = CliRunner().invoke(app, ["show", number.lower(), "--json"])
    assert result.exit_code == 0, result.output
    ticket = json.loads(result.output)
    assert [step["operation"] for step in ticket["history"]] == ["submit", "accept", "dispatch"]
    assert ticket["due_at"].endswith("+00:00") and ticket["routing"]["candidates"][0]["unit"] == "金水区城市管理局"
    plain = CliRunner().invoke(app, ["show", number]).output
    for output in (result.output, plain):
        assert PHONE not in output and "王小明" not in output
    assert "[red]" in plain  # shown as written, never as markup


def test_show_of_an_unknown_number_says_so(number: str) -> None:
    result = CliRunner().invoke(app, ["show", "ZZ20261123059999"])
    assert isinstance(result.exception, TicketNotFound)


def test_the_guide_of_the_dispatchers_has_the_table_that_the_code_uses() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guide" / "dispatchers.md"
    _, printed, _ = re.split(r"<!-- /?operations -->\n", guide.read_text("utf-8"))
    result = CliRunner().invoke(app, ["operations"])
    assert result.exit_code == 0 and result.output == printed, "run minsheng tickets operations and paste"
