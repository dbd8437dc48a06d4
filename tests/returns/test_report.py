"""The report of returns: weeks in the city's time, shares, and whether a difference is more than chance."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from assistant.returns.report import FALLING, RISING, STEADY, TOO_FEW, Share, compare, report, week_of, week_start
from tests.returns.build import NOON, case

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 11, 16)


def test_a_week_begins_on_monday_in_the_city() -> None:
    begins = week_start(MONDAY, ZONE)
    assert begins.isoformat() == "2026-11-16T00:00:00+08:00"
    assert week_of(begins, ZONE) == MONDAY
    assert week_of(begins - timedelta(seconds=1), ZONE) == MONDAY - timedelta(weeks=1)


@pytest.mark.parametrize(
    ("before", "after", "words", "p"),
    [
        # 2 × C(20,6) / C(40,6)
        (Share(20, 6), Share(20, 0), FALLING, 0.0201960),
        (Share(20, 0), Share(20, 6), RISING, 0.0201960),
        (Share(20, 3), Share(20, 3), STEADY, 1.0),
        # 2 × Σ C(40,k) C(40,40-k) / C(80,40) for k = 30…40
        (Share(40, 30), Share(40, 10), FALLING, 1.48748e-05),
        (Share(1000, 100), Share(1000, 95), STEADY, 0.76309),
        (Share(20, 5), Share(20, 0), TOO_FEW, None),
        (Share(9, 6), Share(500, 0), TOO_FEW, None),
        (Share(0, 0), Share(0, 0), TOO_FEW, None),
    ],
)
def test_a_difference_is_said_only_when_chance_does_not_explain_it(
    before: Share, after: Share, words: str, p: float | None
) -> None:
    trend = compare(before, after)
    assert trend.words == words
    assert trend.p == (None if p is None else pytest.approx(p, rel=1e-4))


def test_more_dispatched_with_as_many_returns_can_be_falling() -> None:
    assert compare(Share(100, 20), Share(1000, 20)).words == FALLING


def test_more_returns_than_tickets_dispatched_in_the_window() -> None:
    assert compare(Share(10, 12), Share(10, 0)).words == FALLING


def test_units_weeks_reasons_and_the_time_to_a_ruling() -> None:
    cases = [
        case("ZZ1", "a", "乙局", unit="甲局"),
        case("ZZ2", "b", "乙局", unit="甲局", reason="超职责", days_ago=7),
        case("ZZ3", "c", None, unit="甲局"),
        case("ZZ4", "d", "甲局", unit="乙局", days_ago=60),  # before the time that is shown
    ]
    last = MONDAY - timedelta(weeks=1)
    dispatched = {(MONDAY, "甲局"): 8, (last, "甲局"): 12, (MONDAY, "丁局"): 30}
    found = report(cases, dispatched, since=last, now=NOON, zone=ZONE)
    [unit] = found.units
    assert (unit.unit, unit.total, unit.waiting, unit.median_hours) == ("甲局", Share(20, 3), 1, 2)
    assert unit.reasons == {"权属不清": 2, "超职责": 1} and unit.total.rate == 0.15
    assert [(week.monday, week.share) for week in unit.weeks] == [(last, Share(12, 1)), (MONDAY, Share(8, 2))]
    assert found.whole.total == Share(50, 3) and found.whole.total.rate == 0.06
    assert found.rows()[1:3] == [
        ("2026-11-09", "全部单位", 12, 1, 0, 0, 0, 1),
        ("2026-11-16", "全部单位", 38, 2, 0, 2, 0, 0),
    ]
    assert found.as_dict()["units"][0]["weeks"][0]["reasons"] == {"超职责": 1}
