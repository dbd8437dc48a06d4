import pytest

from actions.danger import KINDS, kind_of
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_that_say_whom_to_call(kind: str) -> None:
    text = CITY.text(f"danger_{kind}")
    assert any(number in text for number in ("110", "119", "120", "抢修电话"))
