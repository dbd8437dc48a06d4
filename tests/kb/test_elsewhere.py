"""Questions about another city's rules are told apart from those that only name another place."""

import pytest

from kb.elsewhere import another_place

HERE = ["郑州市"]


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("西安的公积金怎么提取", "西安"),
        ("开封市养狗要办证吗", "开封"),
        ("问一下广东的生育津贴发几个月", "广东"),
        ("北京限行几点到几点", "北京"),
    ],
)
def test_the_rules_of_another_place(question: str, place: str) -> None:
    assert another_place(question, HERE) == place


@pytest.mark.parametrize(
    "question",
    [
        "公积金怎么提取",
        "南阳路上停车收费吗",
        "北京来的快递被扣了归谁管，我在郑州",
        "从西安转学到咱这要什么手续",
        "周口人办居住证要带啥",
        "去上海看病医保能直接结算吗",
        "河南的生育津贴发几个月",
        "老家开封的能在这边领失业金吗",
    ],
)
def test_not_the_rules_of_another_place(question: str) -> None:
    assert another_place(question, HERE) is None


def test_a_region_of_the_base_is_no_other_place() -> None:
    assert another_place("洛阳的公积金怎么提取", ["郑州市", "洛阳市"]) is None
    assert another_place("洛阳的公积金怎么提取", []) is None, "documents that name no region may be of any"
