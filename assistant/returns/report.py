"""How many tickets units give back, week by week, and whether that falls. Counts only: no text, no ticket number."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

from assistant.returns.cases import ReturnCase
from assistant.tickets.states import REASON_CODES

__all__ = [
    "COMPARED_WEEKS", "FALLING", "RISING", "STEADY", "TOO_FEW", "Report", "Share", "Trend", "UnitReport", "Week",
    "compare", "report", "week_of", "week_start",
]  # fmt: skip

COMPARED_WEEKS: Final = 4
# Six returns split evenly by chance lie all on one side once in 32: with fewer, no split could be told from chance.
LEAST_RETURNS, LEAST_DISPATCHED = 6, 10
LEVEL: Final = 0.05
FALLING, RISING, STEADY, TOO_FEW = "下降", "上升", "没有明显变化", "样本太少"


@dataclass(frozen=True, slots=True)
class Share:
    """`returned` of `dispatched` tickets; one that was dispatched the week before may come back in this one."""

    dispatched: int
    returned: int

    @property
    def rate(self) -> float | None:
        return self.returned / self.dispatched if self.dispatched else None


@dataclass(frozen=True, slots=True)
class Week:
    """`reasons`: reason code → returns."""

    monday: date
    share: Share
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trend:
    """`words`: FALLING, RISING, STEADY or TOO_FEW. `p`: how likely such a difference is by chance; None for too few."""

    words: str
    before: Share
    after: Share
    p: float | None = None


@dataclass(frozen=True, slots=True)
class UnitReport:
    """`median_hours`: from return to ruling, None without one. `waiting`: returns that nobody has ruled on yet."""

    unit: str
    total: Share
    reasons: Mapping[str, int]
    weeks: tuple[Week, ...]
    trend: Trend
    median_hours: float | None
    waiting: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "dispatched": self.total.dispatched,
            "returned": self.total.returned,
            "share": self.total.rate,
            "reasons": dict(self.reasons),
            "weeks": [
                {
                    "week": week.monday.isoformat(),
                    "dispatched": week.share.dispatched,
                    "returned": week.share.returned,
                    "reasons": dict(week.reasons),
                }
                for week in self.weeks
            ],
            "trend": self.trend.words,
            "p": self.trend.p,
            "median_hours": self.median_hours,
            "waiting": self.waiting,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`whole`: all units together. `units`: those that gave tickets back, the most returns first."""

    since: date
    whole: UnitReport
    units: tuple[UnitReport, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "whole": self.whole.as_dict(),
            "units": [unit.as_dict() for unit in self.units],
        }

    def rows(self) -> list[tuple[Any, ...]]:
        """For CSV: a header, then week by week what each unit got and gave back, by reason code."""
        rows: list[tuple[Any, ...]] = [("周（周一）", "单位", "派出", "退回", *REASON_CODES)]
        for unit in (self.whole, *self.units):
            for week in unit.weeks:
                reasons = (week.reasons.get(code, 0) for code in REASON_CODES)
                rows.append((week.monday.isoformat(), unit.unit, week.share.dispatched, week.share.returned, *reasons))
        return rows


def week_of(moment: datetime, zone: ZoneInfo) -> date:
    """The Monday of the week, in the city's time."""
    day = moment.astimezone(zone).date()
    return day - timedelta(days=day.weekday())


def week_start(monday: date, zone: ZoneInfo) -> datetime:
    return datetime(monday.year, monday.month, monday.day, tzinfo=zone)


def report(
    cases: Iterable[ReturnCase],
    dispatched: Mapping[tuple[date, str], int],
    *,
    since: date,
    now: datetime,
    zone: ZoneInfo,
) -> Report:
    """From the Monday `since` until `now`, the week of `now` included.

    `dispatched`: (Monday, unit) → tickets sent to it. Both must reach back 2 × COMPARED_WEEKS weeks for the trend,
    also where `since` is later.
    """
    found = list(cases)
    by_unit: dict[str, list[ReturnCase]] = defaultdict(list)
    for case in found:
        by_unit[case.unit].append(case)
    sent_by_unit: dict[str, Counter[date]] = defaultdict(Counter)
    whole: Counter[date] = Counter()
    for (monday, unit), count in dispatched.items():
        sent_by_unit[unit][monday] += count
        whole[monday] += count
    last = week_of(now, zone)
    units = [_of_unit(unit, some, sent_by_unit[unit], since, last, zone) for unit, some in by_unit.items()]
    units = [unit for unit in units if unit.total.returned or unit.trend.p is not None]
    units.sort(key=lambda unit: (-unit.total.returned, unit.unit))
    return Report(since, _of_unit("全部单位", found, whole, since, last, zone), tuple(units))


def _of_unit(
    name: str, cases: Sequence[ReturnCase], sent: Mapping[date, int], since: date, last: date, zone: ZoneInfo
) -> UnitReport:
    reasons: dict[date, Counter[str]] = defaultdict(Counter)
    for case in cases:
        reasons[week_of(case.at, zone)][case.reason_code] += 1
    returned = Counter({monday: count.total() for monday, count in reasons.items()})
    compared = [last - timedelta(weeks=weeks) for weeks in range(2 * COMPARED_WEEKS)]
    after, before = (
        Share(sum(sent.get(day, 0) for day in some), sum(returned[day] for day in some))
        for some in (compared[:COMPARED_WEEKS], compared[COMPARED_WEEKS:])
    )
    days = [since + timedelta(weeks=weeks) for weeks in range((last - since).days // 7 + 1)]
    shown = [case for case in cases if week_of(case.at, zone) >= since]
    hours = [(case.ruling.at - case.at).total_seconds() / 3600 for case in shown if case.ruling is not None]
    return UnitReport(
        unit=name,
        total=Share(sum(sent.get(day, 0) for day in days), len(shown)),
        reasons=dict(Counter(case.reason_code for case in shown).most_common()),
        weeks=tuple(Week(day, Share(sent.get(day, 0), returned[day]), dict(reasons[day])) for day in days),
        trend=compare(before, after),
        median_hours=median(hours) if hours else None,
        waiting=sum(case.waiting for case in shown),
    )


def compare(before: Share, after: Share) -> Trend:
    """Whether the share of returns differs, by Fisher's exact test, two-sided, at 5 % (R. A. Fisher, Statistical
    Methods for Research Workers, 1934, § 21.02): exact also where returns are few, as they are."""
    if min(before.dispatched, after.dispatched) < LEAST_DISPATCHED or before.returned + after.returned < LEAST_RETURNS:
        return Trend(TOO_FEW, before, after)
    p = _fisher(before, after)
    if p >= LEVEL:
        return Trend(STEADY, before, after, p)
    falling = after.returned * before.dispatched < before.returned * after.dispatched
    return Trend(FALLING if falling else RISING, before, after, p)


def _fisher(a: Share, b: Share) -> float:
    """The probability of a table at most as likely as this one, margins given."""
    # What was dispatched before the window can come back in it: then returns exceed what was dispatched.
    sent_a, sent_b = max(a.dispatched, a.returned), max(b.dispatched, b.returned)
    total = a.returned + b.returned

    def log_likelihood(returned_a: int) -> float:
        return _log_choose(sent_a, returned_a) + _log_choose(sent_b, total - returned_a)

    everything = _log_choose(sent_a + sent_b, total)
    possible = range(max(0, total - sent_b), min(sent_a, total) + 1)
    limit = log_likelihood(a.returned) + 1e-7
    return min(1.0, sum(math.exp(each - everything) for each in map(log_likelihood, possible) if each <= limit))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
