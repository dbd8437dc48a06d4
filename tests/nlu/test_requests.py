"""Where one matter ends and the next begins."""

import numpy as np
import pytest

from nlu.requests import Stretch, clauses, divide, pooled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "路灯坏了",
        "你好，小区路灯坏了一个月没人修，另外楼下烧烤店油烟大，熏得睡不着。谢谢",
        "1、水管爆了没人来\n2、物业费乱涨价",
        "，，，",
        "路灯坏了 晚上黑得很 还有垃圾没人收",
    ],
)
def test_clauses_cover_the_text_without_gaps(text: str) -> None:
    found = clauses(text)
    assert "".join(text[c.start : c.end] for c in found) == text
    assert all(c.end - c.start >= 6 for c in found) or len(found) <= 1


def test_a_connective_begins_a_clause_without_punctuation() -> None:
    text = "小区路灯坏了一个月没人修另外楼下烧烤店油烟熏得睡不着"
    assert [text[c.start : c.end] for c in clauses(text)] == [
        "小区路灯坏了一个月没人修",
        "另外楼下烧烤店油烟熏得睡不着",
    ]


def scores(*winners: int) -> np.ndarray:
    found = np.full((len(winners), 3), np.log(0.1), np.float32)
    for row, winner in enumerate(winners):
        found[row, winner] = np.log(0.8)
    return found


def test_neighbours_of_one_category_stay_together() -> None:
    assert divide(scores(0, 0, 1, 1), [20] * 4, price=1.0) == [[0, 1], [2, 3]]
    assert divide(scores(2, 2, 2), [20] * 3, price=1.0) == [[0, 1, 2]]


def test_one_odd_short_clause_is_not_worth_the_price() -> None:
    assert divide(scores(0, 1, 0), [30, 6, 30], price=2.0) == [[0, 1, 2]]
    assert divide(scores(0, 1, 0), [30, 60, 30], price=2.0) == [[0], [1], [2]]


def test_the_state_of_a_stretch_is_the_mean_of_its_tokens() -> None:
    hidden = np.array([[2, 0], [0, 2], [9, 9]], np.float32)
    found = pooled(hidden, [(0, 2), (2, 4), (4, 6)], Stretch(0, 4))
    assert found == pytest.approx(np.array([0.5, 0.5]) ** 0.5)
    assert pooled(hidden, [(0, 2), (2, 4), (4, 6)], Stretch(8, 9)) is None
