"""The index is exact, obeys the mask, and fuses both searches."""

import numpy as np
import pytest

from kb.errors import EncoderMismatch
from kb.index import PassageIndex


def _unit(rows: int, width: int = 16, seed: int = 3) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_without_words_the_order_is_that_of_the_cosine() -> None:
    vectors, query = _unit(500), _unit(1, seed=9)[0]
    matches = PassageIndex(vectors, [["x"]] * 500).search(query, ["unknown"], limit=20)
    assert [m.position for m in matches] == list(np.argsort(-(vectors @ query))[:20])
    assert matches[0].dense == pytest.approx(float((vectors @ query).max()), abs=1e-6)


def test_a_rare_word_lifts_the_passage_that_has_it() -> None:
    vectors = np.repeat(_unit(1), 4, axis=0)
    index = PassageIndex(vectors, [["供热"], ["供热", "油烟"], ["供热"], ["养犬"]])
    assert index.search(vectors[0], ["油烟"], limit=4)[0].position == 1
    assert index.idf("油烟") > index.idf("供热")
    assert index.idf("没有") > index.idf("油烟")


def test_what_the_mask_forbids_is_never_found() -> None:
    vectors, query = _unit(300), _unit(1, seed=5)[0]
    allowed = np.arange(300) % 7 == 0
    matches = PassageIndex(vectors, [["w"]] * 300).search(query, ["w"], limit=300, allowed=allowed)
    assert {m.position for m in matches} == set(np.flatnonzero(allowed))
    nothing = np.zeros(300, dtype=np.bool_)
    assert PassageIndex(vectors, [["w"]] * 300).search(query, ["w"], limit=5, allowed=nothing) == []


def test_an_empty_index_finds_nothing() -> None:
    index = PassageIndex(np.zeros((0, 16), dtype=np.float32), [])
    assert index.search(_unit(1)[0], ["x"], limit=5) == []


def test_vectors_that_do_not_belong_are_refused() -> None:
    with pytest.raises(EncoderMismatch):
        PassageIndex(_unit(3), [["x"]])
    with pytest.raises(EncoderMismatch):
        PassageIndex(_unit(3) * 2, [["x"]] * 3)
