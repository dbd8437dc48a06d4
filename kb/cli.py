"""`minsheng kb import | search | eval | list`, and the commands of `kb/cli_documents.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.errors import ConfigError
from assistant.logging import configure_logging
from assistant.settings import get_settings
from kb import cli_documents, cli_health, cli_import, cli_phrasings, console
from kb.answer import Calibration, validity
from kb.console import JsonFlag, out
from kb.errors import KbError
from kb.evaluate import build, evaluate, read_corpus, read_questions
from kb.rephrase import Rephraser
from kb.search import Filters
from kb.service import KnowledgeBase
from nlu.errors import ModelError
from nlu.runtime import Reader

app = typer.Typer(help="政策知识库：导入、检索、评测、列表、版本、状态。", no_args_is_help=True)
app.add_typer(cli_documents.app)
app.add_typer(cli_health.cases_app, name="cases")
app.add_typer(cli_phrasings.app, name="phrasings")
app.command("health")(cli_health.health)
app.command("import")(cli_import.import_)
app.command("template")(cli_import.write_template)
_TOP = 10


@app.callback()
def _quiet() -> None:
    """政策知识库：导入、检索、评测、列表、版本、状态。"""
    # Results go to standard output; the log's lines go to standard error, and only those that matter.
    configure_logging("warning", as_json=get_settings().log_json)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="居民的问题")],
    top_k: Annotated[int, typer.Option(min=1, max=100)] = _TOP,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="按哪一天有效的规定")] = None,
    region: Annotated[str | None, typer.Option(help="只查适用于这个地区的文件")] = None,
    audience: Annotated[str | None, typer.Option(help="只查适用于这类对象的文件")] = None,
    category: Annotated[str | None, typer.Option(help="只查这个类别的文件")] = None,
    as_json: JsonFlag = False,
) -> None:
    """检索并给出答案，与聊天用的是同一套步骤。"""
    day = as_of.date() if as_of else None
    filters = Filters(region or None, audience or None, category or None)

    async def run() -> dict[str, Any]:
        async with _knowledge_base() as kb:
            result = await kb.answer(question, as_of=day, filters=filters)
            hits = await kb.search(question, top_k=top_k, as_of=day, filters=filters)
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

    result = console.run(run())
    console.show(as_json, result, lambda: _show_hits(result))


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
        with cli_import.progress("向量") as step:
            snapshot = build(documents, encoder, progress=step)
        # Questions are timed on one thread, as in serving.
        encoder = Reader.load(get_settings().nlu_model_dir, threads=1)
        with cli_import.progress("提问") as step:
            result = evaluate(asked, snapshot, encoder, Calibration.load(), progress=step)
    except (KbError, ModelError) as error:
        console.fail(error)
    console.show(
        as_json, result, lambda: out.print(console.table(["项目", "数值"], [[k, str(v)] for k, v in result.items()]))
    )


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """列出知识库里的文件。"""

    async def run() -> list[dict[str, Any]]:
        async with console.database() as db:
            kb = KnowledgeBase(db, console.NoEncoder())
            counts = await kb.passage_counts()
            return [
                d.as_dict() | {"passages": counts.get(d.id, 0), "validity": validity(d)}
                for d in await kb.list_documents()
            ]

    rows = console.run(run())

    def show() -> None:
        cells = [[r["id"][:24], r["title"][:40], r["status"], r["validity"], str(r["passages"])] for r in rows]
        out.print(console.table(["编号", "标题", "状态", "有效期", "段落"], cells))

    console.show(as_json, rows, show)


@asynccontextmanager
async def _knowledge_base(threads: int = 1) -> AsyncIterator[KnowledgeBase]:
    reader = Reader.load(get_settings().nlu_model_dir, threads=threads)
    try:
        rephraser = Rephraser.of(get_settings())
    except ConfigError as error:
        console.fail(error)
    async with console.database() as db:
        kb = KnowledgeBase(db, reader, rephraser=rephraser)
        try:
            yield kb
        finally:
            await kb.close()


def _show_hits(result: dict[str, Any]) -> None:
    out.print(result["text"], markup=False)
    out.print(f"（{result['outcome']}，把握 {result['confidence']:.2f}）")
    rows = [
        [f"{h['score']:.3f}", f"{h['dense']:.3f}", f"{h['sparse']:.2f}", h["title"], h["article"] or "", h["text"][:60]]
        for h in result["hits"]
    ]
    out.print(console.table(["得分", "向量", "词", "文件", "位置", "段落"], rows))
