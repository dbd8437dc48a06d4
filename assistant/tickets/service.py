"""Operations on tickets. Each is one transaction: ticket, history, outbox and the message to the resident, or nothing.

Every operation has a key: the same key again has no further effect and gives the ticket as it is now; the same key
with another content is refused with KeyReused. An actor who looked at a ticket before can say at which version
(`seen`): TicketChanged when somebody else was faster.
"""

import asyncio
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from assistant.city import City
from assistant.privacy import mask
from assistant.tickets import merging
from assistant.tickets.changes import Case, Given
from assistant.tickets.course import SYSTEM, Course, Setting
from assistant.tickets.creation import Creation
from assistant.tickets.draft_check import checked
from assistant.tickets.errors import (
    IncompleteDraft,
    InvalidDraft,
    KeyReused,
    TicketChanged,
    TicketConflict,
    TicketNotFound,
)
from assistant.tickets.errors import TransitionRefused as TransitionRefused
from assistant.tickets.evidence import Tell
from assistant.tickets.model import Judgement, Requester, TicketDraft, TicketView
from assistant.tickets.replay import replay
from assistant.tickets.states import DRAWN, TRANSITIONS, State
from assistant.tickets.store import KeyTaken, StaleTicket, TicketStore, TicketTransaction, Vault

__all__ = [
    "IncompleteDraft",
    "InvalidDraft",
    "KeyReused",
    "TicketChanged",
    "TicketConflict",
    "TicketDraft",
    "TicketNotFound",
    "TicketService",
    "TicketView",
    "TransitionRefused",
]

log = structlog.get_logger()

_NOTE_CHARS, _REPLY_CHARS = 4000, 4000
_EVIDENCE, _EVIDENCE_CHARS = 20, 400
_ATTEMPTS = 8
# What the destination calls a change of state → the operation on the ticket.
_REMOTE = {
    "accepted": "acknowledge",
    "resolved": "resolve",
    "returned": "return",
    "ask": "ask",
    "apply_extension": "apply_extension",
}


class TicketService:
    """`destination`: where tickets are sent, a name that the dispatch sender knows; `choose_destination` names it for
    a unit and a category (level 1, level 2) where a city has several. `clock` gives zoned UTC time."""

    def __init__(
        self,
        store: TicketStore,
        city: City,
        vault: Vault,
        *,
        destination: str = "desk",
        choose_destination: Callable[[str, str, str | None], str] | None = None,
        tell: Tell | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._city, self._vault, self._clock = store, city, vault, clock
        choose = choose_destination or (lambda _unit, _category1, _category2: destination)
        self._creation = Creation(city, vault, choose, tell)
        self._setting = Setting(city, choose, self._creation.service_code)

    # --- creating --------------------------------------------------------------------------------------------------

    async def submit(self, draft: TicketDraft, *, key: str, actor: str, trusted: bool = True) -> TicketView:
        """Create a ticket once per `key`, accept it, route it and file it.

        One that is not `trusted` waits for a person to accept it (待受理), and nothing is sent. With `draft.follows` it
        is merged at once into that ticket, if that one is still acted on.

        Raises IncompleteDraft with what is missing, InvalidDraft for a value the city does not know, KeyReused when
        `key` came with another content before.
        """
        draft = checked(draft, self._city, self._clock())
        body = self._creation.body_hash(draft)
        # Before the transaction, which holds locks. A thread for what takes no time would cost more than it frees.
        route = self._creation.route
        routed = await asyncio.to_thread(route, draft) if self._creation.asks_a_model else route(draft)
        for _ in range(_ATTEMPTS):
            moment = self._clock()
            day = moment.astimezone(self._city.zone).date()
            await self._store.open_day(day)
            try:
                async with self._store.begin() as work:
                    running = await work.number_for(key, day)
                    if running is None:
                        return await self._known(work, key, body)
                    course = Course(work, self._setting, moment)
                    lead = await self._lead_to_follow(course, draft) if trusted else None
                    ticket = self._creation.ticket(draft, routed, running, key, body, moment)
                    case = await course.begin(ticket, actor)
                    for other in draft.apart_from:
                        await course.step(case, "keep_apart", Given(into=_clean_number(other)), actor=actor)
                    if lead is not None:
                        await merging.follow(course, case, lead, actor=actor)
                    elif trusted:
                        await course.accept(case, SYSTEM)
                    await course.finish()
                log.info(
                    "ticket_created",
                    number=ticket.number,
                    state=str(ticket.state),
                    unit=ticket.lead_unit,
                    confidence=ticket.routing.confidence,
                    place_confidence=ticket.routing.place_confidence,
                )
                return TicketView.of(ticket, case.history)
            except (KeyTaken, StaleTicket):
                continue
        raise TicketConflict

    @staticmethod
    async def _known(work: TicketTransaction, key: str, body: str) -> TicketView:
        known = await work.ticket_of_key(key)
        assert known is not None  # tickets are never removed
        if not hmac.compare_digest(known.request_hash, body):
            raise KeyReused
        return TicketView.of(known, await work.history(known.number))

    async def _lead_to_follow(self, course: Course, draft: TicketDraft) -> Case | None:
        """The ticket to follow; None where it is not acted on any more: a request is never refused for that."""
        if not draft.follows:
            return None
        await course.lock([draft.follows])
        if draft.follows not in course.cases:
            return None
        lead = merging.lead_of(course, draft.follows)
        return lead if merging.can_lead(lead) else None

    # --- reading ---------------------------------------------------------------------------------------------------

    async def get(self, number: str) -> TicketView | None:
        found = await self._store.get(_clean_number(number))
        return TicketView.of(*found) if found else None

    async def find(
        self,
        *,
        conversation_id: str | None = None,
        state: str | None = None,
        words: str = "",
        overdue: bool = False,
        limit: int = 50,
    ) -> list[TicketView]:
        """Tickets, newest first. `words`: all of them stand in number, title, description, place or lead unit."""
        found = await self._store.find(
            conversation_id=conversation_id,
            state=state,
            words=words,
            overdue_at=self._clock() if overdue else None,
            limit=limit,
        )
        return [TicketView.of(*each) for each in found]

    async def followers(self, number: str) -> list[TicketView]:
        """The tickets merged into that one, answered ones included, newest first; callers are one more."""
        found = await self._store.find(merged_into=_clean_number(number), limit=10_000)
        return [TicketView.of(*each) for each in found]

    async def replayed(self, number: str) -> dict[str, Any]:
        """What the history alone says of the ticket, see `replay`. Raises TicketNotFound."""
        found = await self._store.get(_clean_number(number))
        if found is None:
            raise TicketNotFound
        return replay(found[1])

    async def without_judgement(self, *, since: datetime, limit: int = 20) -> list[TicketView]:
        """Tickets made since then of which nobody has found out why the models judged so; the oldest first."""
        return [TicketView.of(ticket, []) for ticket in await self._store.without_judgement(since=since, limit=limit)]

    async def check_phone(self, number: str, last4: str) -> bool:
        """Whether `last4` are the last four digits of the requester's phone. False for anonymous tickets."""
        found = await self._store.get(_clean_number(number))
        if found is None or found[0].phone_last4_hash is None:
            return False
        digest = self._creation.last4_hash(found[0].number, last4.strip())
        return hmac.compare_digest(found[0].phone_last4_hash, digest)

    async def reveal_requester(self, number: str) -> Requester:
        """Name and phone in clear. Callers check the role first and audit every call."""
        found = await self._store.get(_clean_number(number))
        if found is None:
            raise TicketNotFound
        sealed = found[0].requester_encrypted
        stored = json.loads(self._vault.decrypt(sealed)) if sealed else {}
        return Requester(stored.get("name"), stored.get("phone"))

    async def keep_judgement(self, number: str, judgement: Judgement) -> None:
        """Store why the models judged so. It is no step of the ticket, and the first one stays."""
        async with self._store.begin() as work:
            if not await work.keep_judgement(number, judgement):
                raise TicketNotFound

    # --- changing --------------------------------------------------------------------------------------------------

    async def perform(
        self,
        number: str,
        operation: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
        note: str | None = None,
        public_reply: str | None = None,
        reason_code: str | None = None,
        unit: str | None = None,
        until: datetime | None = None,
        into: str | None = None,
        solved: bool | None = None,
        satisfied: bool | None = None,
    ) -> TicketView:
        """Any operation of the table on an existing ticket; what it requires, `states.TRANSITIONS` says.

        `seen`: the version of the ticket that the actor looked at. `evidence`: names or addresses of what proves it.
        `until`: zoned. Texts are masked here. A supplement to a ticket in 待补充 is the answer.

        Raises TransitionRefused with the present state, TicketChanged when `seen` is not the present version,
        InvalidDraft, KeyReused, TicketNotFound, TicketConflict.
        """
        transition = TRANSITIONS.get(operation)
        if transition is None or operation in DRAWN:
            raise InvalidDraft("没有这种操作。")
        given = Given(
            note=_masked(note, _NOTE_CHARS),
            public_reply=_masked(public_reply, _REPLY_CHARS),
            reason_code=reason_code or None if "reason_code" in transition.required else None,
            unit=(unit or "").strip() or None if "unit" in transition.required else None,
            until=until if "until" in transition.required else None,
            into=_clean_number(into) if into and "into" in transition.required else None,
            solved={"close": solved, "reopen": False}.get(operation),
            satisfied=satisfied if operation in ("close", "rate", "reopen") else None,
            evidence=_checked_evidence(evidence),
        )
        if given.until is not None and given.until.tzinfo is None:
            raise InvalidDraft("延期时间要带时区。")
        number = _clean_number(number)
        for _ in range(_ATTEMPTS):
            try:
                async with self._store.begin() as work:
                    return await self._performed(work, number, operation, given, key, actor, seen)
            except (KeyTaken, StaleTicket):
                continue
        raise TicketConflict

    async def _performed(
        self,
        work: TicketTransaction,
        number: str,
        operation: str,
        given: Given,
        key: str,
        actor: str,
        seen: int | None,
    ) -> TicketView:
        course = Course(work, self._setting, self._clock())
        needs = merging.needs_followers(operation)
        await course.lock([number, *([given.into] if given.into else [])], followers_of=number if needs else None)
        case = course.cases.get(number)
        if case is None:
            raise TicketNotFound
        done = await work.event(key)
        if done is not None:
            if done[0] != number or not _is_same(operation, done[1].operation) or not given.repeats(done[1]):
                raise KeyReused
            return TicketView.of(case.ticket, case.history)
        if seen is not None and seen != case.ticket.version:
            raise TicketChanged(case.ticket.state)
        if operation == "supplement" and case.ticket.state is State.TO_SUPPLEMENT:
            operation = "answer"
        followers = await merging.followers_of(course, number) if needs else []
        await self._take(course, case, operation, given, followers, key, actor)
        await course.finish()
        log.info("ticket_changed", number=number, operation=operation, state=str(case.ticket.state))
        return TicketView.of(case.ticket, case.history)

    async def _take(
        self,
        course: Course,
        case: Case,
        operation: str,
        given: Given,
        followers: list[Case],
        key: str,
        actor: str,
    ) -> None:
        if operation == "accept":
            await course.accept(case, actor, key=key, given=given)
        elif operation == "merge":
            await merging.merge(course, case, given, followers, key=key, actor=actor)
        elif operation == "unmerge":
            await merging.unmerge(course, case, given, key=key, actor=actor)
        else:
            entry = await course.step(case, operation, given, actor=actor, key=key)
            course.tell(case, entry)
            await course.rule(case)
            await merging.after_step(course, case, entry, followers)

    # Each operation by its name. What is not described here, `perform` and the table describe.

    async def accept(
        self, number: str, *, key: str, actor: str, seen: int | None = None, evidence: Sequence[str] = ()
    ) -> TicketView:
        """受理: a person takes a request that nobody vouched for; it is filed."""
        return await self.perform(number, "accept", key=key, actor=actor, seen=seen, evidence=evidence)

    async def assign(
        self,
        number: str,
        unit: str,
        reason: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """A person decides the lead unit of a ticket that was not routed with confidence or was returned."""
        return await self.perform(
            number, "assign", key=key, actor=actor, seen=seen, evidence=evidence, unit=unit, note=reason
        )

    async def transfer(
        self,
        number: str,
        unit: str,
        reason: str | None = None,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """转办: from whom it was with first (a property company) to the unit."""
        return await self.perform(
            number, "transfer", key=key, actor=actor, seen=seen, evidence=evidence, unit=unit, note=reason
        )

    async def add_unit(
        self,
        number: str,
        unit: str,
        reason: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        return await self.perform(
            number, "add_unit", key=key, actor=actor, seen=seen, evidence=evidence, unit=unit, note=reason
        )

    async def acknowledge(
        self, number: str, *, key: str, actor: str, seen: int | None = None, evidence: Sequence[str] = ()
    ) -> TicketView:
        return await self.perform(number, "acknowledge", key=key, actor=actor, seen=seen, evidence=evidence)

    async def ask(
        self,
        number: str,
        question: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """The unit needs to know more: the resident is asked, and the clock stands."""
        return await self.perform(number, "ask", key=key, actor=actor, seen=seen, evidence=evidence, note=question)

    async def answer(
        self, number: str, text: str, *, key: str, actor: str, seen: int | None = None, evidence: Sequence[str] = ()
    ) -> TicketView:
        return await self.perform(number, "answer", key=key, actor=actor, seen=seen, evidence=evidence, note=text)

    async def add_supplement(
        self, number: str, text: str, *, key: str, actor: str, seen: int | None = None, evidence: Sequence[str] = ()
    ) -> TicketView:
        """Add what the resident tells later; the unit is told. It is the answer where the resident was asked."""
        return await self.perform(number, "supplement", key=key, actor=actor, seen=seen, evidence=evidence, note=text)

    async def resume(
        self, number: str, reason: str | None = None, *, key: str, actor: str, seen: int | None = None
    ) -> TicketView:
        """Go on without the resident's answer."""
        return await self.perform(number, "resume", key=key, actor=actor, seen=seen, note=reason)

    async def apply_extension(
        self,
        number: str,
        until: datetime,
        reason: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """The unit asks, before the ticket is overdue, for time until `until`, which lies after the due time."""
        return await self.perform(
            number, "apply_extension", key=key, actor=actor, seen=seen, evidence=evidence, until=until, note=reason
        )

    async def extend(
        self,
        number: str,
        until: datetime,
        reason: str,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """Grant an extension that was applied for, before the ticket is overdue; the resident is told."""
        return await self.perform(
            number, "extend", key=key, actor=actor, seen=seen, evidence=evidence, until=until, note=reason
        )

    async def refuse_extension(
        self, number: str, reason: str, *, key: str, actor: str, seen: int | None = None
    ) -> TicketView:
        return await self.perform(number, "refuse_extension", key=key, actor=actor, seen=seen, note=reason)

    async def urge(
        self, number: str, text: str | None = None, *, key: str, actor: str, seen: int | None = None
    ) -> TicketView:
        return await self.perform(number, "urge", key=key, actor=actor, seen=seen, note=text)

    async def supervise(
        self, number: str, reason: str, *, key: str, actor: str, seen: int | None = None, evidence: Sequence[str] = ()
    ) -> TicketView:
        return await self.perform(number, "supervise", key=key, actor=actor, seen=seen, evidence=evidence, note=reason)

    async def resolve(
        self,
        number: str,
        public_reply: str | None,
        note: str | None = None,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """The unit has answered; those whose tickets were merged into this one are told and called back too."""
        return await self.perform(
            number, "resolve", key=key, actor=actor, seen=seen, evidence=evidence, public_reply=public_reply, note=note
        )

    async def return_ticket(
        self,
        number: str,
        reason_code: str,
        note: str | None = None,
        *,
        key: str,
        actor: str,
        seen: int | None = None,
        evidence: Sequence[str] = (),
    ) -> TicketView:
        """退单 with one of REASON_CODES: the ticket waits for a ruling."""
        return await self.perform(
            number, "return", key=key, actor=actor, seen=seen, evidence=evidence, reason_code=reason_code, note=note
        )

    async def withdraw(self, number: str, reason: str, *, key: str, actor: str, seen: int | None = None) -> TicketView:
        """Take it back. Those whose tickets were merged into it go on without it: the eldest of them leads."""
        return await self.perform(number, "withdraw", key=key, actor=actor, seen=seen, note=reason)

    async def merge(
        self, number: str, into: str, reason: str | None = None, *, key: str, actor: str, seen: int | None = None
    ) -> TicketView:
        """并案: act on it with the ticket `into` (or the one that is merged into) only; what it led goes along."""
        return await self.perform(number, "merge", key=key, actor=actor, seen=seen, into=into, note=reason)

    async def unmerge(self, number: str, reason: str, *, key: str, actor: str, seen: int | None = None) -> TicketView:
        """Undo 并案: it is in its former state again and filed anew."""
        return await self.perform(number, "unmerge", key=key, actor=actor, seen=seen, note=reason)

    async def record_callback(
        self,
        number: str,
        *,
        solved: bool,
        satisfied: bool | None = None,
        comment: str | None = None,
        key: str,
        actor: str,
        seen: int | None = None,
    ) -> TicketView:
        """The resident says whether the matter is solved: closes the ticket, or sends it to the same unit again."""
        return await self.perform(
            number,
            "close" if solved else "reopen",
            key=key,
            actor=actor,
            seen=seen,
            solved=solved,
            satisfied=satisfied,
            note=comment,
        )

    async def rate(
        self, number: str, *, satisfied: bool | None, comment: str | None = None, key: str, actor: str
    ) -> TicketView:
        """How the resident judges a closed ticket; `satisfied` None for neither."""
        return await self.perform(number, "rate", key=key, actor=actor, satisfied=satisfied, note=comment)

    async def apply_dispatch_status(
        self,
        number: str,
        state: str,
        *,
        note: str | None = None,
        public_reply: str | None = None,
        reason_code: str | None = None,
        until: datetime | None = None,
        evidence: Sequence[str] = (),
        key: str,
        actor: str,
    ) -> TicketView:
        """A change reported by the destination: accepted, resolved, returned, ask or apply_extension.

        received and withdrawn change nothing here. Raises TransitionRefused when the ticket is past it.
        """
        if state in ("received", "withdrawn"):
            view = await self.get(number)
            if view is None:
                raise TicketNotFound
            return view
        if state not in _REMOTE:
            raise InvalidDraft("派单系统报来的状态无法识别。")
        return await self.perform(
            number,
            _REMOTE[state],
            key=key,
            actor=actor,
            evidence=evidence,
            note=note,
            public_reply=public_reply,
            reason_code=reason_code,
            until=until,
        )


def _clean_number(number: str) -> str:
    return number.strip().upper()


def _masked(text: str | None, limit: int) -> str | None:
    return mask(text.strip())[0][:limit] or None if text else None


def _checked_evidence(evidence: Sequence[str]) -> tuple[str, ...]:
    if len(evidence) > _EVIDENCE or any(len(each) > _EVIDENCE_CHARS for each in evidence):
        raise InvalidDraft(f"佐证材料最多{_EVIDENCE}份，每份的名称或地址最多{_EVIDENCE_CHARS}个字。")
    return tuple(mask(each.strip())[0] for each in evidence if each.strip())


def _is_same(asked: str, done: str) -> bool:
    """A supplement that was the answer to a question is one still when it is repeated."""
    return asked == done or {asked, done} == {"supplement", "answer"}
