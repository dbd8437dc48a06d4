"""`minsheng chat` over the public API, with piped input; only the dialogue engine is the test's own."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from assistant.conversations.engine import EngineReply
from assistant.terminal import chat
from tests.house import House
from tests.servers import free_port


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    path = tmp_path / "minsheng.db"
    shutil.copy(sqlite_template, path)
    with House(f"sqlite+aiosqlite:///{path}").serving() as house:
        yield house


def run_chat(url: str, said: str, *options: str) -> Result:
    app = typer.Typer()
    app.command()(chat)
    return CliRunner().invoke(app, ["--url", url, *options], input=said)


def test_a_script_can_talk_and_choose_by_number(house: House) -> None:
    buttons = [{"title": "提交", "payload": "确认提交"}, {"title": "取消", "payload": "取消"}]
    citation = {
        "document": "d",
        "title": "《城市照明管理规定》",
        "article": "第三条",
        "issuer": "住建部",
        "valid_from": "2010-07-01",
        "valid_to": None,
    }
    ticket = {"number": "ZZ-1", "state": "待派遣", "unit": "城管局", "due_at": "2026-12-01T10:00:00+00:00"}
    replies = {
        "路灯坏了": EngineReply(text="请核对", buttons=buttons, citations=[citation]),
        "确认提交": EngineReply(text="已登记", ticket=ticket),
    }
    house.engine.replies = lambda text: [replies[text]]
    result = run_chat(house.base_url, "路灯坏了\n\n1\n")
    assert result.exit_code == 0, result.output
    assert house.engine.heard == ["路灯坏了", "确认提交"]
    shown = ("助手：请核对", "[1] 提交", "[2] 取消", "依据《城市照明管理规定》第三条 · 住建部", "ZZ-1", "城管局")
    for words in (*shown, "2026年12月01日 18:00"):
        assert words in result.output


def test_a_number_without_buttons_is_said_as_it_is(house: House) -> None:
    run_chat(house.base_url, "路灯坏了\n12345\n")
    assert house.engine.heard == ["路灯坏了", "12345"]


def test_json_gives_a_message_a_line(house: House) -> None:
    result = run_chat(house.base_url, "路灯坏了\n", "--json")
    assert [json.loads(line)["text"] for line in result.output.splitlines()] == ["答：路灯坏了"]


def test_a_message_cannot_steer_the_terminal(house: House) -> None:
    house.engine.replies = lambda _: [EngineReply(text="[bold]红\x1b[31m色\x9b2J\x07")]
    result = run_chat(house.base_url, "你好\n")
    assert "[bold]红[31m色2J" in result.output
    assert "\x1b" not in result.output


def test_a_refused_message_is_explained_and_the_talk_goes_on(house: House) -> None:
    result = run_chat(house.base_url, "长" * 9000 + "\n路灯坏了\n")
    assert "8000" in result.output
    assert "答：路灯坏了" in result.output


def test_without_a_server_it_says_how_to_start_one() -> None:
    result = run_chat(f"http://127.0.0.1:{free_port()}", "你好\n")
    assert result.exit_code == 1
    assert "make serve" in result.output
