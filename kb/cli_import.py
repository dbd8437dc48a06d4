"""`minsheng kb import | template`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from assistant.settings import get_settings
from kb import console
from kb.console import JsonFlag, err, out
from kb.documents import NewDocument
from kb.embedding import BulkEncoder
from kb.importer import FileReading
from kb.passages import split
from kb.service import KnowledgeBase
from kb.sheets import TEMPLATE_NAME, template
from kb.untrusted import read_untrusted_paths

_KINDS = "md txt html docx pdf xlsx csv jsonl zip"


def import_(
    paths: Annotated[list[Path], typer.Argument(help=f"文件、文件夹或 zip：{_KINDS}", exists=True)],
    draft: Annotated[bool, typer.Option("--draft", help="存为草稿，不发布")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只显示会切出的段落，不保存")] = False,
    as_json: JsonFlag = False,
) -> None:
    """导入政策文件；读不了的文件说明原因，其余继续。有文件被拒绝时退出码为 1。"""
    with progress("读取") as step:
        reading = read_untrusted_paths(paths, step)
    failures = [{"name": r.name, "reason": r.reason} for r in reading.refused]
    notes = [{"name": n.name, "note": n.text} for n in reading.notes]
    if dry_run:
        rows = [_preview(document) for document in reading.documents]
        result = {"documents": rows, "refused": failures, "notes": notes}
        console.show(as_json, result, lambda: _show_pieces(result))
        raise typer.Exit(1 if failures else 0)
    result = console.run(_store(reading, publish=not draft))
    result |= {"refused": failures + result["refused"], "notes": notes}
    console.show(as_json, result, lambda: _show_report(result))
    raise typer.Exit(1 if result["refused"] else 0)


def write_template(
    path: Annotated[Path, typer.Argument(help="写到哪里：.xlsx 或 .csv", dir_okay=False)] = Path(TEMPLATE_NAME),
    force: Annotated[bool, typer.Option("--force", help="覆盖已有的文件")] = False,
) -> None:
    """写出空白的问答表；填好后用 kb import 导入，一行是一条问答。"""
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".csv"):
        err.print("模板只能写成 .xlsx 或 .csv。", style="red", markup=False)
        raise typer.Exit(2)
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(template(suffix))
    except FileExistsError:
        err.print(f"{path} 已经存在；要覆盖请加 --force。", style="red", markup=False)
        raise typer.Exit(2) from None
    except OSError as error:
        err.print(f"{path} 写不了（{error.strerror}）。", style="red", markup=False)
        raise typer.Exit(2) from error
    out.print(f"已写出 {path}。填好后：minsheng kb import {path}", markup=False)


@contextmanager
def progress(label: str) -> Iterator[Any]:
    """A bar on standard error; gives what is called with (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


async def _store(reading: FileReading, *, publish: bool) -> dict[str, Any]:
    encoder = BulkEncoder.load(get_settings().nlu_model_dir)
    try:
        async with console.database() as db:
            with progress("导入") as step:
                kb = KnowledgeBase(db, encoder)
                report = await kb.import_documents(reading.documents, publish=publish, progress=step)
    finally:
        encoder.close()
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "passages": report.passages,
        "refused": [{"name": r.name, "reason": r.reason} for r in report.refused],
        "seconds": report.seconds,
    }


def _preview(document: NewDocument) -> dict[str, Any]:
    pieces = split(document.text, document.title)
    return {
        "id": document.id,
        "title": document.title,
        "passages": [{"article": piece.article, "text": piece.text} for piece in pieces],
    }


def _show_pieces(result: dict[str, Any]) -> None:
    for row in result["documents"]:
        out.rule(Text(row["title"]))
        out.print(console.table(["位置", "段落"], [[p["article"] or "", p["text"]] for p in row["passages"]]))
    _show_left_out(result)


def _show_report(result: dict[str, Any]) -> None:
    out.print(
        f"新增 {result['added']} 份，更新 {result['updated']} 份，未变 {result['unchanged']} 份，"
        f"共 {result['passages']} 个段落，用时 {result['seconds']:.1f} 秒。"
    )
    _show_left_out(result)


def _show_left_out(result: dict[str, Any]) -> None:
    for note in result["notes"]:
        err.print(f"注意 {note['name']}：{note['note']}", style="yellow", markup=False)
    for failure in result["refused"]:
        err.print(f"未导入 {failure['name']}：{failure['reason']}", style="yellow", markup=False)
