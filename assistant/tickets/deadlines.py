"""When a ticket is due: real time for danger and utilities, working time for the rest."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from assistant.city import City
from assistant.city_models import Calendar, DeadlineClass

__all__ = ["add_working_time", "deadline_class", "due_at", "working_day_length"]

_LONGEST_SEARCH = timedelta(days=3660)


def deadline_class(city: City, *, urgency: str, request_type: str, deadline: str) -> DeadlineClass:
    """The class of the first rule in deadlines.yml whose conditions all hold. `deadline`: of the category or rule."""
    for rule in city.deadlines.rules:
        if (
            (not rule.urgency or urgency in rule.urgency)
            and (not rule.request_type or request_type in rule.request_type)
            and (not rule.deadline or deadline in rule.deadline)
        ):
            return city.deadlines.classes[rule.class_]
    raise AssertionError("the loader checks that the last rule has no condition")


def due_at(city: City, start: datetime, *, urgency: str, request_type: str, deadline: str) -> datetime:
    """The due time (UTC) of a ticket dispatched at `start` (zoned)."""
    entry = deadline_class(city, urgency=urgency, request_type=request_type, deadline=deadline)
    if entry.hours is not None:
        return start.astimezone(UTC) + timedelta(hours=entry.hours)
    if entry.working_hours is not None:
        length = timedelta(hours=entry.working_hours)
    else:
        assert entry.working_days is not None  # the loader checks that exactly one is set
        length = entry.working_days * working_day_length(city.calendar)
    return add_working_time(city.calendar, city.zone, start, length)


def working_day_length(calendar: Calendar) -> timedelta:
    day = date(2000, 1, 1)
    return sum(
        (datetime.combine(day, end) - datetime.combine(day, begin) for begin, end in calendar.working_hours),
        timedelta(),
    )


def add_working_time(calendar: Calendar, zone: ZoneInfo, start: datetime, length: timedelta) -> datetime:
    """`start` plus `length` of working time, in UTC; time outside working hours does not count.

    A length that is used up exactly at closing time ends then, not at the next opening.
    """
    local = start.astimezone(zone)
    day, left, last = local.date(), length, local.date() + _LONGEST_SEARCH
    while day < last:
        if calendar.is_working_day(day):
            for begin, end in calendar.working_hours:
                opens = max(datetime.combine(day, begin, zone), local)
                closes = datetime.combine(day, end, zone)
                if opens >= closes:
                    continue
                if left <= closes - opens:
                    return (opens + left).astimezone(UTC)
                left -= closes - opens
        day += timedelta(days=1)
    raise ValueError("the calendar has no working day within ten years")
