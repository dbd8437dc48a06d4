"""`minsheng kb import | search | eval | list`."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.logging import configure_logging
from assistant.settings import get_settings
from kb.answer import Calibration, validity
from kb.errors import KbError
from kb.evaluate import build, evaluate, read_corpus, read_questions
from kb.importer import read_paths
from kb.passages import split
from kb.service import KnowledgeBase
from nlu.errors import ModelError
from nlu.runtime import Reader

app = typer.Typer(help="政策知识库：导入、检索、评测、列表。", no_args_is_help=True)
out = Console()
err = Console(stderr=True)
_TOP = 10


@app.callback()
def _quiet() -> None:
    """政策知识库：导入、检索、评测、列表。"""
    # Results go to standard output; the log's lines go to standard error, and only those that matter.
    configure_logging("warning", as_json=get_settings().log_json)


JsonFlag = Annotated[bool, typer.Option("--json", help="以 JSON 输出结果")]


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="文件或文件夹：md txt html docx pdf jsonl", exists=True)],
    draft: Annotated[bool, typer.Option("--draft", help="存为草稿，不发布")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只显示会切出的段落，不保存")] = False,
    as_json: JsonFlag = False,
) -> None:
    """导入政策文件；读不了的文件说明原因，其余继续。有文件被拒绝时退出码为 1。"""
    documents, refused = read_paths(paths)
    failures = [{"name": r.name, "reason": r.reason} for r in refused]
    if dry_run:
        rows = [
            {
                "id": d.id,
                "title": d.title,
                "passages": [{"article": p.article, "text": p.text} for p in split(d.text, d.title)],
            }
            for d in documents
        ]
        _print(as_json, {"documents": rows, "refused": failures}, lambda: _show_pieces(rows, failures))
        raise typer.Exit(1 if failures else 0)

    async def run() -> dict[str, Any]:
        async with _knowledge_base(threads=2) as kb:
            with _progress("导入", len(documents)) as step:
                report = await kb.import_documents(documents, publish=not draft, progress=step)
        return {
            "added": report.added,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "passages": report.passages,
            "refused": failures + [{"name": r.name, "reason": r.reason} for r in report.refused],
            "seconds": report.seconds,
        }

    result = _run(run())
    _print(as_json, result, lambda: _show_report(result))
    raise typer.Exit(1 if result["refused"] else 0)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="居民的问题")],
    top_k: Annotated[int, typer.Option(min=1, max=100)] = _TOP,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="按哪一天有效的规定")] = None,
    as_json: JsonFlag = False,
) -> None:
    """检索并给出答案，与聊天用的是同一套步骤。"""
    day = as_of.date() if as_of else None

    async def run() -> dict[str, Any]:
        async with _knowledge_base() as kb:
            result = await kb.answer(question, as_of=day)
            hits = await kb.search(question, top_k=top_k, as_of=day)
        return {
            "outcome": result.outcome,
            "confidence": round(result.confidence, 4),
            "text": result.text,
            "citations": [c.as_dict() for c in result.citations],
            "steps": [{"name": s.name, "ms": s.ms, "outcome": s.outcome} for s in result.steps],
            "hits": [
                {
                    "document": h.document.id,
                    "title": h.document.title,
                    "article": h.article,
                    "text": h.passage.text,
                    "score": round(h.score, 4),
                    "dense": round(h.dense, 4),
                    "sparse": round(h.sparse, 4),
                }
                for h in hits
            ],
        }

    result = _run(run())
    _print(as_json, result, lambda: _show_hits(result))


@app.command("eval")
def eval_(
    corpus: Annotated[Path, typer.Option(exists=True, help="文件 JSONL：docid、title、text")],
    questions: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="问题 JSONL：question、docid、answer")],
    limit: Annotated[int, typer.Option(min=0, help="只用前 N 个问题；0 为全部")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """在临时索引里评测检索和摘取，不动真正的知识库。"""
    try:
        documents = read_corpus(corpus)
        asked = read_questions(questions)
        asked = asked[:limit] if limit else asked
        encoder = Reader.load(get_settings().nlu_model_dir, threads=2)
        with _progress("向量", 0) as step:
            snapshot = build(documents, encoder, progress=step)
        # Questions are timed on one thread, as in serving.
        encoder = Reader.load(get_settings().nlu_model_dir, threads=1)
        with _progress("提问", len(asked)) as step:
            result = evaluate(asked, snapshot, encoder, Calibration.load(), progress=step)
    except (KbError, ModelError) as error:
        _fail(error)
    _print(as_json, result, lambda: out.print(_table(["项目", "数值"], [[k, str(v)] for k, v in result.items()])))


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """列出知识库里的文件。"""

    async def run() -> list[dict[str, Any]]:
        async with _database() as db:
            kb = KnowledgeBase(db, _NoEncoder())
            counts = await kb.passage_counts()
            return [
                d.as_dict() | {"passages": counts.get(d.id, 0), "validity": validity(d)}
                for d in await kb.list_documents()
            ]

    rows = _run(run())

    def show() -> None:
        cells = [[r["id"][:24], r["title"][:40], r["status"], r["validity"], str(r["passages"])] for r in rows]
        out.print(_table(["编号", "标题", "状态", "有效期", "段落"], cells))

    _print(as_json, rows, show)


class _NoEncoder:
    """For commands that only list."""

    encoder_id = ""

    def embed(self, texts: Any, kind: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    db = Database(get_settings().sqlalchemy_url)
    try:
        await upgrade(db)
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def _knowledge_base(threads: int = 1) -> AsyncIterator[KnowledgeBase]:
    reader = Reader.load(get_settings().nlu_model_dir, threads=threads)
    async with _database() as db:
        yield KnowledgeBase(db, reader)


@contextmanager
def _progress(label: str, total: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=total or None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except (KbError, ModelError) as error:
        _fail(error)


def _fail(error: Exception) -> Any:
    err.print(getattr(error, "detail", None) or str(error), style="red", markup=False)
    raise typer.Exit(2) from error


def _print(as_json: bool, result: Any, show: Any) -> None:
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        show()


def _table(heads: list[str], rows: list[list[str]]) -> Table:
    table = Table(*heads)
    for row in rows:
        table.add_row(*row)
    return table


def _show_pieces(rows: list[dict[str, Any]], failures: list[dict[str, str]]) -> None:
    for row in rows:
        out.rule(row["title"])
        out.print(_table(["位置", "段落"], [[p["article"] or "", p["text"]] for p in row["passages"]]))
    _show_refused(failures)


def _show_report(result: dict[str, Any]) -> None:
    out.print(
        f"新增 {result['added']} 份，更新 {result['updated']} 份，未变 {result['unchanged']} 份，"
        f"共 {result['passages']} 个段落，用时 {result['seconds']:.1f} 秒。"
    )
    _show_refused(result["refused"])


def _show_refused(failures: list[dict[str, str]]) -> None:
    for failure in failures:
        err.print(f"未导入 {failure['name']}：{failure['reason']}", style="yellow", markup=False)


def _show_hits(result: dict[str, Any]) -> None:
    out.print(result["text"], markup=False)
    out.print(f"（{result['outcome']}，把握 {result['confidence']:.2f}）")
    rows = [
        [f"{h['score']:.3f}", f"{h['dense']:.3f}", f"{h['sparse']:.2f}", h["title"], h["article"] or "", h["text"][:60]]
        for h in result["hits"]
    ]
    out.print(_table(["得分", "向量", "词", "文件", "位置", "段落"], rows))
