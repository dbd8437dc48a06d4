from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.city import City
from assistant.tickets.deadlines import add_working_time, due_at, working_day_length

SHANGHAI = ZoneInfo("Asia/Shanghai")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def test_a_working_day_has_seven_hours(city: City) -> None:
    assert working_day_length(city.calendar) == timedelta(hours=7)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        # Friday 10:00 over a weekend
        ("2026-11-20 10:00", 1, "2026-11-23 10:00"),
        ("2026-11-20 10:00", 3, "2026-11-25 10:00"),
        # before opening, in the lunch break, after closing, on a Sunday
        ("2026-11-23 07:00", 1, "2026-11-23 17:00"),
        ("2026-11-23 12:30", 1, "2026-11-24 12:00"),
        ("2026-11-23 22:00", 1, "2026-11-24 17:00"),
        ("2026-11-22 09:00", 3, "2026-11-25 17:00"),
        # exactly at opening and at closing time
        ("2026-11-23 09:00", 1, "2026-11-23 17:00"),
        ("2026-11-23 17:00", 1, "2026-11-24 17:00"),
        # National Day 1-7 October, make-up day Saturday 10 October
        ("2026-09-30 16:00", 1, "2026-10-08 16:00"),
        ("2026-10-08 15:00", 2, "2026-10-10 15:00"),
        ("2026-10-09 15:00", 2, "2026-10-12 15:00"),
        # make-up Sunday 20 September
        ("2026-09-18 10:00", 1, "2026-09-20 10:00"),
        # Spring Festival 15-23 February, make-up Saturdays 14 and 28 February
        ("2026-02-13 11:00", 2, "2026-02-24 11:00"),
        ("2026-02-27 11:00", 1, "2026-02-28 11:00"),
        # into the next year over New Year's Day
        ("2026-12-31 10:00", 1, "2027-01-04 10:00"),
        # a whole period of 15 days without holidays
        ("2026-11-02 10:00", 15, "2026-11-23 10:00"),
    ],
)
def test_working_days_skip_weekends_and_holidays_and_count_makeup_days(
    city: City, start: str, days: int, due: str
) -> None:
    length = days * working_day_length(city.calendar)
    assert add_working_time(city.calendar, SHANGHAI, local(start), length) == local(due)


@pytest.mark.parametrize(
    ("urgency", "request_type", "deadline", "due"),
    [
        # Friday 20:00: danger and utilities run through the weekend
        ("特急", "投诉", "general", "2026-11-20 22:00"),
        ("特急", "咨询", "hard", "2026-11-20 22:00"),
        ("一般", "投诉", "utility", "2026-11-21 20:00"),
        ("一般", "求助", "utility", "2026-11-21 20:00"),
        ("紧急", "求助", "general", "2026-11-23 17:00"),
        ("一般", "咨询", "utility", "2026-11-25 17:00"),
        ("一般", "咨询", "general", "2026-11-25 17:00"),
        ("一般", "求助", "general", "2026-11-25 17:00"),
        ("一般", "投诉", "general", "2026-12-01 17:00"),
        ("一般", "建议", "general", "2026-12-01 17:00"),
        ("一般", "投诉", "hard", "2026-12-11 17:00"),
        ("一般", "求助", "hard", "2026-12-11 17:00"),
    ],
)
def test_due_time_by_urgency_type_and_category(
    city: City, urgency: str, request_type: str, deadline: str, due: str
) -> None:
    start = local("2026-11-20 20:00").astimezone(UTC)
    result = due_at(city, start, urgency=urgency, request_type=request_type, deadline=deadline)
    assert result == local(due) and result.tzinfo is UTC


@settings(max_examples=60, deadline=None)
@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),
    hours=st.integers(1, 60),
    more=st.integers(1, 60),
)
def test_due_times_lie_in_working_time_and_add_up(city: City, start: datetime, hours: int, more: int) -> None:
    begin = start.replace(tzinfo=SHANGHAI)
    first = add_working_time(city.calendar, SHANGHAI, begin, timedelta(hours=hours))
    both = add_working_time(city.calendar, SHANGHAI, begin, timedelta(hours=hours + more))
    assert add_working_time(city.calendar, SHANGHAI, first, timedelta(hours=more)) == both
    moment = first.astimezone(SHANGHAI)
    assert city.is_working_day(moment.date()) and begin < moment
    assert any(opens < moment.time() <= closes for opens, closes in city.calendar.working_hours)
