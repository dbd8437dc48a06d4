"""Search over phrasings: questions in residents' words, each attached to one place of a document.

A question that is like a phrasing is answered at its place, whatever words the document uses for it. Every vector is
compared, in half precision: that is exact enough, and 20,000 of them take some two milliseconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import faiss
import numpy as np

from kb import places
from kb.nearest import Floats, Halves, Mask, Positions
from kb.words import terms

FLOOR = 0.9
"""The cosine from which on a phrasing says anything: of the 478 questions about laws that the ranking learns from, 95 %
of those whose article has a phrasing by another author have one above it; the most alike of other articles mostly lie
at 0.91 to 0.93."""
NEAREST = 30
"""So many phrasings are looked at, and bring their places among the candidates."""
_OF_A_WHOLE_DOCUMENT = 20


@dataclass(frozen=True, slots=True)
class Phrased:
    """A phrasing as it is searched. `label`: its place (`kb.places`); None: of the whole document. `vector`: of unit
    length, as a question is embedded."""

    document_id: str
    label: str | None
    text: str
    vector: Halves


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like a question the phrasings of a place are.

    `cosine`: the greatest, 0 where none is among the nearest. `words`: the share of the question's words, by rarity,
    that one of those has. `share`: of a place with phrasings, like the question or not, how many of its document's
    passages have any; else 0.
    """

    cosine: float = 0.0
    words: float = 0.0
    share: float = 0.0


NONE = Likeness()


@dataclass(frozen=True, slots=True)
class _Place:
    """A place with phrasings: its passages in reading order; `whole`: all of the document's."""

    document_id: str
    whole: bool
    positions: Sequence[int]


class Alike:
    """The phrasings that are like a question. `positions`: passages that they point to; of a whole document the first
    ones, the others are left to the searches."""

    def __init__(self, index: "PhrasingIndex", near: Sequence[tuple[int, float, float]]) -> None:
        """`near`: place, cosine, share of words; a place may be there several times."""
        self._told = index.told
        self._of_places: dict[int, tuple[float, float]] = {}
        self._of_wholes: dict[str, tuple[float, float]] = {}
        self._documents: dict[str, float] = {}
        joined: dict[int, None] = {}
        for number, cosine, words in near:
            place = index.places[number]
            if place.whole:
                self._of_wholes[place.document_id] = _more(self._of_wholes.get(place.document_id), cosine, words)
                joined.update(dict.fromkeys(place.positions[:_OF_A_WHOLE_DOCUMENT]))
            else:
                for position in place.positions:
                    self._of_places[position] = _more(self._of_places.get(position), cosine, words)
                joined.update(dict.fromkeys(place.positions))
            self._documents[place.document_id] = max(self._documents.get(place.document_id, 0.0), cosine)
        self.positions: Positions = np.array(list(joined), dtype=np.int64)

    def of_passage(self, position: int, document_id: str) -> Likeness:
        """Of the passage's place, or of its whole document."""
        share = self._told.get(position)
        if share is None:
            return NONE
        cosine, words = self._of_places.get(position, (0.0, 0.0))
        return Likeness(*_more(self._of_wholes.get(document_id), cosine, words), share)

    def of_document(self, document_id: str) -> float:
        """Greatest cosine of a phrasing of any of the document's places; 0 where none is like the question."""
        return self._documents.get(document_id, 0.0)


class PhrasingIndex:
    """Phrasings with the passages that they point to. Never changed once built.

    Args:
        phrasings: those of documents or places that are not there, or not plain, are left out.
        passages_of: id of a document → position of its first passage, and its passages' articles
            (`Passage.article`), in reading order; None where the document is not there.
    """

    def __init__(
        self,
        phrasings: Sequence[Phrased],
        passages_of: Callable[[str], tuple[int, Sequence[str | None]] | None],
    ) -> None:
        by_place: dict[str, dict[str | None, list[Phrased]]] = {}
        for phrasing in phrasings:
            by_place.setdefault(phrasing.document_id, {}).setdefault(phrasing.label, []).append(phrasing)
        used: list[Phrased] = []
        place_of: list[int] = []
        self.places: list[_Place] = []
        self.told: dict[int, float] = {}
        """Every passage with phrasings → share of its document's passages that have any."""
        for document_id, labels in by_place.items():
            found = passages_of(document_id)
            if found is None:
                continue
            first, articles = found
            names = places.names(articles)
            known = dict.fromkeys(name for name in names if name is not None)
            told: set[int] = set()
            for label, mine in labels.items():
                named = places.find(label, known) if label is not None else []
                if label is not None and len(named) != 1:
                    continue
                here = [first + n for n, name in enumerate(names) if label is None or name == named[0]]
                if here:
                    place_of += [len(self.places)] * len(mine)
                    self.places.append(_Place(document_id, label is None, here))
                    used += mine
                    told.update(here)
            self.told.update(dict.fromkeys(told, len(told) / max(len(articles), 1)))
        self._texts = [phrasing.text for phrasing in used]
        self._place_of = place_of
        # The first passage of each phrasing's place.
        self._first = np.array([self.places[place].positions[0] for place in place_of], dtype=np.int64)
        self._vectors: Any = None
        if used:
            vectors = np.array([phrasing.vector for phrasing in used], dtype=np.float32)
            self._vectors = faiss.IndexScalarQuantizer(
                vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            self._vectors.add(vectors)

    def __len__(self) -> int:
        return len(self._texts)

    def alike(self, vector: Floats, asked: Sequence[str], idf: Callable[[str], float], allowed: Mask) -> Alike | None:
        """Which phrasings are like a question; None where no document that `allowed` holds true has any.

        `asked`: the question's terms. `allowed` (passages,) is the same for all passages of a document.
        """
        usable = allowed[self._first]
        if not usable.any():
            return None
        params, bits = None, None
        if not usable.all():
            bits = np.packbits(usable, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            params = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        found, numbers = self._vectors.search(vector.reshape(1, -1), min(NEAREST, len(self)), params=params)
        near = [(n, cosine) for n, cosine in zip(numbers[0].tolist(), found[0].tolist(), strict=True) if n >= 0]
        rarity = {term: idf(term) for term in set(asked)} if near and near[0][1] >= FLOOR else {}
        total = sum(rarity.values()) or 1.0

        def words(text: str) -> float:
            has = _terms(text)
            return sum(value for term, value in rarity.items() if term in has) / total

        alike = [(self._place_of[n], cosine, words(self._texts[n])) for n, cosine in near if cosine >= FLOOR]
        return Alike(self, alike)


def _more(known: tuple[float, float] | None, cosine: float, words: float) -> tuple[float, float]:
    return (max(known[0], cosine), max(known[1], words)) if known else (cosine, words)


@lru_cache(maxsize=20_000)
def _terms(text: str) -> frozenset[str]:
    return frozenset(terms(text))
