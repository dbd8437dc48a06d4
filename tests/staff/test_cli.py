"""`minsheng users` on a real database file, as an operator uses it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assistant.settings import get_settings
from assistant.staff.cli import app

PASSWORD = "Jinshui-River-88"
run = CliRunner()


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MINSHENG_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def add(name: str = "li", *roles: str, password: str = PASSWORD) -> tuple[int, str]:
    arguments = ["add", name, "--password-stdin", "--display-name", "李座席"]
    for role in roles or ("agent",):
        arguments += ["--role", role]
    result = run.invoke(app, arguments, input=password + "\n")
    return result.exit_code, result.output


def listed() -> list[dict[str, object]]:
    return list(json.loads(run.invoke(app, ["list", "--json"]).stdout))


def test_accounts_are_added_listed_disabled_and_enabled() -> None:
    assert add("li", "agent", "editor")[0] == 0
    assert listed() == [
        {"name": "li", "display_name": "李座席", "roles": ["agent", "editor"], "active": True, "locked_until": None}
    ]
    assert run.invoke(app, ["disable", "li"]).exit_code == 0
    assert listed()[0]["active"] is False
    assert "停用" in run.invoke(app, ["list"]).stdout
    assert run.invoke(app, ["enable", "li"]).exit_code == 0
    assert listed()[0]["active"] is True


def test_there_is_no_account_at_first() -> None:
    assert listed() == []
    assert "还没有账号" in run.invoke(app, ["list"]).stdout


def test_the_password_is_prompted_twice_and_never_shown() -> None:
    result = run.invoke(app, ["add", "li", "-r", "agent"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0 and PASSWORD not in result.output
    typo = run.invoke(app, ["add", "zhao", "-r", "agent"], input=f"{PASSWORD}\nother-Password-1\n")
    assert typo.exit_code != 0
    assert [user["name"] for user in listed()] == ["li"]


def test_no_command_takes_a_password_as_an_argument() -> None:
    for command in ("add", "passwd"):
        assert run.invoke(app, [command, "li", "-r", "agent", "--password", PASSWORD]).exit_code == 2


@pytest.mark.parametrize("password", ["", "short", "Password2026!"])
def test_a_weak_password_is_refused_in_chinese(password: str) -> None:
    code, output = add(password=password)
    assert code == 1 and "密码" in output
    assert listed() == []


def test_mistakes_are_told_in_chinese() -> None:
    add("li")
    assert add("li") == (1, "用户名“li”已被使用。\n")
    code, output = add("zhao", "king")
    assert code == 1 and "没有“king”这个角色" in output
    nobody = run.invoke(app, ["disable", "nobody"])
    assert nobody.exit_code == 1 and "没有名为“nobody”的用户" in nobody.output


def test_a_new_password_replaces_the_old() -> None:
    add("li")
    result = run.invoke(app, ["passwd", "li", "--password-stdin", "--json"], input=PASSWORD + "-2\n")
    # `minsheng` sends its log to standard error; here it is still on standard output, before the result.
    assert result.exit_code == 0 and json.loads(result.stdout.splitlines()[-1])["name"] == "li"
