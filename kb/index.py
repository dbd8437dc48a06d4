"""Two indexes over the same passages – vectors (FAISS, exact) and words (BM25) – and the fusion of their scores.

An index is built once and never changed, so any number of threads may search it; a new one takes its place.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import bm25s
import faiss
import numpy as np
import numpy.typing as npt

from kb.errors import EncoderMismatch

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# A request takes one core: with FAISS's own threads ten requests beside each other wait for one another.
faiss.omp_set_num_threads(1)

# It announces every build on a level of its own choice.
logging.getLogger("bm25s").setLevel(logging.WARNING)

DENSE_WEIGHT = 0.5
CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A passage found. `score` is the fused score in 0…1, `dense` the cosine, `sparse` the BM25 score."""

    position: int
    score: float
    dense: float
    sparse: float


class PassageIndex:
    """Exact search over `vectors` (n, d), unit length, and `tokens` (n lists of words), in the same order.

    Raises EncoderMismatch when the two differ in number or the vectors are not unit vectors.
    """

    def __init__(self, vectors: Floats, tokens: Sequence[Sequence[str]]) -> None:
        if vectors.ndim != 2 or len(vectors) != len(tokens):
            raise EncoderMismatch()
        if len(vectors) and not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-2):
            raise EncoderMismatch("语言模型返回的向量长度不是 1。")
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._dense = faiss.IndexFlatIP(max(vectors.shape[1], 1))
        if len(vectors):
            self._dense.add(self.vectors)
        self._sparse: bm25s.BM25 | None = None
        # The library needs at least one word to index.
        if any(tokens):
            self._sparse = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
            self._sparse.index([list(t) for t in tokens], show_progress=False)
        self.frequencies: dict[str, int] = {}
        for words in tokens:
            for word in set(words):
                self.frequencies[word] = self.frequencies.get(word, 0) + 1

    def __len__(self) -> int:
        return len(self.vectors)

    def idf(self, word: str) -> float:
        """Rarity of a word among the passages, as in BM25 (Lucene); a word that never occurs is the rarest."""
        n = self.frequencies.get(word, 0)
        return float(np.log(1 + (len(self) - n + 0.5) / (n + 0.5)))

    def search(self, vector: Floats, query: Sequence[str], *, limit: int, allowed: Mask | None = None) -> list[Match]:
        """The best passages by fused score, best first, among those that `allowed` (n,) holds true.

        The candidates are the best of either search; each search's scores are stretched to 0…1 over the candidates
        and averaged (score fusion; beat reciprocal ranks on the notices, see docs/decisions/0005-knowledge-base.md).
        """
        positions = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        if not len(positions):
            return []
        width = min(max(CANDIDATES, limit), len(positions))
        sparse = self._sparse_scores(query)
        if allowed is None or len(positions) == len(self):
            _, near = self._dense.search(vector.reshape(1, -1), width)
        else:
            selector = faiss.IDSelectorBatch(positions)
            _, near = self._dense.search(vector.reshape(1, -1), width, params=faiss.SearchParameters(sel=selector))  # type: ignore[call-arg]
        among = sparse[positions]
        best = positions[np.argpartition(-among, width - 1)[:width]]
        candidates = np.union1d(near[0][near[0] >= 0], best[sparse[best] > 0])
        dense_scores = self.vectors[candidates] @ vector
        sparse_scores = sparse[candidates]
        fused = DENSE_WEIGHT * _stretched(dense_scores) + (1 - DENSE_WEIGHT) * _stretched(sparse_scores)
        order = np.lexsort((candidates, -fused))[:limit]
        return [
            Match(int(candidates[i]), float(fused[i]), float(dense_scores[i]), float(sparse_scores[i])) for i in order
        ]

    def _sparse_scores(self, query: Sequence[str]) -> Floats:
        known = [word for word in query if word in self.frequencies]
        if self._sparse is None or not known:
            return np.zeros(len(self), dtype=np.float32)
        scores: Floats = np.asarray(self._sparse.get_scores(known), dtype=np.float32)
        return scores


def _stretched(scores: Floats) -> Floats:
    low, high = scores.min(), scores.max()
    if high - low < 1e-9:
        return np.zeros_like(scores)
    stretched: Floats = (scores - low) / (high - low)
    return stretched
