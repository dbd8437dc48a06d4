"""Figures of a model on rows it has not seen: accuracy, macro-F1, per class, time per message.

Only numpy and the runtime, so that `minsheng nlu eval` works without the `train` extra.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nlu import labels
from nlu.errors import DataError
from nlu.public_data import rows
from nlu.runtime import Reader, Understanding

_CHOICES: dict[str, tuple[Callable[[Understanding], str], tuple[str, ...] | None]] = {
    "category": (lambda u: u.category1.name, labels.CATEGORIES),
    "category2": (lambda u: f"{u.category1.name}/{u.category2.name}" if u.category2 else "", None),
    "intent": (lambda u: u.intent.name, labels.INTENTS),
    "request_type": (lambda u: u.request_type.name, labels.REQUEST_TYPES),
    "urgency": (lambda u: u.urgency.name, labels.URGENCIES),
}

TASKS: tuple[str, ...] = tuple(_CHOICES)
"""What can be measured; rows name the right answer in `label` (or in a field of the task's name)."""


def read_rows(path: Path, task: str) -> tuple[list[str], list[str]]:
    """Texts (title and text joined) and labels of a JSON-lines file `{title?, text, label}`.

    Raises DataError with file, line and remedy: no text, no label, a label that is unknown.
    """
    names = _CHOICES[task][1]
    texts, known = [], []
    for number, row in enumerate(rows(path), 1):
        title, text = str(row.get("title") or "").strip(), str(row.get("text") or "").strip()
        if not title and not text:
            raise DataError(path, number, "neither title nor text", 'Give every row a "text"')
        label = str(row.get("label") or row.get(task) or "")
        if task == "category2" and row.get("category1"):
            label = f"{row['category1']}/{row.get('category2', '')}"
        if not label or (names is not None and label not in names):
            remedy = "Use one of: " + " ".join(names) if names else 'Give every row a "label" like 民政/社会救助'
            raise DataError(path, number, f"unknown {task} '{label}'", remedy)
        texts.append(f"{title}。{text}" if title and text else title or text)
        known.append(label)
    if not texts:
        raise DataError(path, None, "no rows", 'Write rows like {"title": "…", "text": "…", "label": "…"}')
    return texts, known


def evaluate(reader: Reader, task: str, path: Path, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Measures one head on a file; `progress` is told how many rows are done.

    Returns `{n, accuracy, macro_f1, per_class, ms_per_message}`; macro-F1 is the mean over the classes that occur in
    the file, every answer outside them counts as a miss of the right class.
    """
    texts, known = read_rows(path, task)
    answer = _CHOICES[task][0]
    guesses = []
    started = time.perf_counter()
    for text in texts:
        guesses.append(answer(reader.read(text)))
        if progress is not None:
            progress(len(guesses))
    elapsed = time.perf_counter() - started
    return {"task": task} | figures(known, guesses) | {"ms_per_message": round(1000 * elapsed / len(texts), 2)}


def figures(known: Sequence[str], guesses: Sequence[str]) -> dict[str, Any]:
    """`{n, accuracy, macro_f1, per_class: {name: {precision, recall, f1, support}}}`."""
    per_class = {}
    for name in sorted(set(known)):
        right = sum(k == g == name for k, g in zip(known, guesses, strict=True))
        support, claimed = sum(k == name for k in known), sum(g == name for g in guesses)
        precision = right / claimed if claimed else 0.0
        recall = right / support
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        values = {"precision": precision, "recall": recall, "f1": f1}
        per_class[name] = {key: round(value, 4) for key, value in values.items()} | {"support": support}
    right = sum(k == g for k, g in zip(known, guesses, strict=True))
    return {
        "n": len(known),
        "accuracy": round(right / len(known), 4),
        "macro_f1": round(sum(c["f1"] for c in per_class.values()) / len(per_class), 4),
        "per_class": per_class,
    }


def set_f1(found: Sequence[set[str]], right: Sequence[set[str]]) -> float:
    """Mean over the rows of the F1 between two sets of labels (example-based F1, Tsoumakas & Katakis 2007)."""
    values = [2 * len(f & r) / (len(f) + len(r)) if f or r else 1.0 for f, r in zip(found, right, strict=True)]
    return sum(values) / max(len(values), 1)


def place_f1(
    found: Sequence[set[tuple[str, int, int]]], right: Sequence[set[tuple[str, int, int]]], kind: str
) -> dict[str, float]:
    """Precision, recall and F1 of exact spans of one type."""
    mine = [{s for s in spans if s[0] == kind} for spans in found]
    true = [{s for s in spans if s[0] == kind} for spans in right]
    hits = sum(len(a & b) for a, b in zip(mine, true, strict=True))
    precision = hits / max(sum(map(len, mine)), 1)
    recall = hits / max(sum(map(len, true)), 1)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}
