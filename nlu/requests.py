"""Several requests in one message: where one ends and the next begins, and which category each has.

Every clause is scored by the category heads on the mean state of its own tokens, all from the one pass over the whole
message; the best sequence of categories pays a price for every change (Viterbi). Imports only numpy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LEAST_CHARS = 16
"""A message shorter than this is one request."""

_SHORTEST = 6  # characters; a shorter clause ("你好", "谢谢") joins its neighbour
_BREAK = re.compile(
    r"[，,。！!？?；;\n]+|(?<=[^\s])\s+(?=[^\s])|(?=另外|还有[个就一件]|顺便|对了|再一个|再说个|此外|第[二三四]|其次|同时也)"
)
_FLOOR = np.float32(np.log(0.01))  # one odd clause must not outweigh the rest


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the message, `text[start:end]`, that speaks of one thing."""

    start: int
    end: int


def clauses(text: str) -> list[Stretch]:
    """The clauses of a text, in order and without gaps; each has at least six characters if the text has."""
    found: list[Stretch] = []
    start = 0
    for at in [*(m.end() for m in _BREAK.finditer(text)), len(text)]:
        if at <= start:
            continue
        if at - start >= _SHORTEST or not found:
            found.append(Stretch(start, at))
        else:
            found[-1] = Stretch(found[-1].start, at)
        start = at
    if len(found) > 1 and found[0].end - found[0].start < _SHORTEST:
        found[:2] = [Stretch(found[0].start, found[1].end)]
    return found


def pooled(hidden: Floats, offsets: Sequence[tuple[int, int]], stretch: Stretch) -> Floats | None:
    """Mean state of the tokens inside a stretch, with length 1; None where there is none."""
    inside = [i for i, (a, b) in enumerate(offsets) if a < stretch.end and b > stretch.start]
    if not inside:
        return None
    mean = hidden[inside[0] : inside[-1] + 1].mean(0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def divide(scores: Floats, lengths: Sequence[int], price: float) -> list[list[int]]:
    """Groups neighbouring clauses that speak of one thing.

    Args:
        scores: (clauses, categories), log probabilities.
        lengths: characters of each clause; a long one says more.
        price: what a change of category costs, in units of the score of ten characters.

    Returns:
        the numbers of the clauses of each group, in order.
    """
    weighted = np.maximum(scores, _FLOOR) * (np.asarray(lengths, np.float32)[:, None] / 10)
    n, k = weighted.shape
    back = np.zeros((n, k), np.int64)
    best = weighted[0].copy()
    for i in range(1, n):
        top = int(best.argmax())
        change = best[top] - price
        stays = best >= change
        back[i] = np.where(stays, np.arange(k), top)
        best = np.where(stays, best, change) + weighted[i]
    path = [int(best.argmax())]
    for i in range(n - 1, 0, -1):
        path.append(int(back[i, path[-1]]))
    path.reverse()
    groups = [[0]]
    for i in range(1, n):
        if path[i] == path[i - 1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
