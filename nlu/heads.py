"""What sits on the encoder: linear heads on its vector and on n-grams and the tagger of place names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlu import ngrams

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.generic]


def softmax(scores: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Row:
    """What a head needs to know one label more; the n-grams may be ones that the head did not know."""

    weight: Floats  # (width,)
    bias: float
    gram_hashes: ngrams.Hashes  # ascending
    gram_weight: Floats


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier over the sentence vector and the n-grams of the whole text.

    The scores of both parts are added; by which factors, was chosen with both parts trained (`nlu.fit`) and is part of
    the weights, so the softmax of the sum is calibrated as it is. An n-gram that no text of training held twice, or
    that says nothing about a label, has no row.
    """

    labels: tuple[str, ...]
    weight: Floats  # (labels, width)
    bias: Floats
    gram_hashes: ngrams.Hashes  # ascending, (n-grams,)
    gram_weight: npt.NDArray[np.int8]  # (n-grams, labels)
    gram_scale: Floats  # (labels,), what 1 in `gram_weight` stands for
    reach: float = float("inf")
    """Logsumexp of the scores that three in four texts of strangers exceed; sentences of training go far beyond it."""

    def scores(self, vector: Floats, text: str) -> Floats:
        """What softmax makes probabilities of, in the order of `labels`."""
        grams = ngrams.count(text)
        places, known = ngrams.places(self.gram_hashes, grams.hashes)
        by_words = grams.values[known] @ self.gram_weight[places[known]].astype(np.float32)
        return np.asarray(self.weight @ vector + self.bias + by_words * self.gram_scale, np.float32)

    def probabilities(self, vector: Floats, text: str) -> Floats:
        """Calibrated probabilities, in the order of `labels`."""
        return softmax(self.scores(vector, text))

    def with_label(self, label: str, row: Row) -> Head:
        """A head that also answers `label`; the scores of the other labels stay as they are.

        Raises ValueError for a label it has already, and for a row of another width.
        """
        if label in self.labels or row.weight.shape != self.weight.shape[1:]:
            raise ValueError(f"a row of {row.weight.shape} for '{label}' does not fit this head")
        hashes = np.union1d(self.gram_hashes, row.gram_hashes)
        gram_weight = np.zeros((len(hashes), len(self.labels) + 1), np.int8)
        gram_weight[np.searchsorted(hashes, self.gram_hashes), :-1] = self.gram_weight
        column, scale = quantised(row.gram_weight[np.newaxis])
        gram_weight[np.searchsorted(hashes, row.gram_hashes), -1] = column[0]
        return Head(
            labels=(*self.labels, label),
            weight=np.concatenate([self.weight, row.weight[np.newaxis]]),
            bias=np.append(self.bias, np.float32(row.bias)),
            gram_hashes=hashes,
            gram_weight=gram_weight,
            gram_scale=np.append(self.gram_scale, scale),
            reach=self.reach,
        )

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, Array], config: Mapping[str, object]) -> Head:
        """Rebuilds the head `name` from the arrays of `heads.npz` and its entry in `config.json`."""
        labels = config["labels"]
        assert isinstance(labels, list)
        return cls(
            labels=tuple(labels),
            weight=np.asarray(arrays[f"{name}.weight"], np.float32),
            bias=np.asarray(arrays[f"{name}.bias"], np.float32),
            gram_hashes=np.asarray(arrays[f"{name}.gram_hashes"], np.uint32),
            gram_weight=np.asarray(arrays[f"{name}.gram_weight"], np.int8),
            gram_scale=np.asarray(arrays[f"{name}.gram_scale"], np.float32),
            reach=float(str(config["reach"])),
        )


def quantised(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights (labels, features) as whole numbers from -127 to 127, and what 1 stands for in each row."""
    scale = np.abs(weight).max(1, initial=0.0) / 127
    whole = np.round(weight / np.where(scale > 0, scale, 1.0)[:, np.newaxis])
    return whole.astype(np.int8), scale.astype(np.float32)


POSITIONS = 6
"""A character is the first, second or later one of its word piece, and the last one or not."""


@dataclass(frozen=True, slots=True)
class Tagger:
    """BIO tags for every character, from the state of its word piece and its neighbours.

    Word pieces do not end where place names end ("85号楼下"), so the tags are given per character: the piece's hidden
    state, the character's place in it and small vectors of the characters around it go through one hidden layer;
    the best sequence that BIO allows is found by Viterbi.
    """

    types: tuple[str, ...]
    characters: dict[str, int]  # 0 is outside the text, 1 is an unknown character
    state_weight: Floats  # (width, inner)
    table: Floats  # (characters, small)
    table_weight: Floats  # (window * small, inner)
    position: Floats  # (6, inner)
    bias: Floats  # (inner,)
    out_weight: Floats  # (inner, 1 + 2 * types)
    out_bias: Floats

    def spans(self, text: str, hidden: Floats, offsets: list[tuple[int, int]]) -> list[tuple[str, int, int, float]]:
        """(type, start, end, confidence) of every name found, in order; confidence is the mean over its characters."""
        if not len(hidden) or not text:
            return []
        pieces, positions = align(len(text), offsets)
        ids = np.array([self.characters.get(char, 1) for char in text], np.int64)
        window = self.table_weight.shape[0] // self.table.shape[1]
        edge = [0] * (window // 2)
        padded = np.concatenate([edge, ids, edge]).astype(np.int64)
        around = np.concatenate([self.table[padded[d : d + len(ids)]] for d in range(window)], axis=1)
        inner = (hidden @ self.state_weight)[pieces] + around @ self.table_weight + self.position[positions] + self.bias
        logits = np.maximum(inner, 0) @ self.out_weight + self.out_bias
        probabilities = softmax(np.asarray(logits, np.float32))
        tags = best_tags(np.log(probabilities + 1e-9))
        found = []
        for start, end, kind in runs(tags):
            confidence = float(probabilities[np.arange(start, end), tags[start:end]].mean())
            found.append((self.types[kind], start, end, confidence))
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], types: list[str]) -> Tagger:
        """Rebuilds the tagger from the arrays of `heads.npz`."""
        chars = "".join(chr(code) for code in np.asarray(arrays["tagger.characters"], np.int64))

        def floats(name: str) -> Floats:
            return np.asarray(arrays[f"tagger.{name}"], np.float32)

        return cls(
            types=tuple(types),
            characters={char: i + 2 for i, char in enumerate(chars)},
            state_weight=floats("state_weight"),
            table=floats("table"),
            table_weight=floats("table_weight"),
            position=floats("position"),
            bias=floats("bias"),
            out_weight=floats("out_weight"),
            out_bias=floats("out_bias"),
        )


def align(length: int, offsets: list[tuple[int, int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each character of the text: its word piece, and where in it the character stands (`POSITIONS`).

    Characters without a piece (blanks) belong to the piece before them.
    """
    pieces = np.zeros(length, np.int64)
    positions = np.zeros(length, np.int64)
    at = 0
    for piece, (start, end) in enumerate(offsets):
        pieces[at:end] = piece
        for i in range(max(start, at), min(end, length)):
            positions[i] = min(i - start, 2) + (3 if i == end - 1 else 0)
        at = max(at, end)
    pieces[at:] = max(len(offsets) - 1, 0)
    return pieces, positions


def best_tags(scores: Floats) -> npt.NDArray[np.int64]:
    """The best tag sequence in which every I- follows a B- or I- of its type (tags: O, B-0, I-0, B-1, I-1, …)."""
    n, k = scores.shape
    inside = np.arange(2, k, 2)
    back = np.zeros((n, k), np.int64)
    best = scores[0].copy()
    best[inside] = -np.inf
    for i in range(1, n):
        top = int(best.argmax())
        step = np.full(k, best[top])
        back[i] = top
        own, begin = best[inside], best[inside - 1]
        step[inside] = np.maximum(own, begin)
        back[i, inside] = np.where(own >= begin, inside, inside - 1)
        best = step + scores[i]
    tags = np.zeros(n, np.int64)
    tags[-1] = best.argmax()
    for i in range(n - 1, 0, -1):
        tags[i - 1] = back[i, tags[i]]
    return tags


def runs(tags: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(start, end, type number) of every name in a BIO sequence."""
    found: list[tuple[int, int, int]] = []
    start = kind = -1
    for i, tag in enumerate([*tags.tolist(), 0]):
        if start >= 0 and (tag == 0 or tag % 2 == 1):
            found.append((start, i, kind))
            start = -1
        if tag % 2 == 1:
            start, kind = i, tag // 2
    return found
