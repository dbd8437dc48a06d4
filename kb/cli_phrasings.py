"""`minsheng kb phrasings …`."""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.settings import get_settings
from kb import console, phrasing_files
from kb.console import JsonFlag, out
from kb.phrasings import SOURCES, WHOLE, Phrasings
from kb.service import KnowledgeBase
from nlu.runtime import Reader

app = typer.Typer(help="常见问法：居民会怎么问文件里的这一条，检索时照着找。", no_args_is_help=True)
Document = Annotated[str | None, typer.Option(help="只要这份文件的（编号）")]
_SHOWN = 100
_EXPORTED = ("docid", "title", "document_number", "label", "question")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, help="JSON 行文件")],
    again: Annotated[bool, typer.Option("--again", help="在这里删除过的，也重新导入")] = False,
    as_json: JsonFlag = False,
) -> None:
    """导入问法：每行 {docid 或 title, label, question}，label 留空指整份文件。

    编号在这里没有时按 title（写了 document_number 的还看文号）找文件，并说明对到了哪一份。有一行没有导入时退出码为 1；
    以前导入过、在这里删除的，会跳过，不算没有导入。
    """

    async def run() -> dict[str, Any]:
        rows, refused = await asyncio.to_thread(phrasing_files.read, files)
        async with _phrasings(silent=False) as (kb, phrasings):
            placed = phrasing_files.placed(rows, await kb.list_documents())
            report = await phrasings.add_all(placed.found, source="import", by=_who(), again=again)
        refused += [*placed.refused, *report.refused]
        return {
            "added": report.added,
            "unchanged": report.unchanged,
            "skipped": report.skipped,
            "matched": [asdict(one) for one in placed.matched],
            "refused": [{"name": name, "reason": reason} for name, reason in refused],
        }

    result = console.run(run())

    def show() -> None:
        for one in result["matched"]:
            here = f"按标题《{one['title']}》对到编号 {one['document_id']}：{one['rows']} 条。"
            out.print(f"编号 {one['docid']} 不在这里，{here}", markup=False)
        for one in result["refused"]:
            out.print(f"{one['name']}：{one['reason']}", markup=False)
        numbers = f"新增 {result['added']} 条，已有 {result['unchanged']} 条，没有导入 {len(result['refused'])} 条。"
        out.print(numbers, markup=False)
        if result["skipped"]:
            out.print(
                f"跳过 {result['skipped']} 条：以前导入过，在这里删除了。要重新导入，请加 --again。", markup=False
            )

    console.show(as_json, result, show)
    raise typer.Exit(1 if result["refused"] else 0)


@app.command("list")
def list_(document: Document = None, as_json: JsonFlag = False) -> None:
    """列出问法。"""
    rows = _listed(document)

    def show() -> None:
        cells = [
            [
                str(row["id"]),
                row["title"],
                (row["label"] or WHOLE) + ("" if row["used"] else "（不止一处）" if row["several"] else "（已不存在）"),
                row["question"],
                SOURCES.get(row["source"], row["source"]),
            ]
            for row in rows[:_SHOWN]
        ]
        out.print(console.table(["编号", "文件", "位置", "问法", "来源"], cells))
        if len(rows) > _SHOWN:
            out.print(f"还有 {len(rows) - _SHOWN} 条没有列出，可用 --document 缩小范围，或用 export。")

    console.show(as_json, rows, show)


@app.command()
def export(
    target: Annotated[Path | None, typer.Argument(metavar="FILE", dir_okay=False, help="不写则打印出来")] = None,
    document: Document = None,
) -> None:
    """写成 JSON 行，import 能读回。"""
    lines = [
        json.dumps({name: row[name] for name in _EXPORTED}, ensure_ascii=False) + "\n" for row in _listed(document)
    ]
    if target is None:
        typer.echo("".join(lines), nl=False)
    else:
        target.write_text("".join(lines), encoding="utf-8")
        out.print(f"已写出 {len(lines)} 条：{target}", markup=False)


@app.command()
def remove(phrasing_id: Annotated[int, typer.Argument(metavar="编号")], as_json: JsonFlag = False) -> None:
    """删除一条。"""

    async def run() -> dict[str, Any]:
        async with _phrasings(silent=True) as (_, phrasings):
            await phrasings.remove(phrasing_id)
        return {"removed": phrasing_id}

    result = console.run(run())
    console.show(as_json, result, lambda: out.print(f"已删除第 {phrasing_id} 条。"))


def _listed(document: str | None) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        async with _phrasings(silent=True) as (_, phrasings):
            return [one.as_dict() for one in await phrasings.listed(document)]

    found: list[dict[str, Any]] = console.run(run())
    return found


@asynccontextmanager
async def _phrasings(*, silent: bool) -> AsyncIterator[tuple[KnowledgeBase, Phrasings]]:
    """`silent`: nothing is embedded, so no model is loaded."""
    encoder = console.NoEncoder() if silent else Reader.load(get_settings().nlu_model_dir, threads=1)
    async with console.database() as db:
        yield KnowledgeBase(db, encoder), Phrasings(db, encoder)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "命令行"
