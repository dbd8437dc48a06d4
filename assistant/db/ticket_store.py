"""Tickets in SQL: the store of `assistant.tickets`, on SQLite and PostgreSQL, for any number of processes.

A ticket is created with few and prepared Core statements: they are the greater part of what its creation costs.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any, cast

from sqlalchemy import (
    Row,
    Select,
    Table,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from assistant.db.duplicates import FOUND, forget
from assistant.db.models import Message, OutboxRow, TicketCounter, TicketDay, TicketEvent, ticket_numbers
from assistant.db.models import Ticket as TicketRow
from assistant.db.session import Database
from assistant.tickets.model import HistoryEntry, Judgement, Matter, Outgoing, ResidentMessage, Routing, Ticket
from assistant.tickets.states import RUNNING, State
from assistant.tickets.store import KeyTaken, StaleTicket

__all__ = ["SqlTicketStore"]

_CONVERTED = (
    "state", "grid_path", "assisting_units", "routing", "confidences", "other_matters", "judgement", "elements",
    "attachments", "version",
)  # fmt: skip
_SEQUENCE = table("ticket_numbers")
_AT_ONCE = 500  # numbers in one statement
_SEARCHED = (TicketRow.number, TicketRow.title, TicketRow.description, TicketRow.place, TicketRow.lead_unit)
_PLAIN = [field.name for field in fields(Ticket) if field.name not in _CONVERTED]
_TICKETS, _EVENTS, _OUTBOX, _MESSAGES = (
    cast(Table, each.__table__) for each in (TicketRow, TicketEvent, OutboxRow, Message)
)
_TICKET = select(*(_TICKETS.c[field.name] for field in fields(Ticket)))
_HISTORY = select(_EVENTS).where(_EVENTS.c.number.in_(bindparam("numbers", expanding=True))).order_by(_EVENTS.c.id)
_OF_KEY = _TICKET.where(_TICKETS.c.request_key == bindparam("request_key"))
_IS_THERE = exists().where(_TICKETS.c.request_key == bindparam("request_key"))
_NEW_NUMBER = select(case((_IS_THERE, null()), else_=ticket_numbers.next_value()))
# With the ids returned, many rows are one statement, in the order given.
_ADD_EVENTS = insert(_EVENTS).returning(_EVENTS.c.id, sort_by_parameter_order=True)
_ADD_ROWS = insert(_OUTBOX).returning(_OUTBOX.c.id, sort_by_parameter_order=True)
_ADD_MESSAGES = insert(_MESSAGES).returning(_MESSAGES.c.id, sort_by_parameter_order=True)


class SqlTicketStore:
    """Implements `assistant.tickets.store.TicketStore`."""

    def __init__(self, db: Database, *, on_outgoing: Callable[[], None] = lambda: None) -> None:
        """`on_outgoing` is called after a commit that wrote to the outbox, so that the sender can look at once."""
        self._db, self._on_outgoing = db, on_outgoing
        self._bases: dict[date, int] = {}

    async def open_day(self, day: date) -> None:
        if self._db.is_sqlite or day in self._bases:
            return
        # In a transaction of its own: a ticket that wrote this row would make the others of the morning wait for it.
        # Before the first draw of the day, so that the day's numbers begin at 1 and none lies below.
        async with self._db.begin() as session:
            reached = "CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
            await session.execute(
                postgresql.insert(TicketDay)
                .from_select(["day", "base"], select(literal(day), literal_column(reached)).select_from(_SEQUENCE))
                .on_conflict_do_nothing()
            )
            base = await session.scalar(select(TicketDay.base).where(TicketDay.day == day))
        assert base is not None  # written above, by us or by another
        self._bases = {day: base} if not self._bases or day > max(self._bases) else {**self._bases, day: base}

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["_Transaction"]:
        try:
            async with self._db.transaction() as connection:
                work = _Transaction(connection, self._bases, is_sqlite=self._db.is_sqlite)
                yield work
                await work.write()
        except IntegrityError as error:
            if not _is_unique_violation(error):
                raise
            raise KeyTaken from None
        if work.has_outgoing:
            self._on_outgoing()

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None:
        async with self._db.read() as session:
            row = (await session.execute(_TICKET.where(TicketRow.number == number))).one_or_none()
            if row is None:
                return None
            return _ticket(row), (await _histories(session, [number]))[number]

    async def of_numbers(self, numbers: Sequence[str]) -> list[tuple[Ticket, list[HistoryEntry]]]:
        """Those tickets with their histories, in the order of their numbers; unknown ones are left out."""
        found: list[tuple[Ticket, list[HistoryEntry]]] = []
        ordered = sorted(set(numbers))
        async with self._db.read() as session:
            for start in range(0, len(ordered), _AT_ONCE):
                some = ordered[start : start + _AT_ONCE]
                query = _TICKET.where(TicketRow.number.in_(some)).order_by(TicketRow.number)
                rows, histories = list(await session.execute(query)), await _histories(session, some)
                found += [(_ticket(row), histories[row.number]) for row in rows]
        return found

    async def find(
        self,
        *,
        conversation_id: str | None = None,
        state: str | None = None,
        words: str = "",
        overdue_at: datetime | None = None,
        merged_into: str | None = None,
        limit: int = 50,
    ) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        query = _TICKET.order_by(TicketRow.created_at.desc(), TicketRow.number.desc()).limit(limit)
        if conversation_id is not None:
            query = query.where(TicketRow.conversation_id == conversation_id)
        if state is not None:
            query = query.where(TicketRow.state == state)
        if merged_into is not None:
            query = query.where(TicketRow.merged_into == merged_into)
        if overdue_at is not None:
            query = query.where(
                TicketRow.due_at < overdue_at, TicketRow.paused_at.is_(None), TicketRow.state.in_(RUNNING)
            )
        for word in words.split():
            query = query.where(or_(*(column.icontains(word, autoescape=True) for column in _SEARCHED)))
        async with self._db.read() as session:
            rows = list(await session.execute(query))
            histories = await _histories(session, [row.number for row in rows])
        return [(_ticket(row), histories[row.number]) for row in rows]

    async def due_steps(self, *, at: datetime, limit: int) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        query = _TICKET.where(TicketRow.next_step_at <= at).order_by(TicketRow.next_step_at).limit(limit)
        async with self._db.read() as session:
            rows = list(await session.execute(query))
            histories = await _histories(session, [row.number for row in rows])
        return [(_ticket(row), histories[row.number]) for row in rows]

    async def put_off(self, number: str, version: int, until: datetime | None) -> None:
        async with self._db.begin() as session:
            await session.execute(
                update(TicketRow)
                .where(TicketRow.number == number, TicketRow.version == version)
                .values(next_step_at=until)
            )

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        query = _TICKET.where(TicketRow.judgement.is_(None), TicketRow.created_at >= since)
        async with self._db.read() as session:
            rows = await session.execute(query.order_by(TicketRow.created_at).limit(limit))
            return [_ticket(row) for row in rows]


class _Transaction:
    def __init__(self, connection: AsyncConnection, bases: Mapping[date, int], *, is_sqlite: bool) -> None:
        self._connection, self._bases, self._is_sqlite = connection, bases, is_sqlite
        # Written at the end, each kind at once and in the order added, which is the order of their ids.
        self._events: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []

    @property
    def has_outgoing(self) -> bool:
        return bool(self._rows)

    async def ticket_of_key(self, request_key: str) -> Ticket | None:
        row = (await self._connection.execute(_OF_KEY, {"request_key": request_key})).one_or_none()
        return _ticket(row) if row is not None else None

    async def with_leads(self, numbers: set[str]) -> set[str]:
        query = select(TicketRow.merged_into).where(TicketRow.number.in_(numbers), TicketRow.state == str(State.MERGED))
        return numbers | {number for number in await self._scalars(query) if number}

    async def followers(self, number: str) -> list[str]:
        query = select(TicketRow.number).where(TicketRow.merged_into == number, TicketRow.state == str(State.MERGED))
        return list(await self._scalars(query.order_by(TicketRow.created_at, TicketRow.number)))

    async def count_followers(self, number: str) -> int:
        query = select(func.count()).where(TicketRow.merged_into == number)
        return int(await self._connection.scalar(query) or 0)

    async def lock(self, numbers: Sequence[str]) -> list[Ticket]:
        query = _TICKET.where(TicketRow.number.in_(numbers)).order_by(TicketRow.number)
        if not self._is_sqlite:
            # SQLite's transaction holds the only write lock already and knows no FOR UPDATE.
            query = query.with_for_update()
        return [_ticket(row) for row in await self._connection.execute(query)]

    async def keep_judgement(self, number: str, judgement: Judgement) -> bool:
        # By itself, not with the columns that a step writes: it is no step and has no version.
        changed = await self._connection.scalar(
            update(TicketRow)
            .where(TicketRow.number == number, TicketRow.judgement.is_(None))
            .values(judgement=judgement.as_dict())
            .returning(TicketRow.number)
        )
        known = select(TicketRow.number).where(TicketRow.number == number)
        return changed is not None or await self._connection.scalar(known) is not None

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        row = (await self._connection.execute(select(_EVENTS).where(_EVENTS.c.key == key))).one_or_none()
        return (row.number, _entry(row)) if row is not None else None

    async def history(self, number: str) -> list[HistoryEntry]:
        return (await _histories(self._connection, [number]))[number]

    async def number_for(self, request_key: str, day: date) -> int | None:
        if not self._is_sqlite:
            # A sequence is no part of the transaction: nobody waits for this one, and what it took is not given back.
            drawn = await self._connection.scalar(_NEW_NUMBER, {"request_key": request_key})
            return drawn - self._bases[day] if drawn is not None else None
        is_there = await self._connection.scalar(select(_IS_THERE), {"request_key": request_key})
        return None if is_there else await self.next_number(day)

    async def next_number(self, day: date) -> int:
        if not self._is_sqlite:
            drawn = int(await self._connection.scalar(select(ticket_numbers.next_value())) or 0)
            return drawn - self._bases[day]
        count = sqlite.insert(TicketCounter).values(id=1, last=1)
        count = count.on_conflict_do_update(index_elements=["id"], set_={"last": TicketCounter.last + 1})
        drawn = int(await self._connection.scalar(count.returning(TicketCounter.last)) or 0)
        base = await self._connection.scalar(select(TicketDay.base).where(TicketDay.day == day))
        if base is None:
            base = drawn - 1
            await self._connection.execute(sqlite.insert(TicketDay).values(day=day, base=base))
        return drawn - base

    async def count_outgoing(self, number: str, operation: str) -> int:
        query = select(func.count()).where(OutboxRow.ticket_number == number, OutboxRow.operation == operation)
        return int(await self._connection.scalar(query) or 0)

    async def insert(self, ticket: Ticket) -> None:
        await self._connection.execute(insert(_TICKETS), _columns(ticket) | {"version": ticket.version})

    async def save(self, ticket: Ticket) -> None:
        changed = await self._connection.scalar(
            update(TicketRow)
            .where(TicketRow.number == ticket.number, TicketRow.version == ticket.version)
            .values(**_columns(ticket), version=ticket.version + 1)
            .returning(TicketRow.number)
        )
        if changed is None:
            raise StaleTicket
        ticket.version += 1
        if ticket.state not in FOUND:
            await forget(self._connection, ticket.number)

    async def add_event(self, number: str, entry: HistoryEntry) -> None:
        self._events.append(
            {
                "number": number,
                "key": entry.key,
                "at": entry.at,
                "actor": entry.actor,
                "operation": entry.operation,
                "from_state": entry.from_state,
                "to_state": entry.to_state,
                "reason_code": entry.reason_code,
                "note": entry.note,
                "public_reply": entry.public_reply,
                "evidence": list(entry.evidence) or None,
                "changes": entry.changes,
            }
        )

    async def add_outgoing(self, number: str, row: Outgoing) -> None:
        self._rows.append(
            {
                "key": row.key,
                "ticket_number": number,
                "destination": row.destination,
                "operation": row.operation,
                "payload": row.payload,
            }
        )

    async def add_message(self, message: ResidentMessage) -> None:
        self._messages.append(
            {
                "conversation_id": message.conversation_id,
                "sender": "assistant",
                "text": message.text,
                "buttons": list(message.buttons) or None,
                "ticket": message.ticket,
            }
        )

    async def write(self) -> None:
        """What was added; nothing is added any more."""
        for statement, rows in (
            (_ADD_EVENTS, self._events),
            (_ADD_ROWS, self._rows),
            (_ADD_MESSAGES, self._messages),
        ):
            if rows:
                await self._connection.execute(statement, rows)

    async def _scalars(self, query: Select[Any]) -> list[Any]:
        return list((await self._connection.execute(query)).scalars())


def _is_unique_violation(error: IntegrityError) -> bool:
    original = error.orig
    return getattr(original, "sqlstate", None) == "23505" or "UNIQUE constraint failed" in str(original)


async def _histories(source: AsyncConnection | AsyncSession, numbers: Sequence[str]) -> dict[str, list[HistoryEntry]]:
    histories: dict[str, list[HistoryEntry]] = defaultdict(list)
    for row in await source.execute(_HISTORY, {"numbers": numbers}):
        histories[row.number].append(_entry(row))
    return histories


def _entry(row: Row[Any]) -> HistoryEntry:
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
        row.changes or {},
        tuple(row.evidence or ()),
    )


def _ticket(row: Row[Any]) -> Ticket:
    return Ticket(
        **{name: getattr(row, name) for name in _PLAIN},
        state=State(row.state),
        grid_path=tuple(row.grid_path or ()),
        assisting_units=tuple(row.assisting_units),
        routing=Routing.from_dict(row.routing),
        confidences=row.confidences or {},
        other_matters=tuple(Matter.from_dict(matter) for matter in row.other_matters or ()),
        judgement=Judgement.from_dict(row.judgement) if row.judgement else None,
        elements=row.elements or {},
        attachments=tuple(row.attachments or ()),
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
        "elements": ticket.elements,
        "attachments": list(ticket.attachments),
    }
