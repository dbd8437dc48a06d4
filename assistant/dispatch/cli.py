"""`minsheng outbox`: what could not be delivered, and sending it again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from assistant.db.models import now
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.dispatch.outbox import Outbox
from assistant.settings import get_settings

app = typer.Typer(help="派单发件箱：查看没有送达的工单，重新发送。", no_args_is_help=True)
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="输出 JSON")]
OfDestination = Annotated[str | None, typer.Option("--destination", "-d", help="只看一个目的地")]


@app.command("list")
def list_dead(limit: int = 100, destination: OfDestination = None, as_json: AsJson = False) -> None:
    """列出放弃发送的条目和原因，以及各状态的数量。"""

    async def work(box: Outbox) -> dict[str, object]:
        depth = await box.depth(at=now())
        dead = [
            {
                "id": row.id,
                "ticket": row.ticket_number,
                "destination": row.destination,
                "operation": row.operation,
                "attempts": row.attempts,
                "reason": row.last_error,
            }
            for row in await box.dead(destination=destination, limit=limit)
        ]
        return {**depth.by_state, "oldest_s": round(depth.oldest_s), "dead_rows": dead}

    result = _with_outbox(work)
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    typer.echo(f"待发 {result['pending']}，发送中 {result['sending']}，放弃 {result['dead']}")
    table = Table("编号", "工单", "目的地", "操作", "次数", "原因")
    rows = result["dead_rows"]
    assert isinstance(rows, list)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    if rows:
        Console().print(table)


@app.command()
def replay(
    ids: Annotated[list[int] | None, typer.Argument(help="list 显示的编号；不写就是全部")] = None,
    destination: OfDestination = None,
    commit: Annotated[bool, typer.Option("--commit", help="真正重发；不加只显示会重发哪些")] = False,
    as_json: AsJson = False,
) -> None:
    """把放弃发送的条目重新放进队列（同一个去重键，不会重复派单）。"""

    async def work(box: Outbox) -> list[int]:
        known = [row.id for row in await box.dead(destination=destination, limit=100_000)]
        chosen = [each for each in known if not ids or each in ids]
        if commit:
            return [each for each in chosen if await box.replay(each, at=now())]
        return chosen

    chosen = _with_outbox(work)
    if as_json:
        typer.echo(json.dumps({"committed": commit, "ids": chosen}))
    else:
        typer.echo(f"{'已重新排队' if commit else '将重新排队（加 --commit 执行）'}：{len(chosen)} 条 {chosen}")


def _with_outbox(work: Callable[[Outbox], Awaitable[T]]) -> T:
    async def run() -> T:
        db = Database(get_settings().sqlalchemy_url)
        try:
            await upgrade(db)
            return await work(Outbox(db))
        finally:
            await db.close()

    return asyncio.run(run())
