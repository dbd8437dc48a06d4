"""The database behaves the same on SQLite and PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import StatementError

from assistant.db.models import AuditEntry, Base, TicketDay, now
from assistant.db.session import Database
from assistant.db.upgrade import upgrade


def entry(name: str) -> AuditEntry:
    return AuditEntry(user=name, event="login", object="-", success=True)


async def test_a_transaction_commits_or_leaves_nothing(db: Database) -> None:
    async with db.begin() as session:
        session.add(entry("kept"))
    with pytest.raises(RuntimeError):
        async with db.begin() as session:
            session.add(entry("lost"))
            await session.flush()
            raise RuntimeError
    async with db.read() as session:
        assert list(await session.scalars(select(AuditEntry.user))) == ["kept"]


async def test_a_transaction_without_the_orm_commits_or_leaves_nothing(db: Database) -> None:
    async with db.transaction() as connection:
        await connection.execute(insert(AuditEntry), {"user": "kept", "event": "e", "object": "o", "success": True})
    with pytest.raises(RuntimeError):
        async with db.transaction() as connection:
            await connection.execute(insert(AuditEntry), {"user": "lost", "event": "e", "object": "o", "success": True})
            raise RuntimeError
    async with db.read() as session:
        assert list(await session.scalars(select(AuditEntry.user))) == ["kept"]


@pytest.mark.parametrize("db_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("pause_s", [0.0, 60.0])
async def test_a_connection_that_the_server_closed_is_not_given_out(
    db: Database, db_url: str, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.begin() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
    other = Database(db_url)
    async with other.begin() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await other.close()
    if pause_s:
        # After a pause the server is asked, whatever the driver has heard.
        monkeypatch.setattr("asyncpg.Connection.is_closed", lambda _: False)
        monkeypatch.setattr("assistant.db.session._ASKED_AFTER_S", -1.0)
    else:
        await asyncio.sleep(0.2)
    async with db.begin() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != pid


async def test_times_come_back_zoned_and_naive_ones_are_refused(db: Database) -> None:
    at = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
    async with db.begin() as session:
        session.add(AuditEntry(user="a", event="e", object="o", success=True, at=at))
    async with db.read() as session:
        assert await session.scalar(select(AuditEntry.at)) == at
    with pytest.raises(StatementError, match="zone"):
        async with db.begin() as session:
            session.add(AuditEntry(user="a", event="e", object="o", success=True, at=at.replace(tzinfo=None)))


async def test_parallel_read_then_write_loses_no_update(db: Database) -> None:
    day = now().date()
    async with db.begin() as session:
        session.add(TicketDay(day=day, base=0))

    async def count() -> None:
        async with db.begin() as session:
            row = await session.get(TicketDay, day, with_for_update=True)
            assert row is not None
            await asyncio.sleep(0)
            row.base += 1

    await asyncio.gather(*(count() for _ in range(20)))
    async with db.read() as session:
        assert await session.scalar(select(TicketDay.base)) == 20


async def test_migrations_give_the_tables_of_the_models(db: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async with db.engine.connect() as connection:
        difference = await connection.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c, opts={"compare_type": True}), Base.metadata)
        )
    assert difference == []


async def test_upgrading_again_changes_nothing(db: Database) -> None:
    async with db.begin() as session:
        session.add(entry("kept"))
    await upgrade(db)
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(AuditEntry)) == 1
