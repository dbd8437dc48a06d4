"""Questions that found no answer, gathered by what they ask: how well, by pairs, and what is no question at all.

The figures are of the half that nothing was chosen on, by itself and among questions about other things (which count
where they are taken for one of the matters).
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from assistant.db.models import now
from assistant.settings import get_settings
from kb.health.chatter import is_chatter
from kb.health.unanswered import Asked, clusters
from kb.importer import read_folder
from kb.index import Floats
from kb.passages import split
from kb.search import search_text
from nlu.runtime import Reader
from tests.kb.conftest import HashEncoder

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    json.loads(line) for line in (Path(__file__).parent / "unanswered_questions.jsonl").read_text("utf-8").splitlines()
]
MATTER = {row["question"]: row["matter"] for row in ROWS}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load(get_settings().nlu_model_dir, threads=1)


@pytest.fixture(scope="module")
def centre(reader: Reader) -> Floats:
    documents, _ = read_folder(ROOT / "city" / "demo" / "policies")
    texts = [search_text(d.title, p.article, p.text) for d in documents for p in split(d.text, d.title)[:2]]
    return np.mean([reader.embed([text], "passage")[0] for text in texts], axis=0)


def others(half: str) -> list[str]:
    """Questions about other things."""
    lines = (ROOT / "kb" / "data" / "calibration_questions.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    free = sorted({row["question"] for row in rows if row["docid"] is None} - MATTER.keys())
    return free[half == "report" :: 2]


def measured(questions: list[str], reader: Reader, centre: Floats) -> tuple[float, float, float]:
    """F1, precision and recall of pairs with a question of ours in them."""
    asked = [Asked(n, q, now(), reader.embed([q], "query")[0]) for n, q in enumerate(questions)]
    cluster_of = {i: n for n, found in enumerate(clusters(asked, centre)) for i in found}
    right = wrong = missed = 0
    for i, j in combinations(range(len(questions)), 2):
        if questions[i] not in MATTER and questions[j] not in MATTER:
            continue
        matter, other = (MATTER.get(questions[n]) for n in (i, j))
        same, together = matter is not None and matter == other, cluster_of[i] == cluster_of[j]
        right += same and together
        wrong += together and not same
        missed += same and not together
    precision, recall = right / max(right + wrong, 1), right / (right + missed)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


@pytest.mark.parametrize(("among", "least"), [(False, 0.7), (True, 0.55)])
def test_questions_of_a_half_that_nothing_was_chosen_on_are_gathered(
    reader: Reader, centre: Floats, among: bool, least: float
) -> None:
    mine = [row["question"] for row in ROWS if row["half"] == "report" and (among or not row.get("among"))]
    f1, precision, recall = measured(mine + (others("report") if among else []), reader, centre)
    print(f"\nthe other half{' among others' if among else ''}: F1 {f1:.3f}, P {precision:.3f}, R {recall:.3f}")
    assert f1 >= least
    assert precision >= 0.6


def test_greetings_thanks_and_keys_hit_at_random_make_no_cluster() -> None:
    chatter = [row["question"] for row in ROWS if row.get("chatter")]
    vectors = HashEncoder().embed(chatter, "query")
    asked = [Asked(n, q, now(), vector) for n, (q, vector) in enumerate(zip(chatter * 2, [*vectors] * 2, strict=True))]
    assert all(len(found) == 1 for found in clusters(asked, vectors.mean(axis=0)))


@pytest.mark.parametrize(
    ("said", "nothing"),
    [
        ("你好！！在吗？", True),
        ("好的知道了谢谢师傅", True),
        ("您好，我想问一下", True),
        ("哈哈哈哈嘎嘎", True),
        ("asdf qwer", True),
        ("。。。？？？", True),
        ("你好我家没水", False),
        ("谢谢，暖气费多少", False),
        ("额度多少", False),
        ("客服热线是几号", False),
        ("ETC怎么办", False),
        ("没事了" * 160 + "停水", False),
    ],
)
def test_what_asks_about_nothing(said: str, nothing: bool) -> None:
    assert is_chatter(said) is nothing
