"""Places as residents write them, against the demo city's gazetteer. All sentences are our own."""

import pytest

from assistant.city import City

# text, deepest part of the grid path that must come out ("" = nothing may be guessed)
PLACES = [
    # whole paths
    ("郑州市金水区", "金水区"),
    ("河南省郑州市中原区林山寨街道百花社区", "百花社区"),
    ("郑州市中原区林山寨街道百花社区3号楼2单元", "百花社区"),
    ("二七区德化街街道", "德化街街道"),
    ("管城回族区南曹乡", "南曹乡"),
    ("上街区中心路街道任庄社区", "任庄社区"),
    ("惠济区花园口镇", "花园口镇"),
    ("中牟县韩寺镇董店村", "董店村"),
    ("巩义市小关镇", "小关镇"),
    ("荥阳市广武镇张河村", "张河村"),
    ("新密市青屏街街道开阳路社区", "开阳路社区"),
    ("新郑市龙湖镇", "龙湖镇"),
    ("登封市少林街道", "少林街道"),
    ("郑州航空港经济综合实验区张庄镇", "张庄镇"),
    # short and other names
    ("经开区祥云街道", "祥云街道"),
    ("航空港区新港办事处", "新港街道"),
    ("高新区石佛镇那边", "石佛镇"),
    ("高新区枫杨街道锦华苑社区", "锦华苑社区"),
    ("管城区南曹乡苏庄村", "苏庄村"),
    ("港区滨河街道", "滨河街道"),
    ("郑东新区CBD", "如意湖街道"),
    ("郑东新区如意湖街道", "如意湖街道"),
    ("金水区如意湖街道", "如意湖街道"),
    ("金水区文化路街道办", "文化路街道"),
    ("金水区丰产路办事处", "丰产路街道"),
    ("二七区马寨", "马寨镇"),
    ("惠济区古荥", "古荥镇"),
    ("新郑薛店镇", "薛店镇"),
    ("登封大金店", "大金店镇"),
    ("巩义回郭镇", "回郭镇"),
    # unique without a district
    ("林山寨街道", "林山寨街道"),
    ("龙子湖街道", "龙子湖街道"),
    ("任庄社区门口", "任庄社区"),
    ("江南小镇社区", "江南小镇社区"),
    ("大峪沟镇", "大峪沟镇"),
    ("雁鸣湖镇", "雁鸣湖镇"),
    # inside a sentence
    ("我家住在金水区花园路85号楼下", "金水区"),
    ("就在二七广场旁边那个路口", "德化街街道"),
    ("郑州火车站西广场", "福华街街道"),
    ("中原区秦岭路和颍河路交叉口东北角", "中原区"),
    ("商务外环路上的写字楼", "如意湖街道"),
    ("东风南路绿地之窗", "郑东新区"),
    ("科学大道与长椿路向北100米", "郑州高新技术产业开发区"),
    ("惠济区江山路龙源世纪花园", "惠济区"),
    ("郑大一附院门口", "二七区"),
    ("新郑机场T2航站楼", "郑州航空港经济综合实验区"),
    ("紫荆山公园北门", "金水区"),
    ("二七万达后门的停车场", "二七区"),
    ("经三路和农业路", "金水区"),
    ("大学路淮河路口", "二七区"),
    # spaces, full width, punctuation
    ("金水区 文化路街道", "文化路街道"),
    ("郑州市　二七区　五里堡街道", "五里堡街道"),
    ("二七区，长江路街道。", "长江路街道"),
    # typos
    ("金水取花园路12号", "金水区"),
    ("中圆区棉纺路街道", "棉纺路街道"),
    ("惠济区花圆口镇", "花园口镇"),
    ("金水区凤凰苔街道", "凤凰台街道"),
    ("中原区林山塞街道", "林山寨街道"),
    ("荣阳市豫龙镇", "豫龙镇"),
    ("夏窝镇", "峡窝镇"),
    ("东凤南路写字楼", "郑东新区"),
    ("会济区长兴路", "惠济区"),
    ("新蜜市", "新密市"),
    ("新某市", ""),
    ("滨江国际小区", ""),
    # no typos: other roads, other words, what stands in the way of a real name
    ("新政路", ""),
    ("凤阳街", ""),
    ("精武路", ""),
    ("街坊路灯不亮", ""),
    ("货车占道停车", ""),
    ("二期去年交房", ""),
    ("二期区花园路", "金水区"),
    ("汇集区花园路", "金水区"),
    ("经三路 上街 买菜被撞", "金水区"),
    ("花园路85号院（农行，中原）", "金水区"),
    # short names by themselves, and a district said last
    ("须水三十里铺", "三十里铺村"),
    ("十里铺 祭城", "十里铺社区"),
    ("方特附近", "中牟县"),
    ("东风路街道，金水", "东风路街道"),
    ("新华路街道 巩义", "新华路街道"),
    ("新密西大街街道", "西大街街道"),
    # a name inside another name
    ("荥阳市经济开发区", "荥阳市"),
    ("建业新村3号楼", ""),
    ("张家口刘村饭店", ""),
    ("五龙口南路", ""),
    ("二七路", ""),
    ("我们村的路", ""),
    # nothing may be guessed
    ("A3区中海国际社区三期", ""),
    ("B市桐梓坡路", ""),
    ("西地省A7县泉塘街道", ""),
    ("长沙市岳麓区麓谷街道", ""),
    ("洛阳市西工区", ""),
    ("小区门口的农贸市场", ""),
    ("我家楼下", ""),
    ("没有地点", ""),
    ("中原路", "郑州市"),
    ("金水路一直堵", "郑州市"),
    ("新华路街道", "郑州市"),
    ("郑州市", "郑州市"),
]


@pytest.mark.parametrize(("text", "deepest"), PLACES, ids=[text for text, _ in PLACES])
def test_place_resolves_to_its_grid_path(city: City, text: str, deepest: str) -> None:
    place = city.resolve_place(text)
    assert (place.grid_path[-1] if place.grid_path else "") == deepest
    assert place.text == text.strip()
    assert (place.district is None) == (len(place.grid_path) < 2)
    if len(place.grid_path) > 1:
        assert place.grid_path[1] == place.district


def test_confidence_falls_from_exact_to_typo_to_unknown(city: City) -> None:
    exact = city.resolve_place("中原区林山寨街道百花社区")
    street = city.resolve_place("林山寨街道")
    typo = city.resolve_place("林山塞街道")
    unknown = city.resolve_place("A3区百花社区")
    assert exact.confidence > street.confidence > typo.confidence > unknown.confidence == 0


def test_a_district_that_was_said_keeps_out_places_of_other_districts(city: City) -> None:
    assert city.resolve_place("新密市刘寨镇").grid_path == ("郑州市", "新密市", "刘寨镇")
    assert city.resolve_place("惠济区刘寨街道").grid_path == ("郑州市", "惠济区", "刘寨街道")
    assert city.resolve_place("金水区任庄社区").district == "金水区"


def test_every_street_and_community_of_the_gazetteer_is_found_by_its_full_path(city: City) -> None:
    names = city.gazetteer.paths()
    wrong = [path for path in names if city.resolve_place("".join(path)).grid_path != (city.name, *path)]
    assert len(names) == 207 + city.gazetteer.communities
    assert not wrong


SAID = [
    ("我是高新区一个研发楼的小包工头", "郑州高新技术产业开发区"),
    ("航空港区当时引进我们来", "郑州航空港经济综合实验区"),
    ("我家住在惠济，老人八十九了", "惠济区"),
    ("俺是巩义这边的", "巩义市"),
    ("登封的家属院没人修", "登封市"),
    ("我妈在中牟黄店种着麦", "中牟县"),
    ("新密岳村这边找谁", "新密市"),
    ("公司注册在新郑，罚过一次", "新郑市"),
    ("当时中牟立了案", "中牟县"),
    ("荥阳，报废车叫收走了", "荥阳市"),
    ("铝城公司家属院，上街", "上街区"),
    # no district is meant
    ("我是高新技术企业", None),
    ("上街买菜被车撞了", None),
    ("中原银行的贷款", None),
    ("在金水路上摔了一跤", None),
    ("坐地铁到二七广场站", None),
    ("新郑机场的航班晚点了", None),
    ("登封路上有个坑", None),
    ("新郑市场上卖的枣", None),
    ("B市金水区", None),
]


@pytest.mark.parametrize(("text", "district"), SAID, ids=[text for text, _ in SAID])
def test_a_text_names_its_district(city: City, text: str, district: str | None) -> None:
    assert city.gazetteer.district_said(text) == district


def test_any_text_gives_an_answer(city: City) -> None:
    for text in ("", "  ", "\u200b", "😀😀", "a" * 10_000, "区" * 5000, "金水区" * 3000, "<script>金水区</script>"):
        assert city.resolve_place(text).confidence >= 0
