"""Which of the passages found answers best: a linear model over what both searches and the words say of each.

A passage is judged by itself and by its document: fused score, cosine, BM25 and both ranks of the passage, the share of
the question's words (weighted by rarity) that it has, and the same of the document's passages found, the document as a
whole and its title. The weights were learned on questions with a right document, or a right article of a law
(`kb.learn`).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz

from kb.index import Floats, Mask, Match, Part
from kb.phrasing_index import FLOOR, NONE, Likeness
from kb.text import folded
from kb.words import pairs

RANKING_FILE = Path(__file__).parent / "data" / "ranking.json"
DEPTH = 80
"""How many passages are looked at."""
DOCUMENTS = 40
"""How many of their documents are judged."""

# What phrasings say; learned after the others, so that a base without any is ordered as if there were none.
OF_PHRASINGS = ("phrased", "phrased_words", "unlike_phrasings", "best_phrased")
OF_PASSAGE = (
    "score",
    "dense",
    "sparse",
    "cosine",
    "covers",
    "covers_content",
    "covers_long_words",
    "dense_rank",
    "sparse_rank",
    "is_first",
    "length",
    "phrased",
    "phrased_words",
    "unlike_phrasings",
)
OF_DOCUMENT = (
    "fused",
    "best_dense",
    "best_sparse",
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
    "best_phrased",
)
NAMES = (*OF_PASSAGE, *OF_DOCUMENT)
_LONG = 2  # characters; terms above are words, those below mostly pairs


@dataclass(frozen=True, slots=True)
class Told:
    """How like the question the phrasings of a document are (`kb.phrasing_index`).

    `of_matches`: those of each match's place (empty: there are none). `best`: the greatest cosine.
    """

    of_matches: Sequence[Likeness] = ()
    best: float = 0.0


UNTOLD = Told()


@dataclass(frozen=True, slots=True)
class Found:
    """A document among the candidates: its matches, best first, where it lies, and its title.

    `start`, `stop`: the document's passages within the part. `places`: the matches' positions there. `told`: what
    phrasings say of them.
    """

    matches: Sequence[Match]
    part: Part
    start: int
    stop: int
    places: Sequence[int]
    title: str
    told: "Told"


@dataclass(frozen=True, slots=True)
class Ranking:
    """`weights`: of NAMES. The score of a passage is their weighted sum, without a bias."""

    weights: Mapping[str, float]

    def scores(self, features: Floats) -> Floats:
        """Of passages with features (passages, len(NAMES))."""
        weights = np.array([self.weights.get(name, 0.0) for name in NAMES], dtype=np.float32)
        found: Floats = features @ weights
        return found


@cache
def shipped(path: Path = RANKING_FILE) -> Ranking:
    """The weights that come with the program."""
    return Ranking(json.loads(path.read_text(encoding="utf-8"))["weights"])


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is judged by: `terms` is what BM25 counts, `content` the words that say what it is about."""

    text: str
    terms: Sequence[str]
    content: Sequence[str]


def features(asked: Asked, found: Sequence[Found], idf: Callable[[str], float]) -> Floats:
    """What speaks for each match of the documents, in their order: (matches, len(NAMES)), each about 0…1."""
    rarity = {term: idf(term) for term in dict.fromkeys(asked.terms)}
    matches = [match for document in found for match in document.matches]
    dense, sparse = _scale([m.dense for m in matches]), _scale([m.sparse for m in matches])
    content = {word: rarity.get(word) or idf(word) for word in asked.content}
    long = {term: value for term, value in rarity.items() if len(term) > _LONG}
    present = _presence(list(rarity | content), found)
    of_documents = _of_documents(asked.text, rarity, found, idf, dense, sparse, present)
    covers = [present.shares(words, present.in_passages) for words in (rarity, content, long)]
    rows = [
        (
            match.score,
            dense(match.dense),
            sparse(match.sparse),
            match.dense * 10,
            covers[0][n],
            covers[1][n],
            covers[2][n],
            1 / (1 + match.dense_rank),
            1 / (1 + match.sparse_rank) if match.sparse > 0 else 0.0,
            float(match is first),
            math.log(length + 10) / 5,
            max(like.cosine - match.dense, 0.0) * 10,
            like.words,
            like.share,
        )
        for n, (match, first, length, like) in enumerate(
            (match, document.matches[0], int(document.part.postings.lengths[place]), like)
            for document in found
            for match, place, like in zip(
                document.matches, document.places, document.told.of_matches or repeat(NONE), strict=False
            )
        )
    ]
    own = np.array(rows, dtype=np.float32).reshape(len(matches), len(OF_PASSAGE))
    return np.hstack([own, np.repeat(of_documents, [len(document.matches) for document in found], axis=0)])


@dataclass(frozen=True, slots=True)
class _Presence:
    """Which words stand where: `rows` names the rows of `in_passages` (words, matches) and `in_documents` (words,
    documents)."""

    rows: Mapping[str, int]
    in_passages: Mask
    in_documents: Mask

    def shares(self, words: Mapping[str, float], where: Mask) -> Floats:
        """The share of the words' weights that each column of `where` has."""
        weights = np.zeros(len(self.rows), dtype=np.float32)
        for word, value in words.items():
            weights[self.rows[word]] = value
        found: Floats = weights @ where / (sum(words.values()) or 1.0)
        return found


def _presence(words: Sequence[str], found: Sequence[Found]) -> _Presence:
    """Each word's list of passages is looked through once."""
    columns = np.cumsum([0, *(len(document.places) for document in found)])
    in_passages = np.zeros((len(words), columns[-1]), dtype=np.bool_)
    in_documents = np.zeros((len(words), len(found)), dtype=np.bool_)
    for part in {id(document.part): document.part for document in found}.values():
        here = [n for n, document in enumerate(found) if document.part is part]
        mine = np.concatenate([np.arange(columns[n], columns[n + 1]) for n in here])
        places = np.array([at for n in here for at in found[n].places], dtype=np.int32)
        spans = np.array([(found[n].start, found[n].stop) for n in here], dtype=np.int32).T
        edges = np.concatenate((*spans, places))
        for row, word in enumerate(words):
            where = part.postings.where(word)
            if len(where):
                starts, stops, at = np.split(np.searchsorted(where, edges), (len(here), 2 * len(here)))
                in_documents[row, here] = starts < stops
                in_passages[row, mine] = where[np.minimum(at, len(where) - 1)] == places
    return _Presence({word: row for row, word in enumerate(words)}, in_passages, in_documents)


def _of_documents(
    question: str,
    rarity: Mapping[str, float],
    found: Sequence[Found],
    idf: Callable[[str], float],
    dense: Callable[[float], float],
    sparse: Callable[[float], float],
    present: _Presence,
) -> Floats:
    plain = folded(question)
    asked = {pair: rarity.get(pair) or idf(pair) for pair in dict.fromkeys(pairs(plain))}
    weight = sum(asked.values()) or 1.0
    rows = []
    firsts = np.cumsum([0, *(len(document.matches) for document in found)])[:-1]
    covered = present.shares(rarity, present.in_documents).tolist()
    covered_by_passage = present.shares(rarity, present.in_passages)[firsts].tolist()
    for number, document in enumerate(found):
        title, title_pairs = _title(document.title)
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
                max(document.told.best - FLOOR, 0.0) * 10,
            )
        )
    return np.array(rows, dtype=np.float32).reshape(len(found), len(OF_DOCUMENT))


@lru_cache(maxsize=20_000)
def _title(title: str) -> tuple[str, frozenset[str]]:
    """A title folded, and its pairs of characters."""
    plain = folded(title)
    return plain, frozenset(pairs(plain))


def _scale(scores: Sequence[float]) -> Callable[[float], float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return lambda score: (score - low) / (high - low) if high - low > 1e-9 else 0.0
