"""Regression cases: what passes, what is reported, and the command's exit code."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from assistant.db.session import Database
from assistant.settings import get_settings
from kb import cli, cli_health
from kb.cases import NOT_KNOWN, CaseExists, CaseNotFound, Cases, expectations
from kb.errors import DocumentNotFound, KbError
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import HashEncoder, dogs, heating

WARM, NONSENSE = "室内温度不低于多少", "火星移民签证多少钱"


@pytest.fixture
async def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    found = KnowledgeBase(db, encoder, settings=settings)
    await found.import_documents([heating(), dogs()], publish=True)
    return found


@pytest.fixture
def cases(db: Database, base: KnowledgeBase) -> Cases:
    return Cases(db, base.answer)


async def test_a_case_passes_as_long_as_the_answer_stays(base: KnowledgeBase, cases: Cases) -> None:
    await cases.add(f" {WARM} ", "heating", "室温标准", by="editor")
    await cases.add(NONSENSE, None, None, by="editor")
    assert [result.passed for result in await cases.run()] == [True, True]
    await base.suspend("heating")
    first, second = await cases.run()
    assert (first.case.question, first.passed, first.got) == (WARM, False, "说不知道")
    assert first.case.expected == "《居民供热用热办法》 室温标准"
    assert second.passed


async def test_another_article_or_an_answer_where_none_is_wanted_fails(cases: Cases) -> None:
    await cases.add(WARM, "heating", "报修", by="editor")
    (result,) = await cases.run()
    assert (result.passed, result.got) == (False, "《居民供热用热办法》 室温标准")
    await cases.remove(result.case.id)
    await cases.add(WARM, None, None, by="editor")
    (result,) = await cases.run()
    assert not result.passed and result.case.expected == NOT_KNOWN
    await cases.remove(result.case.id)
    await cases.add(WARM, "heating", None, by="editor")
    assert [result.passed for result in await cases.run()] == [True]


async def test_what_cannot_be_a_case_is_refused(cases: Cases) -> None:
    await cases.add(WARM, "heating", None, by="editor")
    with pytest.raises(CaseExists):
        await cases.add(WARM, None, None, by="editor")
    with pytest.raises(DocumentNotFound, match="nothing"):
        await cases.add("问", "nothing", None, by="editor")
    with pytest.raises(KbError, match="500"):
        await cases.add("问" * 501, None, None, by="editor")
    with pytest.raises(KbError, match="哪份文件"):
        await cases.add("问", None, "第一条", by="editor")
    with pytest.raises(CaseNotFound):
        await cases.remove(999)


async def test_what_is_answered_now_is_offered_first(base: KnowledgeBase) -> None:
    answered = expectations(await base.answer(WARM))
    assert answered[0] == ("heating", "室温标准", "《居民供热用热办法》 室温标准")
    assert answered[-1] == (None, None, NOT_KNOWN)
    assert expectations(await base.answer(NONSENSE))[0] == (None, None, NOT_KNOWN)


class Runner:
    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli.app, list(arguments))
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setenv("MINSHENG_DATA_DIR", str(tmp_path / "var"))
    for room in (cli, cli_health):
        monkeypatch.setattr(room.Reader, "load", lambda *_, **__: HashEncoder())
    get_settings.cache_clear()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield Runner()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    get_settings.cache_clear()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for id_, cost in (("one", "120"), ("two", "160")):
        head = f"---\nid: {id_}\nissuer: 公安局\nowner: 张三\n---\n# 护照收费说明{id_}\n"
        (folder / f"{id_}.md").write_text(f"{head}## 费用\n普通护照每本收费{cost}元。", encoding="utf-8")
    return folder


def test_cases_on_the_command_line(run: Runner, documents: Path) -> None:
    assert run("import", str(documents))[0] == 0
    assert run("cases", "run")[:2] == (0, "0 条，0 条对，0 条不对。\n")
    code, out, _ = run("cases", "add", "月球移民多少钱", "--unknown", "--json")
    assert (code, json.loads(out)["expected"]) == (0, NOT_KNOWN)
    assert run("cases", "run")[0] == 0
    assert run("cases", "add", "火星移民多少钱", "--document", "one", "--article", "费用")[0] == 0
    assert "火星移民多少钱" in run("cases", "list")[1]
    code, out, _ = run("cases", "run")
    assert code == 1
    assert "2 条，1 条对，1 条不对。" in out
    code, out, _ = run("cases", "run", "--json")
    result = json.loads(out)
    assert (code, result["failed"], result["results"][0]["got"]) == (1, 1, "说不知道")
    assert run("cases", "remove", str(result["results"][0]["id"]))[0] == 0
    assert run("cases", "run")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("cases", "add", "问"), "要写一个"),
        (("cases", "add", "问", "--unknown", "--document", "one"), "只能写一个"),
        (("cases", "add", "问", "--document", "nothing"), "没有编号为 nothing 的文件"),
        (("cases", "remove", "7"), "没有找到这条回归用例"),
        (("health", "--no-check", "--kind", "broken"), "没有“broken”这个种类"),
        (("health", "--no-check", "--state", "完了"), "没有“完了”这个状态"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(run: Runner, arguments: tuple[str, ...], reason: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert reason in err


def test_health_on_the_command_line(run: Runner, documents: Path) -> None:
    assert run("health", "--no-check")[0] == 0
    run("import", str(documents))
    code, out, _ = run("health", "--kind", "contradiction", "--json")
    result = json.loads(out)
    assert code == 1
    assert result["report"]["passages"] == 2
    (task,) = result["tasks"]
    assert (task["kind"], task["owner"], task["values"]) == ("contradiction", "张三", ["120元", "160元"])
    code, out, _ = run("health", "--no-check")
    assert code == 1
    assert "说法矛盾" in out
