"""The SQL of the outbox: claim what is due, mark how it ended, list and replay what failed for good.

States of a row: pending, sending (claimed until `claimed_until`; a lapsed claim is as good as pending), sent, dead.
Rows of one ticket to one destination go in the order in which they were written: a row waits while an earlier one is
pending or sending, and for good while the request it belongs to is dead.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CursorResult,
    Integer,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, aliased

from assistant.db.models import OutboxRow, UtcDateTime
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Outgoing

FINAL_REMOTE_STATES = ("resolved", "returned", "withdrawn")
# In `remote_id` of a row that is not sent yet: the destination accepted it under a token.
_TOKEN = "token:"  # noqa: S105 - a marker, not a secret


@dataclass(frozen=True, slots=True)
class Claim:
    """A row this process may send until the claim lapses. `attempts` counts this one."""

    id: int
    destination: str
    attempts: int
    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Mark:
    """How an attempt ended. `state`: sent (with `remote_id`), pending (again at `next_attempt_at`, with the `token` the
    destination gave), or dead. `code`: of the error, for logs."""

    claim: Claim
    state: str
    reason: str | None = None
    remote_id: str | None = None
    token: str | None = None
    sent_at: datetime | None = None
    next_attempt_at: datetime | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class PutOff:
    """A row that cannot be sent, because nobody knows its destination; `is_dead`: for good."""

    ticket_number: str
    destination: str
    is_dead: bool


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request at a destination that is not closed there, as far as we know."""

    outbox_id: int
    ticket_number: str
    remote_id: str
    remote_state: str | None


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the outbox is; `oldest_s`: age of the oldest row not yet sent, in seconds."""

    by_state: dict[str, int]
    oldest_s: float


class Outbox:
    """Safe to use from several processes at once on PostgreSQL (row locks) and SQLite (one writer at a time)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def turn(
        self,
        owner: str,
        marks: Sequence[Mark],
        *,
        at: datetime,
        claim_s: float,
        places: Mapping[str, int],
    ) -> tuple[list[Mark], list[Claim]]:
        """Note down how attempts ended and take due rows for `claim_s` seconds, in one transaction.

        `places`: how many rows to take, by destination. Gives the marks that took effect: not those whose claim had
        lapsed and whose row another process has now, which will come to the same end.
        """
        wanted = {name: limit for name, limit in places.items() if limit > 0}
        if self._db.is_sqlite and not marks and not await self._is_due(OutboxRow.destination.in_(wanted), at):
            return [], []
        async with self._db.transaction() as connection:
            marked = await _write(connection, owner, marks) if marks else []
            until = at + timedelta(seconds=claim_s)
            rows = [
                row
                for each in wanted.items()
                for row in await _take(connection, *each, owner=owner, at=at, until=until)
            ]
            parents = await _parents(connection, [row for row in rows if row.operation != "create"])
        return marked, [
            Claim(row.id, row.destination, row.attempts, _outgoing(row, parents.get(row.id))) for row in rows
        ]

    async def put_off(
        self, known: Collection[str], *, at: datetime, limit: int, until: Callable[[int], datetime | None], reason: str
    ) -> list[PutOff]:
        """Count an attempt for due rows of all destinations but these, without sending: nobody knows where to.

        `until`: when to try again after so many attempts; None: given up. `{destination}` in `reason` is filled in.
        """
        others = OutboxRow.destination.not_in(sorted(known))
        if self._db.is_sqlite and not await self._is_due(others, at):
            return []
        columns = (OutboxRow.id, OutboxRow.ticket_number, OutboxRow.destination, OutboxRow.attempts)
        async with self._db.transaction() as connection:
            rows = [
                row
                for ready in (_LAPSED, _PENDING)
                for row in await connection.execute(_due(columns, and_(ready, others), limit), {"at": at})
            ]
            alike: dict[tuple[int, str], list[int]] = {}
            for row in rows:
                alike.setdefault((row.attempts + 1, row.destination), []).append(row.id)
            ends = {(attempts, name): until(attempts) for attempts, name in alike}
            for (attempts, name), ids in alike.items():
                again = ends[attempts, name]
                values = {
                    "state": "dead" if again is None else "pending",
                    "attempts": attempts,
                    "claimed_by": None,
                    "claimed_until": None,
                    "last_error": reason.format(destination=name)[:400],
                } | ({} if again is None else {"next_attempt_at": again})
                await connection.execute(update(_TABLE).where(_TABLE.c.id.in_(ids)).values(values))
        return [
            PutOff(row.ticket_number, row.destination, ends[row.attempts + 1, row.destination] is None) for row in rows
        ]

    async def _is_due(self, which: ColumnElement[bool], at: datetime) -> bool:
        """Looking first spares the other processes the only write lock when there is nothing to do."""
        async with self._db.read() as session:
            query = select(OutboxRow.id).where(or_(_PENDING, _LAPSED), ~_WAITS, which).limit(1)
            return (await session.execute(query, {"at": at})).first() is not None

    async def _changed(self, statement: Update) -> bool:
        return bool(await self._count(statement))

    async def _count(self, statement: Update) -> int:
        async with self._db.begin() as session:
            result = await session.execute(statement)
            assert isinstance(result, CursorResult)
            return result.rowcount

    # --- status back ------------------------------------------------------------------------------------------------

    async def open_requests(self, destination: str, *, after_id: int, limit: int) -> list[OpenRequest]:
        """Delivered requests not known to be closed, by ascending outbox id."""
        query = (
            select(OutboxRow.id, OutboxRow.ticket_number, OutboxRow.remote_id, OutboxRow.remote_state)
            .where(
                OutboxRow.state == "sent",
                OutboxRow.operation == "create",
                OutboxRow.destination == destination,
                OutboxRow.remote_id.is_not(None),
                or_(OutboxRow.remote_state.is_(None), OutboxRow.remote_state.not_in(FINAL_REMOTE_STATES)),
                OutboxRow.id > after_id,
            )
            .order_by(OutboxRow.id)
            .limit(limit)
        )
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
        return [OpenRequest(i, number, remote_id or "", state) for i, number, remote_id, state in rows]

    async def remember_remote_state(self, outbox_id: int, state: str, *, at: datetime) -> None:
        await self._changed(
            update(OutboxRow).where(OutboxRow.id == outbox_id).values(remote_state=state, remote_updated_at=at)
        )

    # --- for people -------------------------------------------------------------------------------------------------

    async def dead(self, *, destination: str | None = None, limit: int = 100) -> list[OutboxRow]:
        """Rows that were given up, the newest first; `last_error` says why."""
        query = select(OutboxRow).where(OutboxRow.state == "dead")
        if destination is not None:
            query = query.where(OutboxRow.destination == destination)
        async with self._db.read() as session:
            return list(await session.scalars(query.order_by(OutboxRow.id.desc()).limit(limit)))

    async def replay(self, outbox_id: int, *, at: datetime) -> bool:
        """Send a dead row again, under the same key; False when it is not dead."""
        return bool(await self._replayed(OutboxRow.id == outbox_id, at))

    async def replay_all(self, *, destination: str | None = None, at: datetime) -> int:
        """Send every dead row (of one destination) again; returns how many."""
        return await self._replayed(OutboxRow.destination == destination if destination else true(), at)

    async def _replayed(self, which: ColumnElement[bool], at: datetime) -> int:
        # One attempt is kept in the count: the destination is asked first whether it has the request already.
        again = {"state": "pending", "next_attempt_at": at, "attempts": 1}
        return await self._count(update(OutboxRow).where(OutboxRow.state == "dead", which).values(**again))

    async def depth(self, *, at: datetime) -> Depth:
        states = ("pending", "sending", "dead")
        query = select(OutboxRow.state, func.count()).where(OutboxRow.state.in_(states)).group_by(OutboxRow.state)
        oldest = select(func.min(OutboxRow.created_at)).where(OutboxRow.state.in_(("pending", "sending")))
        async with self._db.read() as session:
            counts: dict[str, int] = {row[0]: row[1] for row in await session.execute(query)}
            since = await session.scalar(oldest)
        by_state = {state: counts.get(state, 0) for state in states}
        return Depth(by_state, max((at - since).total_seconds(), 0.0) if since else 0.0)


# --- claiming ---------------------------------------------------------------------------------------------------------

_AT = bindparam("at", type_=UtcDateTime())
_PENDING = and_(OutboxRow.state == "pending", OutboxRow.next_attempt_at <= _AT)
_LAPSED = and_(OutboxRow.state == "sending", OutboxRow.claimed_until <= _AT)


def _waits() -> ColumnElement[bool]:
    earlier, newer = aliased(OutboxRow), aliased(OutboxRow)
    filed_again = exists(
        select(newer.id).where(
            newer.ticket_number == earlier.ticket_number,
            newer.destination == earlier.destination,
            newer.operation == "create",
            newer.id > earlier.id,
        )
    )
    return exists(
        select(earlier.id).where(
            earlier.ticket_number == OutboxRow.ticket_number,
            earlier.destination == OutboxRow.destination,
            earlier.id < OutboxRow.id,
            or_(
                earlier.state.in_(("pending", "sending")),
                and_(
                    earlier.state == "dead",
                    earlier.operation == "create",
                    OutboxRow.operation != "create",
                    ~filed_again,
                ),
            ),
        )
    )


_WAITS = _waits()
"""Something of the same ticket and destination comes before it."""

_TABLE = cast(Table, OutboxRow.__table__)


async def _take(
    connection: AsyncConnection, destination: str, limit: int, *, owner: str, at: datetime, until: datetime
) -> list[Row[Any]]:
    """Claim due rows; in the order in which they were written, as far as it matters."""
    values = {"at": at, "until": until, "owner": owner, "name": destination, "most": limit}
    return sorted(await connection.execute(_claiming(), values), key=lambda row: row.id)


@cache
def _claiming() -> Update:
    """Claims due rows of one destination.

    Lapsed claims are looked for apart: so the others come from their index in the order wanted, and looking ends with
    the last row that there is a place for, however many there are.
    """
    most, of_it = bindparam("most", type_=Integer()), OutboxRow.destination == bindparam("name")
    lapsed = _due([OutboxRow.id], and_(_LAPSED, of_it), most).cte("lapsed")
    pending = _due([OutboxRow.id], and_(_PENDING, of_it), most).cte("pending")
    due = union_all(select(lapsed.c.id), select(pending.c.id)).limit(most).cte("due")
    return (
        update(_TABLE)
        .where(_TABLE.c.id == due.c.id)
        .values(
            state="sending",
            claimed_by=bindparam("owner"),
            claimed_until=bindparam("until", type_=UtcDateTime()),
            attempts=_TABLE.c.attempts + 1,
        )
        .returning(_TABLE)
    )


def _due(
    columns: Sequence[InstrumentedAttribute[Any]], ready: ColumnElement[bool], limit: int | BindParameter[int]
) -> Select[Any]:
    """Locks what is ready and has nothing before it, the longest due first; what others have locked is left out."""
    return (
        select(*columns)
        .where(ready, ~_WAITS)
        .order_by(OutboxRow.next_attempt_at, OutboxRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def _write(connection: AsyncConnection, owner: str, marks: Sequence[Mark]) -> list[Mark]:
    # Few sizes, because each is compiled and prepared once; what is left over has no id and marks nothing.
    size = 1 << (len(marks) - 1).bit_length()
    values: dict[str, Any] = {"owner": owner}
    values |= {f"{name}{n}": None for n in range(len(marks), size) for name in _MARKED}
    for n, mark in enumerate(sorted(marks, key=lambda mark: mark.claim.id)):
        values |= {
            f"id{n}": mark.claim.id,
            f"attempts{n}": mark.claim.attempts,
            f"state{n}": mark.state,
            f"last_error{n}": mark.reason[:400] if mark.reason else None,
            f"remote_id{n}": _TOKEN + mark.token if mark.token else mark.remote_id,
            f"sent_at{n}": mark.sent_at,
            f"next_attempt_at{n}": mark.next_attempt_at,
        }
    written = set((await connection.execute(_marking(size), values)).scalars())
    return [mark for mark in marks if mark.claim.id in written]


_MARKED = ("id", "attempts", "state", "last_error", "remote_id", "sent_at", "next_attempt_at")


@cache
def _marking(count: int) -> Update:
    """Marks so many rows, each in its own way, that are still claimed as they were when they were sent."""
    told = union_all(
        *(
            select(*(bindparam(f"{name}{n}", type_=_TABLE.c[name].type).label(name) for name in _MARKED))
            for n in range(count)
        )
    ).subquery("told")
    kept = ("remote_id", "sent_at", "next_attempt_at")
    return (
        update(_TABLE)
        .where(
            _TABLE.c.id == told.c.id,
            _TABLE.c.attempts == told.c.attempts,
            _TABLE.c.state == "sending",
            _TABLE.c.claimed_by == bindparam("owner"),
        )
        .values(
            claimed_by=None,
            claimed_until=None,
            state=told.c.state,
            last_error=told.c.last_error,
            **{name: func.coalesce(told.c[name], _TABLE.c[name]) for name in kept},
        )
        .returning(_TABLE.c.id)
    )


async def _parents(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> dict[int, str]:
    """For each row that is no create: the id at the destination of the last request created before it."""
    if not rows:
        return {}
    query = (
        select(OutboxRow.ticket_number, OutboxRow.destination, OutboxRow.id, OutboxRow.remote_id)
        .where(
            OutboxRow.ticket_number.in_({row.ticket_number for row in rows}),
            OutboxRow.operation == "create",
            OutboxRow.state == "sent",
        )
        .order_by(OutboxRow.id)
    )
    created = (await connection.execute(query)).all()
    return {
        row.id: remote_id
        for row in rows
        for number, destination, earlier, remote_id in created
        if (number, destination) == (row.ticket_number, row.destination) and earlier < row.id and remote_id is not None
    }


def _outgoing(row: Row[Any], parent_id: str | None) -> Outgoing:
    token = row.remote_id.removeprefix(_TOKEN) if row.remote_id and row.remote_id.startswith(_TOKEN) else None
    return Outgoing(
        key=row.key,
        ticket_number=row.ticket_number,
        operation=row.operation,
        payload=row.payload,
        first_attempt_at=row.created_at,
        retried=row.attempts > 1,
        parent_id=parent_id,
        token=token,
    )
