"""Why the language model judged so, for people: for one message when an agent asks, and once for every ticket.

Nothing of it happens in a resident's turn. Tickets are looked through in the background, by what the database says, so
that one made before a restart, or by another process, is found too.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from cachetools import LRUCache

from assistant.tickets.model import Judgement, TicketView
from assistant.tickets.service import TicketService
from assistant.understanding import CachingReader
from nlu.explain import explain
from nlu.runtime import Reader

log = structlog.get_logger()

CATEGORY, URGENCY = "category", "urgency"
"""What is explained: the keys of `Judgement.words`."""

Explain = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, tuple[str, ...]]]]
"""Gives, for a message and its stored reading, the words that decided, by `CATEGORY` and `URGENCY`."""

_LATEST = timedelta(days=1)  # what is older has been worked on without
_TURN_OF = 20


class Explainer:
    """Finds the words that decided, one text at a time and off the event loop, and remembers them."""

    def __init__(self, reader: CachingReader, *, size: int = 512) -> None:
        self._reader = reader
        self._asked = reader.reader
        self._known: LRUCache[tuple[str, str, str], tuple[str, ...]] = LRUCache(size)
        self._one_at_a_time = asyncio.Lock()

    async def message(self, text: str, understanding: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """For a message and its stored reading (`Understanding.as_dict()`); the label may come from an older model."""
        requests = understanding.get("requests") or [{"text": text}]
        asked = {CATEGORY: (str(requests[0]["text"]), "category1", understanding.get("category", {}).get("level1"))}
        asked[URGENCY] = (text, "urgency", understanding.get("urgency"))
        return {what: await self.words(part, head, label) for what, (part, head, label) in asked.items() if label}

    async def ticket(self, ticket: TicketView) -> Judgement:
        """For a ticket, from its masked text. A category that a rule decided about has no words of the model's."""
        understanding = await self._reader.aread(ticket.description)
        main, words = understanding.requests[0], {}
        if "rule" not in ticket.confidences:
            told = main.category1.name == ticket.category1
            text = ticket.description[main.start : main.end] if told else ticket.description
            words[CATEGORY] = await self.words(text, "category1", ticket.category1)
        words[URGENCY] = await self.words(ticket.description, "urgency", ticket.urgency)
        candidates = tuple((label.name, round(label.confidence, 3)) for label in understanding.category2_ranking)
        return Judgement(words, candidates, understanding.model_version)

    async def words(self, text: str, head: str, label: str) -> tuple[str, ...]:
        """The words that speak most for a label; none where the model of today does not know the label."""
        async with self._one_at_a_time:
            reader = self._reader.reader
            if reader is not self._asked:
                self._asked = reader
                self._known.clear()
            key = (text, head, label)
            if key not in self._known:
                self._known[key] = await asyncio.to_thread(_words, reader, text, head, label)
            return self._known[key]


def _words(reader: Reader, text: str, head: str, label: str) -> tuple[str, ...]:
    try:
        return tuple(reason.text for reason in explain(reader, text, head, label))
    except ValueError:
        return ()


class TicketJudgements:
    """Sees to it that every ticket's record says why it was judged so."""

    def __init__(self, explainer: Explainer, *, idle_s: float = 60.0) -> None:
        """`idle_s`: how often to look without being woken, for what other processes left."""
        self._explainer, self._idle_s = explainer, idle_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A ticket was made: look now."""
        self._woken.set()

    async def run(self, tickets: TicketService, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        stopping = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                self._woken.clear()
                if await self.catch_up(tickets) < _TURN_OF:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._idle_s):
                            await self._woken.wait()
        finally:
            stopping.cancel()

    async def catch_up(self, tickets: TicketService) -> int:
        """Judge what is waiting, at most 20; a ticket that cannot be explained is kept as one without words."""
        waiting = await tickets.without_judgement(since=datetime.now(UTC) - _LATEST, limit=_TURN_OF)
        for ticket in waiting:
            try:
                judgement = await self._explainer.ticket(ticket)
            except Exception as error:
                log.error("judgement_failed", number=ticket.number, error=type(error).__name__)
                judgement = Judgement({}, (), None)
            await tickets.keep_judgement(ticket.number, judgement)
        return len(waiting)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()
