"""How long a ticket may take, and how time is counted: real time for danger and utilities, else working time."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from assistant.city import City
from assistant.city_models import Calendar, DeadlineClass

__all__ = ["Span", "add_working_time", "deadline_class", "due_at", "working_day_length", "working_time_between"]

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


@dataclass(frozen=True, slots=True)
class Span:
    """Counts real time (`calendar` None) or the working time of a calendar."""

    calendar: Calendar | None
    zone: ZoneInfo

    @classmethod
    def of(cls, city: City, entry: DeadlineClass) -> "Span":
        return cls(None if entry.hours is not None else city.calendar, city.zone)

    def length(self, entry: DeadlineClass) -> timedelta:
        """The length of a deadline class, in the time that counts."""
        if entry.hours is not None:
            return timedelta(hours=entry.hours)
        if entry.working_hours is not None:
            return timedelta(hours=entry.working_hours)
        assert entry.working_days is not None and self.calendar is not None  # the loader checks that one is set
        return entry.working_days * working_day_length(self.calendar)

    def after(self, start: datetime, length: timedelta) -> datetime:
        """`length` after `start` (zoned), in UTC."""
        if self.calendar is None:
            return start.astimezone(UTC) + length
        return add_working_time(self.calendar, self.zone, start, length)

    def before(self, end: datetime, length: timedelta) -> datetime:
        """The latest moment (UTC) from which `length` is left until `end`."""
        if self.calendar is None:
            return end.astimezone(UTC) - length
        return _subtract_working_time(self.calendar, self.zone, end, length)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The time that counts from `start` to `end`; negative when `end` lies before `start`."""
        if self.calendar is None:
            return end - start
        return working_time_between(self.calendar, self.zone, start, end)


def due_at(city: City, start: datetime, *, urgency: str, request_type: str, deadline: str) -> datetime:
    """The due time (UTC) of a ticket dispatched at `start` (zoned)."""
    entry = deadline_class(city, urgency=urgency, request_type=request_type, deadline=deadline)
    span = Span.of(city, entry)
    return span.after(start, span.length(entry))


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
        for opens, closes in _hours(calendar, zone, day):
            begins = max(opens, local)
            if begins >= closes:
                continue
            if left <= closes - begins:
                return (begins + left).astimezone(UTC)
            left -= closes - begins
        day += timedelta(days=1)
    raise ValueError("the calendar has no working day within ten years")


def _subtract_working_time(calendar: Calendar, zone: ZoneInfo, end: datetime, length: timedelta) -> datetime:
    local = end.astimezone(zone)
    day, left, last = local.date(), length, local.date() - _LONGEST_SEARCH
    while day > last:
        for opens, closes in reversed(_hours(calendar, zone, day)):
            ends = min(closes, local)
            if ends <= opens:
                continue
            if left <= ends - opens:
                return (ends - left).astimezone(UTC)
            left -= ends - opens
        day -= timedelta(days=1)
    raise ValueError("the calendar has no working day within ten years")


def working_time_between(calendar: Calendar, zone: ZoneInfo, start: datetime, end: datetime) -> timedelta:
    """Working time from `start` to `end`; negative when `end` lies before `start`."""
    if end < start:
        return -working_time_between(calendar, zone, end, start)
    first, last = start.astimezone(zone), end.astimezone(zone)
    day, total = first.date(), timedelta()
    while day <= last.date():
        for opens, closes in _hours(calendar, zone, day):
            total += max(timedelta(), min(closes, last) - max(opens, first))
        day += timedelta(days=1)
    return total


def _hours(calendar: Calendar, zone: ZoneInfo, day: date) -> list[tuple[datetime, datetime]]:
    """Opening and closing times of a day, none where it is not a working day."""
    if not calendar.is_working_day(day):
        return []
    return [
        (datetime.combine(day, opens, zone), datetime.combine(day, closes, zone))
        for opens, closes in calendar.working_hours
    ]
