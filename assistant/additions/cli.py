"""`minsheng nlu add` and `minsheng nlu additions`: what the page 教它新事 does, by command."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from assistant.additions.model import KINDS, AdditionView, NewAddition
from assistant.additions.service import Additions
from assistant.city import City
from assistant.city_files import Source, parse, read_yaml
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.errors import ConfigError, MinshengError
from assistant.logging import configure_logging
from assistant.settings import get_settings
from assistant.understanding import CachingReader
from nlu.errors import ExampleError, ModelError
from nlu.extend import Kind
from nlu.runtime import Reader
from nlu.trial import Trainer

T = TypeVar("T")
USER = "cli"

JsonFlag = Annotated[bool, typer.Option("--json", help="输出 JSON。")]


class _File(BaseModel):
    """What FILE.yml holds."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    name: str
    level1: str = ""
    unit: str = ""
    reply: str = ""
    examples: list[str]


def add(
    file: Annotated[Path, typer.Argument(help="YAML：kind（category 或 intent）、name、level1、unit、reply、examples")],
    live: Annotated[bool, typer.Option("--live", help="试训后直接启用")] = False,
    as_json: JsonFlag = False,
) -> None:
    """教助手一个新的类别或意图：用例句试训，说明什么变差了；加 --live 就启用。"""
    source = read_yaml(file)
    wanted = parse(source, _File)
    new = NewAddition(wanted.kind, wanted.name, tuple(wanted.examples), wanted.level1, wanted.unit, wanted.reply)

    async def work(additions: Additions) -> AdditionView:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("试训", total=1.0)
            view = await additions.trial(
                new, USER, lambda words, share: bar.update(task, description=words, completed=share)
            )
        return await additions.enable(view.id, USER) if live else view

    view = _run(work, source)
    if as_json:
        typer.echo(json.dumps(view.as_dict(), ensure_ascii=False))
        return
    typer.echo(f"{KINDS[view.kind]}“{view.name}”：{view.state}。{view.report['summary']}")
    for change in view.report["worse"]:
        typer.echo(f"  抢走：{change['text']}（{change['before']} → {change['after']}）")
    if not live:
        typer.echo("还没有启用：在 /staff 的“教它新事”里启用，或加 --live 再运行一次。")


def additions(as_json: JsonFlag = False) -> None:
    """列出教过的类别和意图。"""
    views = _run(lambda service: service.list())
    if as_json:
        typer.echo(json.dumps([view.as_dict() for view in views], ensure_ascii=False))
        return
    table = Table("编号", "类型", "名称", "一级类别", "承办单位", "例句", "状态")
    for view in views:
        cells = (str(view.id), KINDS[view.kind], view.name, view.level1, view.unit, str(len(view.examples)), view.state)
        table.add_row(*cells)
    Console().print(table if views else "还没有教过什么。用 minsheng nlu add 文件.yml 新增。")


def _run(work: Callable[[Additions], Awaitable[T]], source: Source | None = None) -> T:
    settings = get_settings()
    configure_logging("warning", as_json=settings.log_json)

    async def run() -> T:
        db = Database(settings.sqlalchemy_url)
        reader = CachingReader(Reader.load(settings.nlu_model_dir))
        try:
            await upgrade(db)
            trainer = Trainer(settings.training_dir, settings.data_dir / "nlu")
            service = Additions(db, reader, City.load(settings.city_dir), trainer)
            await service.load()
            return await work(service)
        finally:
            reader.close()
            await db.close()

    try:
        return asyncio.run(run())
    except ModelError as error:
        raise ConfigError(str(error)) from error
    except MinshengError as error:
        cause = error.__cause__
        if source is not None and isinstance(cause, ExampleError) and cause.line is not None:
            raise ConfigError(f"{source.path}:{source.line('examples', cause.line - 1)}: {cause.problem}") from error
        raise
