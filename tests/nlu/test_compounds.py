"""Joined sentences: every part lies where it is said to lie."""

from pathlib import Path

import pytest

from nlu import compounds, data
from nlu.errors import DataError

OWN = Path(__file__).resolve().parents[2] / "training_data"


def test_parts_are_where_they_are_said_to_be() -> None:
    words = compounds.load_words(OWN / "compounds.yml")
    examples = data.categories(OWN / "categories")
    made = compounds.make(examples, words, 200, seed=3)
    assert made == compounds.make(examples, words, 200, seed=3)
    assert {len(one.parts) for one in made} == {2, 3}
    for one in made:
        for start, end, example in one.parts:
            assert example.text.startswith(one.text[start:end])
        assert len({(e.category1, e.category2) for _, _, e in one.parts}) == len(one.parts)


def test_one_category_makes_no_compounds() -> None:
    words = compounds.load_words(OWN / "compounds.yml")
    assert compounds.make([data.Example("路灯坏了", category1="城乡建设", category2="城乡规划")] * 9, words, 5, 1) == []


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "compounds.yml").write_text("joiners: ['，']\n", encoding="utf-8")
    with pytest.raises(DataError, match="'numbered'"):
        compounds.load_words(tmp_path / "compounds.yml")
