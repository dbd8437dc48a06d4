from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from assistant.city import City
from assistant.crypto import Vault, load_secret
from assistant.tickets.clock import BY_CLOCK
from assistant.tickets.model import TicketDraft, TicketView
from assistant.tickets.service import TicketService
from assistant.tickets.timekeeper import Timekeeper
from tests.tickets.memory import MemoryStore

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=SHANGHAI).astimezone(UTC)


class House:
    """A service and a timekeeper on one clock that the test moves."""

    def __init__(self, city: City, folder: Path) -> None:
        self.moment = at("11-20 10:00")
        self.store = MemoryStore()
        vault = Vault(load_secret("", folder))
        self.tickets = TicketService(self.store, city, vault, clock=self._now)
        self.timekeeper = Timekeeper(self.store, self.tickets, city, clock=self._now)

    def _now(self) -> datetime:
        return self.moment

    async def until(self, text: str) -> None:
        """Let time go by in steps of an hour, as the job would see it."""
        while self.moment < at(text):
            self.moment = min(at(text), self.moment + timedelta(hours=1))
            await self.timekeeper.round()

    async def ticket(self, urgency: str = "紧急") -> TicketView:
        draft = TicketDraft(
            request_type="投诉", category1="城乡建设", category2="城市建设和市政管理", title="路灯不亮",
            description="整条街的路灯都不亮", place="金水区花园路85号", event_time=None, phone="13800138000", name=None,
            anonymous=False, confidential=False, urgency=urgency, conversation_id="c1", channel="web",
            confidences={"category1": 0.99, "category2": 0.99},
        )  # fmt: skip
        return await self.tickets.submit(draft, key=f"k{len(self.store.tickets)}", actor="resident")

    async def by_clock(self, number: str) -> list[str]:
        view = await self.tickets.get(number)
        assert view is not None
        return [entry.operation for entry in view.history if entry.actor == BY_CLOCK]


@pytest.fixture
def house(city: City, tmp_path: Path) -> House:
    return House(city, tmp_path)


async def test_a_unit_is_urged_at_a_quarter_and_supervised_when_overdue_each_once(house: House) -> None:
    # Urgent: one working day, Friday 10:00 to Monday 10:00; a quarter is 1 h 45 min, left from Friday 16:15 on.
    number = (await house.ticket()).number
    await house.until("11-20 16:00")
    assert await house.by_clock(number) == []
    await house.until("11-20 17:00")
    assert await house.by_clock(number) == ["urge"]
    await house.until("11-23 10:00")
    assert await house.by_clock(number) == ["urge", "supervise"]
    await house.until("12-20 10:00")
    assert await house.by_clock(number) == ["urge", "supervise"]
    told = [message.text for message in house.store.messages]
    assert "抓紧" in told[0] and "督办" in told[1]
    assert [row.operation for _, row in house.store.outbox] == ["create", "urge", "urge"]


async def test_a_timekeeper_that_was_away_catches_up_in_order(house: House) -> None:
    number = (await house.ticket()).number
    house.moment = at("11-25 10:00")
    await house.timekeeper.round()
    assert await house.by_clock(number) == ["urge"]
    await house.timekeeper.round()
    assert await house.by_clock(number) == ["urge", "supervise"]


async def test_while_the_resident_is_asked_nobody_is_urged_and_silence_ends_the_wait(house: House) -> None:
    number = (await house.ticket()).number
    house.moment = at("11-20 11:00")
    await house.tickets.ask(number, "是哪几盏灯？", key="ask", actor="destination:desk")
    await house.until("11-27 10:00")
    assert await house.by_clock(number) == []
    await house.until("11-27 11:00")
    assert await house.by_clock(number) == ["resume"]
    view = await house.tickets.get(number)
    # Six of seven hours were left.
    assert view is not None and view.state == "已派遣" and view.due_at == at("11-30 10:00")


async def test_an_answered_ticket_is_closed_when_nobody_calls_back(house: House) -> None:
    number = (await house.ticket()).number
    await house.tickets.resolve(number, "已修好。", key="r", actor="destination:desk")
    await house.until("11-27 09:00")
    assert await house.by_clock(number) == []
    await house.until("11-27 10:00")
    assert await house.by_clock(number) == ["close"]
    again = await house.tickets.record_callback(number, solved=False, key="no", actor="resident")
    assert again.state == "已派遣"


async def test_two_timekeepers_take_a_step_once(house: House, city: City) -> None:
    number = (await house.ticket()).number
    other = Timekeeper(house.store, house.tickets, city, clock=lambda: house.moment)
    house.moment = at("11-20 17:00")
    due = await house.store.due_steps(at=house.moment, limit=10)
    await house.timekeeper.round()
    for ticket, history in due:
        await other._step(ticket, history)
    assert await house.by_clock(number) == ["urge"]


async def test_a_step_that_the_rules_put_off_is_looked_at_again_then(house: House) -> None:
    number = (await house.ticket()).number
    await house.store.put_off(number, house.store.tickets[number].version, at("11-20 10:30"))
    house.moment = at("11-20 11:00")
    await house.timekeeper.round()
    assert await house.by_clock(number) == []
    assert house.store.tickets[number].next_step_at == at("11-20 16:15")
