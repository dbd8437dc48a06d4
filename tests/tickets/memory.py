"""A ticket store in memory with the same rules as the SQL one, for fast tests of the domain."""

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime

from assistant.tickets.model import HistoryEntry, Outgoing, ResidentMessage, Ticket
from assistant.tickets.store import KeyTaken


class MemoryStore:
    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.events: list[tuple[str, HistoryEntry]] = []
        self.outbox: list[tuple[str, Outgoing]] = []
        self.messages: list[ResidentMessage] = []
        self.sequences: dict[tuple[date, str], int] = defaultdict(int)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["MemoryStore"]:
        async with self._lock:
            kept = copy.deepcopy((self.tickets, self.events, self.outbox, self.messages, self.sequences))
            try:
                yield self
            except BaseException:
                self.tickets, self.events, self.outbox, self.messages, self.sequences = kept
                raise

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None:
        ticket = self.tickets.get(number)
        return (copy.copy(ticket), await self.history(number)) if ticket else None

    async def find(
        self, *, conversation_id: str | None, state: str | None, limit: int
    ) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        found = [
            (copy.copy(ticket), await self.history(ticket.number))
            for ticket in reversed(self.tickets.values())
            if conversation_id in (None, ticket.conversation_id) and state in (None, ticket.state)
        ]
        return found[:limit]

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        waiting = [t for t in self.tickets.values() if t.judgement is None and t.created_at >= since]
        return [copy.copy(ticket) for ticket in waiting[:limit]]

    async def ticket_of_key(self, request_key: str) -> Ticket | None:
        return next((copy.copy(t) for t in self.tickets.values() if t.request_key == request_key), None)

    async def ticket(self, number: str) -> Ticket | None:
        return copy.copy(self.tickets.get(number))

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        return next(((number, entry) for number, entry in self.events if entry.key == key), None)

    async def history(self, number: str) -> list[HistoryEntry]:
        return [entry for owner, entry in self.events if owner == number]

    async def next_sequence(self, day: date, district: str) -> int:
        self.sequences[day, district] += 1
        return self.sequences[day, district]

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
