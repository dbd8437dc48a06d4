"""What the ticket service needs of a store and of encryption. `assistant.db.ticket_store` implements the store."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Protocol

from assistant.tickets.model import HistoryEntry, Outgoing, ResidentMessage, Ticket

__all__ = ["KeyTaken", "StaleTicket", "TicketStore", "TicketTransaction", "Vault"]


class KeyTaken(Exception):
    """Another transaction wrote the same request key, event key or outbox key first; nothing was written."""


class StaleTicket(Exception):
    """The ticket was changed since it was read; nothing was written."""


class TicketTransaction(Protocol):
    """Reads and writes that take effect together at the end of the block, or not at all."""

    async def ticket_of_key(self, request_key: str) -> Ticket | None: ...

    async def ticket(self, number: str) -> Ticket | None:
        """The ticket, locked against other transactions until the end."""
        ...

    async def event(self, key: str) -> tuple[str, HistoryEntry] | None:
        """Ticket number and step of that event key."""
        ...

    async def history(self, number: str) -> list[HistoryEntry]: ...

    async def next_sequence(self, day: date, district: str) -> int:
        """1, 2, 3, … per day and district; given back when the transaction fails."""
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
    def begin(self) -> AbstractAsyncContextManager[TicketTransaction]:
        """A transaction. Raises KeyTaken or StaleTicket, from the block or at its end, when another was first."""
        ...

    async def get(self, number: str) -> tuple[Ticket, list[HistoryEntry]] | None: ...

    async def find(
        self, *, conversation_id: str | None, state: str | None, limit: int
    ) -> Sequence[tuple[Ticket, list[HistoryEntry]]]:
        """Newest first."""
        ...

    async def without_judgement(self, *, since: datetime, limit: int) -> Sequence[Ticket]:
        """Tickets created since then that have no judgement, the oldest first."""
        ...


class Vault(Protocol):
    def encrypt(self, value: str) -> bytes: ...

    def decrypt(self, value: bytes) -> str: ...

    def digest(self, value: str) -> str: ...
