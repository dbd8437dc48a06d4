"""One event, many callers: judging pairs, finding open tickets on both databases, merging by itself, and undoing."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import func, select

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.duplicates import SqlEventIndex
from assistant.db.models import Ticket, TicketPlaceKey
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.tickets.duplicates import Report, SameEvent, is_narrow
from assistant.tickets.place_keys import spot_of
from assistant.tickets.service import TicketService
from assistant.tickets.similar import Known, SameEvents, Similar
from tests.tickets.drafts import draft

PAIRS = Path(__file__).with_name("data")
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
WATER = "整个小区都停水了，一上午没有一滴水，也没有通知，做不了饭"
WATER_AGAIN = "小区全停水了，从早上到现在没有水，物业也没通知，做饭都没法做"


class Letters:
    """Embeds a text as the letters it uses, so that like texts are near."""

    encoder_id = "letters"

    def __init__(self) -> None:
        self.fails = False

    async def aembed(self, text: str) -> npt.NDArray[np.float32]:
        if self.fails:
            raise RuntimeError("no model")
        vector = np.full(64, 0.4, np.float32)
        for char in text:
            vector[ord(char) % 64] += 1
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture
def embedder() -> Letters:
    return Letters()


@pytest.fixture
def tickets(db: Database, city: City) -> TicketService:
    return TicketService(SqlTicketStore(db), city, Vault("s" * 40))


@pytest.fixture
def similar(db: Database, city: City, embedder: Letters) -> Similar:
    return Similar(SqlEventIndex(db), city, embedder)


@pytest.fixture
def water() -> Callable[..., Any]:
    def made(place: str, text: str = WATER, **changes: Any) -> Any:
        values = {"category1": "城乡建设", "category2": "城市建设和市政管理", "title": "停水", "event_time": None}
        return draft(**{**values, "place": place, "description": text, **changes})

    return made


def with_merging(city: City, automatic: float | None) -> City:
    merging = city.facts.merging.model_copy(update={"automatic": automatic})
    changed = object.__new__(City)
    changed.__dict__.update(city.__dict__)
    changed.facts = city.facts.model_copy(update={"merging": merging})
    return changed


async def test_found_by_place_and_merged_by_a_person_and_undone(
    tickets: TicketService, similar: Similar, city: City, db: Database, water: Callable[..., Any]
) -> None:
    first = await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    other = await tickets.submit(water("二七区绿城社区"), key="2", actor="resident")
    watch = SameEvents(similar, tickets, with_merging(city, None))
    assert await watch.catch_up() == 2 and await watch.catch_up() == 0
    [found] = await similar.find(water("鑫苑名家", WATER_AGAIN))
    assert (found.number, found.callers) == (first.number, 1) and "相同事项" in found.reasons
    # A resident's own tickets are no other callers.
    assert await similar.find(water("鑫苑名家", WATER_AGAIN), without=[first.number]) == []
    second = await tickets.submit(water("鑫苑名家", WATER_AGAIN), key="3", actor="resident")
    await watch.catch_up()
    assert [each.number for each in await similar.find(second.number)] == [first.number]
    await tickets.merge(second.number, first.number, key="m", actor="li.na")
    # Who was merged is found no more, and counts as a caller of the lead.
    [found] = await similar.find(water("鑫苑名家", WATER_AGAIN))
    assert (found.number, found.callers) == (first.number, 2)
    async with db.read() as session:
        keys = select(func.count()).where(TicketPlaceKey.number == second.number)
        assert await session.scalar(keys) == 0
    await tickets.unmerge(second.number, "不是一回事", key="u", actor="li.na")
    assert await watch.catch_up() == 1
    assert await similar.find(second.number) == []
    assert first.number not in {each.number for each in await similar.find(other.number)}


async def test_merged_by_itself_only_where_the_city_allows_it(
    tickets: TicketService, similar: Similar, city: City, water: Callable[..., Any]
) -> None:
    first = await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    again = await tickets.submit(water("金水区鑫苑名家小区"), key="2", actor="resident")
    refused = await tickets.submit(water("金水区鑫苑名家小区", apart_from=(first.number,)), key="3", actor="resident")
    asked = await tickets.submit(water("金水区鑫苑名家小区", request_type="咨询"), key="4", actor="resident")
    secret = await tickets.submit(water("金水区鑫苑名家小区", confidential=True), key="5", actor="resident")
    await SameEvents(similar, tickets, with_merging(city, 0.5)).catch_up()
    states = {number: await tickets.get(number) for number in (first.number, again.number, refused.number)}
    merged = states[again.number]
    assert merged is not None and merged.state == "已并案" and merged.merged_into == first.number
    assert merged.history[-1].actor == "system:merge" and "自动并案" in (merged.history[-1].note or "")
    for view in (first, asked, secret):
        kept = await tickets.get(view.number)
        assert kept is not None and kept.merged_into is None
    apart = await tickets.get(refused.number)
    assert apart is not None and apart.merged_into != first.number
    await tickets.unmerge(again.number, "另一件事", key="u", actor="li.na")
    await SameEvents(similar, tickets, with_merging(city, 0.5)).catch_up()
    undone = await tickets.get(again.number)
    assert undone is not None and undone.merged_into is None


async def test_said_to_be_another_event_is_remembered_for_both(
    tickets: TicketService, similar: Similar, city: City, water: Callable[..., Any]
) -> None:
    first = await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    second = await tickets.submit(water("鑫苑名家", WATER_AGAIN), key="2", actor="resident")
    await SameEvents(similar, tickets, with_merging(city, None)).catch_up()
    assert await similar.find(first.number) and await similar.find(second.number)
    view = await tickets.perform(second.number, "keep_apart", into=first.number, key="a", actor="li.na")
    assert view.state == second.state and view.history[-1].operation == "keep_apart"
    assert await similar.find(first.number) == [] == await similar.find(second.number)


async def test_closed_is_not_found_and_reopened_is(
    tickets: TicketService, similar: Similar, city: City, db: Database, water: Callable[..., Any]
) -> None:
    first = await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    watch = SameEvents(similar, tickets, with_merging(city, None))
    await watch.catch_up()
    async with db.read() as session:
        row = await session.get_one(Ticket, first.number)
        assert row.embedding is not None and row.spot is not None and row.spot["district"] == "金水区"
    await tickets.resolve(first.number, "已恢复供水", key="r", actor="li.na")
    assert await similar.find(water("鑫苑名家", WATER_AGAIN)) == []
    async with db.read() as session:
        row = await session.get_one(Ticket, first.number)
        assert row.embedding is row.encoder is row.spot is None
    await tickets.record_callback(first.number, solved=False, key="c", actor="resident")
    assert await watch.catch_up() == 1
    assert len(await similar.find(water("鑫苑名家", WATER_AGAIN))) == 1


async def test_without_a_model_the_words_are_compared(
    tickets: TicketService, similar: Similar, city: City, embedder: Letters, db: Database, water: Callable[..., Any]
) -> None:
    embedder.fails = True
    first = await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    watch = SameEvents(similar, tickets, with_merging(city, None))
    assert await watch.catch_up() == 1 and await watch.catch_up() == 0
    async with db.read() as session:
        row = await session.get_one(Ticket, first.number)
        assert row.embedding is None and row.encoder == "letters"
    assert [each.number for each in await similar.find(water("鑫苑名家"))] == [first.number]


async def test_the_language_model_works_beside_the_search(
    tickets: TicketService, similar: Similar, city: City, db: Database, water: Callable[..., Any]
) -> None:
    for n, place in enumerate(("金水区鑫苑名家小区", "鑫苑名家3号楼", "金水区花园路85号", "二七区绿城社区")):
        await tickets.submit(water(place), key=str(n), actor="resident")
    await SameEvents(similar, tickets, with_merging(city, None)).catch_up()
    searched = asyncio.Event()

    class Telling(SqlEventIndex):
        async def candidates(self, *asked: Any, **options: Any) -> list[Known]:
            found = await super().candidates(*asked, **options)
            searched.set()
            return found

    class Waiting(Letters):
        async def aembed(self, text: str) -> npt.NDArray[np.float32]:
            await searched.wait()
            return await super().aembed(text)

    moment, asked = datetime.now(UTC), water("鑫苑名家", WATER_AGAIN)
    beside = Similar(Telling(db), city, Waiting(), clock=lambda: moment)
    found = await asyncio.wait_for(beside.find(asked), 30)
    assert found and found == await Similar(SqlEventIndex(db), city, Letters(), clock=lambda: moment).find(asked)
    # The same as each judged by itself.
    told = Report(
        asked.description,
        spot_of(asked.place, asked.description, city.resolve_place, districts=city.district_words),
        asked.category1, asked.category2, moment,
    )  # fmt: skip
    told = replace(told, vector=await beside.vector(told))
    for each in found:
        other = await beside.index.get(each.number)
        assert other is not None and beside.model.judge(told, beside.report(other)).score == each.score


async def test_what_is_told_of_counts_where_the_city_has_learned_it(
    tickets: TicketService, similar: Similar, city: City, embedder: Letters, db: Database, water: Callable[..., Any]
) -> None:
    await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    await SameEvents(similar, tickets, with_merging(city, None)).catch_up()

    def by_text(text: str, _: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.array([1, 0] if text == WATER else [0, 1], np.float32)

    def alike(_: str, __: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.array([1, 0], np.float32)

    scores = []
    for profile in (alike, by_text):
        found = await Similar(SqlEventIndex(db), city, embedder, profile=profile).find(water("鑫苑名家", WATER_AGAIN))
        scores.append(found[0].score if found else 0.0)
    assert scores[0] > scores[1]


def test_claims_of_ones_own_are_left_to_a_person(city: City) -> None:
    def said(text: str, minutes: int) -> Report:
        spot = spot_of("金水区花园路派出所", text, city.resolve_place, districts=city.district_words)
        return Report(text, spot, "政法", "户籍证件", NOW + timedelta(minutes=minutes))

    model = SameEvent.load()
    mine, theirs = said("我的户口迁不过来，窗口让补证明", 0), said("我的户口迁不过来，窗口让补证明", 60)
    alone = model.judge(mine, theirs)
    assert not alone.mergeable and "可能各有各的诉求" in alone.reasons
    ours, others = (replace(each, text="我们几十户的户口都迁不过来，窗口让补证明") for each in (mine, theirs))
    many = model.judge(ours, others)
    assert many.score > alone.score and "可能各有各的诉求" not in many.reasons


async def test_a_place_without_a_name_has_no_candidates(
    tickets: TicketService, similar: Similar, city: City, water: Callable[..., Any]
) -> None:
    await tickets.submit(water("金水区鑫苑名家小区"), key="1", actor="resident")
    await SameEvents(similar, tickets, with_merging(city, None)).catch_up()
    assert await similar.find(water("", "停水了，怎么办")) == []


def test_the_words_say_whether_a_building_matters() -> None:
    assert is_narrow("电梯坏了三天", "电梯停在一楼")
    assert is_narrow("我们单元停电了，其他单元都有电", "整个小区停电")
    assert not is_narrow("停水了没通知", "整个院子都没水")
    assert is_narrow("有人吵架", "停水了")
    assert not is_narrow("水龙头流黄水", "整个小区的水都是黄的")


def test_no_pair_of_another_number_is_ever_the_same(city: City) -> None:
    """The frozen pairs, by their words alone: whatever the model says, a house number tells apart."""
    model = SameEvent.load()
    rows = [json.loads(line) for line in (PAIRS / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    numbers = [row for row in rows if row["kind"] == "other_number"]
    assert len(numbers) >= 20
    for row in numbers:
        one, other = (
            Report(
                said["text"],
                spot_of(said["place"], said["text"], city.resolve_place, districts=city.district_words),
                said["category1"],
                said["category2"],
                NOW + timedelta(minutes=said["minutes"]),
            )
            for said in (row["a"], row["b"])
        )
        assert model.judge(one, other).score == 0, row["id"]
