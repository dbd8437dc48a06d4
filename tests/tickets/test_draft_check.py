"""What cannot be a ticket, in words for whoever sent it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from assistant.city import City
from assistant.tickets.draft_check import checked
from assistant.tickets.errors import InvalidDraft
from tests.tickets.drafts import PHONE, draft

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # 10:00 in the city


@pytest.mark.parametrize(
    "words",
    [
        "2026-11-24",
        "2026年11月24日",
        "2026年12月1号 晚上8点半左右",
        "2026/12/1",
        "2027.1.1",
        "2026-11-23T12:30:00+08:00",
        "2026-11-23T04:00:00Z",
        "2026-11-23 13:00",
    ],
)
def test_a_time_that_is_still_to_come_is_refused(city: City, words: str) -> None:
    with pytest.raises(InvalidDraft, match="还没有到"):
        checked(draft(event_time=words), city, NOW)


@pytest.mark.parametrize(
    "words",
    [
        "2026-11-23",
        "2026年11月23日晚上",
        "2026-11-23T10:30:00+08:00",
        "2026-11-23T02:30:00Z",
        "每天晚上",
        "从2026年12月1日起",
        "2026年11月1日到2026年12月1日",
        "2026年13月45日",
        "下周三",
        "昨天",
    ],
)
def test_a_time_that_may_have_been_is_taken(city: City, words: str) -> None:
    assert checked(draft(event_time=words), city, NOW).event_time == words


def test_who_asks_may_ask_about_tomorrow_and_a_danger_is_never_held_up(city: City) -> None:
    for changes in ({"request_type": "咨询"}, {"request_type": "建议"}, {"urgency": "特急"}):
        assert checked(draft(event_time="2026-12-01", **changes), city, NOW).event_time == "2026-12-01"


@pytest.mark.parametrize(
    ("lat", "long", "words"),
    [
        (34.75, None, "一起填"),
        (None, 113.6, "一起填"),
        (float("nan"), 113.6, "数字"),
        (113.62, 34.75, "填反"),
        (39.9, 116.4, "范围"),
        (-34.75, 113.62, "范围"),
        (0.0, 0.0, "范围"),
    ],
)
def test_coordinates_that_cannot_be_are_refused(city: City, lat: float | None, long: float | None, words: str) -> None:
    with pytest.raises(InvalidDraft, match=words):
        checked(draft(lat=lat, long=long), city, NOW)


def test_coordinates_of_the_city_are_taken(city: City) -> None:
    taken = checked(draft(lat=34.76, long=113.65), city, NOW)
    assert (taken.lat, taken.long) == (34.76, 113.65)


@pytest.mark.parametrize(
    "attachments",
    [
        ["x.jpg"] * 21,
        ["javascript:alert(1)"],
        ["ftp://example.org/x.jpg"],
        ["http://"],
        ["https://example.org/a b.jpg"],
        ["../../etc/passwd"],
        ["a\x00b.jpg"],
        ["x" * 201],
        ["https://example.org/" + "x" * 400],
    ],
)
def test_attachments_that_are_neither_address_nor_name_are_refused(city: City, attachments: list[str]) -> None:
    with pytest.raises(InvalidDraft, match="附件"):
        checked(draft(attachments=tuple(attachments)), city, NOW)


def test_attachments_and_elements_are_cleaned(city: City) -> None:
    given: dict[str, Any] = {
        "attachments": (" https://example.org/照片.jpg ", "现场照片 1.jpg", " "),
        "elements": {"hours": f" 晚上10点到12点，打{PHONE} ", "source": " ", "": "x"},
    }
    taken = checked(draft(**given), city, NOW)
    assert taken.attachments == ("https://example.org/照片.jpg", "现场照片 1.jpg")
    assert taken.elements == {"hours": "晚上10点到12点，打138****5678"}


def test_an_unknown_category_is_refused(city: City) -> None:
    with pytest.raises(InvalidDraft, match="没有这个类别"):
        checked(draft(category1="天外来客"), city, NOW)
