"""`minsheng kb health` and `minsheng kb cases …`."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from assistant.settings import get_settings
from kb import console
from kb.answer_log import AnswerLog
from kb.cases import Cases
from kb.console import JsonFlag, out
from kb.errors import KbError
from kb.health.finding import KIND_NAMES, KINDS
from kb.health.service import Health
from kb.health.tasks import OPEN, STATES
from kb.service import KnowledgeBase
from nlu.runtime import Reader

cases_app = typer.Typer(help="回归用例：改了知识库以后，这些问题还答得对吗。", no_args_is_help=True)
_SHOWN = 50


def health(
    kind: Annotated[list[str] | None, typer.Option(help=f"只列这一种：{' '.join(KINDS)}")] = None,
    state: Annotated[list[str] | None, typer.Option(help="只列这种状态，默认待处理和处理中")] = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="不重新体检，只列出已有的")] = False,
    as_json: JsonFlag = False,
) -> None:
    """给知识库体检：过期、重复、矛盾、失效的引用、没人用到的、答不出的。还有没处理的问题时退出码为 1。"""
    kinds, states = kind or [], state or list(OPEN)

    async def run() -> dict[str, Any]:
        _known(kinds, KINDS, "种类")
        _known(states, STATES, "状态")
        async with _knowledge_base(silent=no_check) as (db, kb, encoder):
            service = Health(db, kb, lambda: encoder.encoder_id, answers=AnswerLog(db, encoder, kb.today))
            report = None if no_check else await service.check()
            found = await service.tasks(kinds=kinds, states=states)
        return {"report": report.as_dict() if report else None, "tasks": [task.as_dict() for task in found]}

    result = console.run(run())
    console.show(as_json, result, lambda: _show_health(result))
    raise typer.Exit(1 if any(task["state"] in OPEN for task in result["tasks"]) else 0)


@cases_app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """列出回归用例。"""

    async def run() -> list[dict[str, Any]]:
        async with _cases(silent=True) as cases:
            return [case.as_dict() for case in await cases.listed()]

    rows = console.run(run())
    cells = [[str(row["id"]), row["question"], row["expected"], row["created_by"]] for row in rows]
    console.show(as_json, rows, lambda: _table(["编号", "问题", "应当答到", "谁加的"], cells))


@cases_app.command()
def add(
    question: Annotated[str, typer.Argument(help="居民的问题")],
    document: Annotated[str | None, typer.Option(help="应当答到哪份文件（编号）")] = None,
    article: Annotated[str | None, typer.Option(help="应当引用哪一条，不写则不限")] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="应当说不知道")] = False,
    as_json: JsonFlag = False,
) -> None:
    """新增一条。写 --document，或者写 --unknown。"""

    async def run() -> dict[str, Any]:
        if unknown == (document is not None):
            raise KbError("--document 和 --unknown 要写一个，且只能写一个。")
        async with _cases(silent=True) as cases:
            return (await cases.add(question, document, article, by=_who())).as_dict()

    row = console.run(run())
    console.show(as_json, row, lambda: out.print(f"已存为第 {row['id']} 条：{row['expected']}", markup=False))


@cases_app.command()
def remove(case_id: Annotated[int, typer.Argument(metavar="编号")], as_json: JsonFlag = False) -> None:
    """删除一条。"""

    async def run() -> dict[str, Any]:
        async with _cases(silent=True) as cases:
            await cases.remove(case_id)
        return {"removed": case_id}

    result = console.run(run())
    console.show(as_json, result, lambda: out.print(f"已删除第 {case_id} 条。"))


@cases_app.command("run")
def run_(as_json: JsonFlag = False) -> None:
    """全部重问一遍，与聊天用的是同一套步骤。有一条不对时退出码为 1。"""

    async def run() -> list[dict[str, Any]]:
        async with _cases(silent=False) as cases:
            return [result.as_dict() for result in await cases.run()]

    rows = console.run(run())
    failed = [row for row in rows if not row["passed"]]
    result = {"total": len(rows), "failed": len(failed), "results": rows}

    def show() -> None:
        if failed:
            cells = [[str(r["id"]), r["question"], r["expected"], r["got"]] for r in failed]
            _table(["编号", "问题", "应当答到", "现在答到"], cells)
        out.print(f"{len(rows)} 条，{len(rows) - len(failed)} 条对，{len(failed)} 条不对。")

    console.show(as_json, result, show)
    raise typer.Exit(1 if failed else 0)


@asynccontextmanager
async def _knowledge_base(*, silent: bool) -> AsyncIterator[tuple[Any, KnowledgeBase, Any]]:
    """`silent`: nothing is asked or read, so no model is loaded."""
    encoder = console.NoEncoder() if silent else Reader.load(get_settings().nlu_model_dir, threads=1)
    async with console.database() as db:
        yield db, KnowledgeBase(db, encoder), encoder


@asynccontextmanager
async def _cases(*, silent: bool) -> AsyncIterator[Cases]:
    async with _knowledge_base(silent=silent) as (db, kb, _):
        yield Cases(db, kb.answer)


def _known(given: list[str], names: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in names:
            raise KbError(f"没有“{name}”这个{what}，只有：{'、'.join(names)}。")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "命令行"


def _show_health(result: dict[str, Any]) -> None:
    report, found = result["report"], result["tasks"]
    cells = [[str(t["id"]), KIND_NAMES[t["kind"]], t["summary"], t["owner"] or "", t["state"]] for t in found[:_SHOWN]]
    if cells:
        _table(["编号", "种类", "发现", "负责人", "状态"], cells)
    if len(found) > _SHOWN:
        out.print(f"还有 {len(found) - _SHOWN} 条没有列出，可用 --kind 缩小范围。")
    if report:
        out.print(
            f"看了 {report['documents']} 份有效文件、{report['passages']} 个段落、"
            f"{report['questions']} 个没答出的问题，用时 {report['seconds']:.1f} 秒。"
            f"新发现 {report['new']} 条，重新出现 {report['reopened']} 条，"
            f"已不存在 {report['closed']} 条；未处理 {report['open']} 条。"
        )
    elif not found:
        out.print("没有符合条件的。")


def _table(heads: list[str], rows: list[list[str]]) -> None:
    out.print(console.table(heads, rows))
