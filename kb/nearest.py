"""The nearest vectors: exact for small collections, inverted lists (IVF) for large ones, checked by measured recall.

Vectors are kept in half precision, and every candidate is scored with them: what a search returns are true cosines (to
about 1e-5), whichever way the candidates were found.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from kb.errors import EncoderMismatch

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

# A request takes one core: with FAISS's own threads ten requests beside each other wait for one another.
faiss.omp_set_num_threads(1)

FLAT_UP_TO = 20_000
WANTED_RECALL = 0.985
_DEPTH = 10
_PROBES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Fewer allowed passages than this are compared one by one: the lists would mostly yield forbidden ones.
_COMPARED_ONE_BY_ONE = 5_000
# The lists hold one byte a number; this many more candidates make up for it.
_MORE = 2


@dataclass(frozen=True, slots=True)
class Lists:
    """Inverted lists, how many of them to look into, and the share of the true ten nearest that finds."""

    index: Any
    probes: int
    recall: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """Search over `vectors` (n, width), unit length. Without `lists` it is exact."""

    vectors: Halves
    lists: Lists | None
    _exact: Any

    @classmethod
    def of(cls, vectors: Halves, lists: Lists | None = None) -> "Nearest":
        """Exact search, or search by lists made before."""
        exact = None
        if lists is None:
            exact = faiss.IndexFlatIP(max(vectors.shape[1], 1))
            if len(vectors):
                exact.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(vectors, lists, exact)

    @classmethod
    def chosen(cls, vectors: Halves, questions: Floats | None = None) -> "Nearest":
        """By size: exact up to FLAT_UP_TO, else lists, if they find what exact search finds.

        `questions`: vectors (n, width) that recall is measured with; passages between two others where left out.
        """
        if len(vectors) <= FLAT_UP_TO:
            return cls.of(vectors)
        lists = _trained(vectors, questions)
        return cls.of(vectors, lists if lists.recall >= WANTED_RECALL else None)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, vector: Floats, width: int, allowed: Mask | None = None) -> Positions:
        """Positions of about the `width` nearest that `allowed` (n,) holds true, in no order."""
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        width = min(width, count)
        if not width:
            return np.zeros(0, dtype=np.int64)
        if count == width:
            return np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        if allowed is not None and count <= _COMPARED_ONE_BY_ONE:
            among = np.flatnonzero(allowed)
            return among[np.argpartition(-self.cosines(among, vector), width - 1)[:width]]
        selector, bits = None, None
        if allowed is not None and count < len(self):
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
        if self.lists is None:
            params = faiss.SearchParameters(sel=selector) if selector is not None else None  # type: ignore[call-arg]
            _, near = self._exact.search(vector.reshape(1, -1), width, params=params)
            found: Positions = near[0][near[0] >= 0]
            return found
        near = _search(self.lists.index, vector.reshape(1, -1), width * _MORE, self.lists.probes, selector)
        found = near[0][near[0] >= 0]
        if len(found) <= width:
            return found
        return found[np.argpartition(-self.cosines(found, vector), width - 1)[:width]]

    def cosines(self, positions: Positions, vector: Floats) -> Floats:
        """Of the vectors at these positions with `vector`."""
        found: Floats = self.vectors[positions].astype(np.float32) @ vector
        return found


def halves(vectors: Floats, count: int) -> Halves:
    """The vectors as they are kept. Raises EncoderMismatch unless they are `count` vectors of length 1."""
    if vectors.ndim != 2 or len(vectors) != count:
        raise EncoderMismatch()
    if count and not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-2):
        raise EncoderMismatch("语言模型返回的向量长度不是 1。")
    return vectors.astype(np.float16)


def _search(index: Any, vectors: Floats, width: int, probes: int, selector: Any = None) -> Positions:
    params = faiss.SearchParametersIVF(nprobe=probes, sel=selector)  # type: ignore[call-arg]
    _, near = index.search(vectors, width, params=params)
    found: Positions = near
    return found


def _trained(vectors: Halves, questions: Floats | None) -> Lists:
    count, width = vectors.shape
    chance = np.random.default_rng(0)
    number = int(4 * np.sqrt(count))
    # Lists of one byte a number.
    index: Any = faiss.index_factory(width, f"IVF{number},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = 8
    index.cp.max_points_per_centroid = 64
    sample = np.sort(chance.choice(count, min(count, 64 * number), replace=False))
    index.train(vectors[sample].astype(np.float32))
    for start in range(0, count, 50_000):
        index.add(vectors[start : start + 50_000].astype(np.float32))
    if questions is None or not len(questions):
        pairs = chance.choice(count, (200, 2))
        between = vectors[pairs[:, 0]].astype(np.float32) * 0.6 + vectors[pairs[:, 1]].astype(np.float32) * 0.4
        questions = between / np.linalg.norm(between, axis=1, keepdims=True)
    true = exact_nearest(vectors, questions, _DEPTH)
    recall = 0.0
    for probes in _PROBES:
        near = _search(index, questions, 200, probes)
        recall = float(np.mean([len(np.intersect1d(a, b)) / _DEPTH for a, b in zip(true, near, strict=True)]))
        if recall >= WANTED_RECALL:
            break
    return Lists(index, probes, round(recall, 4))


def exact_nearest(vectors: Halves, questions: Floats, depth: int) -> Positions:
    """Positions of the `depth` nearest vectors of each question: (questions, depth), in no order."""
    best_scores = np.full((len(questions), depth), -2.0, dtype=np.float32)
    best = np.full((len(questions), depth), -1, dtype=np.int64)
    for start in range(0, len(vectors), 50_000):
        scores = questions @ vectors[start : start + 50_000].astype(np.float32).T
        here = np.argpartition(-scores, min(depth, scores.shape[1]) - 1, axis=1)[:, :depth]
        all_scores = np.concatenate((best_scores, np.take_along_axis(scores, here, axis=1)), axis=1)
        everything = np.concatenate((best, here + start), axis=1)
        keep = np.argpartition(-all_scores, depth - 1, axis=1)[:, :depth]
        best_scores, best = np.take_along_axis(all_scores, keep, axis=1), np.take_along_axis(everything, keep, axis=1)
    return best
