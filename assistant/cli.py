"""The command line: `minsheng …`. Every command that prints a result takes `--json`."""

import asyncio
import json
import os
import socket
from typing import Annotated

import typer
from rich.console import Console

from assistant.errors import ConfigError, MinshengError

app = typer.Typer(name="minsheng", help="民声：市民诉求智能助手", no_args_is_help=True, pretty_exceptions_enable=False)
db_app = typer.Typer(help="数据库", no_args_is_help=True)
app.add_typer(db_app, name="db")
errors = Console(stderr=True)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址，默认取 MINSHENG_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="端口，默认取 MINSHENG_PORT")] = None,
) -> None:
    """启动整个助手：对话、知识库、工单、派遣、工作台。"""
    import uvicorn

    from assistant.logging import configure_logging
    from assistant.settings import Settings

    settings = Settings()
    settings = settings.model_copy(update={k: v for k, v in (("host", host), ("port", port)) if v is not None})
    configure_logging(settings.log_level, as_json=settings.log_json)
    _check_port(settings.host, settings.port)

    from assistant.app import create_app

    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise ConfigError(
                f"{host}:{port} is in use: stop what listens there, or choose another with --port or MINSHENG_PORT"
            ) from None


@db_app.command("upgrade")
def db_upgrade(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """把数据库升级到最新结构。"""
    from assistant.db.session import Database
    from assistant.db.upgrade import upgrade
    from assistant.settings import Settings

    async def run() -> None:
        db = Database(Settings().sqlalchemy_url)
        try:
            await upgrade(db)
        finally:
            await db.close()

    asyncio.run(run())
    typer.echo(json.dumps({"upgraded": True}) if as_json else "数据库已是最新结构。")


def _add_rooms() -> None:
    from assistant.additions.cli import add, additions
    from assistant.dispatch.cli import app as outbox_app
    from assistant.matters_training import learn_command
    from assistant.open311.cli import app as open311_app
    from assistant.replay import replay
    from assistant.returns_cli import examples, proposals, returns
    from assistant.staff.cli import app as users_app
    from assistant.terminal import chat
    from assistant.tickets_cli import app as tickets_app
    from kb.cli import app as kb_app
    from nlu.cli import app as nlu_app

    app.command()(chat)
    app.command()(replay)
    nlu_app.command()(add)
    nlu_app.command()(additions)
    tickets_app.command("learn")(learn_command)
    for command in (returns, proposals, examples):
        tickets_app.command()(command)
    app.add_typer(nlu_app, name="nlu", help="语言理解：训练、评测、预测、新增")
    app.add_typer(kb_app, name="kb", help="政策知识库：导入、检索、评测、列表")
    app.add_typer(tickets_app, name="tickets", help="工单：列表、查看、退单")
    app.add_typer(outbox_app, name="outbox", help="派单发件箱：没有送达的工单、重新发送")
    app.add_typer(open311_app, name="open311", help="第三方接入：登记接入方，发放 api_key")
    app.add_typer(users_app, name="users", help="工作人员账号")


def main() -> None:
    """Run; an error that a person can mend is one line, not a traceback."""
    # A request is one thread's work: more threads of the numeric libraries only fight for the cores.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    _add_rooms()
    try:
        app()
    except (ConfigError, MinshengError) as error:
        # As it is: what a person typed is no markup, and a path broken over lines cannot be copied.
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
