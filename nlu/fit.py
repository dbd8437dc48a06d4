"""Fits the linear heads: logistic regression on sentence vectors and, added to it, a linear SVM on n-grams.

How much each part says and the thresholds are chosen on sentences that nothing was trained on (where there are none,
on out-of-fold predictions), never on the training fit and never on a test set. Needs the `train` extra.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from scipy.special import logsumexp  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from nlu import danger, ngrams
from nlu.heads import quantised, softmax

Floats = npt.NDArray[np.float32]
_FOLDS = 4
_GRAM_STRENGTH = 2.0  # inverse regularisation of the SVM; between 0.5 and 2 the judging sentences hardly differ
_PRUNED = 0.015  # weights below this share of the largest are left out: a quarter of the file, and no figure moved
_FIRST_FACTORS, _FACTORS = (0.5, 3.0), ((0.0, 5.0), (0.0, 15.0))  # of vectors and n-grams; the problem is convex
_REACH = 0.25  # quantile of what judging rows score, from which a label that is added starts (`nlu.extend`)
_NEVER = -10.0  # score of a label without rows


@dataclass(slots=True)
class HeadData:
    """What one head learns from; `weights` says how much a row counts, a row without a vector teaches only n-grams."""

    texts: list[str] = field(default_factory=list)
    vectors: list[Floats | None] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, text: str, vector: Floats | None, label: str, weight: float = 1.0) -> None:
        """Adds one row."""
        self.texts.append(text)
        self.vectors.append(vector)
        self.labels.append(label)
        self.weights.append(weight)


@dataclass(frozen=True, slots=True)
class FittedHead:
    """Arrays and settings as they are stored, and the judging rows they were chosen by."""

    arrays: dict[str, npt.NDArray[Any]]
    config: dict[str, Any]
    probabilities: Floats  # calibrated, of the judging rows
    judged: list[str]  # the right labels of the judging rows
    judged_texts: list[str]
    figures: dict[str, float]


def fit(
    data: HeadData,
    classes: Sequence[str],
    judging: HeadData | None = None,
    *,
    strengths: Sequence[float] = (0.005,),
    seed: int = 7,
) -> FittedHead:
    """Fits one head: logistic regression on vectors and a linear SVM on n-grams, their scores added.

    Both factors of the sum are those of the highest likelihood (stacking, Wolpert 1992; with one part it would be the
    temperature of Guo et al., On Calibration of Modern Neural Networks, 2017). The n-gram part is judged as it is
    stored: pruned and as bytes.

    Args:
        data: the rows.
        classes: labels in the order they are stored; those without rows are left out.
        judging: rows that nothing was trained on; without them out-of-fold predictions of `data` judge.
        strengths: inverse regularisations of the part on (standardised) vectors to choose from; without judging rows
            the first is taken.
    """
    counts = Counter(data.labels)
    names = [name for name in classes if counts[name]]
    y = np.array([names.index(label) for label in data.labels])
    seen = np.flatnonzero([vector is not None for vector in data.vectors])
    x = np.stack([vector for vector in data.vectors if vector is not None]).astype(np.float32)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / scale
    weights = np.array(data.weights) * _balance(y, np.array(data.weights))
    grams = _Grams.of(data.texts)
    on_grams = _stored(_fit_svm(grams.matrix, y, weights, len(names)), grams)

    if judging is not None and judging.texts:
        judged, judged_texts = np.array([names.index(label) for label in judging.labels]), judging.texts
        held = (np.stack([v for v in judging.vectors if v is not None]) - mean) / scale
        by_grams = on_grams.scores(judging.texts)
        tried = [_fit(z, y[seen], weights[seen], strength, len(names)) for strength in strengths]
        on_vectors = min(tried, key=lambda part: _loss(_mixed(part.on(held), by_grams, judged)[0], judged))
        by_vectors = on_vectors.on(held)
    else:
        judged, judged_texts = y[seen], [data.texts[i] for i in seen]
        on_vectors = _fit(z, y[seen], weights[seen], strengths[0], len(names))
        by_vectors, by_grams = (np.zeros((len(seen), len(names)), np.float32) for _ in range(2))
        for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(z, judged):
            part = _fit(z[train], judged[train], weights[seen[train]], strengths[0], len(names))
            by_vectors[test] = part.on(z[test])
            words = _fit_svm(grams.matrix[seen[train]], judged[train], weights[seen[train]], len(names))
            by_grams[test] = words.on(grams.matrix[seen[test]])
    scores, factors = _mixed(by_vectors, by_grams, judged)
    probabilities = softmax(scores)
    figures = {
        "trained": float(len(y)),
        "judged": float(len(judged)),
        **_quality(probabilities, judged),
        "vectors": float(factors[0]),
        "ngrams": float(factors[1]),
    }
    weight = (factors[0] * on_vectors.weight / scale).astype(np.float32)
    bias = factors[0] * on_vectors.bias - weight @ mean + factors[1] * on_grams.bias
    arrays: dict[str, npt.NDArray[Any]] = {
        "weight": weight,
        "bias": bias.astype(np.float32),
        "gram_hashes": on_grams.hashes,
        "gram_weight": on_grams.weight,
        "gram_scale": (factors[1] * on_grams.scale).astype(np.float32),
    }
    config = {"labels": names, "reach": round(float(np.quantile(_logsumexp(scores), _REACH)), 4)}
    return FittedHead(arrays, config, probabilities, [names[i] for i in judged], judged_texts, figures)


def reread(head: FittedHead, probabilities: Floats) -> FittedHead:
    """The same head with other probabilities of its judging rows, (rows, labels), and their figures: what is said in
    the end where a reader asks more than one head."""
    names = head.config["labels"]
    judged = np.array([names.index(label) for label in head.judged])
    return replace(head, probabilities=probabilities, figures=head.figures | _quality(probabilities, judged))


def threshold(probabilities: Floats, labels: Sequence[str], names: Sequence[str], wanted: float) -> float:
    """The lowest confidence from which the accepted answers are right in at least `wanted` of the cases."""
    right = np.array([names[i] for i in probabilities.argmax(1)]) == np.array(labels)
    confidence = probabilities.max(1)
    for limit in np.arange(0.1, 0.95, 0.01):
        accepted = confidence >= limit
        if accepted.any() and right[accepted].mean() >= wanted:
            return round(float(limit), 2)
    return 0.95


def rejection_threshold(head: FittedHead, most: float, *, outside: str) -> float:
    """The highest confidence below which an answer can be refused so that, with what is taken for `outside`, at most
    the share `most` of the rows of all other classes is turned away; 0.05 where that is impossible."""
    names = head.config["labels"]
    guess = np.array([names[i] for i in head.probabilities.argmax(1)])
    confidence = head.probabilities.max(1)
    inside = np.array([label != outside for label in head.judged])
    found = 0.05
    for limit in np.arange(0.05, 0.6, 0.01):
        refused = (guess == outside) | (confidence < limit)
        if float(refused[inside].mean()) <= most:
            found = round(float(limit), 2)
    return found


def danger_thresholds(
    probabilities: Floats, signs: Sequence[danger.Signs], truth: npt.NDArray[np.bool_], least: float
) -> dict[danger.Signs, float]:
    """The thresholds, by what the words say, that find the most dangers while at least the share `least` of the alarms
    is right: lowest with words of acute danger, highest where these are calmed. Of equals, those count under which the
    probabilities expect the most dangers: the judging rows hold few, and the next one may look less like danger.

    Args:
        probabilities: of danger, one for each judging row, as `signs` and `truth`.
    """
    limits = np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.96, 0.05)])
    said = np.array([sign.value for sign in signs])
    groups = {sign: said == sign.value for sign in danger.Signs}
    # Alarms and right alarms of each group at each limit: the three are chosen together from these counts.
    counted = {
        sign: np.array(
            [
                [(alarm & here).sum(), (alarm & here & truth).sum(), probabilities[alarm & here].sum()]
                for alarm in probabilities >= limits[:, None]
            ]
        )
        for sign, here in groups.items()
    }
    best, chosen = (-1.0, -1.0, -1.0), dict.fromkeys(danger.Signs, 0.5)
    for p, s, c in product(range(len(limits)), repeat=3):
        if not s <= p <= c:
            continue
        of = {danger.Signs.NONE: p, danger.Signs.ACUTE: s, danger.Signs.CALMED: c}
        alarms, right, expected = sum(counted[sign][n] for sign, n in of.items())
        recall, precision = right / max(truth.sum(), 1), right / max(alarms, 1)
        quality = (recall, expected, precision) if precision >= least else (0.0, 0.0, precision)
        if quality > best:
            best = quality
            chosen = {sign: round(float(limits[n]), 2) for sign, n in of.items()}
    return chosen


def calibration_error(probabilities: Floats, y: npt.NDArray[np.int64], bins: int = 10) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins of confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == y
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (place == b).mean() * abs(float(confidence[place == b].mean()) - float(right[place == b].mean()))
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(gaps))


@dataclass(frozen=True, slots=True)
class _Part:
    """A linear part of a head over all its labels."""

    weight: Floats  # (labels, features)
    bias: Floats

    def on(self, x: Any) -> Floats:
        return np.asarray(x @ self.weight.T + self.bias, np.float32)

    @classmethod
    def of(cls, model: LogisticRegression | LinearSVC, labels: int) -> _Part:
        """Centred over the labels, which changes no probability; a label that the model has not seen never wins."""
        weight, bias = np.asarray(model.coef_, np.float32), np.asarray(model.intercept_, np.float32)
        if len(bias) == 1:  # for two classes scikit-learn keeps only the second's
            half = np.array([-0.5, 0.5], np.float32)
            weight, bias = np.outer(half, weight), half * bias
        whole = cls(np.zeros((labels, weight.shape[1]), np.float32), np.full(labels, _NEVER, np.float32))
        whole.weight[model.classes_] = weight - weight.mean(0)
        whole.bias[model.classes_] = bias - bias.mean()
        return whole


@dataclass(frozen=True, slots=True)
class _Grams:
    """The n-grams that at least two texts hold, ascending by hash, and the texts as a matrix (texts, n-grams).

    A value is that of `ngrams.count` times the inverse document frequency, which the stored weights take over. All are
    divided by one number, `unit`, so that a text has length 1 on average; the SVM's strength is chosen for that.
    """

    hashes: ngrams.Hashes
    idf: Floats
    unit: float
    matrix: csr_matrix

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Grams:
        counted = [ngrams.count(text) for text in texts]
        found, times = np.unique(np.concatenate([grams.hashes for grams in counted]), return_counts=True)
        hashes, times = found[times > 1], times[times > 1]
        idf = (np.log((1 + len(texts)) / (1 + times)) + 1).astype(np.float32)
        plain = _rows(counted, hashes)
        matrix = plain.multiply(idf).tocsr()
        unit = float(np.sqrt(matrix.multiply(matrix).sum() / max(len(texts), 1))) or 1.0
        return cls(hashes, idf, unit, matrix / unit)


@dataclass(frozen=True, slots=True)
class _StoredGrams:
    """The n-gram part as the model file holds it: `scale` × `weight` on the values of `ngrams.count`."""

    hashes: ngrams.Hashes
    weight: npt.NDArray[np.int8]  # (n-grams, labels)
    scale: Floats
    bias: Floats

    def scores(self, texts: Sequence[str]) -> Floats:
        x = _rows([ngrams.count(text) for text in texts], self.hashes)
        return np.asarray(x @ (self.weight * self.scale) + self.bias, np.float32)


def _stored(part: _Part, grams: _Grams) -> _StoredGrams:
    """Bytes instead of floats, without the n-grams that say little about every label."""
    weight = part.weight * (grams.idf / grams.unit)
    whole, scale = quantised(np.where(np.abs(weight) >= _PRUNED * np.abs(weight).max(initial=0.0), weight, 0.0))
    kept = np.flatnonzero(whole.any(0))
    return _StoredGrams(grams.hashes[kept], np.ascontiguousarray(whole[:, kept].T), scale, part.bias)


def _rows(counted: Sequence[ngrams.Grams], hashes: ngrams.Hashes) -> csr_matrix:
    found = [ngrams.places(hashes, grams.hashes) for grams in counted]
    values = [grams.values[known] for grams, (_, known) in zip(counted, found, strict=True)]
    columns = [places[known] for places, known in found]
    pointers = np.cumsum([0, *map(len, columns)])
    return csr_matrix(
        (np.concatenate(values), np.concatenate(columns), pointers), shape=(len(counted), len(hashes)), dtype=np.float32
    )


def _mixed(by_vectors: Floats, by_grams: Floats, y: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """The sum of both scores by the factors under which the right labels are most likely, and these factors."""

    def loss_and_slope(factors: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scores = (factors[0] * by_vectors + factors[1] * by_grams).astype(np.float32)
        off = softmax(scores)
        off[np.arange(len(y)), y] -= 1
        slopes = [float((off * part).sum(1).mean()) for part in (by_vectors, by_grams)]
        return _loss(scores, y), np.array(slopes)

    found = minimize(loss_and_slope, _FIRST_FACTORS, jac=True, method="L-BFGS-B", bounds=_FACTORS).x
    return (found[0] * by_vectors + found[1] * by_grams).astype(np.float32), found


def _quality(probabilities: Floats, judged: npt.NDArray[np.int64]) -> dict[str, float]:
    guess = probabilities.argmax(1)
    return {
        "accuracy": float((guess == judged).mean()),
        "macro_f1": float(f1_score(judged, guess, average="macro", labels=np.unique(judged))),
        "ece": calibration_error(probabilities, judged),
    }


def _loss(scores: Floats, y: npt.NDArray[np.int64]) -> float:
    return float((_logsumexp(scores) - scores[np.arange(len(y)), y]).mean())


def _logsumexp(scores: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(logsumexp(scores.astype(np.float64), axis=1))


def _balance(y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Square root of the inverse class frequency: rare classes gain without drowning the frequent ones."""
    totals = np.bincount(y, weights=weights)
    return np.asarray(np.sqrt(totals.mean() / totals[y]))


def _fit(x: Any, y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], strength: float, labels: int) -> _Part:
    return _Part.of(LogisticRegression(C=strength, max_iter=150, tol=1e-3).fit(x, y, sample_weight=weights), labels)


def _fit_svm(x: csr_matrix, y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], labels: int) -> _Part:
    model = LinearSVC(C=_GRAM_STRENGTH, max_iter=5000, random_state=7)
    return _Part.of(model.fit(x, y, sample_weight=weights), labels)
