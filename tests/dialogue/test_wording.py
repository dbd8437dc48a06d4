from dataclasses import replace
from datetime import UTC, datetime

from actions.wording import say_created, say_state, say_time
from assistant.tickets.model import Routing, TicketDraft, TicketView
from assistant.tickets.states import State
from tests.dialogue.fakes import CITY, FakeTickets

DRAFT = TicketDraft(
    request_type="投诉",
    category1="环境保护",
    category2=None,
    title="油烟",
    description="油烟",
    place=None,
    event_time=None,
    phone=None,
    name=None,
    anonymous=True,
    confidential=False,
    urgency="一般",
    conversation_id="c",
    channel="web",
)


async def ticket(**changes: object) -> TicketView:
    return await FakeTickets().submit(replace(DRAFT, **changes), key="k", actor="resident")  # type: ignore[arg-type]


def test_times_are_told_on_the_clock_of_the_city() -> None:
    assert say_time(datetime(2026, 11, 22, 16, 5, tzinfo=UTC), CITY.zone) == "11月23日（周一）00:05"


def test_every_state_is_told_in_human_words() -> None:
    assert all(say_state(state) != state for state in State)


async def test_a_new_ticket_is_told_with_number_unit_and_deadline() -> None:
    made = await ticket()
    text = say_created(CITY, made)
    assert made.number in text and made.lead_unit in text and "11月27日（周五）18:00" in text
    assert "匿名" in text
    assert "匿名" not in say_created(CITY, await ticket(anonymous=False, phone="13812345678"))


async def test_a_ticket_that_a_person_checks_is_told_so() -> None:
    made = replace(await ticket(), routing=Routing("不确定", 0.2, (), True))
    assert "核对" in say_created(CITY, made)


async def test_a_danger_is_told_with_the_numbers_to_call() -> None:
    assert "119" in say_created(CITY, await ticket(urgency="特急"))
