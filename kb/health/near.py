"""Passages that lie close together, of different documents."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kb.index import Floats

_BLOCK = 512
# So many scores at once: a base of 100,000 passages must not need gigabytes.
_MOST_SCORES = 1 << 24


def neighbours(vectors: Floats, owner: npt.NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, each once, where one is among the `count` nearest of the other in other documents.

    `vectors` (n, width), unit length; `owner` (n,): the number of the document that a passage belongs to.
    """
    total = len(vectors)
    seen: set[tuple[int, int]] = set()
    block = max(1, min(_BLOCK, _MOST_SCORES // max(total, 1)))
    for start in range(0, total, block):
        scores = vectors[start : start + block] @ vectors.T
        scores[owner[start : start + block, None] == owner[None, :]] = -2.0
        width = min(count, total)
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        for row, candidates in enumerate(best):
            for j in candidates.tolist():
                pair = (min(start + row, j), max(start + row, j))
                if scores[row, j] > -2.0 and pair not in seen:
                    seen.add(pair)
                    yield pair
