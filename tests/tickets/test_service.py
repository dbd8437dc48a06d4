"""The service's rules on a store in memory: what it accepts, writes, sends and tells."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assistant.city import City
from assistant.crypto import Vault
from assistant.tickets.errors import IncompleteDraft, InvalidDraft, KeyReused, TicketNotFound, TransitionRefused
from assistant.tickets.model import Judgement, Matter
from assistant.tickets.numbering import NUMBER_PATTERN
from assistant.tickets.service import TicketService
from tests.tickets.drafts import PHONE, draft
from tests.tickets.memory import MemoryStore

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # Monday 10:00 in the city
DESK: dict[str, Any] = {"note": None, "public_reply": None, "reason_code": None, "actor": "destination:desk"}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def service(store: MemoryStore, city: City) -> TicketService:
    return TicketService(store, city, Vault("s" * 40), clock=lambda: NOW)


# --- submit --------------------------------------------------------------------------------------------------------


async def test_submit_routes_sends_and_answers_with_number_unit_and_deadline(
    service: TicketService, store: MemoryStore
) -> None:
    view = await service.submit(draft(), key="k1", actor="resident")
    assert view.public() == {
        "number": "ZZ20261123050001",
        "state": "已派遣",
        "unit": "金水区城市管理局",
        "due_at": "2026-12-02T02:00:00+00:00",
    }
    assert view.grid_path == ("郑州市", "金水区")
    assert [(e.operation, e.from_state, e.to_state) for e in view.history] == [
        ("submit", None, "待受理"),
        ("accept", "待受理", "待派遣"),
        ("dispatch", "待派遣", "已派遣"),
    ]
    [(_, row)] = store.outbox
    assert (row.key, row.operation, row.destination) == ("ZZ20261123050001:create:1", "create", "desk")
    assert row.payload["service_code"] == "environment.pollution"
    assert row.payload["address_string"] == "金水区花园路85号"
    assert row.payload["unit"] == "金水区城市管理局"
    assert store.messages == []


async def test_the_other_matters_of_a_message_are_named_to_the_staff_and_masked(
    service: TicketService, store: MemoryStore
) -> None:
    others = (
        Matter("交通运输", "公共交通", f"另外公交车等不来，打{PHONE}找我"),
        Matter("城乡建设", None, "路灯不亮" * 30),
    )
    view = await service.submit(draft(other_matters=others), key="k1", actor="resident")
    assert [matter.category1 for matter in view.other_matters] == ["交通运输", "城乡建设"]
    assert PHONE not in repr(view.other_matters)
    [(_, row)] = store.outbox
    named = row.payload["other_matters"]
    assert named.startswith("交通运输/公共交通：另外公交车等不来，打138****5678找我；城乡建设：路灯不亮")
    assert named.endswith("…") and len(named) < 200
    # What was read out of a message may change between two tries; what the resident confirmed may not.
    assert await service.submit(draft(), key="k1", actor="resident") == view
    await service.submit(draft(), key="k2", actor="resident")
    assert store.outbox[-1][1].payload["other_matters"] == ""


async def test_why_a_ticket_was_judged_so_is_kept_once_and_is_no_step(
    service: TicketService, store: MemoryStore
) -> None:
    view = await service.submit(draft(), key="k1", actor="resident")
    assert view.judgement is None and view.confidences["model"] == "nlu-test"
    assert await service.without_judgement(since=NOW + timedelta(seconds=1)) == []
    [waiting] = await service.without_judgement(since=NOW)
    assert waiting.number == view.number
    first = Judgement({"category": ("油烟很大",)}, (("环境保护/环境污染", 0.9),), "nlu-test")
    await service.keep_judgement(view.number, first)
    await service.keep_judgement(view.number, Judgement({}, (), None))
    known = await service.get(view.number)
    assert known is not None and known.judgement == first
    assert known.history == view.history and len(store.outbox) == 1
    assert await service.without_judgement(since=NOW) == []
    with pytest.raises(TicketNotFound):
        await service.keep_judgement("ZZ1", first)


async def test_numbers_run_on_over_the_city_and_begin_anew_with_the_day(store: MemoryStore, city: City) -> None:
    moment = [NOW]
    service = TicketService(store, city, Vault("s" * 40), clock=lambda: moment[0])
    numbers = [
        (await service.submit(draft(place=place), key=str(n), actor="resident")).number
        for n, place in enumerate(["金水区", "金水区", "二七区", None, "A3区某小区"])
    ]
    moment[0] = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # past midnight in the city
    numbers.append((await service.submit(draft(), key="next", actor="resident")).number)
    assert [number[10:] for number in numbers] == ["050001", "050002", "030003", "000004", "000005", "050001"]
    assert numbers[-1].startswith("ZZ20261124")
    assert all(re.fullmatch(NUMBER_PATTERN, number) for number in numbers)


async def test_same_key_gives_the_same_ticket_and_another_body_is_refused(
    service: TicketService, store: MemoryStore
) -> None:
    first = await service.submit(draft(), key="k", actor="resident")
    again = await service.submit(draft(confidences={"category1": 0.1}, channel="telegram"), key="k", actor="resident")
    assert again == first and len(store.tickets) == len(store.outbox) == 1
    for change in ({"description": "别的事情"}, {"phone": "13900001111"}, {"place": "二七区"}, {"anonymous": True}):
        with pytest.raises(KeyReused) as caught:
            await service.submit(draft(**change), key="k", actor="resident")
        assert caught.value.status == 409
    assert len(store.tickets) == len(store.outbox) == 1


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"description": "  "}, ("description",)),
        ({"phone": None}, ("contact",)),
        ({"phone": " "}, ("contact",)),
        ({"place": ""}, ("place",)),
        ({"request_type": "", "category1": ""}, ("request_type", "category")),
        ({"description": "", "place": " ", "phone": ""}, ("description", "place", "contact")),
    ],
)
async def test_an_incomplete_draft_says_what_is_missing_and_writes_nothing(
    service: TicketService, store: MemoryStore, changes: dict[str, Any], missing: tuple[str, ...]
) -> None:
    with pytest.raises(IncompleteDraft) as caught:
        await service.submit(draft(**changes), key="k", actor="resident")
    assert caught.value.missing == missing
    assert not (store.tickets or store.events or store.outbox or store.sequences)


@pytest.mark.parametrize("changes", [{"request_type": "骂人"}, {"urgency": "马上"}, {"category1": "没有"}])
async def test_values_the_city_does_not_know_are_refused(service: TicketService, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidDraft):
        await service.submit(draft(**changes), key="k", actor="resident")


async def test_no_place_and_no_contact_make_no_dead_end(service: TicketService, store: MemoryStore) -> None:
    view = await service.submit(draft(place=None, phone=None, name=None, anonymous=True), key="k", actor="resident")
    assert view.place == "未提供" and view.grid_path == () and view.anonymous
    assert view.number[10:12] == "00"
    assert len(store.outbox) == 1
    assert not await service.check_phone(view.number, "")
    assert (await service.reveal_requester(view.number)).phone is None


async def test_a_district_named_in_the_text_helps_a_place_that_names_none(service: TicketService) -> None:
    said = draft(place="我家楼下", description="二七区这边烧烤店油烟太大，和金水区那次一样")
    view = await service.submit(said, key="k1", actor="resident")
    assert (view.grid_path, view.lead_unit, view.place) == (("郑州市", "二七区"), "二七区城市管理局", "我家楼下")
    other = draft(place="惠济区江山路", description="我在二七区上班，家门口烧烤店油烟太大")
    assert (await service.submit(other, key="k2", actor="resident")).grid_path == ("郑州市", "惠济区")


async def test_below_the_threshold_it_is_sent_to_the_first_receiver_and_waits_for_a_person(
    service: TicketService, store: MemoryStore, city: City
) -> None:
    unsure = draft(category1="党务政务", category2=None, title="", description="有个事", confidences={"category1": 0.2})
    view = await service.submit(unsure, key="k", actor="resident")
    assert view.state == "待派遣" and view.routing.review
    assert view.lead_unit == city.matrix.first_receiver
    assert [e.operation for e in view.history] == ["submit", "accept"]
    assert [row.payload["review"] for _, row in store.outbox] == [True]


async def test_danger_is_due_in_two_real_hours(service: TicketService) -> None:
    view = await service.submit(draft(urgency="特急"), key="k", actor="resident")
    assert view.due_at == NOW + timedelta(hours=2)


async def test_personal_data_is_sealed_and_nowhere_else(service: TicketService, store: MemoryStore) -> None:
    text = f"我叫王小明，电话{PHONE}，身份证410105199001011234"
    view = await service.submit(
        draft(title=text, description=text, place=f"金水区，联系{PHONE}", event_time=f"昨天 {PHONE}"),
        key="k",
        actor="resident",
    )
    await service.add_supplement(view.number, f"再说一次{PHONE}", key="s", actor="resident")
    await service.withdraw(view.number, f"打{PHONE}", key="w", actor="resident")
    written = repr((store.tickets, store.events, store.outbox, store.messages))
    assert PHONE not in written and "410105199001011234" not in written
    assert "138****5678" in written
    requester = await service.reveal_requester(view.number)
    assert (requester.name, requester.phone) == ("王小明", PHONE)


async def test_phone_check_takes_the_last_four_digits_only(service: TicketService) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    assert await service.check_phone(number.lower(), " 5678 ")
    for wrong in ("5679", "", "678", PHONE):
        assert not await service.check_phone(number, wrong)
    assert not await service.check_phone("ZZ20261123059999", "5678")


async def test_long_text_is_kept_whole_and_short_fields_are_cut(service: TicketService) -> None:
    view = await service.submit(
        draft(title="标" * 500, description="述" * 10_000, place="金水区" + "路" * 900, event_time="晚" * 500),
        key="k",
        actor="resident",
    )
    assert (len(view.title), len(view.description), len(view.place or "")) == (200, 10_000, 400)


# --- what comes back from the destination --------------------------------------------------------------------------


async def test_status_changes_tell_the_resident_once(service: TicketService, store: MemoryStore) -> None:
    number = (await service.submit(draft(conversation_id="c1"), key="k", actor="resident")).number
    for _ in range(3):
        view = await service.apply_dispatch_status(number, "accepted", key="a", **DESK)
    assert view.state == "处置中"
    for _ in range(2):
        view = await service.apply_dispatch_status(
            number, "resolved", key="b", **{**DESK, "public_reply": "已责令加装净化器。", "note": "现场照片两张"}
        )
    assert view.state == "待回访"
    assert [e.operation for e in view.history] == ["submit", "accept", "dispatch", "acknowledge", "resolve"]
    accepted, resolved = store.messages
    assert "已由金水区城市管理局签收" in accepted.text and accepted.ticket["state"] == "处置中"
    assert "已责令加装净化器。" in resolved.text and "解决了吗" in resolved.text
    assert "现场照片" not in resolved.text
    assert [button["payload"] for button in resolved.buttons] == ["已经解决了", "没有解决"]
    assert resolved.conversation_id == "c1"


async def test_a_return_waits_for_a_ruling_and_is_filed_again_when_assigned(
    service: TicketService, store: MemoryStore
) -> None:
    number = (await service.submit(draft(conversation_id="c1"), key="k", actor="resident")).number
    view = await service.apply_dispatch_status(number, "returned", key="r", **{**DESK, "reason_code": "属地不符"})
    assert view.state == "待派遣"
    assert [(e.operation, e.to_state, e.reason_code) for e in view.history[3:]] == [
        ("return", "退单", "属地不符"),
        ("rule", "待派遣", None),
    ]
    assert "属地不符" in store.messages[-1].text
    view = await service.assign(number, "二七区城市管理局", "地点在二七区", key="as", actor="li.na")
    assert (view.state, view.lead_unit) == ("已派遣", "二七区城市管理局")
    assert [row.key for _, row in store.outbox] == [f"{number}:create:1", f"{number}:create:2"]
    assert store.outbox[-1][1].payload["unit"] == "二七区城市管理局"
    assert "二七区城市管理局" in store.messages[-1].text
    view = await service.assign(number, "市城市管理局", "市级直办", key="as2", actor="li.na")
    assert store.outbox[-1][1].key == f"{number}:supplement:1"


async def test_callback_closes_or_reopens_with_the_same_unit(service: TicketService, store: MemoryStore) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    await service.apply_dispatch_status(number, "resolved", key="r1", **DESK)
    view = await service.record_callback(number, solved=False, comment="油烟还在", key="c1", actor="resident")
    assert (view.state, view.lead_unit) == ("已派遣", "金水区城市管理局")
    assert store.outbox[-1][1].key == f"{number}:create:2"
    assert "油烟还在" in store.outbox[-1][1].payload["description"]
    await service.apply_dispatch_status(number, "resolved", key="r2", **DESK)
    view = await service.record_callback(number, solved=True, key="c2", actor="resident")
    assert view.state == "已结案"
    with pytest.raises(TransitionRefused):
        await service.urge(number, key="u", actor="resident")


async def test_states_that_mean_nothing_to_the_ticket_change_nothing(
    service: TicketService, store: MemoryStore
) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    for state in ("received", "withdrawn"):
        assert (await service.apply_dispatch_status(number, state, key=state, **DESK)).state == "已派遣"
    with pytest.raises(InvalidDraft):
        await service.apply_dispatch_status(number, "exploded", key="x", **DESK)
    with pytest.raises(InvalidDraft):
        await service.apply_dispatch_status(number, "returned", key="y", **{**DESK, "reason_code": "懒得办"})
    assert len(store.events) == 3


async def test_a_withdrawn_ticket_cannot_be_resolved_any_more(service: TicketService) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    assert (await service.withdraw(number, "自己解决了", key="w", actor="resident")).state == "已撤单"
    with pytest.raises(TransitionRefused) as caught:
        await service.apply_dispatch_status(number, "resolved", key="r", **DESK)
    assert caught.value.state == "已撤单" and caught.value.status == 409


# --- what the resident does ----------------------------------------------------------------------------------------


async def test_supplement_urge_and_withdraw_write_history_and_outbox_once_per_key(
    service: TicketService, store: MemoryStore
) -> None:
    number = (await service.submit(draft(conversation_id="c1"), key="k", actor="resident")).number
    for _ in range(2):
        await service.add_supplement(number, "今晚更严重了", key="s1", actor="resident")
        await service.urge(number, key="u1", actor="resident")
    await service.add_supplement(number, "店名叫老王烧烤", key="s2", actor="resident")
    view = await service.withdraw(number, "店已搬走", key="w1", actor="resident")
    assert [(row.key.removeprefix(number), row.payload.get("text")) for _, row in store.outbox[1:]] == [
        (":supplement:1", "今晚更严重了"),
        (":urge:1", "居民催办，请尽快办理并反馈。"),
        (":supplement:2", "店名叫老王烧烤"),
        (":withdraw:1", "居民要求撤单：店已搬走"),
    ]
    assert [e.operation for e in view.history[3:]] == ["supplement", "urge", "supplement", "withdraw"]
    assert store.messages == []  # the dialogue answers what the resident does in it


async def test_a_key_of_one_operation_cannot_be_used_for_another(service: TicketService) -> None:
    first = (await service.submit(draft(), key="k", actor="resident")).number
    other = (await service.submit(draft(), key="k2", actor="resident")).number
    await service.add_supplement(first, "补充", key="s", actor="resident")
    with pytest.raises(KeyReused):
        await service.urge(first, key="s", actor="resident")
    with pytest.raises(KeyReused):
        await service.add_supplement(other, "补充", key="s", actor="resident")
    with pytest.raises(KeyReused):
        await service.add_supplement(first, "另一句", key="s", actor="resident")


async def test_unknown_tickets_and_units(service: TicketService) -> None:
    with pytest.raises(TicketNotFound):
        await service.urge("ZZ20261123059999", key="u", actor="resident")
    with pytest.raises(TicketNotFound):
        await service.reveal_requester("ZZ20261123059999")
    assert await service.get("没有") is None
    number = (await service.submit(draft(), key="k", actor="resident")).number
    with pytest.raises(InvalidDraft):
        await service.assign(number, "没有这个局", "原因", key="a", actor="li.na")
    with pytest.raises(TransitionRefused):
        await service.assign(number, "市水利局", "原因", key="a", actor="resident")


async def test_find_by_conversation_and_state(service: TicketService) -> None:
    for n in range(3):
        await service.submit(draft(conversation_id=f"c{n % 2}"), key=str(n), actor="resident")
    assert len(await service.find()) == 3
    assert [view.conversation_id for view in await service.find(conversation_id="c0")] == ["c0", "c0"]
    assert await service.find(state="已结案") == []
    assert len(await service.find(state="已派遣", limit=2)) == 2
