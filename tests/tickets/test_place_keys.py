"""Places as residents write them: what they are made of, and which can be the same."""

import pytest

from assistant.city import City
from assistant.sounds import heard, sound
from assistant.tickets.place_keys import Relation, Spot, compare, place_keys, spot_of, without_names
from assistant.tickets.titles import differ, title_of


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
        ("新郑市龙湖镇正商智慧城", "新郑市龙湖镇康桥九溪郡", Relation.CONFLICTING),
        ("阳光花园", "阳光家园", Relation.CONFLICTING),
        ("金水区建业森林半岛", "建业置地广场", Relation.CONFLICTING),
        ("金水区建业森林半岛", "建业森林半岛小区东门", Relation.CONTAINS),
        ("惠济区老鸦陈村锦绣四季城", "惠济区老鸦陈村", Relation.SAME),
        ("福元路与丰庆路口", "国基路与丰庆路口", Relation.CONFLICTING),
        ("紫荆山路与东大街口", "紫金山路东大街路口", Relation.CONTAINS),
        ("新密市S223省道", "新密市S102省道", Relation.CONFLICTING),
        ("翰林国际西门", "翰林国际东门外", Relation.CONFLICTING),
        ("十里铺", "二十里铺", Relation.CONFLICTING),
        ("航海路与三大街", "航海路与十三大街", Relation.CONFLICTING),
        ("花园路锦绣花园", "农业路锦绣花园", Relation.SAME),
        ("塔沟社区2号家属楼", "塔沟社区4号家属楼", Relation.CONFLICTING),
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


def test_another_gate_is_no_other_place_for_what_reaches_the_whole_estate(city: City) -> None:
    one, other = spot(city, "锦绣花园东门"), spot(city, "锦绣花园北门")
    assert compare(one, other, narrow=True).relation is Relation.CONFLICTING
    assert compare(one, other, narrow=False).relation is Relation.CONTAINS


@pytest.mark.parametrize(
    "raw", ["abcdefghijklmnopqrstuvwxyz" * 6 + "好好", "出口" * 80 + "好好", "地下车库" * 40 + "好好"]
)
def test_a_name_of_many_parts_is_read_in_a_moment(raw: str) -> None:
    """One pattern for all parts took exponential time: this test would not end."""
    assert title_of(raw) is None or title_of(raw)


def test_who_tells_of_several_yards_tells_of_each(city: City) -> None:
    one = spot(city, "远大理想城1号院", "宽带上不了网")
    other = spot(city, "远大理想城3号院", "我们一号院、二号院、三号院的宽带都断了")
    assert compare(one, other, narrow=False).relation is Relation.CONTAINS
    assert compare(one, spot(city, "远大理想城3号院", "宽带断了"), narrow=False).relation is Relation.CONFLICTING


@pytest.mark.parametrize(
    ("raw", "title", "is_estate"),
    [
        ("锦江国际花园幼儿园", "锦江国际花园", True),
        ("清华大溪地", "清华大溪地", False),
        ("黄河小区", "黄河", True),
        ("正商蓝海广场", "正商蓝海广场", True),
    ],
)
def test_names_of_estates(raw: str, title: str, is_estate: bool) -> None:
    assert title_of(raw) == (heard(title), is_estate)


@pytest.mark.parametrize("raw", ["省人民医院", "西北角", "A座", "大河", "东侧滚梯旁的店"])
def test_names_of_no_estate(raw: str) -> None:
    assert title_of(raw) is None


@pytest.mark.parametrize(
    ("one", "other", "are_two"),
    [
        ("河南农大", "河南农业大学", False),
        ("锦绣佳园", "锦绣花园", True),
        ("商都路", "伤都路", False),
        ("", "商都路", False),
    ],
)
def test_a_short_way_to_say_a_name_is_the_name(one: str, other: str, are_two: bool) -> None:
    assert differ([heard(one)] if one else [], [heard(other)]) is are_two


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("文化路十字路口", "文化路"),
        ("文化路农业路十字路口", "文化路与农业路交叉口"),
        ("陇海高架", "陇海路高架桥"),
        ("北三环高架", "北三环"),
        ("锦绣花园楼上邻居家", "锦绣花园3号楼"),
    ],
)
def test_said_otherwise_is_no_other_place(city: City, one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        compared = compare(spot(city, first), spot(city, second), narrow=False)
        assert compared.relation in (Relation.SAME, Relation.CONTAINS) and compared.likeness == 1


def test_a_crossing_is_no_road_and_neighbours_are_no_estate(city: City) -> None:
    assert spot(city, "文化路十字路口").roads == {sound("文化路")}
    assert spot(city, "陇海高架桥上").roads == {sound("陇海路")}
    assert spot(city, "锦绣花园楼上邻居家").titles == spot(city, "锦绣花园").titles
