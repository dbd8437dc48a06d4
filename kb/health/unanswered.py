"""Questions that the base had no answer to, gathered by what they ask.

Average-linkage clustering (nearest-neighbour chain, Lance–Williams update) over a similarity of meaning and words:
cosines about a centre, which tell more than plain ones (all of this encoder's lie close together), and cosines of the
tf-idf of the characters in content words. The numbers were chosen on one half of `tests/kb/unanswered_questions.jsonl`
among questions about other things, and measured on the other (`tests/kb/test_unanswered.py`).
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from kb.documents import Document
from kb.health.chatter import is_chatter
from kb.health.finding import Finding, Quote, owner_of
from kb.index import Floats
from kb.words import content_words, words

ALIKE = 0.26
"""Mean similarity within a cluster, at least."""
ALIKE_OF_TWO = 0.4
"""The same for one of two questions: a mean of one pair is often chance."""
FEWEST = 2
_MEANING = 0.7
# The mean passage counts like so many questions: the mean question says where questions lie, but of a few, or of many
# about one matter, it is what they ask.
_PASSAGES_COUNT = 100
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

    What asks about nothing (`kb.health.chatter`) stands alone. `centre` (width,): the mean passage.
    """
    asking = [i for i, one in enumerate(asked) if not is_chatter(one.question)]
    found = [[i] for i, one in enumerate(asked) if is_chatter(one.question)]
    if asking:
        alike = _alike([asked[i] for i in asking], centre)
        for cluster in _average_linkage(alike, ALIKE):
            whole = [asking[i] for i in cluster]
            chance = len(cluster) == 2 and alike[cluster[0], cluster[1]] < ALIKE_OF_TWO
            found += [[i] for i in whole] if chance else [whole]
    return sorted(found, key=lambda cluster: (-len(cluster), cluster[0]))


def _alike(asked: Sequence[Asked], centre: Floats) -> Floats:
    vectors = np.array([one.vector for one in asked], dtype=np.float32)
    middle = (vectors.sum(axis=0) + _PASSAGES_COUNT * centre) / (len(vectors) + _PASSAGES_COUNT)
    meaning = _cosines(vectors - middle)
    return _MEANING * meaning + (1 - _MEANING) * _by_characters([one.question for one in asked])


def _by_characters(questions: Sequence[str]) -> Floats:
    """Of content words: residents abbreviate (生育津贴, 产假钱), and a character in common is what is left."""
    told = [set("".join(content_words(words(question)))) for question in questions]
    counts = Counter(character for found in told for character in found)
    numbers = {character: n for n, character in enumerate(counts)}
    table = np.zeros((len(questions), len(numbers)), dtype=np.float32)
    for row, found in zip(table, told, strict=True):
        for character in found:
            row[numbers[character]] = math.log(1 + len(questions) / counts[character])
    return _cosines(table)


def _cosines(rows: Floats) -> Floats:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    found: Floats = unit @ unit.T
    return found


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
