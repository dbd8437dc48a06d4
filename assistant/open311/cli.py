"""`minsheng open311 client`: third parties that may file requests at `/open311/v2`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.open311.clients import Client, Clients
from assistant.settings import get_settings

app = typer.Typer(help="第三方接入（Open311）", no_args_is_help=True)
client_app = typer.Typer(help="接入方和它们的 api_key", no_args_is_help=True)
app.add_typer(client_app, name="client")
T = TypeVar("T")

_JSON = typer.Option("--json", help="输出 JSON")


@client_app.command()
def add(
    name: Annotated[str, typer.Argument(help="接入方名称")],
    trusted: Annotated[bool, typer.Option("--trusted", help="它的诉求直接派遣；不加则先由座席受理")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """登记一个接入方，显示它的 api_key；只显示这一次。"""
    client, key = _run(lambda clients: clients.add(name, trusted=trusted))
    if as_json:
        typer.echo(json.dumps({**_as_dict(client), "api_key": key}, ensure_ascii=False))
        return
    typer.echo(f"已登记“{client.name}”（{_trust(client)}）。api_key 只显示这一次，请妥善保存：\n{key}")


@client_app.command("list")
def list_clients(as_json: Annotated[bool, _JSON] = False) -> None:
    """列出接入方。"""
    clients = _run(lambda clients: clients.list())
    if as_json:
        typer.echo(json.dumps([_as_dict(client) for client in clients], ensure_ascii=False))
        return
    if not clients:
        typer.echo("还没有接入方。用 minsheng open311 client add 登记。")
        return
    table = Table("编号", "名称", "受理方式", "状态", "登记日期")
    for each in clients:
        cells = (
            str(each.id),
            each.name,
            _trust(each),
            "启用" if each.active else "停用",
            f"{each.created_at:%Y-%m-%d}",
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@client_app.command()
def revoke(name: Annotated[str, typer.Argument(help="接入方名称")], as_json: Annotated[bool, _JSON] = False) -> None:
    """停用一个接入方的 api_key；已提交的诉求照常办理。"""
    client = _run(lambda clients: clients.revoke(name))
    typer.echo(json.dumps(_as_dict(client), ensure_ascii=False) if as_json else f"已停用“{client.name}”的 api_key。")


def _trust(client: Client) -> str:
    return "直接派遣" if client.trusted else "先由座席受理"


def _as_dict(client: Client) -> dict[str, Any]:
    return {"id": client.id, "name": client.name, "trusted": client.trusted, "active": client.active}


def _run(work: Callable[[Clients], Awaitable[T]]) -> T:
    async def run() -> T:
        db = Database(get_settings().sqlalchemy_url)
        try:
            await upgrade(db)
            return await work(Clients(db))
        finally:
            await db.close()

    return asyncio.run(run())
