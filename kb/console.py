"""What the commands of `minsheng kb` share: the database, errors in red, tables, JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.settings import get_settings
from kb.errors import KbError
from nlu.errors import ModelError

out = Console()
err = Console(stderr=True)
JsonFlag = Annotated[bool, typer.Option("--json", help="以 JSON 输出结果")]


class NoEncoder:
    """For commands that neither search nor store text."""

    encoder_id = ""

    def embed(self, texts: Any, kind: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def database() -> AsyncIterator[Database]:
    """The database of the settings, migrated."""
    db = Database(get_settings().sqlalchemy_url)
    try:
        await upgrade(db)
        yield db
    finally:
        await db.close()


def run(work: Any) -> Any:
    """The result of a coroutine; an error of the knowledge base or the model ends the command with exit code 2."""
    try:
        return asyncio.run(work)
    except (KbError, ModelError) as error:
        fail(error)


def fail(error: Exception) -> Any:
    err.print(getattr(error, "detail", None) or str(error), style="red", markup=False)
    raise typer.Exit(2) from error


def show(as_json: bool, result: Any, draw: Any) -> None:
    """The result as JSON on one line, or as `draw()` prints it."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        draw()


def table(heads: list[str], rows: list[list[str]]) -> Table:
    """Cells are shown as they are: what stands in brackets in a document is no markup."""
    found = Table(*heads)
    for row in rows:
        found.add_row(*map(Text, row))
    return found
