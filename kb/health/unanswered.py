"""Questions that the base had no answer to, gathered by what they ask.

Average-linkage clustering (nearest-neighbour chain, Lance–Williams update) over a similarity that is half meaning, half
words: cosines about the mean passage, which tell more than plain ones (all of this encoder's lie close together), and
cosines of the words' tf-idf.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from kb.documents import Document
from kb.health.finding import Finding, Quote, owner_of
from kb.index import Floats
from kb.words import in_documents_words, terms

ALIKE = 0.32
FEWEST = 2
_SHOWN = 5
_OWNER_VOTES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question nobody could answer, masked; `vector` (width,) of unit length."""

    id: int
    question: str
    at: datetime
    vector: Floats


def clusters(asked: Sequence[Asked], centre: Floats) -> list[list[int]]:
    """Positions of questions that ask about the same, largest first; one that stands alone is a cluster, too.

    `centre` (width,): the mean passage.
    """
    if not asked:
        return []
    spread = np.array([one.vector for one in asked], dtype=np.float32) - centre
    spread /= np.maximum(np.linalg.norm(spread, axis=1, keepdims=True), 1e-9)
    alike = 0.5 * (spread @ spread.T) + 0.5 * _by_words([one.question for one in asked])
    return sorted(_average_linkage(alike, ALIKE), key=lambda found: (-len(found), found[0]))


def _by_words(questions: Sequence[str]) -> Floats:
    told = [set(terms(in_documents_words(question))) for question in questions]
    counts = Counter(word for found in told for word in found)
    numbers = {word: n for n, word in enumerate(counts)}
    table = np.zeros((len(questions), len(numbers)), dtype=np.float32)
    for row, found in zip(table, told, strict=True):
        for word in found:
            row[numbers[word]] = math.log(1 + len(questions) / counts[word])
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    found_alike: Floats = table @ table.T
    return found_alike


def _average_linkage(alike: npt.NDArray[np.float32], threshold: float) -> list[list[int]]:
    """Clusters whose mean similarity is at least `threshold`; time and memory grow with the square of the number."""
    near = alike.copy()
    np.fill_diagonal(near, -np.inf)
    members: dict[int, list[int]] = {i: [i] for i in range(len(near))}
    merges: list[tuple[float, list[int], list[int]]] = []
    chain: list[int] = []
    while len(members) > 1:
        if not chain:
            chain.append(next(iter(members)))
        top = chain[-1]
        best = int(np.argmax(near[top]))
        # Of equally near ones the one before in the chain, or the chain would not end.
        if len(chain) > 1 and near[top, chain[-2]] >= near[top, best]:
            best = chain[-2]
        if near[top, best] < threshold:
            # Nothing near enough to the top, so neither to what led there: it stays as it is.
            near[top, :] = near[:, top] = -np.inf
            merges.append((0.0, members.pop(top), []))
            chain.pop()
            continue
        if len(chain) > 1 and best == chain[-2]:
            chain.pop()
            chain.pop()
            a, b = top, best
            size_a, size_b = len(members[a]), len(members[b])
            joined = (size_a * near[a] + size_b * near[b]) / (size_a + size_b)
            near[a, :] = near[:, a] = joined
            near[a, a] = -np.inf
            near[b, :] = near[:, b] = -np.inf
            members[a] += members.pop(b)
        else:
            chain.append(best)
    done = [sorted(found) for _, found, _ in merges]
    return done + [sorted(found) for found in members.values()]


def unanswered(
    asked: Sequence[Asked],
    found: Sequence[Sequence[int]],
    vectors: Floats,
    owners: Sequence[str],
    documents: Mapping[str, Document],
    known: Mapping[str, Sequence[int]],
) -> Iterator[Finding]:
    """A finding a cluster.

    `vectors` (passages, width) and `owners` (passages, ids of their documents) say who looks after what is nearest;
    `known`: key words of earlier findings → ids of their questions, so that a cluster that grew stays one task.
    """
    taken: set[str] = set()
    for cluster in found:
        if len(cluster) < FEWEST:
            continue
        mine = [asked[i] for i in cluster]
        middle = np.mean([one.vector for one in mine], axis=0)
        central = sorted(mine, key=lambda one: -float(one.vector @ middle))
        about = _about(mine, known, taken)
        taken.add(about)
        near = [documents[id_] for id_ in _nearest(middle, vectors, owners) if id_ in documents]
        names = Counter(owner for owner in map(owner_of, near) if owner)
        shown = list(dict.fromkeys(one.question for one in central))[:_SHOWN]
        yield Finding(
            "unanswered",
            (about,),
            tuple(dict.fromkeys(d.id for d in near[:2])),
            f"“{shown[0]}”等 {len(mine)} 次提问没有找到答案",
            tuple(Quote("", "", None, question) for question in shown),
            names.most_common(1)[0][0] if names else None,
            since=max(one.at for one in mine),
            more={"count": len(mine), "questions": [one.id for one in mine], "about": about},
        )


def _about(mine: Sequence[Asked], known: Mapping[str, Sequence[int]], taken: set[str]) -> str:
    """The name of the earlier finding that shares most questions; else one of the first question."""
    ids = {one.id for one in mine}
    shared = {about: len(ids & set(earlier)) for about, earlier in known.items() if about not in taken}
    best = max(shared, key=lambda about: shared[about], default=None)
    return best if best is not None and shared[best] else f"question {min(ids)}"


def _nearest(middle: Floats, vectors: Floats, owners: Sequence[str]) -> list[str]:
    if not len(vectors):
        return []
    best = np.argsort(-(vectors @ middle))[:_OWNER_VOTES]
    return [owners[int(i)] for i in best]
