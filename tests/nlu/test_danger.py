"""The net below the model: signs of acute danger, and what only sounds like it."""

import pytest

from nlu.danger import Signs, acute, signs, without_misleading

ACUTE = [
    "厨房里煤气味很大",
    "我家燃气漏了咋办",
    "楼上着火了吗好大的烟味",
    "三单元窗户往外冒黑烟",
    "电梯困人了",
    "我妈被关在电梯里出不来",
    "路边电线掉下来了还打着火花",
    "隔壁拿刀追着人砍",
    "我不想活了",
    "孩子误食了老鼠药",
    "有人掉到河里了",
    "工地脚手架塌了压着人",
]
CALM = [
    "没有煤气泄漏，就是问问",
    "煤气费怎么交",
    "燃气灶打不着火找谁修",
    "上个月楼道着火留下的杂物没人清",
    "担心电动车着火，建议装充电桩",
    "电梯困人算不算工伤",
    "热死了，空调坏了没人修",
    "学校什么时候办防溺水讲座",
    "灭火器过期了",
    "火灾后房屋怎么认定责任",
]


@pytest.mark.parametrize("text", ACUTE)
def test_danger_that_is_there_now(text: str) -> None:
    assert acute(text)


@pytest.mark.parametrize("text", CALM)
def test_bills_worries_and_the_past_are_no_danger(text: str) -> None:
    assert not acute(text)


def test_long_letters_are_left_to_the_model() -> None:
    assert not acute("我家楼下着火了。" + "事情是这样的" * 20)


def test_signs_that_are_calmed_are_told_apart() -> None:
    assert signs("没有煤气泄漏，就是想检查一下") is Signs.CALMED
    assert signs("昨天着火已经扑灭了") is Signs.CALMED
    assert signs("昨天着火已经扑灭了，现在又冒黑烟") is Signs.ACUTE
    assert signs("路灯不亮") is Signs.NONE


def test_a_stove_that_does_not_light_is_no_fire() -> None:
    assert "着火" not in without_misleading("燃气灶打不着火，怎么办")
    for fire in ("楼上着火了", "打火机点着火了窗帘烧起来了", "火灭不了，越烧越大"):
        assert without_misleading(fire) == fire
