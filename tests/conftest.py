"""What every test may ask for: a migrated database of both kinds, real servers, real data, a real browser."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import Browser, sync_playwright

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from tests import servers
from tests.application import AppServer, copy_start, serve

ROOT = Path(__file__).resolve().parent.parent
_names = itertools.count()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data, which is not part of the project."""
    folder = Path(os.environ.get("MINSHENG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set MINSHENG_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


def _execute(server: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(f"{server}/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of its own: `postgresql://…`."""
    name = f"empty_{next(_names)}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def _migrate(url: str) -> None:
    async def run() -> None:
        db = Database(url)
        await upgrade(db)
        await db.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    _execute(postgres_server, "CREATE DATABASE template_minsheng")
    _migrate(f"{postgres_server.replace('postgresql://', 'postgresql+asyncpg://')}/template_minsheng")
    return "template_minsheng"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database with an async driver, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "minsheng.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_template")
    name = f"test_{next(_names)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{server.replace('postgresql://', 'postgresql+asyncpg://')}/{name}"
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    database = Database(db_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def app_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """One whole application with shipped defaults, shared by the run: each test opens its own conversations."""
    with serve(tmp_path_factory.mktemp("application")) as server:
        yield server


@pytest.fixture
def started_data(app_server: AppServer, tmp_path: Path) -> Path:
    """A data folder as the first start leaves it, for a test that needs an application of its own."""
    copy_start(app_server.data_dir, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, driven by Playwright.

    Not for the session: while Playwright's synchronous API is open its event loop counts as running in this thread,
    and no asynchronous test or fixture could start.
    """
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise RuntimeError("no Chromium: run tests/system_packages.sh")
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
        )
        yield browser
        browser.close()
