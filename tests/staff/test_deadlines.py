from datetime import UTC, date, datetime, timedelta

import pytest

from assistant.city import City
from assistant.crypto import Vault
from assistant.staff.deadlines import DeadlineLook, deadline_look
from assistant.staff.labels import document_status, duration, local_time, validity
from assistant.tickets.model import TicketView
from assistant.tickets.service import TicketService
from tests.tickets.conftest import DEMO
from tests.tickets.drafts import draft
from tests.tickets.memory import MemoryStore

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # Monday 9:00 in the city


@pytest.fixture(scope="module")
def city() -> City:
    return City.load(DEMO)


async def _danger(city: City, clock: list[datetime]) -> tuple[TicketService, TicketView]:
    """A ticket that is due two hours after START."""
    service = TicketService(MemoryStore(), city, Vault("s" * 40), clock=lambda: clock[0])
    return service, await service.submit(draft(urgency="特急"), key="k", actor="resident")


@pytest.mark.parametrize(
    ("minutes", "tone", "words"),
    [
        (0, "neutral", "11:00"),
        (89, "neutral", "11:00"),
        (90, "warn", "剩 30 分钟"),
        (120, "warn", "剩 0 秒"),
        (240, "bad", "已超期 2 小时"),
    ],
)
async def test_amber_at_a_quarter_left_and_red_when_overdue(city: City, minutes: int, tone: str, words: str) -> None:
    _, ticket = await _danger(city, [START])
    assert deadline_look(city, ticket, START + timedelta(minutes=minutes)) == DeadlineLook(tone, words)


async def test_a_quarter_is_one_of_the_working_time(city: City) -> None:
    service = TicketService(MemoryStore(), city, Vault("s" * 40), clock=lambda: START)
    ticket = await service.submit(draft(), key="k", actor="resident")  # seven working days: over a weekend
    friday_evening = START + timedelta(days=4, hours=9)
    assert deadline_look(city, ticket, friday_evening).tone == "neutral"
    assert deadline_look(city, ticket, friday_evening + timedelta(days=2)).tone == "neutral"
    assert deadline_look(city, ticket, ticket.due_at - timedelta(hours=3)).tone == "warn"


async def test_what_waits_for_the_resident_stands_still_and_an_answered_ticket_is_never_late(city: City) -> None:
    clock = [START]
    service, ticket = await _danger(city, clock)
    late = START + timedelta(days=9)
    asked = await service.ask(ticket.number, "几楼？", key="q", actor="li.na")
    assert deadline_look(city, asked, late) == DeadlineLook("info", "计时暂停")
    await service.resume(ticket.number, key="r", actor="li.na")
    resolved = await service.resolve(ticket.number, "好了", key="d", actor="destination:desk")
    assert deadline_look(city, resolved, late).tone == "neutral"
    closed = await service.record_callback(ticket.number, solved=True, key="c", actor="resident")
    assert deadline_look(city, closed, late).tone == "neutral"


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
