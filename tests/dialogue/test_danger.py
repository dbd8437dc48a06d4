import pytest

from actions.danger import KINDS, kind_of
from assistant.tickets.routing import Router
from tests.dialogue.fakes import CITY


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("厨房有煤气味", "gas"),
        ("闻到臭鸡蛋味", "gas"),
        ("煤气罐着火了", "fire"),
        ("三楼冒黑烟", "fire"),
        ("孩子煤气中毒了", "gas"),
        ("老人误食了老鼠药", "poisoning"),
        ("我被困在电梯里", "lift"),
        ("路边电线掉地上冒火花", "electric"),
        ("房子要塌了", "collapse"),
        ("有人持刀砍人", "violence"),
        ("老公打我", "violence"),
        ("我不想活了", "self_harm"),
        ("她站在楼顶要跳楼", "self_harm"),
        ("救命", "other"),
    ],
)
def test_the_kind_of_a_danger(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("闻到煤气味了咋办", "郑州华润燃气"),
        ("屋里一股臭鸡蛋味", "郑州华润燃气"),
        ("楼上着火了", "市消防救援支队"),
        ("楼道着火了快来人", "市消防救援支队"),
        ("电梯困人了", "市市场监督管理局"),
        ("高压线掉下来了", "国网郑州供电公司"),
        ("有人拿刀砍人", "市公安局"),
        ("我不想活了", "市公安局"),
        ("有人喝农药了", "市卫生健康委员会"),
    ],
)
def test_the_unit_of_a_danger_does_not_hang_on_the_models_category(text: str, unit: str) -> None:
    category = CITY.danger_category(kind_of(text))
    assert category is not None
    sure = {"category1": 1.0, "category2": 1.0, "rule": "danger"}
    assert Router(CITY).route(category.level1, category.level2, text, CITY.resolve_place(""), sure).lead_unit == unit


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_that_say_whom_to_call(kind: str) -> None:
    text = CITY.text(f"danger_{kind}")
    assert any(number in text for number in ("110", "119", "120", "抢修电话"))
