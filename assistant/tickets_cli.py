"""`minsheng tickets`: list and show. Personal data never appears: the requester is not printed, text is masked."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.city import City
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.db.upgrade import upgrade
from assistant.privacy import mask
from assistant.settings import Settings
from assistant.tickets.errors import TicketNotFound
from assistant.tickets.model import TicketView
from assistant.tickets.outgoing import also_concerns
from assistant.tickets.states import REQUIRED_NAMES, TRANSITIONS, Role, State

app = typer.Typer(help="工单：列表、查看", no_args_is_help=True)
T = TypeVar("T")

_JSON = typer.Option("--json", help="输出 JSON")


@app.command("list")
def list_tickets(
    state: Annotated[str | None, typer.Option(help=f"只看一种状态：{'、'.join(State)}")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="最多几张，新的在前")] = 50,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """列出工单，新的在前。"""
    if state is not None and state not in list(State):
        raise typer.BadParameter(f"没有状态“{state}”，可选：{'、'.join(State)}", param_hint="--state")

    async def work(store: SqlTicketStore) -> list[TicketView]:
        found = await store.find(conversation_id=None, state=state, limit=limit)
        return [TicketView.of(*each) for each in found]

    views = _run(work)
    if as_json:
        typer.echo(json.dumps([_as_dict(view) for view in views], ensure_ascii=False, default=_iso))
        return
    if not views:
        typer.echo("没有工单。")
        return
    say = _local_time()
    table = Table("工单号", "状态", "类型", "标题", "承办单位", "截止")
    for view in views:
        cells = (view.number, view.state, view.request_type, view.title[:30], view.lead_unit, say(view.due_at))
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@app.command()
def show(
    number: Annotated[str, typer.Argument(help="工单号")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """查看一张工单和它的办理过程。"""

    async def work(store: SqlTicketStore) -> TicketView:
        found = await store.get(number.strip().upper())
        if found is None:
            raise TicketNotFound
        return TicketView.of(*found)

    view = _run(work)
    if as_json:
        typer.echo(json.dumps(_as_dict(view), ensure_ascii=False, default=_iso))
        return
    say = _local_time()
    table = Table(show_header=False, box=None)
    category = f"{view.category1}/{view.category2}" if view.category2 else view.category1
    for name, value in (
        ("工单号", view.number),
        ("状态", view.state),
        ("类型", f"{view.request_type} · {category} · {view.urgency}"),
        ("标题", mask(view.title)[0]),
        ("内容", mask(view.description)[0]),
        ("另涉及", also_concerns(view.other_matters)),
        ("地点", view.place or ""),
        ("网格", " / ".join(view.grid_path)),
        ("主办", view.lead_unit),
        ("协办", "、".join(view.assisting_units)),
        ("理由", f"{view.routing.reason}（把握 {view.routing.confidence:.0%}）"),
        ("截止", say(view.due_at)),
        ("诉求人", "匿名" if view.anonymous else "已登记联系方式（加密保存）"),
    ):
        table.add_row(name, Text(value))
    console = Console()
    console.print(table)
    steps = Table("时间", "操作", "状态", "操作人", "说明")
    for entry in view.history:
        remark = " ".join(filter(None, (entry.reason_code, entry.note, entry.public_reply)))
        steps.add_row(*(Text(cell) for cell in (say(entry.at), entry.operation, entry.to_state, entry.actor, remark)))
    console.print(steps)


@app.command()
def operations() -> None:
    """打印工单操作一览表（Markdown），和代码用的是同一张表。"""
    typer.echo(operations_table())


def operations_table() -> str:
    """The table of transitions as Markdown, for the guide of the dispatchers."""
    lines = ["| 操作 | 名称 | 谁 | 从 | 到 | 必填 | 告诉承办系统 |", "|---|---|---|---|---|---|---|"]
    for row in TRANSITIONS.values():
        cells = (
            row.label,
            f"`{row.operation}`",
            "、".join(_ROLES[role] for role in Role if role in row.roles),
            "新诉求" if row.from_states is None else "、".join(state for state in State if state in row.from_states),
            row.to or "不变",
            "、".join(REQUIRED_NAMES[name] for name in row.required),
            _TOLD[row.outbox],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


_ROLES = {Role.RESIDENT: "居民", Role.STAFF: "工作人员", Role.DESTINATION: "承办单位", Role.SYSTEM: "系统"}
_TOLD = {None: "", "create": "新派单", "supplement": "补充说明", "urge": "催办", "withdraw": "撤回"}


def _as_dict(view: TicketView) -> dict[str, Any]:
    return {**asdict(view), "title": mask(view.title)[0], "description": mask(view.description)[0]}


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _local_time() -> Callable[[datetime], str]:
    zone = City.load(Settings().city_dir).zone
    return lambda moment: f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def _run(work: Callable[[SqlTicketStore], Awaitable[T]]) -> T:
    async def run() -> T:
        db = Database(Settings().sqlalchemy_url)
        try:
            await upgrade(db)
            return await work(SqlTicketStore(db))
        finally:
            await db.close()

    return asyncio.run(run())
