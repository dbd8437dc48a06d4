"""Fits the linear heads: logistic regression on sentence vectors, optionally beside one on hashed n-grams.

How much the n-grams say, the temperature and the thresholds are chosen on sentences that nothing was trained on (where
there are none, on out-of-fold predictions), never on the training fit and never on a test set. Needs the `train` extra.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from nlu import ngrams
from nlu.heads import softmax

Floats = npt.NDArray[np.float32]
_SHARES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8)
_FOLDS = 4
_GRAM_STRENGTH = 20.0


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
    buckets: int = 0,
    strengths: Sequence[float] = (0.05,),
    seed: int = 7,
) -> FittedHead:
    """Fits one head.

    Args:
        data: the rows.
        classes: labels in the order they are stored; those without rows are left out.
        judging: rows that nothing was trained on; without them out-of-fold predictions of `data` judge.
        buckets: number of hashed n-gram buckets beside the vectors; 0 for none.
        strengths: inverse regularisations of the part on (standardised) vectors to choose from; without judging rows
            the first is taken.
    """
    counts = Counter(data.labels)
    names = [name for name in classes if counts[name]]
    y = np.array([names.index(label) for label in data.labels])
    seen = np.array([vector is not None for vector in data.vectors])
    x = np.stack([vector for vector in data.vectors if vector is not None]).astype(np.float32)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / scale
    weights = np.array(data.weights) * _balance(y, np.array(data.weights))
    idf = _idf(data.texts, buckets) if buckets else None
    grams = _gram_matrix(data.texts, idf) if idf is not None else None

    on_vectors = _fit(z, y[seen], weights[seen], strengths[0])
    on_grams = None if grams is None else _fit(grams, y, weights, _GRAM_STRENGTH)
    if judging is not None and judging.texts:
        known = [names.index(label) for label in judging.labels]
        held = (np.stack([v for v in judging.vectors if v is not None]) - mean) / scale
        judged, judged_texts = np.array(known), judging.texts
        tried = [on_vectors, *(_fit(z, y[seen], weights[seen], strength) for strength in strengths[1:])]
        answers = [_all_classes(model, held, len(names)) for model in tried]
        best = max(range(len(tried)), key=lambda i: _macro_f1(judged, answers[i]))
        on_vectors, dense = tried[best], answers[best]
        sparse = None
        if on_grams is not None and idf is not None:
            sparse = _all_classes(on_grams, _gram_matrix(judging.texts, idf), len(names))
    else:
        folds = [*StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(z, y[seen])]
        dense = _out_of_fold(z, y[seen], weights[seen], strengths[0], folds, len(names))
        sparse = None
        if grams is not None:
            sparse = _out_of_fold(
                grams[np.flatnonzero(seen)], y[seen], weights[seen], _GRAM_STRENGTH, folds, len(names)
            )
        judged = y[seen]
        judged_texts = [text for text, vector in zip(data.texts, data.vectors, strict=True) if vector is not None]
    share = _best_share(dense, sparse, judged) if sparse is not None else 0.0
    mixed: Floats = (dense if sparse is None else (1 - share) * dense + share * sparse).astype(np.float32)
    temperature = _temperature(mixed, judged)
    calibrated = softmax((np.log(mixed + 1e-9) / temperature).astype(np.float32))
    guess = calibrated.argmax(1)
    figures = {
        "trained": float(len(y)),
        "judged": float(len(judged)),
        "accuracy": float((guess == judged).mean()),
        "macro_f1": float(f1_score(judged, guess, average="macro", labels=np.unique(judged))),
        "ece": calibration_error(calibrated, judged),
    }
    weight, bias = _coefficients(on_vectors)
    weight = (weight / scale).astype(np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {"weight": weight, "bias": (bias - weight @ mean).astype(np.float32)}
    if share and on_grams is not None and idf is not None:
        gram_weight, gram_bias = _coefficients(on_grams)
        arrays |= {
            "gram_weight": np.ascontiguousarray(gram_weight.T).astype(np.float16),
            "gram_bias": gram_bias,
            "idf": idf,
        }
    config = {"labels": names, "temperature": round(temperature, 4), "share": share}
    return FittedHead(arrays, config, calibrated, [names[i] for i in judged], judged_texts, figures)


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
    probabilities: Floats, signs: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_], least: float
) -> tuple[float, float]:
    """The thresholds (without signs of danger, with them) that find the most dangers while at least the share `least`
    of the alarms is right.

    Args:
        probabilities: of danger, one for each judging row.
        signs: whether the row holds words of acute danger.
    """
    limits = np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.96, 0.05)])
    best, chosen = (-1.0, -1.0), (0.5, 0.5)
    for plain in limits:
        for with_signs in limits[limits <= plain]:
            guess = probabilities >= np.where(signs, with_signs, plain)
            recall = float(guess[truth].mean())
            precision = float(truth[guess].mean()) if guess.any() else 0.0
            quality = (recall, precision) if precision >= least else (0.0, precision)
            if quality > best:
                best, chosen = quality, (round(float(plain), 2), round(float(with_signs), 2))
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


def _coefficients(model: LogisticRegression) -> tuple[Floats, Floats]:
    """Weights (classes, features) and biases; for two classes scikit-learn keeps only the second's."""
    weight: Floats = np.asarray(model.coef_, np.float32)
    bias: Floats = np.asarray(model.intercept_, np.float32)
    if len(bias) == 1:
        return np.concatenate([np.zeros_like(weight), weight]), np.concatenate([np.zeros_like(bias), bias])
    return weight, bias


def _all_classes(model: LogisticRegression, x: Any, classes: int) -> Floats:
    """Probabilities over all classes; one that the model has not seen gets 0."""
    found = np.zeros((x.shape[0], classes), np.float32)
    found[:, model.classes_] = model.predict_proba(x)
    return found


def _out_of_fold(
    x: Any, y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], strength: float, folds: list[Any], classes: int
) -> Floats:
    found = np.zeros((len(y), classes), np.float32)
    for train, held in folds:
        found[held] = _all_classes(_fit(x[train], y[train], weights[train], strength), x[held], classes)
    return found


def _balance(y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Square root of the inverse class frequency: rare classes gain without drowning the frequent ones."""
    totals = np.bincount(y, weights=weights)
    return np.asarray(np.sqrt(totals.mean() / totals[y]))


def _fit(x: Any, y: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=150, tol=1e-3).fit(x, y, sample_weight=weights)


def _idf(texts: Sequence[str], buckets: int) -> npt.NDArray[np.float16]:
    seen = np.zeros(buckets)
    for text in texts:
        seen[ngrams.count(text, buckets)[0]] += 1
    return (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float16)


def _gram_matrix(texts: Sequence[str], idf: npt.NDArray[np.float16]) -> csr_matrix:
    counted = [ngrams.count(text, len(idf)) for text in texts]
    values = [ngrams.weigh(indices, counts, idf) for indices, counts in counted]
    pointers = np.cumsum([0, *(len(indices) for indices, _ in counted)])
    columns = np.concatenate([indices for indices, _ in counted])
    return csr_matrix((np.concatenate(values), columns, pointers), shape=(len(texts), len(idf)))


def _macro_f1(y: npt.NDArray[np.int64], probabilities: Floats) -> float:
    return float(f1_score(y, probabilities.argmax(1), average="macro"))


def _best_share(dense: Floats, sparse: Floats, y: npt.NDArray[np.int64]) -> float:
    def quality(share: float) -> float:
        return _macro_f1(y, (1 - share) * dense + share * sparse)

    best = max(_SHARES, key=quality)
    return best if quality(best) > quality(0.0) + 0.002 else 0.0


def _temperature(mixed: Floats, y: npt.NDArray[np.int64]) -> float:
    logs = np.log(mixed + 1e-9)

    def loss(temperature: float) -> float:
        return -float(np.log(softmax((logs / temperature).astype(np.float32))[np.arange(len(y)), y] + 1e-9).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)
