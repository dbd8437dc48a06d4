"""Why a head answered as it did: which words of the message speak most for a label.

Method: leave-one-out, also called occlusion (Li, Monroe and Jurafsky, Understanding Neural Networks through
Representation Erasure, 2016). A part of the text is left out and the text is read again; the fall of the label's
log-odds is the weight of that part. Only the model that answered is asked, so it holds for the encoder and the n-grams
together. What it does not see: two parts that say the same thing, each of which would be enough alone.

Cost: one batch of at most 17 passes of the encoder, and one pass more for a text of one clause; some 0.2 seconds for a
usual message on one core. It is for a person who looks at one message, not for the turn of a resident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from nlu import labels, requests
from nlu.runtime import Reader

MOST_PARTS = 16
"""A text is divided into at most as many parts."""

LONGEST = 400
"""Characters; of a longer text the beginning is explained, about as much as one pass reads."""

_WORTH = 0.25  # of the strongest reason's weight
_SMALLEST = 1e-6  # a probability; the log-odds stay finite
_WORD = re.compile(r"\w(?:.*\w)?", re.DOTALL)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """A part of the text that speaks for a label: `text == message[start:end]`, `weight` > 0 in log-odds (nats)."""

    text: str
    start: int
    end: int
    weight: float


def explain(reader: Reader, text: str, head: str, label: str | None = None, most: int = 3) -> list[Reason]:
    """The parts of a text that speak most for what a head answered, the strongest first.

    The parts are clauses, or word pieces where the text is a single clause; neighbours are put together until no more
    than `MOST_PARTS` are left. Word pieces side by side that all speak for the label are one reason (路 and 灯), whose
    weight is their sum. What weighs little beside the strongest reason is left out, and nothing is returned where no
    part speaks for the label, as in an empty text.

    Args:
        reader: the model that answered.
        text: the message, of any length.
        head: intent, request_type, category1, category2, urgency or danger.
        label: the answer to explain; the head's most probable one by default. 特急 is explained by the head that
            decides about it, danger.
        most: how many parts to return.

    Raises:
        ValueError: for a head or a label that the model does not have.
    """
    if head == "urgency" and label == "特急":
        head, label = "danger", labels.DANGER
    message = text[:LONGEST]
    parts, are_pieces = _parts(reader, message)
    without = [message[:start] + message[end:] for start, end in parts]
    try:
        names, probabilities = reader.probabilities(head, [message, *without])
    except KeyError:
        raise ValueError(f"the model has no head '{head}'") from None
    if label is not None and label not in names:
        raise ValueError(f"the head '{head}' does not know '{label}'")
    column = int(probabilities[0].argmax()) if label is None else names.index(label)
    sure = np.clip(probabilities[:, column].astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    odds = np.log(sure) - np.log1p(-sure)
    weighed = [(*part, float(weight)) for part, weight in zip(parts, odds[0] - odds[1:], strict=True) if weight > 0]
    if are_pieces:
        weighed = _joined(weighed)
    worth = _WORTH * max((weight for *_, weight in weighed), default=0.0)
    reasons = [Reason(message[start:end], start, end, round(w, 4)) for start, end, w in weighed if w >= worth]
    return sorted(reasons, key=lambda reason: (-reason.weight, reason.start))[: max(most, 0)]


def _joined(weighed: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Neighbours without a gap as one."""
    found: list[tuple[int, int, float]] = []
    for start, end, weight in weighed:
        if found and found[-1][1] == start:
            before = found.pop()
            start, weight = before[0], before[2] + weight
        found.append((start, end, weight))
    return found


def _parts(reader: Reader, text: str) -> tuple[list[Span], bool]:
    """Clauses, or the word pieces of a single one (and whether they are), without punctuation at their ends."""
    parts = _trimmed(text, [(found.start, found.end) for found in requests.clauses(text)])
    single = len(parts) == 1
    if single:
        parts = _trimmed(text, _pieces(reader, text))
    while len(parts) > MOST_PARTS:
        shortest = min(range(len(parts) - 1), key=lambda i: parts[i + 1][1] - parts[i][0])
        parts[shortest : shortest + 2] = [(parts[shortest][0], parts[shortest + 1][1])]
    return parts, single


def _pieces(reader: Reader, text: str) -> list[Span]:
    """The tokenizer's pieces, each beginning where the one before it ends or later."""
    pieces: list[Span] = []
    for start, end in reader.encode([text])[0].offsets:
        start = max(start, pieces[-1][1] if pieces else 0)
        if start < end:
            pieces.append((start, end))
    return pieces


def _trimmed(text: str, spans: list[Span]) -> list[Span]:
    found = ((start, _WORD.search(text[start:end])) for start, end in spans)
    return [(start + match.start(), start + match.end()) for start, match in found if match]
