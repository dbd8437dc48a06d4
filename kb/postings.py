"""BM25 over words in flat arrays: built once, searched without a loop over passages, merged without reading texts.

For every term the passages that have it and how often, one after another (an inverted file). The arrays may lie in a
mapped file. Scores are those of BM25 as in Lucene (Robertson and Zaragoza, 2009; Kamphuis et al., 2020).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]

K1 = 1.5
B = 0.75
_CHUNK = 2_000
_MERGED_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Postings:
    """Of term number t: `positions[offsets[t]:offsets[t + 1]]`, ascending, and `counts` beside them (at most 255).

    vocabulary: term → its number. offsets: int64 (terms + 1). positions: int32. counts: uint8. lengths: int32
    (passages), the number of terms of each passage.
    """

    vocabulary: Mapping[str, int]
    offsets: npt.NDArray[np.int64]
    positions: Ints
    counts: npt.NDArray[np.uint8]
    lengths: Ints

    @classmethod
    def of(cls, passages: Iterable[Sequence[str]]) -> "Postings":
        """Of the terms of each passage, in order."""
        vocabulary: dict[str, int] = {}
        lengths: list[int] = []
        found: list[tuple[Ints, Ints, npt.NDArray[np.uint8]]] = []
        flat: list[int] = []
        start = 0
        for terms in passages:
            flat += [vocabulary.setdefault(term, len(vocabulary)) for term in terms]
            lengths.append(len(terms))
            if len(lengths) - start == _CHUNK:
                found.append(_counted(flat, lengths[start:], start))
                flat, start = [], len(lengths)
        found.append(_counted(flat, lengths[start:], start))
        terms_of, positions, counts = (np.concatenate([chunk[i] for chunk in found]) for i in range(3))
        order = np.argsort(terms_of, kind="stable")
        return cls(
            vocabulary,
            _offsets(np.bincount(terms_of, minlength=len(vocabulary))),
            positions[order].astype(np.int32),
            counts[order].astype(np.uint8),
            np.array(lengths, dtype=np.int32),
        )

    @classmethod
    def merged(cls, parts: Sequence["Postings"], kept: Sequence[Mask]) -> "Postings":
        """The passages of all parts that `kept` (one mask a part) holds true, numbered anew in this order.

        In pieces of some million entries, so that little more memory is taken than the result needs.
        """
        vocabulary: dict[str, int] = {}
        numbers: list[Ints] = []
        for part in parts:
            numbers.append(
                np.fromiter(
                    (vocabulary.setdefault(term, len(vocabulary)) for term in part.vocabulary),
                    np.int32,
                    len(part.vocabulary),
                )
            )
        new_positions: list[Ints] = []
        start = 0
        for mask in kept:
            new_positions.append((np.cumsum(mask) - 1 + start).astype(np.int32))
            start += int(mask.sum())
        frequencies = np.zeros(len(vocabulary), dtype=np.int64)
        for part, mask, number in zip(parts, kept, numbers, strict=True):
            np.add.at(frequencies, number, part.frequencies(mask))
        offsets = _offsets(frequencies)
        positions = np.empty(offsets[-1], dtype=np.int32)
        counts = np.empty(offsets[-1], dtype=np.uint8)
        filled = offsets[:-1].copy()
        for part, mask, number, new in zip(parts, kept, numbers, new_positions, strict=True):
            for first, last in _runs(part.offsets):
                here = slice(part.offsets[first], part.offsets[last])
                alive = mask[part.positions[here]]
                sizes = np.diff(part.offsets[first : last + 1])
                terms_of = np.repeat(np.arange(first, last, dtype=np.int32), sizes)[alive]
                size_kept = np.bincount(terms_of - first, minlength=last - first)
                before = np.concatenate(([0], np.cumsum(size_kept)[:-1]))
                term = number[first:last]
                target = np.arange(len(terms_of)) - np.repeat(before, size_kept) + np.repeat(filled[term], size_kept)
                positions[target] = new[part.positions[here][alive]]
                counts[target] = part.counts[here][alive]
                filled[term] += size_kept
        lengths = np.concatenate([part.lengths[mask] for part, mask in zip(parts, kept, strict=True)])
        return cls(vocabulary, offsets, positions, counts, lengths.astype(np.int32))

    def __len__(self) -> int:
        return len(self.lengths)

    def where(self, term: str) -> Ints:
        """Positions of the passages that have a term, ascending."""
        number = self.vocabulary.get(term)
        if number is None:
            return np.zeros(0, dtype=np.int32)
        return self.positions[self.offsets[number] : self.offsets[number + 1]]

    def frequencies(self, alive: Mask | None = None) -> npt.NDArray[np.int64]:
        """In how many passages each term occurs, of those that are alive: (terms,)."""
        if alive is None or bool(alive.all()):
            return np.diff(self.offsets)
        frequencies = np.zeros(len(self.offsets) - 1, dtype=np.int64)
        for first, last in _runs(self.offsets):
            here = alive[self.positions[self.offsets[first] : self.offsets[last]]]
            until = np.concatenate(([0], np.cumsum(here)))
            frequencies[first:last] = np.diff(until[self.offsets[first : last + 1] - self.offsets[first]])
        return frequencies

    def norms(self, average_length: float) -> Floats:
        """What BM25 adds to a term's count for the length of each passage: (passages,)."""
        norms: Floats = self.lengths.astype(np.float32)
        norms *= np.float32(K1 * B / average_length)
        norms += np.float32(K1 * (1 - B))
        return norms

    def add_scores(self, term: str, weight: float, norms: Floats, scores: Floats) -> None:
        """Add a term's BM25 score to the `scores` (passages,) of the passages that have it.

        `weight`: the term's rarity, times how often it is asked for. No score grows by more than that.
        """
        number = self.vocabulary.get(term)
        if number is not None:
            here = slice(self.offsets[number], self.offsets[number + 1])
            where = self.positions[here]
            scores[where] += _bm25(self.counts[here], norms[where], weight)

    def add_scores_at(self, places: Ints, term: str, weight: float, norms: Floats, scores: Floats) -> None:
        """The same for the passages at `places`, ascending, alone: cheap where the term is in very many."""
        number = self.vocabulary.get(term)
        if number is None or not len(places):
            return
        first, last = self.offsets[number], self.offsets[number + 1]
        where = self.positions[first:last]
        if not len(where):  # every passage that had the word is gone
            return
        at = np.searchsorted(where, places)
        has = np.flatnonzero(where[np.minimum(at, len(where) - 1)] == places)
        found = places[has]
        scores[found] += _bm25(self.counts[first:last][at[has]], norms[found], weight)


def _bm25(counts: npt.NDArray[np.uint8], norms: Floats, weight: float) -> Floats:
    found: Floats = counts.astype(np.float32)
    norms += found
    found *= np.float32(weight)
    found /= norms
    return found


def _counted(flat: list[int], lengths: list[int], start: int) -> tuple[Ints, Ints, npt.NDArray[np.uint8]]:
    """Term, passage and count, by term, of a run of passages."""
    terms_of = np.array(flat, dtype=np.int64)
    passage_of = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    keys, counts = np.unique(terms_of * max(len(lengths), 1) + passage_of, return_counts=True)
    terms, passages = np.divmod(keys, max(len(lengths), 1))
    return terms.astype(np.int32), (passages + start).astype(np.int32), np.minimum(counts, 255).astype(np.uint8)


def _offsets(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)))


def _runs(offsets: npt.NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    """Runs of terms with some million entries each (more where a single term has more)."""
    first, terms = 0, len(offsets) - 1
    while first < terms:
        last = int(np.searchsorted(offsets, offsets[first] + _MERGED_AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), terms)
        yield first, last
        first = last
