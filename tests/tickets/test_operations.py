"""Every operation beside submit: what it asks for, what it changes, who is told. The rules are those of the service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assistant.city import City
from assistant.crypto import Vault
from assistant.tickets.errors import (
    IncompleteDraft,
    InvalidDraft,
    KeyReused,
    TicketChanged,
    TransitionRefused,
)
from assistant.tickets.replay import asked_until
from assistant.tickets.service import TicketService
from tests.tickets.drafts import PHONE, draft
from tests.tickets.memory import MemoryStore

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # Monday 10:00 in the city
UNIT = "destination:desk"


class Clock:
    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **length: float) -> None:
        self.moment += timedelta(**length)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def service(store: MemoryStore, city: City, clock: Clock) -> TicketService:
    return TicketService(store, city, Vault("s" * 40), clock=clock)


@pytest.fixture
async def number(service: TicketService) -> str:
    return (await service.submit(draft(conversation_id="c1"), key="k", actor="resident")).number


def _told(store: MemoryStore) -> list[str]:
    return [message.text for message in store.messages]


def _sent(store: MemoryStore) -> list[tuple[str, Any]]:
    return [(row.operation, row.payload.get("text")) for _, row in store.outbox[1:]]


# --- acceptance ----------------------------------------------------------------------------------------------------


async def test_a_request_nobody_vouches_for_waits_and_sends_nothing(service: TicketService, store: MemoryStore) -> None:
    waiting = await service.submit(draft(conversation_id="c1"), key="k", actor="resident:api", trusted=False)
    assert waiting.state == "待受理" and [e.operation for e in waiting.history] == ["submit"]
    await service.add_supplement(waiting.number, "在二楼", key="s", actor="resident:api")
    await service.urge(waiting.number, key="u", actor="resident:api")
    assert store.outbox == [] and store.messages == []
    for work in (
        service.acknowledge(waiting.number, key="a", actor=UNIT),
        service.accept(waiting.number, key="a", actor="resident:api"),
    ):
        with pytest.raises(TransitionRefused):
            await work
    accepted = await service.accept(waiting.number, key="accept", actor="li.na")
    assert accepted.state == "已派遣"
    assert [(e.operation, e.actor) for e in accepted.history[3:]] == [("accept", "li.na"), ("dispatch", "system")]
    [(_, row)] = store.outbox
    assert row.operation == "create" and row.payload["description"].endswith("补充：在二楼")


async def test_the_clock_starts_when_a_request_is_accepted(service: TicketService, clock: Clock) -> None:
    number = (await service.submit(draft(urgency="特急"), key="k", actor="resident", trusted=False)).number
    clock.pass_(hours=5)
    view = await service.accept(number, key="a", actor="li.na")
    assert view.due_at == clock.moment + timedelta(hours=2)


async def test_a_first_handler_has_its_time_from_acceptance(service: TicketService, clock: Clock) -> None:
    asked = draft(
        category1="政法", category2="交通管理", title="小区乱停车", place="金水区经三路", urgency="一般",
        description="我们小区里乱停车，停车位被僵尸车占着",
    )  # fmt: skip
    waiting = await service.submit(asked, key="k", actor="resident:api", trusted=False)
    clock.pass_(days=7)
    view = await service.accept(waiting.number, key="a", actor="li.na")
    at_once = await service.submit(asked, key="k2", actor="resident")
    assert view.lead_unit == at_once.lead_unit == "小区物业服务企业"
    assert view.handler_until == at_once.handler_until and view.handler_until is not None
    assert waiting.handler_until == view.handler_until - timedelta(days=7)
    assert (await service.replayed(view.number))["handler_until"] == view.handler_until.isoformat()
    moved = await service.submit(asked, key="k3", actor="resident")
    moved = await service.assign(moved.number, "市水利局", "属于水利", key="m", actor="li.na")
    assert moved.handler_until is None


# --- units ---------------------------------------------------------------------------------------------------------


async def test_a_unit_is_added_once(service: TicketService, store: MemoryStore, number: str) -> None:
    view = await service.add_unit(number, "市水利局", "涉及排水", key="a", actor="li.na", evidence=["红头文件.pdf"])
    assert "市水利局" in view.assisting_units and view.state == "已派遣"
    assert _sent(store) == [("supplement", "加派市水利局协办：涉及排水")]
    assert view.history[-1].evidence == ("红头文件.pdf",)
    for unit in ("市水利局", view.lead_unit):
        with pytest.raises(InvalidDraft, match="已经在办理"):
            await service.add_unit(number, unit, "再加一次", key="b", actor="li.na")
    with pytest.raises(KeyReused):
        await service.add_unit(number, "市城市管理局", "涉及排水", key="a", actor="li.na", evidence=["红头文件.pdf"])


async def test_a_transfer_tells_the_resident_and_the_unit(
    service: TicketService, store: MemoryStore, number: str
) -> None:
    view = await service.transfer(number, "市水利局", key="t", actor="system:clock")
    assert (view.lead_unit, view.state, view.handler_until) == ("市水利局", "已派遣", None)
    assert _sent(store) == [("supplement", "承办单位改为市水利局。")]
    assert "现在转给市水利局继续办理" in _told(store)[-1]


async def test_another_destination_gets_it_filed_and_the_former_one_withdrawn(store: MemoryStore, city: City) -> None:
    service = TicketService(
        store,
        city,
        Vault("s" * 40),
        clock=lambda: NOW,
        choose_destination=lambda unit, _level1, _level2: "water" if unit == "市水利局" else "desk",
    )
    number = (await service.submit(draft(), key="k", actor="resident")).number
    view = await service.assign(number, "市水利局", "属于水利", key="a", actor="li.na")
    assert view.destination == "water"
    assert [(row.operation, row.destination) for _, row in store.outbox] == [
        ("create", "desk"),
        ("withdraw", "desk"),
        ("create", "water"),
    ]
    await service.urge(number, key="u", actor="resident")
    assert store.outbox[-1][1].destination == "water"


# --- asking --------------------------------------------------------------------------------------------------------


async def test_asking_stands_the_clock_still_and_the_next_supplement_is_the_answer(
    service: TicketService, store: MemoryStore, clock: Clock
) -> None:
    number = (await service.submit(draft(urgency="特急", conversation_id="c1"), key="k", actor="resident")).number
    due = NOW + timedelta(hours=2)
    clock.pass_(minutes=30)
    await service.acknowledge(number, key="a", actor=UNIT)
    view = await service.ask(number, f"请说明楼层，电话{PHONE}对吗", key="q", actor=UNIT)
    assert (view.state, view.paused_at, view.due_at) == ("待补充", clock.moment, due)
    assert "请说明楼层" in _told(store)[-1] and PHONE not in _told(store)[-1]
    clock.pass_(hours=3)
    for _ in range(2):
        view = await service.add_supplement(number, "三楼东户", key="s", actor="resident")
    assert (view.state, view.paused_at, view.due_at) == ("处置中", None, due + timedelta(hours=3))
    assert view.history[-1].operation == "answer"
    assert _sent(store) == [("supplement", "三楼东户")]
    with pytest.raises(TransitionRefused):
        await service.answer(number, "还有", key="s2", actor="resident")


async def test_without_an_answer_it_goes_on(service: TicketService, store: MemoryStore, number: str) -> None:
    await service.ask(number, "几楼？", key="q", actor=UNIT)
    view = await service.resume(number, key="r", actor="system:clock")
    assert view.state == "已派遣" and "先按您已经说过的情况继续办理" in _told(store)[-1]
    with pytest.raises(IncompleteDraft):
        await service.add_supplement(number, " ", key="e", actor="resident")


# --- extension -----------------------------------------------------------------------------------------------------


async def test_an_extension_is_applied_for_granted_and_told(
    service: TicketService, store: MemoryStore, number: str
) -> None:
    view = await service.get(number)
    assert view is not None
    until = view.due_at + timedelta(days=5)
    with pytest.raises(InvalidDraft, match="要由承办单位先申请"):
        await service.extend(number, until, "同意", key="x", actor="li.na")
    view = await service.apply_extension(number, until, "要采购设备", key="a", actor=UNIT)
    assert asked_until(view.history) == until and view.due_at < until
    with pytest.raises(InvalidDraft, match="晚于现在的截止时间"):
        await service.extend(number, view.due_at, "同意", key="x", actor="li.na")
    view = await service.extend(number, until, "同意", key="g", actor="li.na")
    assert view.due_at == until and asked_until(view.history) is None
    assert "答复时间延到" in _told(store)[-1]
    assert _sent(store)[-1][1].startswith("同意延期到2026-")
    with pytest.raises(InvalidDraft):
        await service.refuse_extension(number, "不", key="n", actor="li.na")


async def test_an_extension_comes_too_late_when_it_is_overdue(
    service: TicketService, clock: Clock, number: str
) -> None:
    view = await service.get(number)
    assert view is not None
    until = view.due_at + timedelta(days=30)
    await service.apply_extension(number, until, "要采购设备", key="a", actor=UNIT)
    clock.moment = view.due_at + timedelta(minutes=1)
    for work in (
        service.extend(number, until, "同意", key="g", actor="li.na"),
        service.apply_extension(number, until, "再申请", key="b", actor=UNIT),
    ):
        with pytest.raises(InvalidDraft, match="已经超期"):
            await work
    refused = await service.refuse_extension(number, "已经超期", key="n", actor="li.na")
    assert refused.due_at == view.due_at and asked_until(refused.history) is None


@pytest.mark.parametrize("hours", [0, -1])
async def test_an_extension_lies_behind_the_due_time(service: TicketService, number: str, hours: int) -> None:
    view = await service.get(number)
    assert view is not None
    with pytest.raises(InvalidDraft):
        await service.apply_extension(number, view.due_at + timedelta(hours=hours), "x", key="a", actor=UNIT)


# --- resolution, return, callback ----------------------------------------------------------------------------------


async def test_what_the_staff_resolve_is_closed_at_the_destination(
    service: TicketService, store: MemoryStore, number: str
) -> None:
    view = await service.resolve(number, "已清洗", "电话确认", key="r", actor="li.na", evidence=["https://x.cn/1.jpg"])
    assert view.state == "待回访" and _sent(store) == [("withdraw", "12345已登记办结，请关闭。")]
    assert view.history[-1].evidence == ("https://x.cn/1.jpg",)
    with pytest.raises(TransitionRefused):
        await service.apply_dispatch_status(number, "resolved", key="d", actor=UNIT)


async def test_a_returned_ticket_is_ruled_on_before_anybody_acts_on_it(service: TicketService, number: str) -> None:
    view = await service.return_ticket(number, "权属不清", "不归我局", key="r", actor=UNIT)
    assert view.state == "待派遣"
    with pytest.raises(TransitionRefused, match="先裁定承办单位"):
        await service.acknowledge(number, key="a", actor=UNIT)
    await service.assign(number, "市水利局", "裁定", key="as", actor="li.na")
    assert (await service.acknowledge(number, key="a", actor=UNIT)).state == "处置中"


async def test_the_callback_is_kept_and_a_new_round_begins_without_it(service: TicketService, number: str) -> None:
    await service.resolve(number, "已清洗", key="r", actor=UNIT)
    view = await service.record_callback(
        number, solved=False, satisfied=False, comment=f"油烟还在，打{PHONE}", key="c", actor="resident"
    )
    assert (view.state, view.solved, view.satisfied) == ("已派遣", False, False)
    assert view.callback_comment is not None and PHONE not in view.callback_comment
    view = await service.resolve(number, "又清洗了", key="r2", actor=UNIT)
    assert (view.solved, view.satisfied, view.callback_comment) == (None, None, None)
    view = await service.record_callback(number, solved=True, satisfied=True, key="c2", actor="resident")
    assert (view.state, view.solved, view.satisfied) == ("已结案", True, True)
    with pytest.raises(KeyReused):
        await service.record_callback(number, solved=False, key="c2", actor="resident")


async def test_supervision_is_told_to_the_unit(service: TicketService, store: MemoryStore, number: str) -> None:
    await service.supervise(number, "领导批示", key="s", actor="li.na")
    assert _sent(store) == [("urge", "督办：领导批示")]


# --- who was faster ------------------------------------------------------------------------------------------------


async def test_whoever_saw_an_older_version_is_told_the_present_state(service: TicketService, number: str) -> None:
    seen = (await service.acknowledge(number, key="a", actor=UNIT, seen=1)).version
    assert seen == 2
    with pytest.raises(TicketChanged) as caught:
        await service.assign(number, "市水利局", "理由", key="b", actor="li.na", seen=1)
    assert (caught.value.status, caught.value.state) == (409, "处置中")
    assert caught.value.facts == {"state": "处置中"}
    # What was done is done: repeating it is no conflict, whatever has happened since.
    assert (await service.acknowledge(number, key="a", actor=UNIT, seen=1)).version == 2
    assert (await service.assign(number, "市水利局", "理由", key="b", actor="li.na", seen=2)).lead_unit == "市水利局"


@pytest.mark.parametrize(
    ("unit", "reason", "evidence"),
    [("市城市管理局", "理由", ()), ("市水利局", "另一理由", ()), ("市水利局", "理由", ("文件",))],
)
async def test_the_same_key_with_another_content_is_refused(
    service: TicketService, number: str, unit: str, reason: str, evidence: tuple[str, ...]
) -> None:
    done = await service.assign(number, "市水利局", "理由", key="x", actor="li.na")
    assert await service.assign(number, "市水利局", "理由", key="x", actor="li.na") == done
    with pytest.raises(KeyReused):
        await service.assign(number, unit, reason, key="x", actor="li.na", evidence=evidence)
    assert await service.get(number) == done


@pytest.mark.parametrize("operation", ["submit", "dispatch", "rule", "move", "join", "explode"])
async def test_steps_that_follow_from_others_cannot_be_asked_for(
    service: TicketService, number: str, operation: str
) -> None:
    with pytest.raises(InvalidDraft, match="没有这种操作"):
        await service.perform(number, operation, key="x", actor="system", note="x", into=number)


async def test_evidence_is_bounded(service: TicketService, number: str) -> None:
    for evidence in (["x"] * 21, ["x" * 401]):
        with pytest.raises(InvalidDraft, match="佐证材料"):
            await service.supervise(number, "x", key="s", actor="li.na", evidence=evidence)


async def test_what_the_destination_asks_comes_by_its_status(
    service: TicketService, store: MemoryStore, number: str
) -> None:
    view = await service.get(number)
    assert view is not None
    until = view.due_at + timedelta(days=3)
    view = await service.apply_dispatch_status(
        number, "apply_extension", note="配件未到", until=until, key="e", actor=UNIT, evidence=["订单.pdf"]
    )
    assert asked_until(view.history) == until and view.history[-1].evidence == ("订单.pdf",)
    view = await service.apply_dispatch_status(number, "ask", note="是哪一单元？", key="q", actor=UNIT)
    assert view.state == "待补充" and "是哪一单元" in _told(store)[-1]
