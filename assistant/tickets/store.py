"""What the ticket service needs of a store and of encryption. `assistant.db.ticket_store` implements the store."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Protocol

from assistant.tickets.model import HistoryEntry, Judgement, Outgoing, ResidentMessage, Ticket

__all__ = ["KeyTaken", "StaleTicket", "TicketStore", "TicketTransaction", "Vault"]


class KeyTaken(Exception):
    """Another transaction wrote the same request key, event key or outbox key first; nothing was written."""


class StaleTicket(Exception):
    """The ticket was changed since it was read; nothing was written."""


class TicketTransaction(Protocol):
    """Reads and writes that take effect together at the end of the block, or not at all."""

    async def ticket_of_key(self, request_key: str) -> Ticket | None: ...

    async def with_leads(self, numbers: set[str]) -> set[str]:
        """These numbers and the tickets that those in 已并案 are merged into, as things stand; nothing is locked."""
        ...

    async def followers(self, number: str) -> list[str]:
        """What is merged into that ticket and not answered yet, the eldest first; nothing is locked."""
        ...

    async def count_followers(self, number: str) -> int:
        """How many are or were merged into that ticket, answered ones included."""
        ...

    async def lock(self, numbers: Sequence[str]) -> list[Ticket]:
        """The tickets in that order, locked against other transactions until the end; unknown ones are left out."""
        ...

    async def keep_judgement(self, number: str, judgement: Judgement) -> bool:
        """Store it where there is none yet, without raising the version; False for an unknown ticket."""
        ...

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        """Ticket number and step of that event key."""
        ...

    async def history(self, number: str) -> list[HistoryEntry]: ...

    async def number_for(self, request_key: str, day: date) -> int | None:
        """1, 2, 3, … over the whole city on that day, which `open_day` was called for; None where there is a ticket
        with that key. Numbers may be left out.

        A number drawn after another ticket was written is higher than that ticket's.
        """
        ...

    async def count_outgoing(self, number: str, operation: str) -> int: ...

    async def insert(self, ticket: Ticket) -> None: ...

    async def save(self, ticket: Ticket) -> None:
        """Write the ticket's changed fields and raise its version."""
        ...

    async def add_event(self, number: str, entry: HistoryEntry) -> None: ...

    async def add_outgoing(self, number: str, row: Outgoing) -> None: ...

    async def add_message(self, message: ResidentMessage) -> None: ...


class TicketStore(Protocol):
    async def open_day(self, day: date) -> None:
        """Make sure, before a transaction, that the running numbers of that day have their beginning."""
        ...

    def begin(self) -> AbstractAsyncContextManager[TicketTransaction]:
        """A transaction. Raises KeyTaken or StaleTicket, from the block or at its end, when another was first."""
        ...

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None: ...

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
        """Newest first. `words`: part of number, title, description, place or a unit. `overdue_at`: due before then
        and still to be acted on."""
        ...

    async def due_steps(self, *, at: datetime, limit: int) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        """Tickets whose next automatic step is due at `at`, the longest due first."""
        ...

    async def put_off(self, number: str, version: int, until: datetime | None) -> None:
        """Move the next automatic step of a ticket of that version; it is no step and raises no version."""
        ...

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        """Tickets created since then that have no judgement, the oldest first."""
        ...


class Vault(Protocol):
    def encrypt(self, value: str) -> bytes: ...

    def decrypt(self, value: bytes) -> str: ...

    def digest(self, value: str) -> str: ...
