"""The place told now and the place told before."""

import pytest

from actions import places
from actions.reading import NO_PLACE
from tests.dialogue.fakes import CITY


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("三全路8号院", "三全路八号院"),
        ("二七区1号楼", "二七区一号楼"),
        ("五十六中", "56中"),
        ("花园路一百零五号", "花园路 105号"),
        ("中原路12号院两单元", "中原路十二号院2单元"),
        ("花园路85号院", "就在花园路八十五号院"),
    ],
)
def test_one_place_in_two_ways_of_writing(one: str, other: str) -> None:
    assert places.are_one(one, other, CITY) and places.are_one(other, one, CITY)
    assert not places.is_elsewhere(one, other, CITY)
    assert places.settled(one, other, CITY) == one == places.corrected(one, other, CITY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("三全路8号院", "三全路十八号院"),
        ("二七区1号楼", "二七区十一号楼"),
        ("五十六中", "六中"),
        ("三全路8号院", "三全路9号院"),
        ("农业路与花园路口", "农业路与文化路口"),
        ("金水区花园路85号", "经三路12号"),
        ("航海路第三大街", "航海路第十三大街"),
    ],
)
def test_two_places(one: str, other: str) -> None:
    assert places.is_elsewhere(one, other, CITY) and places.is_elsewhere(other, one, CITY)
    assert places.settled(one, other, CITY) == other


@pytest.mark.parametrize(
    ("known", "told", "place"),
    [
        ("花园路85号院3号楼", "花园路", "花园路85号院3号楼"),
        ("花园路85号院3号楼", "花园路八十五号院", "花园路85号院3号楼"),
        ("花园路85号院3号楼", "花园路3号楼", "花园路85号院3号楼"),
        ("花园路85号院3号楼", "金水区花园路", "花园路85号院3号楼"),
        ("某某巷85号院3号楼", "二七区某某巷", "二七区某某巷85号院3号楼"),
        ("花园路", "花园路85号院", "花园路85号院"),
        ("花园路85号院", "金水区花园路85号院", "金水区花园路85号院"),
        ("绿城花园5号楼", "绿城花园东门", "绿城花园东门"),
        ("绿城花园5号楼", "绿城花园301室", "绿城花园301室"),
        ("二七区1号楼", "一号楼", "二七区1号楼"),
        ("二七区11号楼", "1号楼", "二七区1号楼"),
        ("经三路12号院3号楼", "2单元", "经三路12号院3号楼2单元"),
        ("经三路12号院3号楼2单元", "5号楼", "经三路12号院5号楼"),
        ("花园路85号院", "87号院", "花园路87号院"),
        (NO_PLACE, "花园路", "花园路"),
        (None, "花园路", "花园路"),
    ],
)
def test_what_is_said_in_passing(known: str | None, told: str, place: str) -> None:
    assert places.settled(known, told, CITY) == place


@pytest.mark.parametrize(
    ("known", "told", "place"),
    [
        ("花园路85号院3号楼", "花园路", "花园路"),
        ("花园路85号院3号楼", "5号楼", "花园路85号院5号楼"),
        ("花园路85号院", "文化路9号", "文化路9号"),
        (None, "文化路9号", "文化路9号"),
    ],
)
def test_a_correction_may_say_less(known: str | None, told: str, place: str) -> None:
    assert places.corrected(known, told, CITY) == place
