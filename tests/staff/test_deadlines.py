from datetime import UTC, date, datetime, timedelta

import pytest

from assistant.staff.deadlines import deadline_look, is_overdue
from assistant.staff.labels import document_status, duration, local_time, validity
from assistant.tickets.states import State

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DUE = START + timedelta(hours=100)


@pytest.mark.parametrize(
    ("hours", "tone", "words"),
    [
        (0, "neutral", "03-06 13:00"),
        (74.9, "neutral", "03-06 13:00"),
        (75, "warn", "剩 1 天 1 小时"),
        (99.5, "warn", "剩 30 分钟"),
        (100, "warn", "剩 0 秒"),
        (102, "bad", "已超期 2 小时"),
    ],
)
def test_amber_at_a_quarter_left_and_red_when_overdue(hours: float, tone: str, words: str) -> None:
    look = deadline_look(State.HANDLING, START, DUE, START + timedelta(hours=hours))
    assert (look.tone, look.text) == (tone, words)


@pytest.mark.parametrize("state", [State.CLOSED, State.WITHDRAWN, State.TO_CALL_BACK])
def test_an_answered_ticket_is_never_late(state: State) -> None:
    late = DUE + timedelta(days=9)
    assert deadline_look(state, START, DUE, late).tone == "neutral"
    assert not is_overdue(state, DUE, late)
    assert is_overdue(State.DISPATCHED, DUE, late)
    assert not is_overdue(State.DISPATCHED, None, late)


def test_times_are_told_in_the_citys_zone() -> None:
    moment = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
    assert local_time(moment, moment_now=moment) == "04:00"
    assert local_time(moment, moment_now=moment + timedelta(days=3)) == "03-03 04:00"
    assert local_time(moment, moment_now=moment + timedelta(days=400)) == "2026-03-03 04:00"
    assert local_time(None) == "—"


def test_spans_and_validity_in_words() -> None:
    assert [duration(s) for s in (-5, 59, 60, 3600, 3900, 86400, 90000)] == [
        "0 秒",
        "59 秒",
        "1 分钟",
        "1 小时",
        "1 小时 5 分",
        "1 天",
        "1 天 1 小时",
    ]
    assert validity(None, None) == "长期有效"
    assert validity("2024-05-01", None) == "2024-05-01 起"
    assert validity(None, "2025-01-01") == "至 2025-01-01"
    assert validity("2024-05-01", "2025-01-01") == "2024-05-01 至 2025-01-01"


@pytest.mark.parametrize(
    ("status", "start", "end", "shown"),
    [
        ("published", None, None, "已发布"),
        ("published", None, date(2026, 11, 22), "已发布"),
        ("published", None, date(2026, 11, 21), "已过期"),
        ("published", date(2026, 11, 23), None, "尚未生效"),
        ("suspended", None, date(2020, 1, 1), "已停用"),
    ],
)
def test_a_published_document_that_is_not_in_force_says_so(
    status: str, start: date | None, end: date | None, shown: str
) -> None:
    assert document_status(status, start, end, date(2026, 11, 22))[0] == shown
