"""One label more for a head that is trained: learned in seconds from a few examples, with the encoder frozen.

A head gives the probability of a label by softmax over scores of the sentence vector and of n-grams (`nlu.heads`).
With the rows of the other labels frozen, the new row is a logistic regression of "the new label" against "any other",
with the offset -logsumexp(other scores): a convex problem, solved here by Newton's method with conjugate gradients
(Lin, Weng and Keerthi, Trust Region Newton Method for Logistic Regression, 2008, without the trust region). Needs numpy
only.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nlu import ngrams
from nlu.encoder import Encoded
from nlu.heads import Head, Row
from nlu.labels import FALLBACK
from nlu.runtime import Label, Reader

if TYPE_CHECKING:
    from nlu.runtime import _Read

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Kind = Literal["intent", "category"]

HEADS: dict[Kind, str] = {"intent": "intent", "category": "category2"}
"""Which head learns a kind of addition."""

CITY_QUESTION = "city_question"
"""The one intent of the dialogue behind which all added intents stand."""

_KEPT = ("report_danger",)  # an addition never takes what the shipped model reads as this
_TOP = 5


@dataclass(frozen=True, slots=True)
class Strength:
    """How a row is learned.

    `positive`: weight of all examples together, as a share of the weight of all other sentences; `vector` and `grams`:
    inverse regularisation of the two parts of the row.
    """

    positive: float
    vector: float
    grams: float


STRENGTHS: dict[Kind, Strength] = {"intent": Strength(1.2, 0.05, 0.5), "category": Strength(0.6, 0.05, 0.1)}
"""Chosen by taking known labels out of the shipped heads and adding them again with 10 of their examples.

Against 1,500 sentences, and judged on sentences that nothing was trained on: 8 intents were found in .89 of the cases,
and of 681 sentences .4 were lost to each; 8 categories in .76, and of 635 sentences .5 were lost to each.
"""


@dataclass(frozen=True, slots=True)
class Addition:
    """A label that was added. `level1` of a category: the first-level category it stands under."""

    kind: Kind
    name: str
    row: Row
    level1: str = ""
    key: str = "trial"

    @property
    def label(self) -> str:
        """The label in its head."""
        return f"{self.level1}/{self.name}" if self.kind == "category" else self.name


@dataclass(frozen=True, slots=True)
class Material:
    """Sentences as a head sees them: vectors (n, width), n-grams, and logsumexp of its scores.

    The head learned most of them by heart and scores them higher than what residents will say; no total is taken
    higher than its `reach`, else the new label would win too much of that.
    """

    vectors: Floats
    grams: _Sparse
    total: Doubles

    @classmethod
    def of(cls, head: Head, texts: Sequence[str], vectors: Floats) -> Material:
        """Scores every sentence with the labels that the head has."""
        scores = np.stack([head.scores(vector, text) for vector, text in zip(vectors, texts, strict=True)])
        return cls(vectors, _Sparse.of(texts), np.minimum(_logsumexp(scores), head.reach))

    def only(self, numbers: Sequence[int]) -> Material:
        """These sentences, in this order."""
        chosen = np.asarray(numbers, np.int64)
        return Material(self.vectors[chosen], self.grams.taken(chosen), self.total[chosen])


def learn(others: Material, new: Material, strength: Strength) -> Row:
    """The row of a new label, from sentences that do not belong to it and from its examples (at least one)."""
    vectors = np.concatenate([new.vectors, others.vectors]).astype(np.float64)
    y = np.zeros(len(vectors))
    y[: len(new.vectors)] = 1
    weights = np.where(y == 1, strength.positive * len(others.vectors) / len(new.vectors), 1.0)
    mean, scale = others.vectors.mean(0).astype(np.float64), others.vectors.std(0).astype(np.float64) + 1e-6
    scale /= np.sqrt(strength.vector)
    z = (vectors - mean) / scale
    # N-grams that no example holds could only speak against the label, as the bias does.
    hashes = np.unique(new.grams.columns)
    grams = new.grams.joined(others.grams).only(hashes)
    rarity = np.log((1 + len(y)) / (1 + np.bincount(grams.columns, minlength=len(hashes)))) + 1
    grams = grams.weighed(rarity * np.sqrt(strength.grams))
    width = z.shape[1]

    def times(row: Doubles) -> Doubles:
        return np.asarray(z @ row[:width] + grams.times(row[width:]), np.float64)

    def transposed(pull: Doubles) -> Doubles:
        return np.concatenate([pull @ z, grams.transposed(pull, len(hashes))])

    offset = -np.concatenate([new.total, others.total])
    found, bias = _newton(times, transposed, width + len(hashes), y, weights, offset)
    weight = (found[:width] / scale).astype(np.float32)
    by_words = (found[width:] * rarity * np.sqrt(strength.grams)).astype(np.float32)
    return Row(weight, float(bias - weight @ mean), hashes.astype(np.uint32), by_words)


def with_additions(reader: Reader, additions: Sequence[Addition]) -> ExtendedReader:
    """A reader that also knows the additions; `reader` itself is not changed.

    Raises ValueError for an addition that does not fit: its label is known already, or its row is of another encoder.
    """
    return ExtendedReader(reader, additions)


class ExtendedReader(Reader):
    """The shipped reader and labels that staff added.

    An addition takes only the messages it wins; everything else, and every danger, is read as the shipped model reads
    it.
    """

    def __init__(self, shipped: Reader, additions: Sequence[Addition]) -> None:
        vars(self).update(vars(shipped))  # encoder, tagger and the other heads are shared
        self.additions = tuple(additions)
        self._wide = {name: self._heads[name] for name in HEADS.values()}
        self._added: dict[str, set[str]] = {name: set() for name in HEADS.values()}
        for addition in additions:
            name = HEADS[addition.kind]
            self._wide[name] = self._wide[name].with_label(addition.label, addition.row)
            self._added[name].add(addition.label)
        if additions:
            self.model_version = f"{shipped.model_version}+{'.'.join(addition.key for addition in additions)}"

    def head(self, kind: Kind) -> Head:
        """The head that learns this kind of addition, with the additions it has."""
        return self._wide[HEADS[kind]]

    def probabilities(
        self, head: str, texts: Sequence[str], encoded: Sequence[Encoded] | None = None
    ) -> tuple[tuple[str, ...], Floats]:
        """What one head says about each text, the additions among its labels."""
        found = self._wide.get(head)
        if found is None:
            return super().probabilities(head, texts, encoded)
        encoded = self.encode(texts) if encoded is None else encoded
        rows = [found.probabilities(one.vector, text) for one, text in zip(encoded, texts, strict=True)]
        return found.labels, np.stack(rows) if rows else np.zeros((0, len(found.labels)), np.float32)

    def answer(self, kind: Kind, text: str, vector: Floats) -> str:
        """The label of a text whose vector is known: an intent, or "level 1/level 2" (level 2 may be empty)."""
        if kind == "intent":
            nothing_hidden = Encoded(np.zeros((0, len(vector)), np.float32), [], vector)
            return self._intent(text, nothing_hidden)[0].name
        found = self._categories(text, vector, 0, len(text)).request
        return f"{found.category1.name}/{found.category2.name if found.category2 else ''}"

    def _intent(self, text: str, encoded: Encoded) -> tuple[Label, tuple[Label, ...]]:
        intent, ranking = super()._intent(text, encoded)
        found = self._wins("intent", text, encoded.vector)
        # 1.0: what a button says, or nothing at all.
        if found is None or intent.confidence >= 1 or intent.name in _KEPT:
            return intent, ranking
        won = Label(found[0], found[1])
        if won.confidence < self.thresholds["intent"]:
            return intent, ranking
        return won, (won, *(x for x in ranking if x.name not in (won.name, FALLBACK)))[:_TOP]

    def _categories(self, text: str, vector: Floats, start: int, end: int) -> _Read:
        read = super()._categories(text, vector, start, end)
        found = self._wins("category2", text, vector, under=read.request.category1.name)
        if found is None:
            return read
        label, sure, siblings = found
        level1, _, level2 = label.partition("/")
        first = Label(level1, max(siblings, *(x.confidence for x in read.level1 if x.name == level1)))
        request = replace(read.request, category1=first, category2=Label(level2, sure / siblings))
        level1s = (first, *(x for x in read.level1 if x.name != level1))
        level2s = (Label(label, first.confidence * sure / siblings), *read.level2)[: max(len(read.level2), 1)]
        return replace(read, request=request, level1=level1s, level2=level2s)

    def _wins(self, name: str, text: str, vector: Floats, *, under: str = "") -> tuple[str, float, float] | None:
        """The addition that beats every label it competes with, its probability, and that of all its siblings.

        One that stands under the first level that was read (`under`) competes with its siblings, any other with all.
        """
        if not self._added[name]:
            return None
        head = self._wide[name]
        sure = dict(zip(head.labels, map(float, head.probabilities(vector, text)), strict=True))
        best = max(self._added[name], key=lambda label: sure[label])
        level1 = best.partition("/")[0]
        siblings = [p for label, p in sure.items() if label.startswith(f"{level1}/")] or [sure[best]]
        rivals = siblings if under == level1 else sure.values()
        return (best, sure[best], sum(siblings)) if sure[best] >= max(rivals) else None


def to_bytes(row: Row) -> bytes:
    """A row as a NumPy archive."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        weight=row.weight,
        bias=np.float32(row.bias),
        gram_hashes=row.gram_hashes,
        gram_weight=row.gram_weight,
    )
    return buffer.getvalue()


def from_bytes(stored: bytes) -> Row:
    """The row of `to_bytes`; raises ValueError or KeyError for anything else."""
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        return Row(
            weight=arrays["weight"],
            bias=float(arrays["bias"]),
            gram_hashes=arrays["gram_hashes"],
            gram_weight=arrays["gram_weight"],
        )


@dataclass(frozen=True, slots=True)
class _Sparse:
    """A sparse matrix of n-grams as coordinates, ordered by row; a column is a hash until `only` renumbers them."""

    height: int
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    values: Floats

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Sparse:
        """The n-grams of texts."""
        counted = [ngrams.count(text) for text in texts]
        return cls(
            len(texts),
            np.repeat(np.arange(len(texts)), [len(grams.hashes) for grams in counted]),
            np.concatenate([grams.hashes for grams in counted]).astype(np.int64),
            np.concatenate([grams.values for grams in counted]),
        )

    def joined(self, other: _Sparse) -> _Sparse:
        """This one above the other."""
        return _Sparse(
            self.height + other.height,
            np.concatenate([self.rows, other.rows + self.height]),
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.values, other.values]),
        )

    def only(self, columns: npt.NDArray[np.int64]) -> _Sparse:
        """These columns (in order), renumbered from 0."""
        kept = np.isin(self.columns, columns)
        return _Sparse(self.height, self.rows[kept], np.searchsorted(columns, self.columns[kept]), self.values[kept])

    def taken(self, numbers: npt.NDArray[np.int64]) -> _Sparse:
        """These rows, renumbered from 0."""
        parts = [np.flatnonzero(self.rows == number) for number in numbers]
        chosen = np.concatenate(parts)
        rows = np.repeat(np.arange(len(numbers)), [len(part) for part in parts])
        return _Sparse(len(numbers), rows, self.columns[chosen], self.values[chosen])

    def weighed(self, weights: Doubles) -> _Sparse:
        """Every column times its weight."""
        return replace(self, values=(self.values * weights[self.columns]).astype(np.float32))

    def times(self, vector: Doubles) -> Doubles:
        return np.asarray(np.bincount(self.rows, self.values * vector[self.columns], self.height), np.float64)

    def transposed(self, vector: Doubles, width: int) -> Doubles:
        return np.asarray(np.bincount(self.columns, self.values * vector[self.rows], width), np.float64)


def _logsumexp(scores: Floats) -> Doubles:
    top = scores.max(1).astype(np.float64)
    return np.asarray(top + np.log(np.exp(scores - top[:, np.newaxis]).sum(1)))


def _newton(
    times: Callable[[Doubles], Doubles],
    transposed: Callable[[Doubles], Doubles],
    width: int,
    y: Doubles,
    weights: Doubles,
    offset: Doubles,
    *,
    steps: int = 30,
) -> tuple[Doubles, float]:
    """Minimises |w|²/2 + Σ weight · log loss of sigmoid(x·w + b + offset); returns w and b."""
    w, b = np.zeros(width), 0.0
    margin = offset.copy()

    def loss(w: Doubles, margin: Doubles) -> float:
        return float(w @ w / 2 + (weights * (np.logaddexp(0, margin) - y * margin)).sum())

    before = loss(w, margin)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(margin, -500, 500)))
        pull = weights * (p - y)
        gradient, slope = w + transposed(pull), float(pull.sum())
        curve = weights * p * (1 - p) + 1e-12
        dw, db = _conjugate(times, transposed, curve, -gradient, -slope)
        change = times(dw) + db
        step = 1.0
        while step > 1e-4 and (now := loss(w + step * dw, margin + step * change)) > before - 1e-12:
            step /= 2
        if step <= 1e-4:
            break
        w, b, margin = w + step * dw, b + step * db, margin + step * change
        if before - now < 1e-6 * abs(before):
            break
        before = now
    return w, b


def _conjugate(
    times: Callable[[Doubles], Doubles],
    transposed: Callable[[Doubles], Doubles],
    curve: Doubles,
    target: Doubles,
    last: float,
    *,
    steps: int = 60,
) -> tuple[Doubles, float]:
    """Solves Hessian · (v, c) = (target, last) by conjugate gradients; `curve` is the second derivative of each row."""
    v, c = np.zeros_like(target), 0.0
    r, s = target.copy(), last
    d, e = r.copy(), s
    size = float(r @ r + s * s)
    wanted = 1e-4 * size
    for _ in range(steps):
        if size <= wanted:
            break
        turned = curve * (times(d) + e)
        hd, he = d + transposed(turned), float(turned.sum())
        length = size / float(d @ hd + e * he)
        v, c = v + length * d, c + length * e
        r, s = r - length * hd, s - length * he
        new = float(r @ r + s * s)
        d, e = r + new / size * d, s + new / size * e
        size = new
    return v, c
