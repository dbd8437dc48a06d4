"""Two searches over the same passages – vectors and words (BM25) – and the fusion of their scores.

An index holds one large segment and a small one with what changed since; passages that are no longer valid in either
are masked out. Both searches give the same whether a passage lies in the one or the other. An index is never changed,
so any number of threads may search it; a new one takes its place.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kb.errors import EncoderMismatch
from kb.nearest import Floats, Nearest, Positions, halves
from kb.postings import Mask, Postings

__all__ = ["DENSE_WEIGHT", "Floats", "Mask", "Match", "Part", "PassageIndex"]

DENSE_WEIGHT = 0.5
CANDIDATES = 200
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Match:
    """A passage found. `score` is the fused score in 0…1, `dense` the cosine, `sparse` the BM25 score.

    `dense_rank` and `sparse_rank`: its place (from 1) in either search among the candidates.
    """

    position: int
    score: float
    dense: float
    sparse: float
    dense_rank: int = 0
    sparse_rank: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What is searched of a segment: `alive` (n,) masks out what is no longer valid."""

    postings: Postings
    nearest: Nearest
    alive: Mask

    @classmethod
    def of(cls, postings: Postings, nearest: Nearest, alive: Mask | None = None) -> "Part":
        return cls(postings, nearest, np.ones(len(postings), dtype=np.bool_) if alive is None else alive)


class PassageIndex:
    """Search over the passages of several parts; the position of a passage counts through all parts, in order.

    Raises EncoderMismatch where vectors and words of a part differ in number.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if any(len(p.postings) != len(p.nearest) or len(p.alive) != len(p.postings) for p in parts):
            raise EncoderMismatch()
        self.parts = parts
        self._starts = np.cumsum([0, *(len(p.postings) for p in parts)])
        self._frequencies = [p.postings.frequencies(p.alive) for p in parts]
        self.alive = np.concatenate([p.alive for p in parts]) if parts else np.zeros(0, dtype=np.bool_)
        self.size = int(np.count_nonzero(self.alive))
        length = sum(float(p.postings.lengths[p.alive].sum()) for p in parts)
        self._average_length = max(length / max(self.size, 1), 1.0)

    @classmethod
    def over(cls, vectors: Floats, tokens: Sequence[Sequence[str]]) -> "PassageIndex":
        """An index over `vectors` (n, d), unit length, and `tokens` (n lists of words), in the same order."""
        return cls([Part.of(Postings.of(tokens), Nearest.of(halves(vectors, len(tokens))))])

    def __len__(self) -> int:
        return len(self.alive)

    def frequency(self, word: str) -> int:
        """In how many passages a word occurs."""
        found = 0
        for part, frequencies in zip(self.parts, self._frequencies, strict=True):
            number = part.postings.vocabulary.get(word)
            found += int(frequencies[number]) if number is not None else 0
        return found

    def idf(self, word: str) -> float:
        """Rarity of a word among the passages, as in BM25 (Lucene); a word that never occurs is the rarest."""
        n = self.frequency(word)
        return float(np.log(1 + (self.size - n + 0.5) / (n + 0.5)))

    def search(self, vector: Floats, query: Sequence[str], *, limit: int, allowed: Mask | None = None) -> list[Match]:
        """The best passages by fused score, best first, among those that `allowed` (n,) holds true.

        The candidates are the best of either search; each search's scores are stretched to 0…1 over the candidates
        and averaged (score fusion; beat reciprocal ranks on the notices, see docs/decisions/0005-knowledge-base.md).
        """
        usable = self.alive if allowed is None else self.alive & allowed
        available = int(np.count_nonzero(usable))
        if not available:
            return []
        width = min(max(CANDIDATES, limit), available)
        sparse = self._sparse_scores(query)
        if available < len(self):
            sparse *= usable
        near = self._near(vector, width, None if available == len(self) else usable)
        candidates = np.union1d(near, _best(sparse, width))
        dense_scores = self._cosines(candidates, vector)
        sparse_scores = sparse[candidates]
        fused = DENSE_WEIGHT * _stretched(dense_scores) + (1 - DENSE_WEIGHT) * _stretched(sparse_scores)
        order = np.lexsort((candidates, -fused))[:limit]
        dense_ranks, sparse_ranks = _ranks(dense_scores), _ranks(sparse_scores)
        return [
            Match(
                int(candidates[i]),
                float(fused[i]),
                float(dense_scores[i]),
                float(sparse_scores[i]),
                int(dense_ranks[i]),
                int(sparse_ranks[i]),
            )
            for i in order
        ]

    def _near(self, vector: Floats, width: int, usable: Mask | None) -> Positions:
        found = []
        for part, start in zip(self.parts, self._starts, strict=False):
            mask = None if usable is None else usable[start : start + len(part.alive)]
            found.append(part.nearest.search(vector, width, mask) + start)
        near = np.concatenate(found)
        if len(found) > 1 and len(near) > width:
            near = near[np.argpartition(-self._cosines(near, vector), width - 1)[:width]]
        return near

    def _cosines(self, positions: Positions, vector: Floats) -> Floats:
        scores = np.empty(len(positions), dtype=np.float32)
        which = np.searchsorted(self._starts, positions, side="right") - 1
        for number, part in enumerate(self.parts):
            here = which == number
            if here.any():
                scores[here] = part.nearest.cosines(positions[here] - self._starts[number], vector)
        return scores

    def _sparse_scores(self, query: Sequence[str]) -> Floats:
        scores = np.zeros(len(self), dtype=np.float32)
        weights = {word: count * self.idf(word) for word, count in Counter(query).items()}
        for part, start in zip(self.parts, self._starts, strict=False):
            part.postings.add_scores(weights, self._average_length, scores[start : start + len(part.alive)])
        return scores


def _best(scores: Floats, width: int) -> Positions:
    """Positions of the `width` highest scores above zero, in no order.

    The width-th highest of the maxima of blocks is no higher than the width-th highest score: what lies below it need
    not be sorted.
    """
    blocks = len(scores) // _BLOCK
    least = np.float32(0)
    if blocks > width:
        maxima = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        least = np.partition(maxima, blocks - width)[blocks - width]
    found = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    if len(found) > width:
        found = found[np.argpartition(-scores[found], width - 1)[:width]]
    return found


def _ranks(scores: Floats) -> npt.NDArray[np.int64]:
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def _stretched(scores: Floats) -> Floats:
    low, high = scores.min(), scores.max()
    if high - low < 1e-9:
        return np.zeros_like(scores)
    stretched: Floats = (scores - low) / (high - low)
    return stretched
