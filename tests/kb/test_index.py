"""The index is exact, obeys the mask, and fuses both searches."""

import random

import bm25s
import numpy as np
import pytest

from kb.errors import EncoderMismatch
from kb.index import Part, PassageIndex
from kb.nearest import FLAT_UP_TO, Nearest, exact_nearest
from kb.postings import Postings


def _unit(rows: int, width: int = 16, seed: int = 3) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_without_words_the_order_is_that_of_the_cosine() -> None:
    vectors, query = _unit(500), _unit(1, seed=9)[0]
    matches = PassageIndex.over(vectors, [["x"]] * 500).search(query, ["unknown"], limit=20)
    assert [m.position for m in matches] == list(np.argsort(-(vectors @ query))[:20])
    assert matches[0].dense == pytest.approx(float((vectors @ query).max()), abs=1e-3)


def test_a_rare_word_lifts_the_passage_that_has_it() -> None:
    vectors = np.repeat(_unit(1), 4, axis=0)
    index = PassageIndex.over(vectors, [["供热"], ["供热", "油烟"], ["供热"], ["养犬"]])
    assert index.search(vectors[0], ["油烟"], limit=4)[0].position == 1
    assert index.idf("油烟") > index.idf("供热")
    assert index.idf("没有") > index.idf("油烟")


def test_what_the_mask_forbids_is_never_found() -> None:
    vectors, query = _unit(300), _unit(1, seed=5)[0]
    allowed = np.arange(300) % 7 == 0
    matches = PassageIndex.over(vectors, [["w"]] * 300).search(query, ["w"], limit=300, allowed=allowed)
    assert {m.position for m in matches} == set(np.flatnonzero(allowed))
    nothing = np.zeros(300, dtype=np.bool_)
    assert PassageIndex.over(vectors, [["w"]] * 300).search(query, ["w"], limit=5, allowed=nothing) == []


def test_a_common_word_whose_passages_in_a_part_are_all_gone() -> None:
    """A merged part keeps the words of what died; most words of a question are looked up only where they matter."""
    count, rare = 26_000, [["罕见"]] * 300 + [[]] * 25_700
    vectors = _unit(count + 1)
    words = [["规定", "办理", *extra] for extra in rare]
    gone = Postings.merged([Postings.of([["规定"], ["别的"]])], [np.array([False, True])])
    large = Part.of(Postings.of(words), Nearest.of(vectors[:count].astype(np.float16)))
    index = PassageIndex([large, Part.of(gone, Nearest.of(vectors[count:].astype(np.float16)))])
    found = index.search(vectors[count], ["罕见", "规定", "办理"], limit=400)
    assert found[0].position == count or found[0].sparse > 0
    by_words = sorted(found, key=lambda match: -match.sparse)[:200]
    assert all(match.position < 300 for match in by_words)


def test_an_empty_index_finds_nothing() -> None:
    index = PassageIndex.over(np.zeros((0, 16), dtype=np.float32), [])
    assert index.search(_unit(1)[0], ["x"], limit=5) == []


def test_vectors_that_do_not_belong_are_refused() -> None:
    with pytest.raises(EncoderMismatch):
        PassageIndex.over(_unit(3), [["x"]])
    with pytest.raises(EncoderMismatch):
        PassageIndex.over(_unit(3) * 2, [["x"]] * 3)


@pytest.mark.parametrize("seed", range(5))
def test_words_score_as_in_the_reference(seed: int) -> None:
    chance = random.Random(seed)
    passages = [[chance.choice("abcdefghij") for _ in range(chance.randint(1, 30))] for _ in range(60)]
    reference = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    reference.index(passages, show_progress=False)
    index = PassageIndex.over(np.repeat(_unit(1), 60, axis=0), passages)
    query = ["a", "b", "b", "nothing"]
    found = {m.position: m.sparse for m in index.search(_unit(1)[0], query, limit=60)}
    expected = reference.get_scores(["a", "b", "b"])
    assert [found[i] for i in range(60)] == pytest.approx(list(expected), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_in_parts_with_dead_passages_it_finds_what_a_new_index_finds(seed: int) -> None:
    chance = random.Random(seed)
    passages = [[chance.choice("abcdefghijklmnop") for _ in range(chance.randint(1, 40))] for _ in range(500)]
    vectors = _unit(500, seed=seed)
    alive = np.random.default_rng(seed).random(500) < 0.7
    pieces = [(0, 300), (300, 301), (301, 500)]
    parts = [
        Part.of(Postings.of(passages[a:b]), Nearest.of(vectors[a:b].astype(np.float16)), alive[a:b]) for a, b in pieces
    ]
    kept = np.flatnonzero(alive)
    new = PassageIndex.over(vectors[kept], [passages[i] for i in kept])
    merged_words = Postings.merged([p.postings for p in parts], [p.alive for p in parts])
    merged = PassageIndex([Part.of(merged_words, Nearest.of(vectors[kept].astype(np.float16)))])
    for query in (["a", "c"], ["p"], ["z"]):
        asked = _unit(1, seed=99 + seed)[0]
        expected = [(kept[m.position], m.score, m.sparse) for m in new.search(asked, query, limit=30)]
        in_parts = [(m.position, m.score, m.sparse) for m in PassageIndex(parts).search(asked, query, limit=30)]
        after = [(kept[m.position], m.score, m.sparse) for m in merged.search(asked, query, limit=30)]
        for mine in (in_parts, after):
            assert [m[0] for m in mine] == [m[0] for m in expected]
            assert [x for m in mine for x in m[1:]] == pytest.approx([x for m in expected for x in m[1:]], abs=1e-4)


def test_large_collections_are_searched_by_lists_that_find_what_exact_search_finds() -> None:
    chance = np.random.default_rng(1)
    centres = _unit(200, 32)
    vectors = centres[chance.integers(0, 200, FLAT_UP_TO + 1)] + 0.1 * chance.normal(size=(FLAT_UP_TO + 1, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    nearest = Nearest.chosen(vectors)
    assert nearest.lists is not None
    assert nearest.lists.recall >= 0.98
    questions = vectors[::400].astype(np.float32)
    true = exact_nearest(vectors, questions, 10)
    shares = [np.isin(t, nearest.search(q, 200)).mean() for t, q in zip(true, questions, strict=True)]
    assert np.mean(shares) >= 0.98
    allowed = np.arange(len(vectors)) % 3 == 0
    assert set(np.flatnonzero(~allowed)).isdisjoint(nearest.search(questions[0], 200, allowed))
    few = np.arange(len(vectors)) < 50
    assert sorted(nearest.search(questions[0], 200, few)) == list(range(50))
    assert Nearest.chosen(vectors[:FLAT_UP_TO]).lists is None
