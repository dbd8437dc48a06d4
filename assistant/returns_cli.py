"""`minsheng tickets returns`, `proposals` and `examples`: what units gave back, and what is learned of it."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from assistant.city import City
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.errors import ConfigError
from assistant.logging import configure_logging
from assistant.matters import Matters, load
from assistant.returns.model import KINDS, ProposalView
from assistant.returns.report import Report, UnitReport
from assistant.returns.service import Learning
from assistant.settings import get_settings
from assistant.tickets.routing import Router
from assistant.understanding import CachingReader, Phrases
from kb.words import words
from nlu.runtime import Reader

T = TypeVar("T")

_JSON = typer.Option("--json", help="输出 JSON")


def returns(
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="从这一天所在的周起，默认八周")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="输出 CSV：每周、每单位派出和退回多少，按退单原因")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """退单报告：各单位退回多少，因为什么，比前四周是升是降。"""

    async def work(learning: Learning) -> Report:
        return await learning.report(since.date() if since else None)

    found = _run(work)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
        return
    if as_csv:
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(found.rows())
        typer.echo(lines.getvalue(), nl=False)
        return
    if not found.units:
        typer.echo(f"{found.since} 以来没有退单。")
        return
    table = Table(Column("单位", no_wrap=True), "派出", "退回", "退单率", "近四周", "裁定用时", "待裁定", "原因")
    for unit in (found.whole, *found.units):
        table.add_row(*(Text(cell) for cell in _cells(unit)))
    Console().print(table)


def _cells(unit: UnitReport) -> tuple[str, ...]:
    reasons = "，".join(f"{reason} {count}" for reason, count in unit.reasons.items())
    rate = "—" if unit.total.rate is None else f"{unit.total.rate:.1%}"
    hours = "—" if unit.median_hours is None else f"{unit.median_hours:.1f} 小时"
    counts = (str(unit.total.dispatched), str(unit.total.returned))
    return (unit.unit, *counts, rate, unit.trend.words, hours, str(unit.waiting), reasons)


def proposals(
    look: Annotated[bool, typer.Option("--look", help="先从裁定过的退单里找新的建议")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """列出退单引出的职责矩阵修改建议。试算、启用、驳回在 /staff 的“退单”页。"""

    async def work(learning: Learning) -> list[ProposalView]:
        if look:
            await learning.propose()
        return await learning.proposals()

    found = _run(work)
    if as_json:
        typer.echo(json.dumps([view.as_dict() for view in found], ensure_ascii=False))
        return
    if not found:
        typer.echo("还没有建议。加 --look 从退单里找。")
        return
    table = Table("编号", "种类", "改什么", "退单", "状态")
    for view in found:
        cells = (str(view.id), KINDS[view.change.kind], view.change.in_words, f"{len(view.numbers)} 件", view.state)
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


def examples(
    file: Annotated[Path, typer.Argument(help="写到这个 .jsonl 文件；放进 training_data/categories/ 再训练")],
) -> None:
    """导出已采纳的训练例句：隐去号码，不带工单号。"""
    found = _run(lambda learning: learning.examples())
    lines = "".join(json.dumps(example.as_dict(), ensure_ascii=False) + "\n" for example in found)
    try:
        file.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: choose a file that can be written") from error
    typer.echo(f"{len(found)} 句，写到 {file}。训练前请逐句看过。")


@cache
def _tell() -> Matters | None:
    settings = get_settings()
    reader = CachingReader(Reader.load(settings.nlu_model_dir))
    return load(settings.city_dir, Phrases(reader), reader.encoder_id)


def _router(city: City) -> Router:
    """As in the application; the model is loaded for proposals only."""
    return Router(city, _tell())


def _run(work: Callable[[Learning], Awaitable[T]]) -> T:
    settings = get_settings()
    configure_logging("warning", as_json=settings.log_json)

    async def run() -> T:
        db = Database(settings.sqlalchemy_url)
        try:
            await upgrade(db)
            city = City.load(settings.city_dir)
            return await work(Learning(db, city, settings.city_dir, words, routing=_router))
        finally:
            await db.close()

    return asyncio.run(run())
