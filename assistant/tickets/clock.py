"""A ticket's clock, read from its history alone: when it is due, whether it stands, how much is left.

It runs from the first dispatch (to whomever), not from acknowledgement; a return or a change of unit does not stop it.
It stands while the resident is asked for more and while the ticket is merged. An extension moves the due time. A
resolved ticket has stopped; 重办 and 撤销并案 start it anew. Working time by the city's calendar, real time for danger
and utilities (`deadlines.yml`). The same history gives the same figures, today and in a year.

`plan` says what the clock means for the stored ticket, and which automatic step comes next and when: 催办 when a
quarter is left, 督办 when overdue, 转办 when a first handler's time is over, 不再等待补充 and 结案 when the resident is
silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from assistant.city import City
from assistant.tickets.deadlines import Span, deadline_class, working_day_length
from assistant.tickets.model import HistoryEntry, Routing, Ticket, TicketView
from assistant.tickets.states import State

__all__ = ["AMBER_LEFT", "BY_CLOCK", "Clock", "Plan", "clock_of", "handler_until", "plan", "read_clock"]

AMBER_LEFT = 0.25
BY_CLOCK = "system:clock"

_STARTS = frozenset({"accept", "reopen", "unmerge"})
_STANDS = frozenset({"ask", "merge"})
_GOES_ON = frozenset({"answer", "resume"})
_STOPS = frozenset({"resolve", "close", "withdraw"})


@dataclass(frozen=True, slots=True)
class Clock:
    """`started_at` None: not dispatched yet. `paused_at`: stands since then. `stopped_at`: the unit has answered.

    `due_at` is what holds if the clock does not stand (again). `span` measures in the time that counts.
    """

    span: Span
    length: timedelta
    started_at: datetime | None = None
    due_at: datetime | None = None
    paused_at: datetime | None = None
    stopped_at: datetime | None = None

    def left(self, moment: datetime) -> timedelta:
        """What is left at `moment` in the time that counts; negative when overdue, the full length before the start."""
        if self.due_at is None:
            return self.length
        at = self.stopped_at or self.paused_at or moment
        return self.span.between(at, self.due_at)

    def is_overdue(self, moment: datetime) -> bool:
        return self.due_at is not None and (self.stopped_at or self.paused_at or moment) > self.due_at

    def tone(self, moment: datetime) -> str:
        """neutral, warn (amber: a quarter or less is left) or bad (red: overdue); calm when it does not run."""
        if self.due_at is None or self.stopped_at is not None or self.paused_at is not None:
            return "neutral"
        if self.is_overdue(moment):
            return "bad"
        return "warn" if self.left(moment) <= self.length * AMBER_LEFT else "neutral"

    def amber_at(self) -> datetime | None:
        """When a quarter of the length is left."""
        if self.due_at is None or self.started_at is None:
            return None
        return self.span.before(self.due_at, self.length * AMBER_LEFT)


def clock_of(city: City, ticket: Ticket | TicketView, history: Sequence[HistoryEntry]) -> Clock:
    """The clock of a ticket whose history is `history`, the oldest step first."""
    return read_clock(
        city,
        history,
        urgency=ticket.urgency,
        request_type=ticket.request_type,
        deadline=ticket.routing.deadline,
    )


def handler_until(city: City, routing: Routing, start: datetime) -> datetime | None:
    """Until when a first handler that got the request at `start` has it; None where there is no first handler."""
    if routing.handler_hours is None:
        return None
    span = Span(city.calendar if routing.handler_working else None, city.zone)
    return span.after(start, timedelta(hours=routing.handler_hours))


@dataclass(frozen=True, slots=True)
class Plan:
    """What to store with the ticket. `operation`: the automatic step due at `next_step_at`; both None for none."""

    due_at: datetime | None
    paused_at: datetime | None
    next_step_at: datetime | None
    operation: str | None


def plan(city: City, ticket: Ticket, history: Sequence[HistoryEntry]) -> Plan:
    """Where the clock stands after the last step of `history`; `ticket.state` is the state it led to."""
    clock = clock_of(city, ticket, history)
    steps = _steps(city, ticket, history, clock)
    at, operation = min(steps, default=(None, None))
    return Plan(clock.due_at, clock.paused_at, at, operation)


def _steps(city: City, ticket: Ticket, history: Sequence[HistoryEntry], clock: Clock) -> list[tuple[datetime, str]]:
    """The automatic steps that are still to come in the present state."""
    times, working = city.deadlines.steps, Span(city.calendar, city.zone)
    entered = next((step.at for step in reversed(history) if step.to_state != step.from_state), None)
    if entered is None:
        return []
    if ticket.state == State.TO_SUPPLEMENT:
        return [(working.after(entered, times.answer_wait_days * working_day_length(city.calendar)), "resume")]
    if ticket.state == State.TO_CALL_BACK:
        return [(entered + timedelta(days=times.callback_wait_days), "close")]
    if ticket.state not in (State.TO_DISPATCH, State.DISPATCHED, State.HANDLING) or clock.due_at is None:
        return []
    found = []
    if ticket.handler_until is not None:
        found.append((ticket.handler_until, "transfer"))
    done = _done_by_clock(history)
    if "urge" not in done and "supervise" not in done and (amber := clock.amber_at()):
        found.append((amber, "urge"))
    if "supervise" not in done:
        found.append((clock.due_at + timedelta(hours=times.supervise_after_hours), "supervise"))
    return found


def _done_by_clock(history: Sequence[HistoryEntry]) -> set[str]:
    """The automatic steps taken since the due time was last set."""
    done: set[str] = set()
    for step in history:
        if step.operation in _STARTS or step.operation == "extend":
            done.clear()
        elif step.actor == BY_CLOCK:
            done.add(step.operation)
    return done


def read_clock(city: City, history: Sequence[HistoryEntry], *, urgency: str, request_type: str, deadline: str) -> Clock:
    """As `clock_of`, from the facts that never change. `deadline`: the class that category and matter call for."""
    entry = deadline_class(city, urgency=urgency, request_type=request_type, deadline=deadline)
    span = Span.of(city, entry)
    clock = Clock(span, span.length(entry))
    for step in history:
        clock = _after(clock, step)
    return clock


def _after(clock: Clock, step: HistoryEntry) -> Clock:
    operation, at = step.operation, step.at
    if operation in _STARTS:
        return Clock(clock.span, clock.length, at, clock.span.after(at, clock.length))
    if clock.due_at is None:
        return clock
    if operation in _STANDS:
        return clock if clock.paused_at else replace(clock, paused_at=at)
    if operation in _GOES_ON and clock.paused_at is not None:
        left = clock.span.between(clock.paused_at, clock.due_at)
        # What was overdue when it began to stand stays overdue.
        due = clock.span.after(at, left) if left > timedelta() else clock.due_at
        return replace(clock, paused_at=None, due_at=due)
    if operation == "extend":
        return replace(clock, due_at=datetime.fromisoformat(step.changes["due_at"]))
    if operation in _STOPS:
        return replace(clock, stopped_at=at)
    return clock
