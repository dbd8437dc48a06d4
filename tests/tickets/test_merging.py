"""One event, many callers: who acts, who is told, what is sent, and that it can be undone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from assistant.city import City
from assistant.crypto import Vault
from assistant.tickets.errors import InvalidDraft, TicketNotFound, TransitionRefused
from assistant.tickets.service import TicketService
from tests.tickets.drafts import draft
from tests.tickets.memory import MemoryStore

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
UNIT = "destination:desk"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def service(store: MemoryStore, city: City) -> TicketService:
    return TicketService(store, city, Vault("s" * 40), clock=lambda: NOW)


async def _file(service: TicketService, count: int, **changes: Any) -> list[str]:
    return [
        (await service.submit(draft(conversation_id=f"c{n}", **changes), key=f"k{n}", actor="resident")).number
        for n in range(count)
    ]


async def _state(service: TicketService, number: str) -> str:
    view = await service.get(number)
    assert view is not None
    return view.state


def _sent(store: MemoryStore, number: str) -> list[str]:
    return [row.operation for owner, row in store.outbox if owner == number]


def _told(store: MemoryStore, conversation: str) -> list[str]:
    return [message.text for message in store.messages if message.conversation_id == conversation]


async def test_a_merged_ticket_is_withdrawn_and_the_lead_hears_of_it(
    service: TicketService, store: MemoryStore
) -> None:
    lead, second, third = await _file(service, 3)
    view = await service.merge(second, lead.lower(), "同一家店", key="m1", actor="li.na")
    await service.merge(third, second, "同一家店", key="m2", actor="li.na")  # whoever names a follower means its lead
    assert (view.state, view.merged_into) == ("已并案", lead)
    assert _sent(store, second) == _sent(store, third) == ["create", "withdraw"]
    assert _sent(store, lead) == ["create", "supplement", "supplement"]
    assert store.outbox[-2][1].payload["text"].startswith(f"并入工单{lead}")
    assert store.outbox[-1][1].payload["text"].startswith("又有居民反映同一事项：楼下烧烤店")
    assert {each.number for each in await service.followers(lead)} == {second, third}
    assert "一共有3人反映" in _told(store, "c2")[-1] and second not in _told(store, "c2")[-1]
    assert _told(store, "c0") == []


async def test_what_happens_to_the_lead_is_told_to_everybody_and_each_is_called_back(
    service: TicketService, store: MemoryStore
) -> None:
    lead, second, third = await _file(service, 3)
    for number in (second, third):
        await service.merge(number, lead, key=f"m{number}", actor="system:merge")
    store.messages.clear()
    await service.acknowledge(lead, key="a", actor=UNIT)
    await service.ask(lead, "几楼？", key="q", actor=UNIT)
    await service.answer(lead, "二楼", key="an", actor="resident")
    await service.assign(lead, "市水利局", "裁定", key="as", actor="li.na")
    await service.resolve(lead, "已清洗烟道", key="r", actor=UNIT)
    for conversation, number in (("c1", second), ("c2", third)):
        acknowledged, reassigned, resolved = _told(store, conversation)
        assert number in acknowledged and "签收" in acknowledged
        assert number in reassigned and "市水利局" in reassigned
        assert number in resolved and "已清洗烟道" in resolved
        assert await _state(service, number) == "待回访"
    assert len(_told(store, "c0")) == 4

    closed = await service.record_callback(second, solved=True, satisfied=True, key="c1", actor="resident")
    opened = await service.record_callback(third, solved=False, comment="还有", key="c2", actor="resident")
    assert (closed.state, closed.merged_into) == ("已结案", lead)
    assert (opened.state, opened.merged_into, opened.lead_unit) == ("已派遣", None, "市水利局")
    assert _sent(store, third)[-1] == "create"
    assert await _state(service, lead) == "待回访"
    assert [each.number for each in await service.followers(lead)] == [second]


async def test_a_new_request_can_follow_an_open_one_at_once(service: TicketService, store: MemoryStore) -> None:
    [lead] = await _file(service, 1)
    store.messages.clear()
    view = await service.submit(draft(conversation_id="c9", follows=lead.lower()), key="f", actor="resident")
    assert (view.state, view.merged_into) == ("已并案", lead)
    assert [e.operation for e in view.history] == ["submit", "merge"]
    assert _sent(store, view.number) == [] and _sent(store, lead) == ["create", "supplement"]
    assert store.messages == []  # the dialogue says it
    again = await service.submit(draft(conversation_id="c9", follows=lead), key="f", actor="resident")
    assert again == view
    # What the follower says or asks goes to whoever acts.
    await service.add_supplement(view.number, "现在更严重", key="s", actor="resident")
    await service.urge(view.number, key="u", actor="resident")
    assert _sent(store, lead) == ["create", "supplement", "supplement", "urge"]
    assert store.outbox[-1][1].payload["ticket_number"] == lead

    single = await service.unmerge(view.number, "不是同一家店", key="un", actor="li.na")
    assert (single.state, single.merged_into) == ("已派遣", None)
    assert [e.operation for e in single.history[-3:]] == ["unmerge", "accept", "dispatch"]
    assert _sent(store, view.number) == ["create"]
    assert "单独办理" in _told(store, "c9")[-1]


@pytest.mark.parametrize("ending", ["withdraw", "resolve", "unknown"])
async def test_a_request_that_follows_what_nobody_acts_on_is_a_ticket_of_its_own(
    service: TicketService, ending: str
) -> None:
    [lead] = await _file(service, 1)
    if ending == "withdraw":
        await service.withdraw(lead, "好了", key="w", actor="resident")
    elif ending == "resolve":
        await service.resolve(lead, "好了", key="r", actor=UNIT)
    else:
        lead = "ZZ20260101059999"
    view = await service.submit(draft(follows=lead), key="f", actor="resident")
    assert (view.state, view.merged_into) == ("已派遣", None)


async def test_undoing_gives_the_former_state_and_files_it_again(service: TicketService, store: MemoryStore) -> None:
    lead, other = await _file(service, 2)
    await service.acknowledge(other, key="a", actor=UNIT)
    await service.merge(other, lead, key="m", actor="li.na")
    view = await service.unmerge(other, "另一家店", key="u", actor="li.na")
    assert (view.state, view.merged_into) == ("处置中", None)
    assert _sent(store, other) == ["create", "withdraw", "create"]
    assert store.outbox[-1][1].key == f"{other}:create:2"
    with pytest.raises(TransitionRefused):
        await service.unmerge(other, "再来", key="u2", actor="li.na")
    again = await service.merge(other, lead, key="m2", actor="li.na")
    assert again.state == "已并案"


async def test_a_question_that_was_open_at_the_merge_is_not_asked_again(service: TicketService) -> None:
    lead, other = await _file(service, 2)
    await service.ask(other, "几楼？", key="q", actor=UNIT)
    await service.merge(other, lead, key="m", actor="li.na")
    view = await service.unmerge(other, "另一家店", key="u", actor="li.na")
    assert (view.state, view.paused_at) == ("已派遣", None)


async def test_a_lead_that_is_merged_takes_its_followers_along(service: TicketService, store: MemoryStore) -> None:
    first, second, third = await _file(service, 3)
    await service.merge(second, first, key="m1", actor="li.na")
    store.messages.clear()
    await service.merge(first, third, key="m2", actor="li.na")
    assert {each.number for each in await service.followers(third)} == {first, second}
    moved = await service.get(second)
    assert moved is not None and moved.history[-1].operation == "move"
    assert _told(store, "c1") == [] and "一共有3人反映" in _told(store, "c0")[-1]
    with pytest.raises(InvalidDraft, match="自己"):
        await service.merge(third, second, key="m3", actor="li.na")


async def test_when_the_lead_is_withdrawn_the_others_still_wait(service: TicketService, store: MemoryStore) -> None:
    lead, eldest, other = await _file(service, 3)
    await service.assign(lead, "市水利局", "裁定", key="as", actor="li.na")
    for number in (other, eldest):
        await service.merge(number, lead, key=f"m{number}", actor="li.na")
    await service.withdraw(lead, "我搬走了", key="w", actor="resident")
    assert await _state(service, lead) == "已撤单"
    view = await service.get(eldest)
    assert view is not None and (view.state, view.merged_into, view.lead_unit) == ("已派遣", None, "市水利局")
    assert _sent(store, eldest) == ["create", "withdraw", "create"]
    assert [each.number for each in await service.followers(eldest)] == [other]
    assert "单独办理" in _told(store, "c1")[-1]


async def test_a_follower_that_is_withdrawn_does_not_count_any_more(service: TicketService, store: MemoryStore) -> None:
    lead, other = await _file(service, 2)
    await service.merge(other, lead, key="m", actor="li.na")
    view = await service.withdraw(other, "好了", key="w", actor="resident")
    assert (view.state, view.merged_into) == ("已撤单", None)
    assert _sent(store, other) == ["create", "withdraw"] and await service.followers(lead) == []


async def test_what_nobody_acts_on_cannot_lead(service: TicketService, store: MemoryStore) -> None:
    [number] = await _file(service, 1)
    waiting = (await service.submit(draft(), key="w", actor="resident", trusted=False)).number
    done = (await service.submit(draft(), key="d", actor="resident")).number
    await service.resolve(done, "好了", key="r", actor=UNIT)
    before = (dict(store.tickets), list(store.events), list(store.outbox))
    for target in (waiting, done):
        with pytest.raises(TransitionRefused, match="不能接受并案"):
            await service.merge(number, target, key="m", actor="li.na")
    with pytest.raises(InvalidDraft, match="自己"):
        await service.merge(number, number, key="m", actor="li.na")
    with pytest.raises(TicketNotFound, match="要并入的工单"):
        await service.merge(number, "ZZ20260101050001", key="m", actor="li.na")
    assert (store.tickets, store.events, store.outbox) == before
