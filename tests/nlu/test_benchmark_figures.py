"""What the benchmark of the heads counts with: its figures agree with those of `minsheng nlu eval`."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from nlu import evaluate, labels

intervals = pytest.importorskip("benchmarks.intervals", exc_type=ImportError)
rivals = pytest.importorskip("benchmarks.rivals", exc_type=ImportError)
pytestmark = pytest.mark.train

KNOWN = ["a", "a", "a", "b", "b", "c"]
GUESSED = ["a", "b", "a", "b", "d", "a"]


def test_figures_agree_with_the_evaluation() -> None:
    rows = np.arange(len(KNOWN))
    found = evaluate.figures(KNOWN, GUESSED)
    assert intervals.macro_f1(KNOWN, GUESSED)(rows) == pytest.approx(found["macro_f1"], abs=1e-4)
    assert intervals.accuracy(KNOWN, GUESSED)(rows) == pytest.approx(found["accuracy"], abs=1e-4)


def test_an_interval_holds_its_figure_and_repeats_with_its_seed() -> None:
    figure = intervals.accuracy(KNOWN * 20, GUESSED * 20)
    found = intervals.interval(figure, 120, 200, seed=3)
    assert found.value == 0.5
    assert 0 < found.low < 0.5 < found.high < 1
    assert found == intervals.interval(figure, 120, 200, seed=3)


def test_a_difference_of_equal_sides_is_nothing() -> None:
    figure = intervals.accuracy(KNOWN, GUESSED)
    found = intervals.interval(intervals.difference(figure, figure), len(KNOWN), 50, seed=3)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_keyword_rules_use_known_labels() -> None:
    rules = yaml.safe_load(Path(rivals.RULES).read_text(encoding="utf-8"))
    assert {name for name, _ in rules["intent"]["rules"]} <= set(labels.INTENTS)
    assert {name for name, _ in rules["request_type"]["rules"]} <= set(labels.REQUEST_TYPES)
    assert {name for name, _ in rules["urgency"]["rules"]} <= set(labels.URGENCIES)
    assert set(rules["entities"]) <= set(labels.ENTITY_TYPES)


def test_keyword_rules_rank_categories_by_their_keywords() -> None:
    (found,) = rivals.keywords().read(["小区门口路灯坏了，井盖也没了，有人偷倒垃圾"], ["category2"])
    assert found.category2[0] == "城乡建设/城市建设和市政管理"
    assert found.requests[0] == ("城乡建设", "城市建设和市政管理")
    assert found.danger is False
