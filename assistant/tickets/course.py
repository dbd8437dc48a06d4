"""What one operation does to all tickets it touches, gathered and then written together in one transaction.

A step changes a ticket (`changes`), has a word for its destination (`outgoing`) and one for its resident (`telling`),
and may draw other steps after it: a return waits for a ruling, what happens to a ticket happens to those that were
merged into it (`merging`).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from assistant.city import City
from assistant.tickets import changes, outgoing, telling
from assistant.tickets.changes import Case, Choice, Given
from assistant.tickets.model import HistoryEntry, Outgoing, ResidentMessage, Ticket
from assistant.tickets.outgoing import Word
from assistant.tickets.states import State
from assistant.tickets.store import StaleTicket, TicketTransaction

__all__ = ["SYSTEM", "Course", "Setting"]

SYSTEM = "system"
MERGING = "system:merge"


@dataclass(frozen=True, slots=True)
class Setting:
    """`choose`: the destination for a unit and a category. `service_code`: of a ticket, for the dispatch API."""

    city: City
    choose: Choice
    service_code: Callable[[Ticket], str]


@dataclass(slots=True)
class Course:
    """The steps taken in one transaction; `finish` writes them. `at`: the time of all of them."""

    work: TicketTransaction
    setting: Setting
    at: datetime
    cases: dict[str, Case] = field(default_factory=dict)
    _new: set[str] = field(default_factory=set)
    _changed: set[str] = field(default_factory=set)
    _events: list[tuple[str, HistoryEntry]] = field(default_factory=list)
    _rows: list[tuple[str, Outgoing]] = field(default_factory=list)
    _messages: list[ResidentMessage] = field(default_factory=list)
    _sent: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def lock(self, numbers: Iterable[str], *, followers_of: str | None = None) -> None:
        """Take these tickets, and those they are merged into, in the order of their numbers, which prevents deadlocks.

        `followers_of`: with what is merged into that one. Raises StaleTicket when they were merged differently in the
        same moment; what is unknown stays away.
        """
        wanted = await self.work.with_leads(set(numbers))
        if followers_of is not None:
            wanted |= set(await self.work.followers(followers_of))
        for ticket in await self.work.lock(sorted(wanted)):
            self.cases[ticket.number] = Case(ticket, await self.work.history(ticket.number))
        merged = [case.ticket for case in self.cases.values() if case.ticket.state is State.MERGED]
        if any(ticket.merged_into not in self.cases for ticket in merged):
            raise StaleTicket

    async def begin(self, ticket: Ticket, actor: str) -> Case:
        case = Case(ticket, [])
        self._new.add(ticket.number)
        self.cases[ticket.number] = case
        self._events.append((ticket.number, changes.begin(case, actor=actor, at=self.at)))
        return case

    async def step(
        self, case: Case, operation: str, given: Given | None = None, *, actor: str, key: str = ""
    ) -> HistoryEntry:
        """One step of one ticket. `key` empty: a step that follows from another gets a key of its own."""
        stands, former = outgoing.standing(case.history), case.ticket.destination
        entry = changes.apply(
            case,
            operation,
            given or Given(),
            key=key or f"{case.number}#{len(case.history)}:{operation}",
            actor=actor,
            at=self.at,
            city=self.setting.city,
            choose=self.setting.choose,
        )
        self._changed.add(case.number)
        self._events.append((case.number, entry))
        acting = case
        if entry.from_state == entry.to_state == State.MERGED and operation != "move":
            acting = self.cases[case.ticket.merged_into or case.number]
            stands, former = outgoing.standing(acting.history), acting.ticket.destination
        for word in outgoing.words_of(entry, stands, acting.ticket, former, self.setting.city.zone):
            await self._send(acting, word)
        return entry

    def tell(self, case: Case, entry: HistoryEntry, *, acted_on: Ticket | None = None, callers: int = 1) -> None:
        """Tell the requester of `case` about `entry`."""
        found = telling.message(self.setting.city, case.ticket, entry, acted_on=acted_on, callers=callers)
        if found is not None:
            self._messages.append(found)

    async def accept(self, case: Case, actor: str, *, key: str = "", given: Given | None = None) -> None:
        """受理, which files the ticket, and 派遣 where its unit is known with confidence."""
        await self.step(case, "accept", given, actor=actor, key=key)
        routing = case.ticket.routing
        if not routing.review:
            await self.step(case, "dispatch", Given(note=routing.reason), actor=SYSTEM)

    async def rule(self, case: Case) -> None:
        """Nobody's turn ends at 退单: it waits for a ruling at once."""
        if case.ticket.state is State.RETURNED:
            await self.step(case, "rule", actor=SYSTEM)

    async def _send(self, case: Case, word: Word) -> None:
        number = case.number
        if (number, word.kind) not in self._sent and number not in self._new:
            self._sent[number, word.kind] = await self.work.count_outgoing(number, word.kind)
        self._sent[number, word.kind] += 1
        count = self._sent[number, word.kind]
        if word.kind == "create":
            code = self.setting.service_code(case.ticket)
            row = outgoing.create(case.ticket, case.history, count, word, code)
        else:
            row = outgoing.note(number, count, word)
        self._rows.append((number, row))

    async def finish(self) -> None:
        for number in sorted(self._new | self._changed):
            ticket = self.cases[number].ticket
            if number in self._new:
                await self.work.insert(ticket)
            else:
                await self.work.save(ticket)
        for number, entry in self._events:
            await self.work.add_event(number, entry)
        for number, row in self._rows:
            await self.work.add_outgoing(number, row)
        for message in self._messages:
            await self.work.add_message(message)
