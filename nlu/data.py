"""Our own training data: Rasa's NLU files and the JSON-lines files beside them, checked on reading."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nlu import labels
from nlu.errors import DataError
from nlu.public_data import rows

LEAST = 5
"""Fewest examples a class needs."""

BUTTONS = "buttons.yml"

REST = "其他"
"""The second level of what fits no other: it teaches the first level only, and no head answers with it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with what it means; empty strings where a file does not say."""

    text: str
    intent: str = ""
    request_type: str = ""
    category1: str = ""
    category2: str = ""
    urgency: str = ""


@dataclass(frozen=True, slots=True)
class Compound:
    """A message with several requests: (level 1, level 2) of each, the main one first."""

    text: str
    categories: tuple[tuple[str, str], ...]


def intents(folder: Path) -> list[Example]:
    """The examples of every `*.yml` in Rasa's NLU format under `folder`; buttons come first.

    Raises DataError with file, line and remedy for broken YAML, unknown intents and intents with too few examples.
    """
    found: list[Example] = []
    files = sorted(folder.glob("*.yml"), key=lambda path: (path.name != BUTTONS, path.name))
    for path in files:
        found += intents_of(path)
    check_counts(folder, Counter(example.intent for example in found), "intent")
    return found


def intents_of(path: Path) -> list[Example]:
    """The examples of one file in Rasa's NLU format, checked."""
    text = _utf8(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DataError(
            path, mark.line + 1 if mark else None, "not valid YAML", "Compare with Rasa's NLU format"
        ) from error
    groups = content.get("nlu") if isinstance(content, dict) else None
    if not isinstance(groups, list):
        raise DataError(path, 1, "no list under 'nlu:'", "Compare with Rasa's NLU format")
    lines = text.splitlines()
    found = []
    for group in groups:
        name = str(group.get("intent", "")) if isinstance(group, dict) else ""
        if name not in labels.INTENTS:
            raise DataError(path, _line(lines, f"intent: {name}"), f"unknown intent '{name}'", _one_of(labels.INTENTS))
        for line in str(group.get("examples", "")).splitlines():
            example = re.sub(r"^\s*-\s?", "", line).strip()
            if example:
                found.append(Example(example, intent=name))
    return found


def categories(source: Path, tree: dict[str, list[str]] | None = None) -> list[Example]:
    """Rows `{text, request_type, category1, category2, urgency}` of a file or of every `*.jsonl` in a folder.

    `tree` limits the second level if given. Raises DataError for unknown labels and for classes with fewer than five
    examples.
    """
    found = []
    for path, number, row in _all_rows(source):
        example = Example(
            text=_text(path, number, row),
            request_type=_known(path, number, row, "request_type", labels.REQUEST_TYPES),
            category1=_known(path, number, row, "category1", labels.CATEGORIES),
            category2=str(row.get("category2", "")),
            urgency=_known(path, number, row, "urgency", labels.URGENCIES),
        )
        if tree is not None and example.category2 not in tree.get(example.category1, []):
            problem = f"unknown second-level category '{example.category1}/{example.category2}'"
            raise DataError(path, number, problem, _one_of(tree.get(example.category1, [])))
        found.append(example)
    check_counts(source, Counter(f"{e.category1}/{e.category2}" for e in found), "category2")
    return found


def examples(path: Path) -> list[Example]:
    """Rows `{text, …}` with any of the fields of `Example`; unknown labels raise DataError."""
    known = {
        "intent": labels.INTENTS,
        "request_type": labels.REQUEST_TYPES,
        "category1": labels.CATEGORIES,
        "urgency": labels.URGENCIES,
    }
    found = []
    for number, row in enumerate(rows(path), 1):
        named = {name: _known(path, number, row, name, names) for name, names in known.items() if row.get(name)}
        found.append(Example(_text(path, number, row), category2=str(row.get("category2", "")), **named))
    return found


def urgencies(source: Path) -> list[Example]:
    """Rows `{text, urgency}` about danger and what only sounds like it, of a file or a folder."""
    found = [
        Example(_text(path, n, row), urgency=_known(path, n, row, "urgency", labels.URGENCIES))
        for path, n, row in _all_rows(source)
    ]
    check_counts(source, Counter(example.urgency for example in found), "urgency")
    return found


def compounds(path: Path) -> list[Compound]:
    """Rows `{text, categories: [{category1, category2}, …]}`, the main one first; unknown labels raise DataError."""
    found = []
    for number, row in enumerate(rows(path), 1):
        named = row.get("categories")
        if not isinstance(named, list) or not named:
            raise DataError(path, number, "no categories", 'Write {"text": …, "categories": [{"category1": …}]}')
        pairs = [
            (_known(path, number, one, "category1", labels.CATEGORIES), str(one.get("category2", ""))) for one in named
        ]
        found.append(Compound(_text(path, number, row), tuple(pairs)))
    return found


def spans(path: Path) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Rows `{text, entities: [{type, start, end}, …]}`; an unknown type or a span outside its text raises DataError."""
    found = []
    for number, row in enumerate(rows(path), 1):
        text = _text(path, number, row)
        named = []
        for one in row.get("entities") or []:
            kind = _known(path, number, one, "type", labels.ENTITY_TYPES)
            start, end = one.get("start"), one.get("end")
            if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
                problem = f"the span {start}–{end} of '{kind}' does not fit a text of {len(text)} characters"
                raise DataError(path, number, problem, "Count characters from 0; the end stands after the last one")
            named.append((kind, start, end))
        found.append((text, named))
    return found


def _all_rows(source: Path) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    paths = sorted(source.glob("*.jsonl")) if source.is_dir() else [source]
    if not paths:
        raise DataError(source, None, "no *.jsonl files here", "Add files, or name another folder")
    for path in paths:
        for number, row in enumerate(rows(path), 1):
            yield path, number, row


def check_counts(path: Path, counts: Counter[str], what: str) -> None:
    """Raises DataError when a class has fewer than five examples."""
    for name, count in counts.items():
        if count < LEAST:
            problem = f"{what} '{name}' has {count} example{'s' * (count != 1)}, at least {LEAST} are needed"
            raise DataError(path, None, problem, "Write more examples, or remove the class")


def _text(path: Path, number: int, row: dict[str, Any]) -> str:
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(path, number, "no text", 'Give every row a "text" that is not empty')
    return text


def _known(path: Path, number: int, row: dict[str, Any], field: str, names: tuple[str, ...]) -> str:
    value = str(row.get(field, ""))
    if value not in names:
        raise DataError(path, number, f"unknown {field} '{value}'", _one_of(names))
    return value


def _one_of(names: tuple[str, ...] | list[str]) -> str:
    return "Use one of: " + " ".join(names)


def _line(lines: list[str], needle: str) -> int | None:
    return next((i for i, line in enumerate(lines, 1) if needle in line), None)


def _utf8(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            path, line, "the file is not UTF-8", "Save it as UTF-8, for example with iconv -t UTF-8"
        ) from error
