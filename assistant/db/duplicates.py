"""Open tickets by the keys of their places, with what is compared: how tickets of the same event are found.

The keys and the embedding are written beside the ticket after it was created, and go when it is closed or merged; a
ticket is never changed here, and its version stays.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    Integer,
    Table,
    TextualSelect,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from assistant.db.models import Ticket, TicketEvent, TicketPlaceKey, UtcDateTime
from assistant.db.session import Database
from assistant.tickets.similar import Known
from assistant.tickets.states import State

__all__ = ["FOUND", "SqlEventIndex", "forget", "stored_keys"]

# Another ticket can be merged into these; the others are not found.
FOUND = (State.TO_DISPATCH, State.DISPATCHED, State.HANDLING, State.TO_SUPPLEMENT)
_SEPARATOR = "|"  # between a key and the category, for places with very many tickets
_PER_KEY = 50
# In the order of the fields of `Known`, whose last is the number of callers.
_COMPARED = (
    Ticket.number, Ticket.title, Ticket.description, Ticket.place, Ticket.request_type, Ticket.category1,
    Ticket.category2, Ticket.created_at, Ticket.state, Ticket.lead_unit, Ticket.urgency, Ticket.confidential,
    Ticket.encoder, Ticket.embedding, Ticket.spot,
)  # fmt: skip
_VECTOR = _COMPARED.index(Ticket.embedding)
_TABLE = cast(Table, Ticket.__table__)
_FOLLOWER = aliased(Ticket)
_CALLERS = select(1 + func.count()).where(_FOLLOWER.merged_into == Ticket.number).scalar_subquery()


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
        values = {f"k{n}": key for n, key in enumerate(asked)} | {"since": since, "most": limit + len(without)}
        async with self._db.read() as session:
            rows = await session.execute(_nearest(len(asked)), values | {"looked_at": 2 * limit})
            return [_known(row) for row in rows if row[0] not in without][:limit]

    async def get(self, number: str) -> Known | None:
        async with self._db.read() as session:
            row = (await session.execute(select(*_COMPARED, _CALLERS).where(Ticket.number == number))).first()
            return _known(row) if row is not None else None

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
            select(*_COMPARED, literal(1))
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
        self,
        number: str,
        keys: Sequence[str],
        category1: str,
        vector: npt.NDArray[np.float32] | None,
        encoder: str,
        spot: Mapping[str, Any],
    ) -> None:
        """Keep keys, embedding and spot of a ticket, if it is still open; the same again changes nothing."""
        stored = vector.astype("<f2").tobytes() if vector is not None else None
        async with self._db.begin() as session:
            kept = await session.scalar(
                update(Ticket)
                .where(Ticket.number == number, Ticket.state.in_(FOUND))
                .values(embedding=stored, encoder=encoder, spot=spot)
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


async def forget(session: AsyncConnection | AsyncSession, number: str) -> None:
    """Nobody is to find the ticket any more; should it be opened again, `waiting` has it."""
    await session.execute(delete(TicketPlaceKey).where(TicketPlaceKey.number == number))
    await session.execute(
        update(Ticket)
        .where(Ticket.number == number, Ticket.encoder.is_not(None))
        .values(embedding=None, encoder=None, spot=None)
        .execution_options(synchronize_session=False)
    )


@cache
def _nearest(asked: int) -> TextualSelect:
    """The tickets of so many stored keys, each twice as in `stored_keys`, as one plain text: building it anew each
    time, and asking in several steps, cost more than the answer.

    Some of the newest may be too old or in another state: more are looked at than are wanted.
    """
    one = "SELECT number, {rank} AS rank FROM ticket_place_keys WHERE key = :k{n} ORDER BY number DESC LIMIT {each}"
    # A subquery each, as SQLite wants it; rank, n and each are ours.
    of_key = (one.format(n=n, rank=n % (asked // 2), each=_PER_KEY) for n in range(asked))
    newest = " UNION ALL ".join(f"SELECT * FROM ({query}) AS s{n}" for n, query in enumerate(of_key))  # noqa: S608
    ranked = f"SELECT number, MIN(rank) AS rank FROM ({newest}) AS newest GROUP BY number"  # noqa: S608
    looked_at = f"SELECT * FROM ({ranked}) AS ranked ORDER BY rank, number DESC LIMIT :looked_at"  # noqa: S608
    columns = ", ".join(f"tickets.{each.key}" for each in _COMPARED)
    states = ", ".join(f"'{state}'" for state in FOUND)
    callers = "(SELECT 1 + count(*) FROM tickets AS follower WHERE follower.merged_into = tickets.number)"
    query = text(
        f"SELECT {columns}, {callers} FROM ({looked_at}) AS known "  # noqa: S608
        f"JOIN tickets ON tickets.number = known.number "
        f"WHERE tickets.state IN ({states}) AND tickets.created_at >= :since "
        f"ORDER BY known.rank, known.number DESC LIMIT :most"
    )
    return query.bindparams(bindparam("since", type_=UtcDateTime())).columns(
        *(_TABLE.c[each.key] for each in _COMPARED), column("callers", Integer)
    )


def _known(row: Sequence[Any]) -> Known:
    values = list(row)
    if values[_VECTOR] is not None:
        values[_VECTOR] = np.frombuffer(values[_VECTOR], "<f2").astype(np.float32)
    return Known(*values)
