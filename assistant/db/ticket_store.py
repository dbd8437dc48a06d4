"""Tickets in SQL: the store of `assistant.tickets`, on SQLite and PostgreSQL, for any number of processes."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import Message, OutboxRow, TicketEvent, TicketSequence
from assistant.db.models import Ticket as TicketRow
from assistant.db.session import Database
from assistant.tickets.model import HistoryEntry, Judgement, Matter, Outgoing, ResidentMessage, Routing, Ticket
from assistant.tickets.states import State
from assistant.tickets.store import KeyTaken, StaleTicket

__all__ = ["SqlTicketStore"]

_CONVERTED = (
    "state", "grid_path", "assisting_units", "routing", "confidences", "other_matters", "judgement", "version",
)  # fmt: skip
_PLAIN = [field.name for field in fields(Ticket) if field.name not in _CONVERTED]


class SqlTicketStore:
    """Implements `assistant.tickets.store.TicketStore`."""

    def __init__(self, db: Database, *, on_outgoing: Callable[[], None] = lambda: None) -> None:
        """`on_outgoing` is called after a commit that wrote to the outbox, so that the sender can look at once."""
        self._db, self._on_outgoing = db, on_outgoing

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["_Transaction"]:
        try:
            async with self._db.begin() as session:
                work = _Transaction(session, is_sqlite=self._db.is_sqlite)
                yield work
                await session.flush()
        except IntegrityError as error:
            if not _is_unique_violation(error):
                raise
            raise KeyTaken from None
        if work.has_outgoing:
            self._on_outgoing()

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None:
        async with self._db.read() as session:
            row = await session.get(TicketRow, number)
            if row is None:
                return None
            return _ticket(row), (await _histories(session, [number]))[number]

    async def find(
        self, *, conversation_id: str | None, state: str | None, limit: int
    ) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        query = select(TicketRow).order_by(TicketRow.created_at.desc(), TicketRow.number.desc()).limit(limit)
        if conversation_id is not None:
            query = query.where(TicketRow.conversation_id == conversation_id)
        if state is not None:
            query = query.where(TicketRow.state == state)
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
            histories = await _histories(session, [row.number for row in rows])
        return [(_ticket(row), histories[row.number]) for row in rows]

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        query = select(TicketRow).where(TicketRow.judgement.is_(None), TicketRow.created_at >= since)
        async with self._db.read() as session:
            rows = await session.scalars(query.order_by(TicketRow.created_at).limit(limit))
            return [_ticket(row) for row in rows]


class _Transaction:
    def __init__(self, session: AsyncSession, *, is_sqlite: bool) -> None:
        self._session, self._is_sqlite = session, is_sqlite
        self.has_outgoing = False

    async def ticket_of_key(self, request_key: str) -> Ticket | None:
        row = await self._session.scalar(select(TicketRow).where(TicketRow.request_key == request_key))
        return _ticket(row) if row is not None else None

    async def ticket(self, number: str) -> Ticket | None:
        # SQLite's transaction holds the only write lock already and knows no FOR UPDATE.
        row = await self._session.get(TicketRow, number, with_for_update=None if self._is_sqlite else True)
        return _ticket(row) if row is not None else None

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        row = await self._session.scalar(select(TicketEvent).where(TicketEvent.key == key))
        return (row.number, _entry(row)) if row is not None else None

    async def history(self, number: str) -> list[HistoryEntry]:
        return (await _histories(self._session, [number]))[number]

    async def next_sequence(self, day: date, district: str) -> int:
        values = {"day": day, "district": district, "last": 1}
        if self._is_sqlite:
            lite = sqlite.insert(TicketSequence).values(**values)
            statement: Any = lite.on_conflict_do_update(
                index_elements=["day", "district"], set_={"last": TicketSequence.last + 1}
            )
        else:
            postgres = postgresql.insert(TicketSequence).values(**values)
            statement = postgres.on_conflict_do_update(
                index_elements=["day", "district"], set_={"last": TicketSequence.last + 1}
            )
        return int(await self._session.scalar(statement.returning(TicketSequence.last)))

    async def count_outgoing(self, number: str, operation: str) -> int:
        query = select(func.count()).where(OutboxRow.ticket_number == number, OutboxRow.operation == operation)
        return int(await self._session.scalar(query) or 0)

    async def insert(self, ticket: Ticket) -> None:
        self._session.add(TicketRow(**_columns(ticket), version=ticket.version))
        await self._session.flush()

    async def save(self, ticket: Ticket) -> None:
        changed = await self._session.scalar(
            update(TicketRow)
            .where(TicketRow.number == ticket.number, TicketRow.version == ticket.version)
            .values(**_columns(ticket), version=ticket.version + 1)
            .returning(TicketRow.number)
            .execution_options(synchronize_session=False)
        )
        if changed is None:
            raise StaleTicket
        ticket.version += 1

    async def add_event(self, number: str, entry: HistoryEntry) -> None:
        # Written at the next flush, in the order added, which is the order of their ids.
        self._session.add(
            TicketEvent(
                number=number,
                key=entry.key,
                at=entry.at,
                actor=entry.actor,
                operation=entry.operation,
                from_state=entry.from_state,
                to_state=entry.to_state,
                reason_code=entry.reason_code,
                note=entry.note,
                public_reply=entry.public_reply,
            )
        )

    async def add_outgoing(self, number: str, row: Outgoing) -> None:
        self.has_outgoing = True
        self._session.add(
            OutboxRow(
                key=row.key,
                ticket_number=number,
                destination=row.destination,
                operation=row.operation,
                payload=row.payload,
            )
        )

    async def add_message(self, message: ResidentMessage) -> None:
        self._session.add(
            Message(
                conversation_id=message.conversation_id,
                sender="assistant",
                text=message.text,
                buttons=list(message.buttons) or None,
                ticket=message.ticket,
            )
        )


def _is_unique_violation(error: IntegrityError) -> bool:
    original = error.orig
    return getattr(original, "sqlstate", None) == "23505" or "UNIQUE constraint failed" in str(original)


async def _histories(session: AsyncSession, numbers: Sequence[str]) -> dict[str, list[HistoryEntry]]:
    histories: dict[str, list[HistoryEntry]] = defaultdict(list)
    for row in await session.scalars(
        select(TicketEvent).where(TicketEvent.number.in_(numbers)).order_by(TicketEvent.id)
    ):
        histories[row.number].append(_entry(row))
    return histories


def _entry(row: TicketEvent) -> HistoryEntry:
    return HistoryEntry(
        row.key,
        row.at,
        row.actor,
        row.operation,
        row.from_state,
        row.to_state,
        row.reason_code,
        row.note,
        row.public_reply,
    )


def _ticket(row: TicketRow) -> Ticket:
    return Ticket(
        **{name: getattr(row, name) for name in _PLAIN},
        state=State(row.state),
        grid_path=tuple(row.grid_path or ()),
        assisting_units=tuple(row.assisting_units),
        routing=Routing.from_dict(row.routing),
        confidences=row.confidences or {},
        other_matters=tuple(Matter.from_dict(matter) for matter in row.other_matters or ()),
        judgement=Judgement.from_dict(row.judgement) if row.judgement else None,
        version=row.version,
    )


def _columns(ticket: Ticket) -> dict[str, Any]:
    return {
        **{name: getattr(ticket, name) for name in _PLAIN},
        "state": str(ticket.state),
        "grid_path": list(ticket.grid_path),
        "assisting_units": list(ticket.assisting_units),
        "routing": ticket.routing.as_dict(),
        "confidences": ticket.confidences,
        "other_matters": [asdict(matter) for matter in ticket.other_matters],
        "judgement": ticket.judgement.as_dict() if ticket.judgement else None,
    }
