"""Additions in the database. Every change of what is in use counts the revision up in its transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.additions.model import LIVE
from assistant.db.models import Addition, AdditionRevision, now
from assistant.errors import NotFound


async def revision(session: AsyncSession) -> int:
    """How often what is in use has changed; 0 before the first change."""
    return (await session.scalar(select(AdditionRevision.revision).where(AdditionRevision.id == 1))) or 0


async def count_up(session: AsyncSession) -> None:
    """Announce a change. Call it first in a transaction: it lets only one writer in at a time."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(AdditionRevision).values(id=1, revision=0).on_conflict_do_nothing())
    await session.execute(
        update(AdditionRevision).where(AdditionRevision.id == 1).values(revision=AdditionRevision.revision + 1)
    )


async def rows(session: AsyncSession, *, live: bool = False) -> Sequence[Addition]:
    """All additions, or those in use; in the order in which they were first taught."""
    query = select(Addition).order_by(Addition.id)
    if live:
        query = query.where(Addition.state == LIVE)
    return list(await session.scalars(query))


async def named(session: AsyncSession, kind: str, name: str) -> Addition | None:
    return await session.scalar(select(Addition).where(Addition.kind == kind, Addition.name == name))


async def get(session: AsyncSession, addition_id: int) -> Addition:
    """Raises NotFound."""
    found = await session.get(Addition, addition_id)
    if found is None:
        raise NotFound("没有这一条，它可能已被删除。")
    return found


def change(row: Addition, by: str, **values: Any) -> None:
    """Set values, and who did it when."""
    for name, value in values.items():
        setattr(row, name, value)
    row.changed_by, row.changed_at = by, now()
