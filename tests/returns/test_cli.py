"""`minsheng tickets returns`, `proposals` and `examples`."""

import asyncio
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from assistant import returns_cli
from assistant.city import City
from assistant.db.session import Database
from assistant.returns.service import Learning
from assistant.settings import get_settings
from assistant.tickets.routing import Router
from kb.words import words
from tests.returns.material import CLEANERS, DOGS, OTHERS, POLICE, Desk, write_city
from tests.tickets.drafts import PHONE

app = typer.Typer()
for command in (returns_cli.returns, returns_cli.proposals, returns_cli.examples):
    app.command()(command)


@pytest.fixture
def filled(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder with returned requests, whose category was misread."""
    database = tmp_path / "minsheng.db"
    database.write_bytes(sqlite_template.read_bytes())
    city_dir = write_city(tmp_path / "city")
    for name, value in (("DATA_DIR", tmp_path), ("CITY_DIR", city_dir), ("DATABASE_URL", "")):
        monkeypatch.setenv(f"MINSHENG_{name}", str(value))
    get_settings.cache_clear()
    # By words alone: what they get wrong, likeness may get right, and then nothing is to be proposed.
    monkeypatch.setattr(returns_cli, "_router", Router)

    async def fill() -> None:
        db, city = Database(f"sqlite+aiosqlite:///{database}"), City.load(city_dir)
        desk = Desk(db, city)
        desk.go_back(weeks=2)
        for text in OTHERS:
            await desk.file(text, CLEANERS)
        for text in DOGS:
            told = f"{text}，没有犬证，打{PHONE}找我"
            await desk.returned(told, category1="交通运输", category2="交通运输", unit=POLICE)
        await db.close()

    asyncio.run(fill())
    yield tmp_path
    get_settings.cache_clear()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_the_report_as_table_csv_and_json(filled: Path) -> None:
    assert CLEANERS in run("returns")
    found = json.loads(run("returns", "--json"))
    assert found["units"][0]["unit"] == CLEANERS and found["units"][0]["returned"] == 6
    rows = list(csv.DictReader(run("returns", "--csv").splitlines()))
    assert sum(int(row["权属不清"]) for row in rows if row["单位"] == CLEANERS) == 6
    assert len({row["周（周一）"] for row in rows}) == 8
    assert CliRunner().invoke(app, ["returns", "--since", "gestern"]).exit_code == 2


def test_proposals_and_examples_without_numbers_beside_words(filled: Path) -> None:
    assert "--look" in run("proposals")
    found = json.loads(run("proposals", "--look", "--json"))
    assert {row["change"]["kind"] for row in found} == {"rule", "example"}
    assert "遛狗" not in json.dumps([row for row in found if row["change"]["kind"] == "example"], ensure_ascii=False)
    assert "事项归入类别" in run("proposals")

    file = filled / "out.jsonl"
    assert "0 句" in run("examples", str(file))
    [example] = [row["id"] for row in found if row["change"]["kind"] == "example"]

    async def approve() -> None:
        db = Database(f"sqlite+aiosqlite:///{filled / 'minsheng.db'}")
        await Learning(db, City.load(filled / "city"), filled / "city", words).enable(example, "zhao")
        await db.close()

    asyncio.run(approve())
    assert "6 句" in run("examples", str(file))
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {tuple(line) for line in lines} == {("text", "request_type", "category1", "category2", "urgency")}
    assert {(line["category1"], line["category2"]) for line in lines} == {("政法", "社会治安")}
    written = file.read_text(encoding="utf-8")
    assert PHONE not in written and "138****5678" in written and "ZZ20" not in written
    result = CliRunner().invoke(app, ["examples", str(filled / "no" / "folder.jsonl")])
    assert result.exit_code != 0 and "folder.jsonl" in str(result.exception)
