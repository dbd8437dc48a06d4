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
# In shares of the passages: after lists of words this long it is looked whether the others can be spared, for so few.
_SPARED_FROM, _FEW = 1.0, 0.01
_WORDS_KEPT = 20_000


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
        self._asked_for: dict[str, int] = {}
        self.alive = np.concatenate([p.alive for p in parts]) if parts else np.zeros(0, dtype=np.bool_)
        self.size = int(np.count_nonzero(self.alive))
        length = sum(float(p.postings.lengths[p.alive].sum()) for p in parts)
        average_length = max(length / max(self.size, 1), 1.0)
        self._norms = [p.postings.norms(average_length) for p in parts]

    @classmethod
    def over(cls, vectors: Floats, tokens: Sequence[Sequence[str]]) -> "PassageIndex":
        """An index over `vectors` (n, d), unit length, and `tokens` (n lists of words), in the same order."""
        return cls([Part.of(Postings.of(tokens), Nearest.of(halves(vectors, len(tokens))))])

    def __len__(self) -> int:
        return len(self.alive)

    def frequency(self, word: str) -> int:
        """In how many passages a word occurs."""
        found = self._asked_for.get(word)
        if found is None:
            found = 0
            for part, frequencies in zip(self.parts, self._frequencies, strict=True):
                number = part.postings.vocabulary.get(word)
                found += int(frequencies[number]) if number is not None else 0
            if len(self._asked_for) >= _WORDS_KEPT:
                self._asked_for.clear()
            self._asked_for[word] = found
        return found

    def idf(self, word: str) -> float:
        """Rarity of a word among the passages, as in BM25 (Lucene); a word that never occurs is the rarest."""
        n = self.frequency(word)
        return float(np.log(1 + (self.size - n + 0.5) / (n + 0.5)))

    def search(
        self,
        vector: Floats,
        query: Sequence[str],
        *,
        limit: int,
        allowed: Mask | None = None,
        also: Positions | None = None,
    ) -> list[Match]:
        """The best passages by fused score, best first, among those that `allowed` (n,) holds true.

        `also`: passages that are among the found in any case, beyond `limit` if need be, where they are allowed.

        The candidates are the best of either search; each search's scores are stretched to 0…1 over the candidates
        and averaged (score fusion; beat reciprocal ranks on the notices, see docs/decisions/0005-knowledge-base.md).
        """
        usable = self.alive if allowed is None else self.alive & allowed
        available = int(np.count_nonzero(usable))
        if not available:
            return []
        width = min(max(CANDIDATES, limit), available)
        mask = None if available == len(self) else usable
        wanted = np.unique(also[usable[also]]) if also is not None else np.zeros(0, dtype=np.int64)
        near = np.union1d(self._near(vector, width, mask), wanted)
        sparse = self._sparse_scores(query, near, width, mask)
        candidates = np.union1d(near, _best(sparse, width))
        dense_scores = self._cosines(candidates, vector)
        sparse_scores = sparse[candidates]
        fused = DENSE_WEIGHT * _stretched(dense_scores) + (1 - DENSE_WEIGHT) * _stretched(sparse_scores)
        order = np.lexsort((candidates, -fused))
        beyond = order[limit:]
        order = np.concatenate((order[:limit], beyond[np.isin(candidates[beyond], wanted)]))
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

    def _sparse_scores(self, query: Sequence[str], near: Positions, width: int, usable: Mask | None) -> Floats:
        """BM25 scores, right for the best `width` passages and for `near`, too low at most for the others.

        The rarest words come first. Once what the words still to come can add at most lifts no other passage among the
        best, only those that may be are looked up (MaxScore; Turtle and Flood, 1995).
        """
        scores = np.zeros(len(self), dtype=np.float32)
        asked = sorted(Counter(query).items(), key=lambda item: self.frequency(item[0]))
        weights = [count * self.idf(word) for word, count in asked]
        looked_up = 0
        for number, ((word, _), weight) in enumerate(zip(asked, weights, strict=True)):
            here = self.frequency(word)
            looked_up += here
            if looked_up > len(self) * _SPARED_FROM:
                looked_up = here
                reachable = scores if usable is None else scores * usable
                least = _least_of_best(reachable, width) - sum(weights[number:])
                if least > 0 and np.count_nonzero(left := reachable >= least) < len(self) * _FEW:
                    words = list(zip((word for word, _ in asked[number:]), weights[number:], strict=True))
                    self._add_at(np.union1d(np.flatnonzero(left), near), words, scores)
                    break
            for part, start, norms in zip(self.parts, self._starts, self._norms, strict=False):
                part.postings.add_scores(word, weight, norms, scores[start : start + len(part.alive)])
        if usable is not None:
            scores *= usable
        return scores

    def _add_at(self, positions: Positions, weights: Sequence[tuple[str, float]], scores: Floats) -> None:
        for part, start, norms in zip(self.parts, self._starts, self._norms, strict=False):
            stop = start + len(part.alive)
            places = (positions[(positions >= start) & (positions < stop)] - start).astype(np.int32)
            for word, weight in weights:
                part.postings.add_scores_at(places, word, weight, norms, scores[start:stop])


def _best(scores: Floats, width: int) -> Positions:
    """Positions of the `width` highest scores above zero, in no order."""
    least = _least_of_best(scores, width)
    found = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    if len(found) > width:
        found = found[np.argpartition(-scores[found], width - 1)[:width]]
    return found


def _least_of_best(scores: Floats, width: int) -> float:
    """A score that the `width` highest scores reach, 0 where none is known.

    The width-th highest of the maxima of blocks is no higher than the width-th highest score: what lies below it need
    not be sorted.
    """
    blocks = len(scores) // _BLOCK
    if blocks <= width:
        return 0.0
    maxima = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
    return float(np.partition(maxima, blocks - width)[blocks - width])


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
