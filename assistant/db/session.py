"""Engine and sessions for SQLite (WAL) and PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

# As many as SQLAlchemy opens by default, and all kept: with fewer, a busy process connects and disconnects without end.
_CONNECTIONS = 15
_ASKED_AFTER_S = 30.0


class Database:
    """One engine and its session factory.

    Use `async with db.begin() as session:` for a transaction (committed at the end, rolled back on an error), `async
    with db.transaction() as connection:` for the same without the ORM, and `async with db.read() as session:` for
    reading: one statement after another, each of which sees what is committed by then.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # Errors must not quote the values of a statement: they hold what residents wrote.
        options: dict[str, Any] = {"hide_parameters": True}
        if not self.is_sqlite:
            options |= {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_use_lifo": True}
        if self.is_sqlite:
            if self.url.database and self.url.database != ":memory:":
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            options["connect_args"] = {"timeout": 30}
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _sqlite_pragmas)
            event.listen(self.engine.sync_engine, "begin", _sqlite_begin)
        else:
            _discard_the_dead(self.engine)
        self._writing = self.engine.execution_options(minsheng_write=True)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        # A transaction around reads would be two more round trips; on SQLite it costs nothing.
        reading = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._readers = async_sessionmaker(reading, expire_on_commit=False)
        # SQLite has one writer; whoever waits for it in SQLite's own way sleeps up to 100 ms a try, and not in turn.
        self._writer = asyncio.Lock() if self.is_sqlite else None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction that may write."""
        async with AsyncExitStack() as stack:
            if self._writer is not None:
                await stack.enter_async_context(self._writer)
            session = await stack.enter_async_context(self._sessions())
            if self.is_sqlite:
                # Take the write lock at once: a read that later turns into a write fails under WAL when another wrote.
                await session.connection(execution_options={"minsheng_write": True})
            async with session.begin() if not session.in_transaction() else _commit(session):
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that may write: for Core statements, where a session would be half the cost."""
        async with AsyncExitStack() as stack:
            if self._writer is not None:
                await stack.enter_async_context(self._writer)
            yield await stack.enter_async_context(self._writing.begin())

    @asynccontextmanager
    async def read(self, *, consistent: bool = False) -> AsyncIterator[AsyncSession]:
        """A session for reading only. `consistent`: all that is read in it is of one state."""
        async with self._readers() as session:
            if consistent and not self.is_sqlite:
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def _commit(session: AsyncSession) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await session.rollback()
        raise
    await session.commit()


def _discard_the_dead(engine: AsyncEngine) -> None:
    """Give out no connection that the server has closed.

    SQLAlchemy's own way (`pool_pre_ping`) asks the server each time, three round trips in which a whole ticket is
    written. The driver hears by itself of a server that went away; one that has vanished without a word is asked for
    only after a pause.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def note_the_time(_connection: Any, record: Any) -> None:
        record.info["at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - record.info.get("at", time.monotonic()) > _ASKED_AFTER_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error:
                raise InvalidatePoolError from None


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself, or BEGIN IMMEDIATE below comes too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    write = connection.get_execution_options().get("minsheng_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
