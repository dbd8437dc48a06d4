"""`minsheng users`: accounts of the staff. Passwords are prompted or read from standard input, never arguments."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.errors import BadInput, MinshengError
from assistant.settings import get_settings
from assistant.staff.audit import Audit
from assistant.staff.users import ROLES, StaffUser, Users, check_password_strength

app = typer.Typer(help="工作人员账号：新增、列出、停用、改密码。", no_args_is_help=True)
T = TypeVar("T")

_STDIN = typer.Option("--password-stdin", help="从标准输入读取密码（第一行），不提示")
_JSON = typer.Option("--json", help="输出 JSON")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="用户名")],
    role: Annotated[list[str], typer.Option("--role", "-r", help=f"角色，可多次给出：{'、'.join(ROLES)}")],
    display_name: Annotated[str, typer.Option("--display-name", "-d", help="显示给同事的姓名或工号")] = "",
    password_stdin: Annotated[bool, _STDIN] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """新增账号。"""
    password = _read_password(name, password_stdin)

    async def work(users: Users) -> StaffUser:
        return await users.add(name, display_name, password, role)

    user = _run("users.add", name, work)
    _print_user(user, "已新增账号", as_json)


@app.command("list")
def list_users(as_json: Annotated[bool, _JSON] = False) -> None:
    """列出账号。"""
    users = _run(None, "", lambda users: users.list())
    if as_json:
        typer.echo(json.dumps([_as_dict(user) for user in users], ensure_ascii=False))
        return
    table = Table("用户名", "姓名", "角色", "状态")
    for user in users:
        roles = "、".join(ROLES.get(role, role) for role in sorted(user.roles))
        table.add_row(user.name, user.display_name, roles, "启用" if user.active else "停用")
    Console().print(table if users else "还没有账号。用 minsheng users add 新增。")


@app.command()
def disable(name: Annotated[str, typer.Argument()], as_json: Annotated[bool, _JSON] = False) -> None:
    """停用账号;已登录的页面随即失效。"""
    user = _run("users.disable", name, lambda users: users.set_active(name, False))
    _print_user(user, "已停用账号", as_json)


@app.command()
def enable(name: Annotated[str, typer.Argument()], as_json: Annotated[bool, _JSON] = False) -> None:
    """重新启用账号。"""
    user = _run("users.enable", name, lambda users: users.set_active(name, True))
    _print_user(user, "已启用账号", as_json)


@app.command()
def passwd(
    name: Annotated[str, typer.Argument()],
    password_stdin: Annotated[bool, _STDIN] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """改密码并解除锁定;用旧密码登录的页面随即失效。"""
    password = _read_password(name, password_stdin)
    user = _run("users.passwd", name, lambda users: users.set_password(name, password))
    _print_user(user, "已修改密码", as_json)


def _read_password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("密码（至少 10 个字符）", hide_input=True, confirmation_prompt="再输入一次")
    try:
        check_password_strength(password, name)
    except BadInput as error:
        _fail(error)
    return password


def _run(event: str | None, name: str, work: Callable[[Users], Awaitable[T]]) -> T:
    async def run() -> T:
        db = Database(get_settings().sqlalchemy_url)
        try:
            await upgrade(db)
            result = await work(Users(db))
            if event is not None:
                await Audit(db).record("cli", event, name)
            return result
        finally:
            await db.close()

    try:
        return asyncio.run(run())
    except MinshengError as error:
        _fail(error)


def _fail(error: MinshengError) -> NoReturn:
    typer.echo(error.detail, err=True)
    raise typer.Exit(1)


def _as_dict(user: StaffUser) -> dict[str, Any]:
    return {
        "name": user.name,
        "display_name": user.display_name,
        "roles": sorted(user.roles),
        "active": user.active,
        "locked_until": user.locked_until.isoformat() if user.locked_until else None,
    }


def _print_user(user: StaffUser, done: str, as_json: bool) -> None:
    typer.echo(
        json.dumps(_as_dict(user), ensure_ascii=False) if as_json else f"{done}:{user.name}({user.display_name})"
    )
