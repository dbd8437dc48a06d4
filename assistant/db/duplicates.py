"""Open tickets by the keys of their places, with what is compared: how tickets of the same event are found.

The keys and the embedding are written beside the ticket after it was created, and go when it is closed or merged; a
ticket is never changed here, and its version stays.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import Ticket, TicketEvent, TicketPlaceKey
from assistant.db.session import Database
from assistant.tickets.similar import Known
from assistant.tickets.states import State

__all__ = ["FOUND", "SqlEventIndex", "forget", "stored_keys"]

# Another ticket can be merged into these; the others are not found.
FOUND = (State.TO_DISPATCH, State.DISPATCHED, State.HANDLING, State.TO_SUPPLEMENT)
_SEPARATOR = "|"  # between a key and the category, for places with very many tickets
_PER_KEY = 50
_COMPARED = (
    Ticket.number, Ticket.title, Ticket.description, Ticket.place, Ticket.request_type, Ticket.category1,
    Ticket.category2, Ticket.created_at, Ticket.embedding, Ticket.encoder, Ticket.state, Ticket.lead_unit,
    Ticket.urgency, Ticket.confidential,
)  # fmt: skip


class SqlEventIndex:
    """Implements `assistant.tickets.similar.EventIndex`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def candidates(
        self, keys: Sequence[str], category1: str, *, since: datetime, without: Collection[str] = (), limit: int
    ) -> list[Known]:
        """The open tickets since then with the most telling of the keys; of equal ones the newest numbers first.

        Of a key with very many tickets, those of the same first-level category are looked at beside the newest.
        """
        if not keys:
            return []
        asked = stored_keys(keys, category1)
        async with self._db.read() as session:
            found = await session.execute(text(_newest(len(asked))), {f"k{n}": key for n, key in enumerate(asked)})
            ranks: dict[str, int] = {}
            for number, n in found:
                ranks[number] = min(n % len(keys), ranks.get(number, len(keys)))
            # Some of them may be too old or in another state: more are read than are wanted.
            numbers = sorted(sorted(ranks, reverse=True), key=ranks.__getitem__)[: 2 * limit]
            query = select(*_COMPARED).where(
                Ticket.number.in_(numbers),
                Ticket.state.in_(FOUND),
                Ticket.created_at >= since,
            )
            rows = await session.execute(query)
            known = [_known(row) for row in rows if row[0] not in without]
            known = sorted(known, key=lambda each: each.number, reverse=True)
            known = sorted(known, key=lambda each: ranks[each.number])[:limit]
            return await _with_callers(session, known)

    async def get(self, number: str) -> Known | None:
        async with self._db.read() as session:
            row = (await session.execute(select(*_COMPARED).where(Ticket.number == number))).first()
            return (await _with_callers(session, [_known(row)]))[0] if row is not None else None

    async def apart_from(self, number: str, others: Sequence[str]) -> set[str]:
        """Those of the others of which somebody said, at either ticket, that they tell of another event."""
        query = select(TicketEvent.number, TicketEvent.operation, TicketEvent.changes).where(
            TicketEvent.number.in_((number, *others)),
            TicketEvent.operation.in_(("keep_apart", "merge", "unmerge")),
        )
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
        undone = {told for told, operation, _ in rows if operation == "unmerge"}
        said = {
            frozenset((told, str((changes or {}).get(name))))
            for told, operation, changes in rows
            for name in ("into", "merged_into")
            if operation == "keep_apart" or (operation == "merge" and told in undone)
        }
        return {other for other in others if frozenset((number, other)) in said}

    async def waiting(self, encoder: str, *, since: datetime, limit: int) -> list[Known]:
        """Open tickets since then that have no keys yet, or an embedding of another model; the oldest first."""
        query = (
            select(*_COMPARED)
            .where(
                Ticket.created_at >= since,
                Ticket.state.in_(FOUND),
                or_(Ticket.encoder.is_(None), Ticket.encoder != encoder),
            )
            .order_by(Ticket.created_at, Ticket.number)
            .limit(limit)
        )
        async with self._db.read() as session:
            return [_known(row) for row in await session.execute(query)]

    async def remember(
        self, number: str, keys: Sequence[str], category1: str, vector: npt.NDArray[np.float32] | None, encoder: str
    ) -> None:
        """Keep keys and embedding of a ticket, if it is still open; the same again changes nothing."""
        stored = vector.astype("<f2").tobytes() if vector is not None else None
        async with self._db.begin() as session:
            kept = await session.scalar(
                update(Ticket)
                .where(Ticket.number == number, Ticket.state.in_(FOUND))
                .values(embedding=stored, encoder=encoder)
                .returning(Ticket.number)
                .execution_options(synchronize_session=False)
            )
            await session.execute(delete(TicketPlaceKey).where(TicketPlaceKey.number == number))
            if kept is not None and keys:
                rows = [{"key": key, "number": number} for key in stored_keys(keys, category1)]
                await session.execute(insert(TicketPlaceKey), rows)


def stored_keys(keys: Sequence[str], category1: str) -> list[str]:
    """What is stored for the keys of a place: each alone, and with the category."""
    return [*keys, *(f"{key}{_SEPARATOR}{category1}" for key in keys)]


async def forget(session: AsyncSession, number: str) -> None:
    """Nobody is to find the ticket any more; should it be opened again, `waiting` has it."""
    await session.execute(delete(TicketPlaceKey).where(TicketPlaceKey.number == number))
    await session.execute(
        update(Ticket)
        .where(Ticket.number == number, Ticket.encoder.is_not(None))
        .values(embedding=None, encoder=None)
        .execution_options(synchronize_session=False)
    )


@cache
def _newest(count: int) -> str:
    """The newest tickets of each of so many keys: a plain text, because building it anew each time costs more."""
    one = "SELECT number, {n} AS n FROM ticket_place_keys WHERE key = :k{n} ORDER BY number DESC LIMIT {most}"
    # A subquery each, as SQLite wants it; n and most are ours.
    return " UNION ALL ".join(f"SELECT * FROM ({one.format(n=n, most=_PER_KEY)}) AS s{n}" for n in range(count))  # noqa: S608


async def _with_callers(session: AsyncSession, known: list[Known]) -> list[Known]:
    leads = select(Ticket.merged_into, func.count()).where(Ticket.merged_into.in_([each.number for each in known]))
    counts = dict((await session.execute(leads.group_by(Ticket.merged_into))).all())
    return [each.with_callers(1 + counts.get(each.number, 0)) for each in known]


def _known(row: Sequence[object]) -> Known:
    values = dict(zip((column.key for column in _COMPARED), row, strict=True))
    embedding = values.pop("embedding")
    vector = np.frombuffer(embedding, "<f2").astype(np.float32) if isinstance(embedding, bytes) else None
    return Known(**values, vector=vector)  # type: ignore[arg-type]
