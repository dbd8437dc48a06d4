"""A place and a matter in one message, with the shipped model."""

from types import SimpleNamespace
from typing import Any

import pytest

from actions import told_at_once
from actions.hearing import parse_result
from assistant.settings import PROJECT_ROOT
from nlu.runtime import Reader


@pytest.fixture(scope="module")
def services() -> Any:
    return SimpleNamespace(reader=Reader.load(PROJECT_ROOT / "models" / "nlu"))


async def heard(services: Any, text: str) -> Any:
    return await told_at_once.as_request(parse_result(services.reader.read(text)), services)


@pytest.mark.parametrize(
    "text",
    [
        "金水区花园路85号院路灯整排不亮，昨天晚上开始的",
        "花园路85号院路灯不亮",
        "经三路12号楼下水道堵了",
        "上街区中心路36号违建",
        "管城区南关街垃圾没人清",
        "东三街路面破损",
    ],
)
async def test_a_matter_beside_the_place_is_a_request(services: Any, text: str) -> None:
    message = await heard(services, text)
    assert message["intent"]["name"] == "file_request"
    assert message["understanding"]["category"]["level1"] == "城乡建设"


@pytest.mark.parametrize(
    "text",
    [
        "花园路85号院",
        "你好，我在金水区花园路85号院",
        "就在花园路85号院门口, 路灯底下那个井盖",
        "金水区花园路85号院，昨天晚上",
        "农业路和文化路交叉口东北角",
        "高新区科学大道和西三环交叉口西北角那个加油站",
        "中牟县官渡镇，具体村名说不好",
    ],
)
async def test_a_place_alone_stays_a_place(services: Any, text: str) -> None:
    assert (await heard(services, text))["intent"]["name"] == "inform_place"


async def test_the_reading_says_what_the_words_beside_the_place_were_judged(services: Any) -> None:
    text = "二七区交通路与陇海路口积水"
    read = parse_result(services.reader.read(text))
    part = services.reader.read("海路口积水").as_dict()
    read["understanding"]["entities"] = [{"type": "place", "text": "二七区交通路与陇", "start": 0, "end": 8}]
    read["intent"]["name"] = "inform_place"
    understanding = (await told_at_once.as_request(read, services))["understanding"]
    assert understanding["category"] == part["category"]
    assert understanding["confidence"]["category1"] == part["confidence"]["category1"]
    assert understanding["confidence"]["urgency"] == read["understanding"]["confidence"]["urgency"]
