"""Operations on tickets. Each is one transaction: ticket, history, outbox and the message to the resident, or nothing.

Every operation has a key: the same key again has no further effect and gives the ticket as it is now; the same key
with another content is refused with KeyReused.
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

import structlog

from assistant.city import City, Place
from assistant.privacy import mask
from assistant.tickets import outgoing
from assistant.tickets.deadlines import due_at
from assistant.tickets.draft_check import checked
from assistant.tickets.errors import IncompleteDraft, InvalidDraft, KeyReused, TicketConflict, TicketNotFound
from assistant.tickets.errors import TransitionRefused as TransitionRefused
from assistant.tickets.model import (
    NO_PLACE,
    HistoryEntry,
    Judgement,
    Requester,
    ResidentMessage,
    Ticket,
    TicketDraft,
    TicketView,
)
from assistant.tickets.numbering import UNKNOWN_DISTRICT, format_number
from assistant.tickets.routing import Route, Router
from assistant.tickets.states import TRANSITIONS, State, check
from assistant.tickets.store import KeyTaken, StaleTicket, TicketStore, TicketTransaction, Vault

__all__ = [
    "IncompleteDraft",
    "InvalidDraft",
    "KeyReused",
    "TicketConflict",
    "TicketDraft",
    "TicketNotFound",
    "TicketService",
    "TicketView",
    "TransitionRefused",
]

log = structlog.get_logger()

SYSTEM = "system"
_NOTE_CHARS = 4000
_ATTEMPTS = 5
# What the destination calls a change of state → the operation on the ticket.
_REMOTE = {"accepted": "accept", "resolved": "resolve", "returned": "return"}
_SOLVED_BUTTONS = ({"title": "已经解决", "payload": "已经解决了"}, {"title": "没有解决", "payload": "没有解决"})


class TicketService:
    """`destination`: where tickets are sent, a name that the dispatch sender knows. `clock` gives zoned UTC time."""

    def __init__(
        self,
        store: TicketStore,
        city: City,
        vault: Vault,
        *,
        destination: str = "desk",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._city, self._vault = store, city, vault
        self._destination, self._clock = destination, clock
        self._router = Router(city)

    # --- creating --------------------------------------------------------------------------------------------------

    async def submit(self, draft: TicketDraft, *, key: str, actor: str) -> TicketView:
        """Create, route and send a ticket once per `key`.

        Raises IncompleteDraft with what is missing, InvalidDraft for a value the city does not know, KeyReused when
        `key` came with another content before.
        """
        draft = checked(draft, self._city)
        body = self._body_hash(draft)
        # Before the transaction, which holds locks.
        text = f"{draft.title}\n{draft.description}"
        place = self._locate(draft.place, text)
        route = self._router.route(draft.category1, draft.category2, text, place, draft.confidences)
        for _ in range(_ATTEMPTS):
            try:
                async with self._store.begin() as work:
                    known = await work.ticket_of_key(key)
                    if known is not None:
                        return await self._same_request(work, known, body)
                    return await self._create(work, draft, place, route, key, body, actor)
            except KeyTaken:
                continue
        raise TicketConflict

    async def _same_request(self, work: TicketTransaction, known: Ticket, body: str) -> TicketView:
        if not hmac.compare_digest(known.request_hash, body):
            raise KeyReused
        return TicketView.of(known, await work.history(known.number))

    async def _create(
        self,
        work: TicketTransaction,
        draft: TicketDraft,
        place: Place,
        route: Route,
        key: str,
        body: str,
        actor: str,
    ) -> TicketView:
        moment = self._clock()
        district = self._city.district(place.district) if place.district else None
        day = moment.astimezone(self._city.zone).date()
        code = district.code if district else UNKNOWN_DISTRICT
        number = format_number(self._city.facts.ticket_prefix, day, code, await work.next_sequence(day, code))
        history = [HistoryEntry(f"{number}:submit", moment, actor, "submit", None, check("submit", None, actor))]
        if not route.routing.review:
            state = check("dispatch", State.TO_DISPATCH, SYSTEM)
            note = route.routing.reason
            history.append(
                HistoryEntry(f"{number}:dispatch", moment, SYSTEM, "dispatch", State.TO_DISPATCH, state, note=note)
            )
        ticket = Ticket(
            number=number,
            request_key=key,
            request_hash=body,
            conversation_id=draft.conversation_id,
            channel=draft.channel,
            state=State(history[-1].to_state),
            request_type=draft.request_type,
            category1=draft.category1,
            category2=draft.category2,
            title=draft.title,
            description=draft.description,
            place=draft.place or NO_PLACE,
            grid_path=place.grid_path,
            event_time=draft.event_time,
            requester_encrypted=self._sealed(draft),
            phone_last4_hash=self._last4_hash(number, draft.phone[-4:]) if draft.phone else None,
            anonymous=draft.anonymous,
            confidential=draft.confidential,
            urgency=draft.urgency,
            lead_unit=route.lead_unit,
            assisting_units=route.assisting_units,
            routing=route.routing,
            due_at=due_at(
                self._city,
                moment,
                urgency=draft.urgency,
                request_type=draft.request_type,
                deadline=route.deadline,
            ),
            created_at=moment,
            updated_at=moment,
            confidences=draft.confidences,
            other_matters=draft.other_matters,
        )
        await work.insert(ticket)
        for entry in history:
            await work.add_event(number, entry)
        await work.add_outgoing(number, outgoing.create(ticket, 1, self._destination, route.service_code))
        log.info(
            "ticket_created",
            number=number,
            state=str(ticket.state),
            unit=ticket.lead_unit,
            confidence=route.routing.confidence,
            place_confidence=place.confidence,
        )
        return TicketView.of(ticket, history)

    def _locate(self, place: str | None, text: str) -> Place:
        """Where it is: the place given; where that names no district, the district that the text names."""
        found = self._city.resolve_place(place or "")
        if found.district is None and (said := self._city.gazetteer.district_said(text)):
            return Place(found.text, (self._city.name, said), said, 0.6)
        return found

    def _body_hash(self, draft: TicketDraft) -> str:
        """A keyed digest of what the resident confirmed; what was read out of it may differ when asked again."""
        read = ("confidences", "channel", "other_matters")
        body = {name: value for name, value in asdict(draft).items() if name not in read}
        return self._vault.digest(json.dumps(body, sort_keys=True, ensure_ascii=False))

    def _sealed(self, draft: TicketDraft) -> bytes | None:
        if draft.anonymous:
            return None
        return self._vault.encrypt(json.dumps({"name": draft.name, "phone": draft.phone}, ensure_ascii=False))

    def _last4_hash(self, number: str, last4: str) -> str:
        # With the number, so that equal digits of two tickets cannot be seen.
        return self._vault.digest(f"last4:{number}:{last4}")

    # --- reading ---------------------------------------------------------------------------------------------------

    async def get(self, number: str) -> TicketView | None:
        found = await self._store.get(number.strip().upper())
        return TicketView.of(*found) if found else None

    async def find(
        self, *, conversation_id: str | None = None, state: str | None = None, limit: int = 50
    ) -> list[TicketView]:
        """Tickets, newest first."""
        found = await self._store.find(conversation_id=conversation_id, state=state, limit=limit)
        return [TicketView.of(*each) for each in found]

    async def without_judgement(self, *, since: datetime, limit: int = 20) -> list[TicketView]:
        """Tickets made since then of which nobody has found out why the models judged so; the oldest first."""
        return [TicketView.of(ticket, []) for ticket in await self._store.without_judgement(since=since, limit=limit)]

    async def check_phone(self, number: str, last4: str) -> bool:
        """Whether `last4` are the last four digits of the requester's phone. False for anonymous tickets."""
        found = await self._store.get(number.strip().upper())
        if found is None or found[0].phone_last4_hash is None:
            return False
        return hmac.compare_digest(found[0].phone_last4_hash, self._last4_hash(found[0].number, last4.strip()))

    async def reveal_requester(self, number: str) -> Requester:
        """Name and phone in clear. Callers check the role first and audit every call."""
        found = await self._store.get(number)
        if found is None:
            raise TicketNotFound
        sealed = found[0].requester_encrypted
        stored = json.loads(self._vault.decrypt(sealed)) if sealed else {}
        return Requester(stored.get("name"), stored.get("phone"))

    async def keep_judgement(self, number: str, judgement: Judgement) -> None:
        """Store why the models judged so. It is no step of the ticket, and the first one stays."""
        for _ in range(_ATTEMPTS):
            try:
                async with self._store.begin() as work:
                    ticket = await work.ticket(number)
                    if ticket is None:
                        raise TicketNotFound
                    if ticket.judgement is None:
                        ticket.judgement = judgement
                        await work.save(ticket)
                    return
            except StaleTicket:
                continue
        raise TicketConflict

    # --- changing --------------------------------------------------------------------------------------------------

    async def add_supplement(self, number: str, text: str, *, key: str, actor: str) -> TicketView:
        """Add what the resident tells later; the unit is told."""
        return await self._change(number, "supplement", key=key, actor=actor, note=mask(text.strip())[0])

    async def withdraw(self, number: str, reason: str, *, key: str, actor: str) -> TicketView:
        return await self._change(number, "withdraw", key=key, actor=actor, note=mask(reason.strip())[0] or None)

    async def urge(self, number: str, *, key: str, actor: str) -> TicketView:
        return await self._change(number, "urge", key=key, actor=actor)

    async def assign(self, number: str, unit: str, reason: str, *, key: str, actor: str) -> TicketView:
        """A person decides the lead unit of a ticket that was not routed with confidence or was returned."""
        if unit not in self._city.units:
            raise InvalidDraft("没有这个承办单位，请从单位名录里选择。")
        return await self._change(number, "assign", key=key, actor=actor, note=reason.strip(), unit=unit)

    async def record_callback(
        self, number: str, *, solved: bool, comment: str | None = None, key: str, actor: str
    ) -> TicketView:
        """The resident says whether the matter is solved: closes the ticket, or sends it to the same unit again."""
        note = mask(comment.strip())[0] if comment else None
        return await self._change(number, "close" if solved else "reopen", key=key, actor=actor, note=note)

    async def apply_dispatch_status(
        self,
        number: str,
        state: str,
        *,
        note: str | None = None,
        public_reply: str | None = None,
        reason_code: str | None = None,
        key: str,
        actor: str,
    ) -> TicketView:
        """A change reported by the destination: accepted, resolved or returned; the resident is told.

        received and withdrawn change nothing here. Raises TransitionRefused when the ticket is past it.
        """
        if state in ("received", "withdrawn"):
            view = await self.get(number)
            if view is None:
                raise TicketNotFound
            return view
        if state not in _REMOTE:
            raise InvalidDraft("派单系统报来的状态无法识别。")
        return await self._change(
            number,
            _REMOTE[state],
            key=key,
            actor=actor,
            note=mask(note.strip())[0] if note else None,
            public_reply=mask(public_reply.strip())[0] if public_reply else None,
            reason_code=reason_code,
        )

    async def _change(
        self,
        number: str,
        operation: str,
        *,
        key: str,
        actor: str,
        note: str | None = None,
        public_reply: str | None = None,
        reason_code: str | None = None,
        unit: str | None = None,
    ) -> TicketView:
        number = number.strip().upper()
        note = note[:_NOTE_CHARS] if note else note
        for _ in range(_ATTEMPTS):
            try:
                async with self._store.begin() as work:
                    ticket = await work.ticket(number)
                    if ticket is None:
                        raise TicketNotFound
                    done = await work.event(key)
                    if done is None:
                        await self._apply(work, ticket, operation, key, actor, note, public_reply, reason_code, unit)
                    elif (done[0], done[1].operation, done[1].note) != (number, operation, note):
                        raise KeyReused
                    return TicketView.of(ticket, await work.history(number))
            except (KeyTaken, StaleTicket):
                continue
        raise TicketConflict

    async def _apply(
        self,
        work: TicketTransaction,
        ticket: Ticket,
        operation: str,
        key: str,
        actor: str,
        note: str | None,
        public_reply: str | None,
        reason_code: str | None,
        unit: str | None,
    ) -> None:
        moment, before = self._clock(), ticket.state
        after = check(operation, before, actor, note=note, reason_code=reason_code, unit=unit)
        history = await work.history(ticket.number)
        entry = HistoryEntry(key, moment, actor, operation, before, after, reason_code, note, public_reply)
        await work.add_event(ticket.number, entry)
        ticket.state, ticket.updated_at = after, moment
        if after is State.RETURNED:
            # Nobody's turn ends at 退单: it waits for a ruling at once.
            ticket.state = check("rule", after, SYSTEM)
            await work.add_event(
                ticket.number, HistoryEntry(f"{key}:rule"[:160], moment, SYSTEM, "rule", after, ticket.state)
            )
        if unit is not None:
            ticket.lead_unit = unit
            ticket.assisting_units = tuple(other for other in ticket.assisting_units if other != unit)
        if operation == "reopen":
            ticket.due_at = self._due_again(ticket, moment)
        await work.save(ticket)
        await self._send(work, ticket, operation, note, closed_there=outgoing.is_closed_there(history))
        await self._tell_resident(work, ticket, operation, public_reply, reason_code)
        log.info("ticket_changed", number=ticket.number, operation=operation, state=str(ticket.state))

    def _due_again(self, ticket: Ticket, moment: datetime) -> datetime:
        return due_at(
            self._city,
            moment,
            urgency=ticket.urgency,
            request_type=ticket.request_type,
            deadline=self._route_again(ticket).deadline,
        )

    def _route_again(self, ticket: Ticket) -> Route:
        text = f"{ticket.title}\n{ticket.description}"
        return self._router.route(ticket.category1, ticket.category2, text, self._locate(ticket.place, text))

    async def _send(
        self, work: TicketTransaction, ticket: Ticket, operation: str, note: str | None, *, closed_there: bool
    ) -> None:
        kind = TRANSITIONS[operation].outbox
        if kind is None:
            return
        if kind == "supplement" and operation == "assign" and closed_there:
            kind = "create"  # the destination has closed the request: it needs a new one
        count = await work.count_outgoing(ticket.number, kind) + 1
        if kind == "create":
            row = outgoing.create(ticket, count, self._destination, self._route_again(ticket).service_code, note)
        else:
            row = outgoing.note(ticket, kind, count, self._destination, outgoing.words(operation, ticket, note))
        await work.add_outgoing(ticket.number, row)

    async def _tell_resident(
        self,
        work: TicketTransaction,
        ticket: Ticket,
        operation: str,
        public_reply: str | None,
        reason_code: str | None,
    ) -> None:
        if ticket.conversation_id is None:
            return
        text, buttons = self._resident_text(ticket, operation, public_reply, reason_code)
        if text is not None:
            view = TicketView.of(ticket, [])
            await work.add_message(ResidentMessage(ticket.conversation_id, text, buttons, view.public()))

    def _resident_text(
        self, ticket: Ticket, operation: str, public_reply: str | None, reason_code: str | None
    ) -> tuple[str | None, tuple[dict[str, str], ...]]:
        """What a change made elsewhere means to the resident; None for what the resident just did in the dialogue."""
        number, unit = ticket.number, ticket.lead_unit
        if operation == "accept":
            return self._city.text("ticket_accepted", number=number, unit=unit), ()
        if operation == "resolve" and public_reply:
            return self._city.text("ticket_resolved", number=number, unit=unit, reply=public_reply), _SOLVED_BUTTONS
        if operation == "resolve":
            return self._city.text("ticket_resolved_no_reply", number=number, unit=unit), _SOLVED_BUTTONS
        if operation == "return":
            return self._city.text("ticket_returned", number=number, reason=reason_code), ()
        if operation == "assign":
            return self._city.text("ticket_reassigned", number=number, unit=unit, due=self._say_time(ticket.due_at)), ()
        return None, ()

    def _say_time(self, moment: datetime) -> str:
        local = moment.astimezone(self._city.zone)
        return f"{local.year}年{local.month}月{local.day}日{local:%H:%M}"
