"""Additions in the database: tried, in use in every process, out of use, learned again; on both databases."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from assistant.additions import service
from assistant.additions.model import LIVE, OFF, TRIED, NewAddition
from assistant.additions.service import Additions, CannotLearn
from assistant.city import City
from assistant.crypto import Vault
from assistant.db.models import Addition
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.errors import BadInput, Conflict, NotFound
from assistant.open311.services import Catalogue
from assistant.tickets.routing import Router
from assistant.tickets.service import TicketService
from assistant.understanding import CachingReader
from nlu.runtime import Reader
from nlu.trial import Trainer
from tests.additions.material import BIKES, DRONE_REPLY, DRONES
from tests.tickets.drafts import draft

DRONE = NewAddition("intent", "无人机登记", DRONES, reply=DRONE_REPLY)
BIKE = NewAddition("category", "共享单车管理", BIKES, level1="城乡建设", unit="市城市管理局")
DRONE_ASKED, BIKE_TOLD = "航拍无人机要登记吗", "楼下的共享单车乱堆乱放，人都过不去"


class Process:
    """What one application process has."""

    def __init__(self, db: Database, shipped: Reader, trainer: Trainer, city: City) -> None:
        self.reader, self.city = CachingReader(shipped), city
        self.catalogue = Catalogue.of_categories(city.categories.values())
        self.additions = Additions(db, self.reader, city, trainer, changed=self._changed)
        self.router = Router(city)

    def _changed(self) -> None:
        self.catalogue.replace(Catalogue.of_categories(self.city.categories.values()).all())

    def intent(self, text: str) -> str:
        return self.reader.read(text).intent.name


@pytest.fixture
def process(db: Database, shipped: Reader, trainer: Trainer, city: City) -> Process:
    return Process(db, shipped, trainer, city)


async def set_row(db: Database, addition_id: int, **values: Any) -> None:
    async with db.begin() as session:
        await session.execute(update(Addition).where(Addition.id == addition_id).values(**values))


async def test_an_intent_is_tried_put_in_use_everywhere_and_taken_off(
    db: Database, process: Process, shipped: Reader, trainer: Trainer
) -> None:
    other = Process(db, shipped, trainer, City.load("city/demo"))
    await process.additions.load()
    await other.additions.load()
    view = await process.additions.trial(DRONE, "chen")
    assert (view.state, view.changed_by, view.examples) == (TRIED, "chen", DRONES)
    assert view.report["found"] >= 7 and view.report["summary"]
    assert process.intent(DRONE_ASKED) != DRONE.name and process.additions.reply_to(DRONE.name) is None

    view = await process.additions.enable(view.id, "boss")
    assert (view.state, view.changed_by) == (LIVE, "boss")
    # What was read before is forgotten, too.
    assert process.intent(DRONE_ASKED) == DRONE.name and process.additions.reply_to(DRONE.name) == DRONE_REPLY
    assert other.intent(DRONE_ASKED) != DRONE.name
    await other.additions.load()
    assert other.intent(DRONE_ASKED) == DRONE.name and other.additions.reply_to(DRONE.name) == DRONE_REPLY

    view = await other.additions.disable(view.id, "boss")
    assert view.state == OFF and other.intent(DRONE_ASKED) != DRONE.name
    await process.additions.load()
    assert process.intent(DRONE_ASKED) != DRONE.name and process.additions.reply_to(DRONE.name) is None
    assert [found.id for found in await process.additions.list()] == [view.id]


async def test_a_category_is_known_to_tickets_and_desk(db: Database, process: Process) -> None:
    view = await process.additions.trial(BIKE, "chen")
    code = view.code
    assert code.isascii() and code.split(".")[0] == process.city.group_code("城乡建设")
    assert process.catalogue.get(code) is None and process.city.category("城乡建设", BIKE.name).level2 != BIKE.name
    await process.additions.enable(view.id, "boss")
    assert process.catalogue.get(code).name == BIKE.name
    read = process.reader.read(BIKE_TOLD)
    assert read.category2.name == BIKE.name

    tickets = TicketService(SqlTicketStore(db), process.city, Vault("a secret of the tests, long enough to be taken"))
    filed = await tickets.submit(
        draft(
            category1=read.category1.name,
            category2=read.category2.name,
            title=BIKE_TOLD,
            description=BIKE_TOLD,
            confidences={"category1": read.category1.confidence, "category2": read.category2.confidence},
        ),
        key="bikes",
        actor="resident",
    )
    assert (filed.category1, filed.category2) == ("城乡建设", BIKE.name)
    assert filed.lead_unit == BIKE.unit and not filed.routing.review
    place = process.city.resolve_place("金水区花园路85号")
    assert process.router.route("城乡建设", BIKE.name, BIKE_TOLD, place, {}).service_code == code

    await process.additions.disable(view.id, "boss")
    assert process.catalogue.get(code) is None and ("城乡建设", BIKE.name) not in process.city.categories
    assert process.router.route("城乡建设", BIKE.name, BIKE_TOLD, place, {}).service_code != code
    # The ticket keeps what it was filed under, and can still be worked on.
    kept = await tickets.get(filed.number)
    assert kept is not None and kept.category2 == BIKE.name
    await tickets.urge(filed.number, key="urge", actor="resident")


async def test_what_is_in_use_is_not_taught_again_what_is_not_is_replaced(db: Database, process: Process) -> None:
    first = await process.additions.trial(DRONE, "chen")
    again = await process.additions.trial(
        NewAddition("intent", "无人机登记", (*DRONES, "", "  买了航拍机去哪备个案  "), reply="新答复"), "li"
    )
    assert again.id == first.id and again.reply == "新答复" and again.examples[-1] == "买了航拍机去哪备个案"
    assert len(again.examples) == 11 and again.state == TRIED
    await process.additions.enable(first.id, "boss")
    with pytest.raises(Conflict, match="先停用"):
        await process.additions.trial(DRONE, "chen")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NewAddition("intent", "机", DRONES, reply="好"), "2 到 20 个字"),
        (NewAddition("intent", "a/b", DRONES, reply="好"), "不能有“/”"),
        (NewAddition("intent", "greet", DRONES, reply="好"), "系统自带"),
        (NewAddition("intent", "无人机登记", DRONES, reply=" "), "请填写答复"),
        (NewAddition("intent", "无人机登记", DRONES, reply="长" * 1001), "最多 1000 个字"),
        (NewAddition("intent", "无人机登记", (*DRONES[:9], "飞"), reply="好"), "第 10 行：“飞”太短"),
        (NewAddition("category", "共享单车管理", BIKES, level1="城建", unit="市城市管理局"), "没有“城建”这个一级类别"),
        (NewAddition("category", "共享单车管理", BIKES, level1="城乡建设", unit="单车局"), "没有“单车局”这个单位"),
        (NewAddition("category", "工程质量", BIKES, level1="城乡建设", unit="市城市管理局"), "已经有“工程质量”"),
        (NewAddition("thing", "共享单车管理", BIKES), "类别还是意图"),  # type: ignore[arg-type]
    ],
)
async def test_what_cannot_be_taught_is_said_in_chinese(process: Process, new: NewAddition, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        await process.additions.trial(new, "chen")
    assert await process.additions.list() == []


async def test_what_would_hide_a_danger_is_not_put_in_use(db: Database, process: Process) -> None:
    view = await process.additions.trial(DRONE, "chen")
    await set_row(db, view.id, report={**view.report, "dangers": 1})
    with pytest.raises(BadInput, match="险情"):
        await process.additions.enable(view.id, "boss")
    assert (await process.additions.get(view.id)).state == TRIED
    with pytest.raises(NotFound):
        await process.additions.enable(view.id + 1, "boss")


async def test_after_an_upgrade_of_the_model_additions_are_learned_again(
    db: Database, process: Process, shipped: Reader, trainer: Trainer
) -> None:
    view = await process.additions.trial(DRONE, "chen")
    await process.additions.enable(view.id, "boss")
    tried = await process.additions.trial(BIKE, "chen")
    await set_row(db, view.id, model_version="former", learned=b"of the former model")
    await set_row(db, tried.id, model_version="former")

    upgraded = Process(db, shipped, trainer, City.load("city/demo"))
    await upgraded.additions.load()
    # Until it is learned again it is not read, but never read wrongly.
    assert upgraded.intent(DRONE_ASKED) != DRONE.name
    await upgraded.additions.learn_again()
    assert upgraded.intent(DRONE_ASKED) == DRONE.name
    view = await upgraded.additions.get(view.id)
    assert (view.state, view.model_version, view.changed_by) == (LIVE, shipped.model_version, "system")
    with pytest.raises(BadInput, match="重新试训"):
        await upgraded.additions.enable(tried.id, "boss")


async def test_what_can_no_longer_be_learned_is_taken_off_with_the_reason(db: Database, process: Process) -> None:
    view = await process.additions.trial(DRONE, "chen")
    await process.additions.enable(view.id, "boss")
    await set_row(db, view.id, model_version="former", examples=[*DRONES[:9], "飞"])
    await process.additions.learn_again()
    view = await process.additions.get(view.id)
    assert view.state == OFF and "太短" in view.report["problem"]


async def test_without_training_data_nothing_is_lost(
    db: Database, process: Process, shipped: Reader, tmp_path: Any
) -> None:
    view = await process.additions.trial(DRONE, "chen")
    await process.additions.enable(view.id, "boss")
    await set_row(db, view.id, model_version="former")
    bare = Process(db, shipped, Trainer(tmp_path / "nothing", tmp_path), City.load("city/demo"))
    with pytest.raises(CannotLearn):
        await bare.additions.trial(BIKE, "chen")
    await bare.additions.learn_again()
    assert (await bare.additions.get(view.id)).state == LIVE


async def test_one_trial_at_a_time(db: Database, process: Process) -> None:
    results = await asyncio.gather(
        process.additions.trial(DRONE, "chen"), process.additions.trial(BIKE, "li"), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    async with db.read() as session:
        assert len(list(await session.scalars(select(Addition.id)))) == 1


async def test_a_process_follows_the_others(
    db: Database, process: Process, shipped: Reader, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.05)
    stop = asyncio.Event()
    running = asyncio.create_task(process.additions.run(stop))
    other = Process(db, shipped, trainer, City.load("city/demo"))
    view = await other.additions.trial(DRONE, "chen")
    await other.additions.enable(view.id, "boss")
    async with asyncio.timeout(60):
        while process.additions.reply_to(DRONE.name) is None:
            await asyncio.sleep(0.05)
    assert process.intent(DRONE_ASKED) == DRONE.name
    stop.set()
    await running
