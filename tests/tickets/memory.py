"""A ticket store in memory with the same rules as the SQL one, for fast tests of the domain."""

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, datetime

from assistant.tickets.model import HistoryEntry, Judgement, Outgoing, ResidentMessage, Ticket
from assistant.tickets.states import RUNNING, State
from assistant.tickets.store import KeyTaken


class MemoryStore:
    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.clear()

    def clear(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.events: list[tuple[str, HistoryEntry]] = []
        self.outbox: list[tuple[str, Outgoing]] = []
        self.messages: list[ResidentMessage] = []
        self.sequences: dict[date, int] = defaultdict(int)

    async def open_day(self, day: date) -> None:
        pass

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["MemoryStore"]:
        async with self._lock:
            kept = [copy.copy(each) for each in (self.tickets, self.events, self.outbox, self.messages, self.sequences)]
            try:
                yield self
            except BaseException:
                self.tickets, self.events, self.outbox, self.messages, self.sequences = kept
                raise

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None:
        ticket = self.tickets.get(number)
        return (copy.copy(ticket), await self.history(number)) if ticket else None

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
        found = [
            (copy.copy(ticket), await self.history(ticket.number))
            for ticket in reversed(self.tickets.values())
            if conversation_id in (None, ticket.conversation_id)
            and state in (None, ticket.state)
            and merged_into in (None, ticket.merged_into)
            and all(word in f"{ticket.number} {ticket.title} {ticket.lead_unit}" for word in words.split())
            and (overdue_at is None or (ticket.due_at < overdue_at and ticket.state in RUNNING))
        ]
        return found[:limit]

    async def due_steps(self, *, at: datetime, limit: int) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        waiting = [t for t in self.tickets.values() if t.next_step_at is not None and t.next_step_at <= at]
        waiting.sort(key=lambda ticket: ticket.next_step_at or at)
        return [(copy.copy(ticket), await self.history(ticket.number)) for ticket in waiting[:limit]]

    async def put_off(self, number: str, version: int, until: datetime | None) -> None:
        if self.tickets[number].version == version:
            self.tickets[number] = replace(self.tickets[number], next_step_at=until)

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        waiting = [t for t in self.tickets.values() if t.judgement is None and t.created_at >= since]
        return [copy.copy(ticket) for ticket in waiting[:limit]]

    async def ticket_of_key(self, request_key: str) -> Ticket | None:
        return next((copy.copy(t) for t in self.tickets.values() if t.request_key == request_key), None)

    async def with_leads(self, numbers: set[str]) -> set[str]:
        merged = [t for t in self.tickets.values() if t.number in numbers and t.state is State.MERGED]
        return numbers | {ticket.merged_into for ticket in merged if ticket.merged_into}

    async def followers(self, number: str) -> list[str]:
        found = [t for t in self.tickets.values() if t.merged_into == number and t.state is State.MERGED]
        return [ticket.number for ticket in sorted(found, key=lambda ticket: (ticket.created_at, ticket.number))]

    async def count_followers(self, number: str) -> int:
        return sum(ticket.merged_into == number for ticket in self.tickets.values())

    async def lock(self, numbers: Sequence[str]) -> list[Ticket]:
        return [copy.copy(self.tickets[number]) for number in sorted(numbers) if number in self.tickets]

    async def keep_judgement(self, number: str, judgement: Judgement) -> bool:
        ticket = self.tickets.get(number)
        if ticket is not None and ticket.judgement is None:
            self.tickets[number] = replace(ticket, judgement=judgement)
        return ticket is not None

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        return next(((number, entry) for number, entry in self.events if entry.key == key), None)

    async def history(self, number: str) -> list[HistoryEntry]:
        return [entry for owner, entry in self.events if owner == number]

    async def number_for(self, request_key: str, day: date) -> int | None:
        if await self.ticket_of_key(request_key):
            return None
        self.sequences[day] += 1
        return self.sequences[day]

    async def count_outgoing(self, number: str, operation: str) -> int:
        return sum(owner == number and row.operation == operation for owner, row in self.outbox)

    async def insert(self, ticket: Ticket) -> None:
        assert ticket.number not in self.tickets
        self.tickets[ticket.number] = copy.copy(ticket)

    async def save(self, ticket: Ticket) -> None:
        assert self.tickets[ticket.number].version == ticket.version
        ticket.version += 1
        self.tickets[ticket.number] = copy.copy(ticket)

    async def add_event(self, number: str, entry: HistoryEntry) -> None:
        if await self.event(entry.key):
            raise KeyTaken
        self.events.append((number, entry))

    async def add_outgoing(self, number: str, row: Outgoing) -> None:
        if any(row.key == other.key for _, other in self.outbox):
            raise KeyTaken
        self.outbox.append((number, row))

    async def add_message(self, message: ResidentMessage) -> None:
        self.messages.append(message)
