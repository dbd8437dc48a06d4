"""Places as residents write them: what they are made of, and which can be the same."""

import pytest

from assistant.city import City
from assistant.tickets.place_keys import Relation, Spot, compare, place_keys, sound, spot_of, without_names


def spot(city: City, place: str | None, text: str = "") -> Spot:
    return spot_of(place, text, city.resolve_place, districts=city.district_words)


def test_what_sounds_alike_is_one_but_neighbours_stay_apart() -> None:
    assert sound("西溪华园") == sound("西溪花园")
    assert len({sound(char) for char in "东西南北前后大小一二三"}) == 11
    assert sound("ABC12号") == "ABC12" + sound("号")


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [
        ("金水区花园路85号院", "花园路85号院6号楼", Relation.CONTAINS),
        ("金水区花园路85号", "花园路八十五号", Relation.SAME),
        ("金水区花园路85号", "金水区花园路87号", Relation.CONFLICTING),
        ("花园路85号", "花园北路85号", Relation.CONFLICTING),
        ("二七区绿城社区3号楼", "绿程社区三号楼", Relation.SAME),
        ("二七区绿城社区3号楼", "二七区绿城社区5号楼", Relation.CONFLICTING),
        ("金光佳苑一期", "金光佳苑二期", Relation.CONFLICTING),
        ("老一高家属院南院", "老一高家属院北院", Relation.CONFLICTING),
        ("中原区三棉东社区", "中原区三棉西社区", Relation.CONFLICTING),
        ("上街区晨光社区", "中牟县晨光社区", Relation.CONFLICTING),
        ("中原区建设路", "中牟县建设路", Relation.CONFLICTING),
        ("金水区大王庄幼儿园", "金水区小王庄幼儿园", Relation.CONFLICTING),
        ("二七区嵩山路", "金水区", Relation.CONFLICTING),
        ("少林寺停车场", "登封市少林寺景区", Relation.SAME),
    ],
)
def test_two_places(city: City, one: str, other: str, relation: Relation) -> None:
    for first, second in ((one, other), (other, one)):
        assert compare(spot(city, first), spot(city, second), narrow=True).relation is relation


def test_another_building_is_another_place_only_for_what_happens_in_it(city: City) -> None:
    one, other = spot(city, "金水区琥珀名城社区9号楼"), spot(city, "琥珀名城社区22号楼")
    assert compare(one, other, narrow=True).relation is Relation.CONFLICTING
    # Never SAME: nothing is merged without a person across buildings.
    assert compare(one, other, narrow=False).relation is Relation.CONTAINS


def test_what_the_place_leaves_out_stands_in_the_text(city: City) -> None:
    told = spot(city, None, "孟津路15号门前的化粪池满了")
    assert told.numbers == {"15"}
    assert compare(told, spot(city, "上街区孟津路126号"), narrow=True).relation is Relation.CONFLICTING
    assert spot(city, "永威社区6-1-1203").buildings == {"6"}


def test_numbers_that_are_no_house(city: City) -> None:
    found = spot(city, "地铁5号线月季公园站3号出口")
    assert not found.numbers and not found.buildings


def test_keys_begin_with_what_tells_most(city: City) -> None:
    keys = place_keys(spot(city, "金水区花园路85号"))
    assert keys[0] == f"号:{sound('花园路')}85"
    assert f"路:{sound('花园路')}" in keys
    assert set(keys) & set(place_keys(spot(city, "华园路85号院3号楼")))
    assert place_keys(spot(city, None, "怎么办居住证")) == ()
    assert all(len(key) <= 40 for key in place_keys(spot(city, "路" * 300)))


def test_names_are_taken_out_of_the_text(city: City) -> None:
    where = spot(city, "二七区绿城社区3号楼")
    assert without_names("绿程社区停水了", where) == "社区停水了"
