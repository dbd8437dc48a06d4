from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from assistant.city import City
from assistant.tickets.clock import BY_CLOCK, Clock, read_clock
from assistant.tickets.model import HistoryEntry

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=SHANGHAI)


def step(operation: str, when: str, **changes: object) -> HistoryEntry:
    return HistoryEntry(
        key=f"{operation}:{when}",
        at=at(when).astimezone(UTC),
        actor=BY_CLOCK,
        operation=operation,
        from_state=None,
        to_state="",
        changes=changes,
    )


def clock(
    city: City, *steps: HistoryEntry, urgency: str = "一般", kind: str = "投诉", deadline: str = "general"
) -> Clock:
    return read_clock(city, steps, urgency=urgency, request_type=kind, deadline=deadline)


def test_no_clock_before_the_first_dispatch(city: City) -> None:
    waiting = clock(city, step("submit", "11-20 10:00"))
    assert waiting.due_at is None and waiting.tone(at("12-31 10:00")) == "neutral"


def test_it_runs_from_dispatch_not_from_acknowledgement(city: City) -> None:
    early = clock(city, step("accept", "11-20 10:00"))
    late = clock(city, step("accept", "11-20 10:00"), step("acknowledge", "11-25 10:00"))
    assert early.due_at == late.due_at == at("12-01 10:00")


@pytest.mark.parametrize("going_on", ["answer", "resume"])
def test_it_stands_while_the_resident_is_asked(city: City, going_on: str) -> None:
    # Friday 15:00 to Tuesday 10:00: three working hours of Friday and Monday and one of Tuesday do not count.
    stood = clock(
        city, step("accept", "11-20 10:00"), step("ask", "11-20 15:00"), step(going_on, "11-24 10:00"),
        urgency="紧急",
    )  # fmt: skip
    # One working day of seven hours, four used on Friday, three left from Tuesday 10:00 on.
    assert stood.due_at == at("11-24 14:00")
    standing = clock(city, step("accept", "11-20 10:00"), step("ask", "11-20 15:00"), urgency="紧急")
    assert standing.left(at("12-20 10:00")) == 3 * HOUR
    assert not standing.is_overdue(at("12-20 10:00")) and standing.tone(at("12-20 10:00")) == "neutral"


def test_real_time_stands_too(city: City) -> None:
    gas = clock(
        city, step("accept", "11-21 22:00"), step("ask", "11-21 23:00"), step("answer", "11-22 05:00"),
        deadline="utility",
    )  # fmt: skip
    assert gas.due_at == at("11-23 04:00")


def test_what_was_overdue_when_it_stood_stays_overdue(city: City) -> None:
    late = clock(
        city, step("accept", "11-20 10:00"), step("ask", "11-26 10:00"), step("answer", "11-27 10:00"),
        urgency="紧急",
    )  # fmt: skip
    assert late.due_at == at("11-23 10:00") and late.is_overdue(at("11-27 10:01"))


def test_an_extension_holds_and_may_stand_afterwards(city: City) -> None:
    until = at("12-10 10:00").astimezone(UTC).isoformat()
    longer = clock(city, step("accept", "11-20 10:00"), step("extend", "11-25 10:00", due_at=until))
    assert longer.due_at == at("12-10 10:00")
    stood = clock(
        city, step("accept", "11-20 10:00"), step("extend", "11-25 10:00", due_at=until),
        step("ask", "12-09 10:00"), step("answer", "12-11 10:00"),
    )  # fmt: skip
    assert stood.due_at == at("12-14 10:00")


def test_a_return_does_not_stop_it_and_reopening_starts_it_anew(city: City) -> None:
    steps = (step("accept", "11-20 10:00"), step("return", "11-23 10:00"), step("assign", "11-24 10:00"))
    assert clock(city, *steps).due_at == at("12-01 10:00")
    resolved = clock(city, *steps, step("resolve", "11-30 10:00"))
    assert resolved.tone(at("12-20 10:00")) == "neutral" and not resolved.is_overdue(at("12-20 10:00"))
    assert clock(city, *steps, step("resolve", "12-02 10:00")).is_overdue(at("12-02 10:00"))
    again = clock(city, *steps, step("resolve", "11-30 10:00"), step("reopen", "12-04 10:00"))
    assert again.due_at == at("12-15 10:00") and again.stopped_at is None


def test_amber_at_a_quarter_of_the_working_time_and_red_past_the_due_time(city: City) -> None:
    # Seven working days of seven hours: a quarter is 12.25 hours, due Tuesday 1 December 10:00.
    ticket = clock(city, step("accept", "11-20 10:00"))
    assert ticket.amber_at() == at("11-27 11:45")
    assert ticket.tone(at("11-27 11:44")) == "neutral"
    assert ticket.tone(at("11-27 11:45")) == "warn"
    assert ticket.tone(at("12-01 10:00")) == "warn"
    assert ticket.tone(at("12-01 10:01")) == "bad"


def test_due_at_closing_time_is_overdue_over_the_weekend(city: City) -> None:
    ticket = clock(city, step("accept", "11-20 08:00"), urgency="紧急")
    assert ticket.due_at == at("11-20 17:00")
    assert ticket.is_overdue(at("11-21 10:00")) and ticket.tone(at("11-21 10:00")) == "bad"
