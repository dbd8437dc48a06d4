"""Open tickets that tell of the same event as a draft or a ticket, and the merging of those that surely do."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog
from cachetools import LRUCache

from assistant.city import City
from assistant.errors import MinshengError
from assistant.tickets.duplicates import Report, SameEvent, compare_reports
from assistant.tickets.model import TicketDraft, TicketView
from assistant.tickets.place_keys import place_keys
from assistant.tickets.service import TicketService
from assistant.tickets.spots import Spots
from assistant.tickets.states import State

__all__ = ["Candidate", "Embedder", "EventIndex", "Known", "SameEvents", "Similar"]

log = structlog.get_logger()

MERGING = "system:merge"
_MOST = 50
_PROFILES = 20_000
_TURN_OF = 20
_INQUIRY, _DANGER = "咨询", "特急"
_UNTOUCHED = frozenset({"submit", "accept", "dispatch"})
Vector = npt.NDArray[np.float32]
Profile = Callable[[str, Vector], Vector]
"""What a text tells of, of length 1, from the text and its vector: `assistant.matters.Matters.profile`."""


class Embedder(Protocol):
    """The language model, off the event loop."""

    @property
    def encoder_id(self) -> str: ...

    async def aembed(self, text: str) -> Vector:
        """The passage's vector, of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is compared of an open ticket. `callers`: how many have reported the event, merged ones included.

    `spot`: the place taken apart, as `assistant.tickets.spots` stores it.
    """

    number: str
    title: str
    description: str
    place: str | None
    request_type: str
    category1: str
    category2: str | None
    created_at: datetime
    state: str
    lead_unit: str
    urgency: str = "一般"
    confidential: bool = False
    encoder: str | None = None
    vector: Vector | None = None
    spot: Mapping[str, Any] | None = None
    callers: int = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that others may be merged into. `score`: probability of one event. `reasons`: why, for people.

    `mergeable`: see `Likeness`. `is_offered`: likely enough to ask a resident.
    """

    number: str
    score: float
    reasons: tuple[str, ...]
    callers: int
    title: str
    unit: str
    state: str
    created_at: datetime
    mergeable: bool
    is_offered: bool


class EventIndex(Protocol):
    """Where open tickets are kept by the keys of their places; `assistant.db.duplicates` implements it."""

    async def candidates(
        self, keys: Sequence[str], category1: str, *, since: datetime, without: Collection[str] = (), limit: int
    ) -> list[Known]: ...

    async def get(self, number: str) -> Known | None: ...

    async def apart_from(self, number: str, others: Sequence[str]) -> set[str]: ...

    async def waiting(self, encoder: str, *, since: datetime, limit: int) -> list[Known]: ...

    async def remember(
        self,
        number: str,
        keys: Sequence[str],
        category1: str,
        vector: Vector | None,
        encoder: str,
        spot: Mapping[str, Any],
    ) -> None: ...


class Similar:
    """Compares with the open tickets of the same place in the window of the city's file."""

    def __init__(
        self,
        index: EventIndex,
        city: City,
        embedder: Embedder,
        *,
        profile: Profile | None = None,
        model: SameEvent | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`profile`: where the city has learned its matters from examples; they are compared as well then."""
        self.index, self._city, self._embedder, self._clock = index, city, embedder, clock
        self.model = model or SameEvent.load()
        self.spots = Spots(city)
        self._profile = profile
        self._profiles: LRUCache[tuple[str, str], Vector] = LRUCache(_PROFILES)

    @property
    def since(self) -> datetime:
        """Older tickets are not compared with."""
        return self._clock() - timedelta(days=self._city.facts.merging.window_days)

    async def find(self, asked: TicketDraft | str, *, without: Collection[str] = ()) -> list[Candidate]:
        """What is worth asking about, the likeliest first: for a draft, or for a ticket by its number.

        A place without any name has no candidates. What somebody has set apart is left out, and for a draft the numbers
        of `without`.
        """
        if isinstance(asked, str):
            known = await self.index.get(asked)
            return await self.like(known) if known is not None else []
        report = self._made(
            asked.description, asked.place, asked.category1, asked.category2, asked.request_type, self._clock()
        )
        # The language model works beside the database and the comparison of places, which can do without.
        vector = asyncio.create_task(self.vector(report))
        try:
            found = await self._compare(report, asked.category1, without, vector)
        finally:
            vector.cancel()
        return [candidate for candidate in found if candidate.number not in asked.apart_from]

    async def like(self, known: Known) -> list[Candidate]:
        """What a ticket may be merged with."""
        found = await self._compare(self.report(known), known.category1, (known.number,))
        apart = await self.index.apart_from(known.number, [candidate.number for candidate in found])
        return [candidate for candidate in found if candidate.number not in apart]

    def report(self, known: Known) -> Report:
        """What is compared of a ticket; with the vector only where it was made by the model of today."""
        vector = known.vector if known.encoder == self._embedder.encoder_id else None
        return self._report(known, vector)

    async def vector(self, report: Report) -> Vector | None:
        """The embedding of what is compared, or None when the model fails: the comparison goes on without."""
        try:
            return await self._embedder.aembed(report.compared_text)
        except Exception as error:
            log.warning("embedding_failed", error=type(error).__name__)
            return None

    @property
    def encoder_id(self) -> str:
        return self._embedder.encoder_id

    def _profiled(self, report: Report) -> Report:
        """The report with what it tells of, where that can be told."""
        if report.vector is None or self._profile is None:
            return report
        key = (report.spot.written, report.text)
        matters = self._profiles.get(key)
        if matters is None:
            matters = self._profiles[key] = self._profile(report.compared_text, report.vector)
        return replace(report, matters=matters)

    def _report(self, known: Known, vector: Vector | None) -> Report:
        return self._made(
            known.description,
            known.place,
            known.category1,
            known.category2,
            known.request_type,
            known.created_at,
            vector,
            known.spot,
        )

    def _made(
        self,
        text: str,
        place: str | None,
        category1: str,
        category2: str | None,
        request_type: str,
        at: datetime,
        vector: Vector | None = None,
        stored: Mapping[str, Any] | None = None,
    ) -> Report:
        spot = self.spots.of(place, text, stored)
        return Report(text, spot, category1, category2, at, vector, request_type == _INQUIRY)

    async def _compare(
        self, report: Report, category1: str, without: Collection[str], vector: Awaitable[Vector | None] | None = None
    ) -> list[Candidate]:
        """`vector`: of the report, where it has none yet."""
        keys = place_keys(report.spot)
        known = await self.index.candidates(keys, category1, since=self.since, without=without, limit=_MOST)
        possible = []
        for each in known:
            other = self.report(each)
            compared = compare_reports(report, other)
            if self.model.is_possible(report, other, compared):
                possible.append((each, other, compared))
        if possible and vector is not None:
            report = replace(report, vector=await vector)
        report = self._profiled(report)
        found = []
        for each, other, compared in possible:
            likeness = self.model.judge(report, self._profiled(other), compared)
            if likeness.score >= self.model.same:
                found.append(
                    Candidate(
                        each.number,
                        likeness.score,
                        likeness.reasons,
                        each.callers,
                        each.title,
                        each.lead_unit,
                        each.state,
                        each.created_at,
                        likeness.mergeable,
                        likeness.score >= self.model.offer,
                    )
                )
        return sorted(found, key=lambda candidate: (-candidate.score, candidate.created_at, candidate.number))


class SameEvents:
    """Sees to it that every open ticket can be found, and merges by itself what surely tells of one event.

    A ticket is merged only into an older one, only where the city's file allows it, and never once a person, a unit or
    its resident has done something with it; a danger, a confidential request and an inquiry never are.
    """

    def __init__(self, similar: Similar, tickets: TicketService, city: City, *, idle_s: float = 60.0) -> None:
        """`idle_s`: how often to look without being woken, for what other processes left."""
        self._similar, self._tickets, self._city, self._idle_s = similar, tickets, city, idle_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A ticket was made: look now."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        stopping = asyncio.create_task(self._wake_at(stop))
        try:
            since = self._similar.since
            while not stop.is_set():
                self._woken.clear()
                latest, count = await self._take_turn(since)
                if count == _TURN_OF:
                    since = latest
                    continue
                # Woken, only what is new is looked through; after a while everything, for what was opened again.
                since = self._similar.since
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._idle_s):
                        await self._woken.wait()
                    since = datetime.now(UTC) - _RECENT
        finally:
            stopping.cancel()

    async def catch_up(self, since: datetime | None = None) -> int:
        """Look at what is waiting, at most 20; returns how many."""
        return (await self._take_turn(since or self._similar.since))[1]

    async def _take_turn(self, since: datetime) -> tuple[datetime, int]:
        waiting = await self._similar.index.waiting(self._similar.encoder_id, since=since, limit=_TURN_OF)
        for known in waiting:
            try:
                await self._look_at(known)
            except MinshengError as error:
                log.info("merging_refused", number=known.number, error=type(error).__name__)
        return (waiting[-1].created_at if waiting else since), len(waiting)

    async def _look_at(self, known: Known) -> None:
        encoder = self._similar.encoder_id
        report = self._similar.report(known)
        vector, keys = await self._similar.vector(report), place_keys(report.spot)
        spot = self._similar.spots.storable(report.spot)
        await self._similar.index.remember(known.number, keys, known.category1, vector, encoder, spot)
        least = self._city.facts.merging.automatic
        if least is None or not _may_merge(known):
            return
        found = await self._similar.like(replace(known, vector=vector, encoder=encoder))
        mine = (known.created_at, known.number)
        older = [
            each for each in found if each.score >= least and each.mergeable and (each.created_at, each.number) < mine
        ]
        view = await self._tickets.get(known.number) if older else None
        if view is not None and _is_untouched(view):
            reason = f"自动并案（{older[0].score:.0%}）：{'，'.join(older[0].reasons)}"
            key = f"{known.number}:same-event"
            await self._tickets.merge(known.number, older[0].number, reason, key=key, actor=MERGING, seen=view.version)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()


_RECENT = timedelta(hours=1)


def _may_merge(known: Known) -> bool:
    return not known.confidential and known.urgency != _DANGER and known.request_type != _INQUIRY


def _is_untouched(view: TicketView) -> bool:
    untouched = view.state in (State.TO_DISPATCH, State.DISPATCHED)
    return untouched and all(entry.operation in _UNTOUCHED for entry in view.history)
