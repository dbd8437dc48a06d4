"""Real data for training and measuring, read where it lies and never copied: messages, addresses, small talk.

The folder is `MINSHENG_DATA`; its layout and origins are listed in the model card. Test rows are fixed by a hash of
their number: they and their near-duplicates never reach training.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu import ngrams
from nlu.errors import DataError

_SAME = 0.6  # share of a text's character pairs found in a test row from which it counts as the same message
_BUCKETS = 1 << 16


@dataclass(frozen=True, slots=True)
class Message:
    """A published citizen message; `label` is its first-level category or empty."""

    title: str
    text: str
    label: str

    @property
    def whole(self) -> str:
        """Title and text as a resident would have written them."""
        return f"{self.title}。{self.text}" if self.title else self.text


def folder() -> Path | None:
    """The folder of real data, or None where there is none."""
    named = os.environ.get("MINSHENG_DATA")
    found = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return found if found.is_dir() else None


def is_test(number: str, one_in: int = 5) -> bool:
    """Whether a row is kept for measuring; depends on nothing but its number."""
    return int(hashlib.sha256(number.encode()).hexdigest(), 16) % one_in == 0


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file; raises DataError with file, line and remedy."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(
            path, line, "the file is not UTF-8", "Save it as UTF-8, for example with iconv -t UTF-8"
        ) from error
    except OSError as error:
        raise DataError(path, None, "the file cannot be read", "Check the path and its permissions") from error
    for number, line_text in enumerate(lines, 1):
        if not line_text.strip():
            continue
        try:
            row = json.loads(line_text)
        except ValueError as error:
            raise DataError(path, number, "not valid JSON", "Write one JSON object a line") from error
        if not isinstance(row, dict):
            raise DataError(
                path, number, "not a JSON object", 'Write rows like {"title": "…", "text": "…", "label": "…"}'
            )
        yield row


def labelled_messages(data: Path) -> tuple[list[Message], list[Message]]:
    """(training, test) messages with a first-level category; the segmented ones are joined back into text."""
    train: list[Message] = []
    test: list[Message] = []
    for row in rows(data / "hotline" / "messages_labeled_raw.jsonl"):
        (test if is_test(row["id"]) else train).append(Message(row["title"], row["text"], row["label"]))
    for row in rows(data / "hotline" / "messages_labeled_segmented.jsonl"):
        train.append(Message("", row["tokens"].replace(" ", ""), row["label"]))
    return without_copies(train, test), test


def without_copies(train: list[Message], test: list[Message]) -> list[Message]:
    """The training messages that do not repeat a test message (most of their character pairs occur in it)."""
    marks = np.zeros((len(test), _BUCKETS), np.float32)
    for row, message in enumerate(test):
        marks[row, _pairs(message)] = 1
    kept = []
    for message in train:
        found = _pairs(message)
        if not len(found) or not len(test) or marks[:, found].sum(1).max() / len(found) < _SAME:
            kept.append(message)
    return kept


def _pairs(message: Message) -> list[int]:
    return list({gram % _BUCKETS for gram in ngrams.hashed(ngrams.plain(message.whole), 2)})


def replies(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(training, test) pairs of title and official reply."""
    train: list[tuple[str, str]] = []
    test: list[tuple[str, str]] = []
    for row in rows(data / "hotline" / "messages_with_replies.jsonl"):
        (test if is_test(row["id"]) else train).append((row["title"], row["reply"]))
    return train, test


def taxonomy(data: Path) -> list[tuple[str, str, str]]:
    """The platform's tree of categories: (level 1, level 2, level 3)."""
    with (data / "hotline" / "taxonomy_3level.csv").open(encoding="utf-8-sig", newline="") as stream:
        return [(r["level1"], r["level2"], r["level3"]) for r in csv.DictReader(stream)]


def small_talk(data: Path) -> list[tuple[str, str]]:
    """(text, domain) of utterances to a telephone assistant."""
    return [(r["text"], r["domain"]) for r in rows(data / "chitchat" / "smp_domain_intent.jsonl")]


_PARTS = {
    "country": "region", "prov": "region", "city": "region", "district": "district", "devzone": "estate",
    "town": "street", "community": "community", "road": "road", "subroad": "road", "roadno": "number",
    "subroadno": "number", "poi": "estate", "subpoi": "estate", "houseno": "building", "cellno": "building",
    "floorno": "building", "roomno": "building",
}  # fmt: skip


def addresses(data: Path, part: str) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """(text, [(type, start, end)]) of annotated addresses; `part` is train, dev or test; types are ours."""
    found: list[tuple[str, list[tuple[str, int, int]]]] = []
    text = ""
    spans: list[tuple[str, int, int]] = []
    lines = (data / "address_ner" / f"{part}.txt").read_text(encoding="utf-8").splitlines()
    for line in [*lines, ""]:
        if not line.strip():
            if text:
                found.append((text, spans))
            text, spans = "", []
            continue
        token, tag = line.rsplit(" ", 1)
        kind = _PARTS.get(tag[2:])
        if kind and tag[0] == "I" and spans and spans[-1][2] == len(text):
            spans[-1] = (spans[-1][0], spans[-1][1], len(text) + len(token))
        elif kind:
            spans.append((kind, len(text), len(text) + len(token)))
        text += token
    return found
