"""What one step does to one ticket: its fields, its clock, its entry in the history. No store, no other ticket."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from assistant.city import City
from assistant.tickets.clock import handler_until, plan
from assistant.tickets.errors import InvalidDraft, TransitionRefused
from assistant.tickets.model import HistoryEntry, Ticket
from assistant.tickets.outgoing import Standing, standing
from assistant.tickets.replay import asked_until, facts
from assistant.tickets.states import TRANSITIONS, Back, State, check

__all__ = ["Case", "Given", "apply", "begin", "state_before"]

Choice = Callable[[str, str, str | None], str]


@dataclass(frozen=True, slots=True)
class Given:
    """What an actor gives with an operation; texts are masked. Which of it is required, `states` says.

    `lead`: the ticket that is meant by `into`, where that one is merged itself.
    """

    note: str | None = None
    public_reply: str | None = None
    reason_code: str | None = None
    unit: str | None = None
    until: datetime | None = None
    into: str | None = None
    lead: str | None = None
    solved: bool | None = None
    satisfied: bool | None = None
    evidence: tuple[str, ...] = ()

    def recorded(self) -> dict[str, Any]:
        """What stands in the entry's `changes` beside the changed fields, so that a repetition is recognised."""
        until = self.until.astimezone(UTC).isoformat() if self.until else None
        given: dict[str, Any] = {"unit": self.unit, "until": until, "into": self.into}
        given |= {"solved": self.solved, "satisfied": self.satisfied}
        return {name: value for name, value in given.items() if value is not None}

    def repeats(self, entry: HistoryEntry) -> bool:
        """Whether `entry` was written for the same."""
        texts = (self.note, self.public_reply, self.reason_code, self.evidence)
        return texts == (entry.note, entry.public_reply, entry.reason_code, entry.evidence) and all(
            entry.changes.get(name) == value for name, value in self.recorded().items()
        )


@dataclass(slots=True)
class Case:
    """A ticket with its history, which steps are added to."""

    ticket: Ticket
    history: list[HistoryEntry]

    @property
    def number(self) -> str:
        return self.ticket.number

    def is_accepted(self) -> bool:
        return any(entry.operation == "accept" for entry in self.history)


def begin(case: Case, *, actor: str, at: datetime) -> HistoryEntry:
    """The first step of a new ticket: all that can change about it."""
    ticket = case.ticket
    ticket.state = check("submit", None, actor)
    entry = HistoryEntry(f"{ticket.number}:submit", at, actor, "submit", None, ticket.state, changes=facts(ticket))
    case.history.append(entry)
    return entry


def apply(
    case: Case, operation: str, given: Given, *, key: str, actor: str, at: datetime, city: City, choose: Choice
) -> HistoryEntry:
    """Change the case by one step and return it.

    `choose` names the destination for a unit and a category. Raises TransitionRefused when state or actor do not allow
    the step, InvalidDraft when what was given cannot be; the case is then as before.
    """
    ticket, before = case.ticket, case.ticket.state
    back = state_before(case.history) if TRANSITIONS[operation].to is Back.BEFORE else None
    after = check(
        operation,
        before,
        actor,
        back,
        note=given.note,
        reason_code=given.reason_code,
        unit=given.unit,
        until=given.until,
        into=given.into,
    )
    _possible(case, operation, given, at, city)
    known = facts(ticket)
    _EFFECTS.get(operation, _nothing)(ticket, given)
    if operation in _FILED_AGAIN or (given.unit and operation in _NEW_LEAD):
        ticket.destination = choose(ticket.lead_unit, ticket.category1, ticket.category2)
    if operation == "accept" and ticket.handler_until is not None:
        # Until now an estimate, as the due time: the first handler gets the request with 受理.
        ticket.handler_until = handler_until(city, ticket.routing, at) or ticket.handler_until
    ticket.state, ticket.updated_at = after, at
    entry = HistoryEntry(
        key,
        at,
        actor,
        operation,
        before,
        after,
        given.reason_code,
        given.note,
        given.public_reply,
        {"due_at": facts(ticket)["due_at"]},
        given.evidence,
    )
    _set_clock(city, ticket, [*case.history, entry])
    now = facts(ticket)
    changed = {name: value for name, value in now.items() if value != known[name] and name != "state"}
    entry = replace(entry, changes={**given.recorded(), **changed})
    case.history.append(entry)
    return entry


def _set_clock(city: City, ticket: Ticket, history: Sequence[HistoryEntry]) -> None:
    """Due time, standing still and the next automatic step as the history has them; before 受理, an estimate stays."""
    clock = plan(city, ticket, history)
    ticket.due_at = clock.due_at or ticket.due_at
    ticket.paused_at, ticket.next_step_at = clock.paused_at, clock.next_step_at


def state_before(history: Sequence[HistoryEntry]) -> State | None:
    """Where 补充 and 撤销并案 lead back to: the state in which the ticket was asked about, or merged.

    A question that was open when the ticket was merged is not asked again: that ticket goes on where it was before.
    """
    state = history[-1].to_state if history else None
    for entry in reversed(history):
        leads_back = TRANSITIONS[entry.operation].to is Back.BEFORE
        if entry.to_state == state and entry.from_state != state and not leads_back and entry.from_state:
            if entry.from_state != State.TO_SUPPLEMENT:
                return State(entry.from_state)
            state = entry.from_state
    return None


# --- what may be given ---------------------------------------------------------------------------------------------


def _possible(case: Case, operation: str, given: Given, at: datetime, city: City) -> None:
    ticket = case.ticket
    if "unit" in TRANSITIONS[operation].required and given.unit not in city.units:
        raise InvalidDraft("没有这个承办单位，请从单位名录里选择。")
    if operation == "acknowledge" and standing(case.history) is Standing.CLOSED:
        # It was returned: whoever has it next, a person decides first.
        raise TransitionRefused("签收，要先裁定承办单位", ticket.state)
    if operation == "add_unit" and given.unit in (ticket.lead_unit, *ticket.assisting_units):
        raise InvalidDraft(f"{given.unit}已经在办理这张工单。")
    if operation in ("apply_extension", "extend"):
        _extension_possible(ticket, given.until, at)
    if operation in ("extend", "refuse_extension") and asked_until(case.history) is None:
        raise InvalidDraft("没有待答复的延期申请，延期要由承办单位先申请。")


def _extension_possible(ticket: Ticket, until: datetime | None, at: datetime) -> None:
    assert until is not None  # the table requires it
    if at > ticket.due_at:
        raise InvalidDraft("工单已经超期，延期要在到期以前申请和答复。")
    if until <= max(at, ticket.due_at):
        raise InvalidDraft("延期后的时限要晚于现在的截止时间。")


# --- the fields that an operation changes by itself ------------------------------------------------------------------

_NEW_LEAD = frozenset({"assign", "transfer", "unmerge"})
_FILED_AGAIN = frozenset({"reopen", "unmerge"})


def _nothing(_ticket: Ticket, _given: Given) -> None:
    pass


def _lead(ticket: Ticket, given: Given) -> None:
    if given.unit is not None:
        ticket.lead_unit = given.unit
        ticket.assisting_units = tuple(other for other in ticket.assisting_units if other != given.unit)
        ticket.handler_until = None


def _assist(ticket: Ticket, given: Given) -> None:
    assert given.unit is not None  # the table requires it
    ticket.assisting_units = (*ticket.assisting_units, given.unit)


def _extend(ticket: Ticket, given: Given) -> None:
    assert given.until is not None  # the table requires it
    ticket.due_at = given.until.astimezone(UTC)


def _resolve(ticket: Ticket, given: Given) -> None:
    # A follower is answered by the unit that acted; "not solved" goes back to it.
    _lead(ticket, given)
    ticket.solved = ticket.satisfied = ticket.callback_comment = None


def _call_back(ticket: Ticket, given: Given) -> None:
    ticket.solved, ticket.satisfied, ticket.callback_comment = given.solved, given.satisfied, given.note


def _rate(ticket: Ticket, given: Given) -> None:
    ticket.satisfied, ticket.callback_comment = given.satisfied, given.note or ticket.callback_comment


def _reopen(ticket: Ticket, given: Given) -> None:
    _call_back(ticket, given)
    ticket.merged_into = None


def _merge(ticket: Ticket, given: Given) -> None:
    ticket.merged_into = given.lead or given.into


def _unmerge(ticket: Ticket, given: Given) -> None:
    _lead(ticket, given)
    ticket.merged_into = None


def _withdraw(ticket: Ticket, _given: Given) -> None:
    ticket.merged_into = None


_EFFECTS: Mapping[str, Callable[[Ticket, Given], None]] = {
    "assign": _lead,
    "transfer": _lead,
    "add_unit": _assist,
    "extend": _extend,
    "resolve": _resolve,
    "close": _call_back,
    "rate": _rate,
    "reopen": _reopen,
    "withdraw": _withdraw,
    "merge": _merge,
    "move": _merge,
    "unmerge": _unmerge,
}
