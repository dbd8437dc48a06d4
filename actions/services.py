"""What the actions need of the application. `assistant.app` implements it; unit tests pass fakes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from assistant.city import City
from assistant.tickets.model import TicketDraft
from assistant.tickets.service import TicketService
from kb.answer import Answer
from nlu.runtime import Understanding


class TextReader(Protocol):
    """`nlu.runtime.Reader`, or the application's cache around it."""

    def read(self, text: str) -> Understanding: ...


@dataclass(frozen=True, slots=True)
class SimilarEvent:
    """An open ticket that tells of the same event as a draft: what a resident may know of it.

    `number`: of the ticket that is acted on. `callers`: how many have reported the event.
    """

    number: str
    callers: int
    unit: str
    state: str


class ActionServices(Protocol):
    """The application as the dialogue sees it."""

    @property
    def reader(self) -> TextReader: ...

    @property
    def tickets(self) -> TicketService: ...

    @property
    def city(self) -> City: ...

    async def answer(self, question: str, *, after: str = "") -> Answer:
        """The knowledge base's answer to a policy question; `after` is the question it goes on from, if any."""
        ...

    async def policy_feedback(
        self, key: str, document_id: str, article: str | None, verdict: str, comment: str | None
    ) -> None:
        """Keep what a resident says of an answer (helpful, wrong, outdated) at the entry it came from."""
        ...

    def city_reply(self, intent: str) -> str | None:
        """What staff wrote as the answer to an intent they added; None for one that is not in use (any more)."""
        ...

    async def request_human(self, conversation_id: str, reason: str) -> int:
        """Put the conversation into the queue for a person; returns how many residents wait before this one."""
        ...

    async def requester_phone(self, conversation_id: str, masked: str) -> str | None:
        """The number the resident wrote, found by its masked form (`138****5678`); None if it was never written."""
        ...

    def matter(self, category1: str, category2: str | None, text: str, confidences: Mapping[str, Any]) -> str | None:
        """The matter of the responsibility matrix that a request names; None where it is unsure."""
        ...

    async def similar(self, draft: TicketDraft) -> SimilarEvent | None:
        """The event that a draft most probably tells of, where others have reported it."""
        ...

    async def channel(self, conversation_id: str) -> str:
        """The channel the conversation runs in: web, telegram, …"""
        ...
