"""Which of the documents found answers best: a linear model over what both searches and the words say of each.

A document is judged by its best passages and as a whole: fused score, cosine and BM25 of the passages found, the share
of the question's words (weighted by rarity) that the document, its best passage and its title have, and how alike
question and title are. The weights were learned on pairs of a right and a wrong document of the same question
(`benchmarks/kb_ranking.py`); without a file of weights the fused score alone decides.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz

from kb.index import Floats, Match, Part
from kb.text import folded
from kb.words import pairs

RANKING_FILE = Path(__file__).parent / "data" / "ranking.json"
DEPTH = 80
"""How many passages are looked at."""
DOCUMENTS = 40
"""How many of their documents are judged."""

NAMES = (
    "fused",
    "dense",
    "sparse",
    "second_fused",
    "mean_fused",
    "mean_dense",
    "passages",
    "covered",
    "covered_by_passage",
    "pairs_in_title",
    "title_in_question",
    "like_title",
    "size",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A document among the candidates: its matches, best first, where it lies, and its title."""

    matches: Sequence[Match]
    part: Part
    start: int
    stop: int
    at: int
    """Position of the best passage within the part."""
    title: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """`weights`: of NAMES. The score of a document is their weighted sum, without a bias."""

    weights: Mapping[str, float]

    def scores(self, features: Floats) -> Floats:
        """Of documents with features (documents, len(NAMES))."""
        weights = np.array([self.weights.get(name, 0.0) for name in NAMES], dtype=np.float32)
        found: Floats = features @ weights
        return found


@cache
def shipped(path: Path = RANKING_FILE) -> Ranking:
    """The weights that come with the program."""
    return Ranking(json.loads(path.read_text(encoding="utf-8"))["weights"])


def features(question: str, terms: Sequence[str], found: Sequence[Found], idf: Callable[[str], float]) -> Floats:
    """What speaks for each document: (documents, len(NAMES)), each about 0…1; `terms`: what BM25 counts."""
    rarity = {term: idf(term) for term in dict.fromkeys(terms)}
    all_dense = [match.dense for document in found for match in document.matches]
    all_sparse = [match.sparse for document in found for match in document.matches]
    dense, sparse = _scale(all_dense), _scale(all_sparse)
    total = sum(rarity.values()) or 1.0
    in_documents = np.zeros(len(found), dtype=np.float32)
    in_passages = np.zeros(len(found), dtype=np.float32)
    for part in {id(document.part): document.part for document in found}.values():
        here = [i for i, document in enumerate(found) if document.part is part]
        spans = np.array([(found[i].start, found[i].stop, found[i].at) for i in here], dtype=np.int32)
        for term, value in rarity.items():
            where = part.postings.where(term)
            if len(where):
                in_documents[here] += value / total * _any_between(where, spans[:, 0], spans[:, 1])
                in_passages[here] += value / total * _any_between(where, spans[:, 2], spans[:, 2] + 1)
    plain = folded(question)
    asked = {pair: rarity.get(pair) or idf(pair) for pair in dict.fromkeys(pairs(plain))}
    weight = sum(asked.values()) or 1.0
    rows = []
    covered, covered_by_passage = in_documents.tolist(), in_passages.tolist()
    for number, document in enumerate(found):
        title = folded(document.title)
        title_pairs = set(pairs(title))
        fused = [match.score for match in document.matches]
        cosines = [dense(match.dense) for match in document.matches]
        rows.append(
            (
                fused[0],
                max(cosines),
                max(sparse(match.sparse) for match in document.matches),
                fused[1] if len(fused) > 1 else 0.0,
                sum(fused[:3]) / min(len(fused), 3),
                sum(sorted(cosines)[-3:]) / min(len(cosines), 3),
                math.log1p(len(fused)) / 3,
                covered[number],
                covered_by_passage[number],
                sum(value for pair, value in asked.items() if pair in title_pairs) / weight,
                len(title_pairs & asked.keys()) / max(len(title_pairs), 1),
                fuzz.partial_ratio(plain, title) / 100,
                math.log1p(document.stop - document.start) / 5,
            )
        )
    return np.array(rows, dtype=np.float32).reshape(len(found), len(NAMES))


def _any_between(where: npt.NDArray[np.int32], starts: npt.NDArray[np.int32], stops: npt.NDArray[np.int32]) -> Floats:
    found: Floats = (np.searchsorted(where, starts) < np.searchsorted(where, stops)).astype(np.float32)
    return found


def _scale(scores: Sequence[float]) -> Callable[[float], float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return lambda score: (score - low) / (high - low) if high - low > 1e-9 else 0.0
