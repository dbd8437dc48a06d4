"""The SQL of the outbox: claim what is due, mark how it ended, list and replay what failed for good.

States of a row: pending, sending (claimed until `claimed_until`; a lapsed claim is as good as pending), sent, dead.
Rows of one ticket to one destination go in the order in which they were written: a row waits while an earlier one is
pending or sending, and for good while the request it belongs to is dead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, and_, bindparam, exists, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

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

    async def claim(
        self, owner: str, *, at: datetime, claim_s: float, limit: int, without: Collection[str] = ()
    ) -> list[Claim]:
        """Take up to `limit` due rows for `claim_s` seconds; `without`: destinations to leave alone for now."""
        due = and_(_DUE, OutboxRow.destination.not_in(without)) if without else _DUE
        query = (
            select(OutboxRow).where(due).params(at=at).order_by(OutboxRow.next_attempt_at, OutboxRow.id).limit(limit)
        )
        if self._db.is_sqlite:
            # Looking first spares the other processes the only write lock when there is nothing to do.
            async with self._db.read() as session:
                if (await session.execute(query.with_only_columns(OutboxRow.id))).first() is None:
                    return []
        async with self._db.begin() as session:
            rows = list(await session.scalars(query.with_for_update(skip_locked=True)))
            for row in rows:
                row.state, row.claimed_by, row.claimed_until = "sending", owner, at + timedelta(seconds=claim_s)
                row.attempts += 1
            parents = await _parents(session, [row for row in rows if row.operation != "create"])
            return [Claim(row.id, row.destination, row.attempts, _outgoing(row, parents.get(row.id))) for row in rows]

    # --- how it ended -----------------------------------------------------------------------------------------------

    async def mark_sent(self, claim: Claim, owner: str, remote_id: str, *, at: datetime) -> bool:
        """False when the claim had lapsed and another process has the row now: it will come to the same end."""
        return await self._mark(claim, owner, state="sent", remote_id=remote_id, sent_at=at, last_error=None)

    async def mark_retry(
        self, claim: Claim, owner: str, reason: str, *, next_attempt_at: datetime, token: str | None = None
    ) -> bool:
        values: dict[str, Any] = {"remote_id": _TOKEN + token} if token else {}
        return await self._mark(
            claim, owner, state="pending", next_attempt_at=next_attempt_at, last_error=reason[:400], **values
        )

    async def mark_dead(self, claim: Claim, owner: str, reason: str) -> bool:
        return await self._mark(claim, owner, state="dead", last_error=reason[:400])

    async def _mark(self, claim: Claim, owner: str, **values: Any) -> bool:
        return await self._changed(
            update(OutboxRow)
            .where(
                OutboxRow.id == claim.id,
                OutboxRow.state == "sending",
                OutboxRow.claimed_by == owner,
                OutboxRow.attempts == claim.attempts,
            )
            .values(claimed_by=None, claimed_until=None, **values)
        )

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
        query = select(OutboxRow.state, func.count()).where(OutboxRow.state != "sent").group_by(OutboxRow.state)
        oldest = select(func.min(OutboxRow.created_at)).where(OutboxRow.state.in_(("pending", "sending")))
        async with self._db.read() as session:
            counts: dict[str, int] = {row[0]: row[1] for row in await session.execute(query)}
            since = await session.scalar(oldest)
        by_state = {state: counts.get(state, 0) for state in ("pending", "sending", "dead")}
        return Depth(by_state, max((at - since).total_seconds(), 0.0) if since else 0.0)


def _due() -> ColumnElement[bool]:
    at = bindparam("at", type_=UtcDateTime())
    earlier, newer = aliased(OutboxRow), aliased(OutboxRow)
    filed_again = exists(
        select(newer.id).where(
            newer.ticket_number == earlier.ticket_number,
            newer.destination == earlier.destination,
            newer.operation == "create",
            newer.id > earlier.id,
            newer.id < OutboxRow.id,
        )
    )
    waits = exists(
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
    ready = or_(
        and_(OutboxRow.state == "pending", OutboxRow.next_attempt_at <= at),
        and_(OutboxRow.state == "sending", OutboxRow.claimed_until <= at),
    )
    return and_(ready, ~waits)


_DUE = _due()
"""Rows to send at the time `at`: ready, and nothing of the same ticket and destination before them."""


async def _parents(session: AsyncSession, rows: Sequence[OutboxRow]) -> dict[int, str]:
    """For each row that is no create: the id at the destination of the last request created before it."""
    parents: dict[int, str] = {}
    for row in rows:
        remote_id = await session.scalar(
            select(OutboxRow.remote_id)
            .where(
                OutboxRow.ticket_number == row.ticket_number,
                OutboxRow.destination == row.destination,
                OutboxRow.operation == "create",
                OutboxRow.state == "sent",
                OutboxRow.id < row.id,
            )
            .order_by(OutboxRow.id.desc())
            .limit(1)
        )
        if remote_id is not None:
            parents[row.id] = remote_id
    return parents


def _outgoing(row: OutboxRow, parent_id: str | None) -> Outgoing:
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
