"""Checks our sentences against each other: repetition, leaks into the tests, contradictory labels, personal data.

Texts are compared without blanks and punctuation, in one width and case; emoji stay, for they can be all that is said.
Nearly the same are two texts whose Indel similarity (rapidfuzz, 2 × longest common subsequence ÷ both lengths) is at
least `_NEAR`; short ones such as 好的 are only compared exactly, since there everybody says the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rapidfuzz import fuzz, process

from nlu import data, labels, patterns
from nlu.errors import DataError
from nlu.public_data import rows

Group = Literal["training", "calibration", "test"]
Kind = Literal["duplicate", "near_duplicate", "conflict", "near_conflict", "personal_data"]
Level = Literal["error", "warning"]

_NEAR, _NEAR_CONFLICT = 80, 85  # per cent
_SHORTEST, _SHORTEST_CONFLICT = 8, 5  # characters from which nearly the same means copied, or that one label is wrong
_CHUNK = 512
_HEADS = ("intent", "request_type", "category1", "urgency")
_CODE = re.compile(r"[a-z]*\d+[a-z\d]*")
_SPOKEN = str.maketrans("零〇一幺二两三四五六七八九", "0011223456789")
_CARD_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RUNS = re.compile("|".join(run for start in range(10) for run in (str(start) * 4, *(
    "".join(str(start + step * i) for i in range(4)) for step in (1, -1) if 0 <= start + 3 * step <= 9
))))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence where it stands (line from 1), with its label for every head that it says something about."""

    group: Group
    file: Path
    line: int
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)
    with_entities: bool = False

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a row or a pair of rows. `detail`: similarity or labels; `remedy`: what to do, in Chinese.

    The texts of a finding of personal data are masked.
    """

    kind: Kind
    level: Level
    places: tuple[str, ...]
    texts: tuple[str, ...]
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, errors first; how many rows each group has; and how often happened what is only counted."""

    findings: list[Finding]
    rows: dict[str, int]
    counted: dict[str, int]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.level == "error" for finding in self.findings)


def lint(training: Path, tests: Path) -> Report:
    """Checks `nlu/*.yml`, `categories/`, `danger/`, `calibration/` and, where there is one, `entities/` under
    `training` against each other and against `tests/*.jsonl`. Raises DataError where a file cannot be read."""
    found = read(training, tests)
    counted: Counter[str] = Counter()
    findings = [*_repeated(found, counted), *_nearly_repeated(found, counted), *_personal(found)]
    findings.sort(key=lambda finding: finding.level)
    return Report(findings, dict(Counter(row.group for row in found)), dict(counted))


def read(training: Path, tests: Path) -> list[Row]:
    """The rows of all files with their lines; raises DataError with file, line and remedy."""
    folders: list[tuple[Group, Path, str]] = [
        ("training", training / "nlu", "*.yml"),
        ("training", training / "categories", "*.jsonl"),
        ("training", training / "danger", "*.jsonl"),
        ("training", training / "entities", "*.jsonl"),
        ("calibration", training / "calibration", "*.jsonl"),
        ("test", tests, "*.jsonl"),
    ]
    found: list[Row] = []
    for group, folder, pattern in folders:
        paths = sorted(folder.glob(pattern))
        if not paths and folder.name != "entities":
            raise DataError(folder, None, f"no {pattern} files here", "Add files, or name another folder")
        for path in paths:
            found += _of_rasa(group, path) if path.suffix == ".yml" else _of_lines(group, path)
    return found


def _of_rasa(group: Group, path: Path) -> Iterator[Row]:
    examples = data.intents_of(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    for example in examples:  # in the order of the file
        at = next((n for n in range(at, len(lines)) if _bare(lines[n]) == example.text), at)
        yield Row(group, path, at + 1, example.text, _labels({"intent": example.intent}))
        at += 1


def _bare(line: str) -> str:
    return re.sub(r"^\s*-\s?", "", line).strip()


def _of_lines(group: Group, path: Path) -> Iterator[Row]:
    found = list(rows(path))
    fields = {name for row in found for name in row}
    check = data.spans if "entities" in fields else data.compounds if "categories" in fields else data.examples
    check(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    for number, row in zip(numbers, found, strict=True):
        yield Row(group, path, number, row["text"], _labels(row), "entities" in row)


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    found = {head: str(row[head]) for head in _HEADS if row.get(head)}
    if row.get("category2"):
        found["category2"] = f"{row.get('category1', '')}/{row['category2']}"
    if "danger" in row:
        found["danger"] = labels.DANGER if row["danger"] else labels.NO_DANGER
    elif "urgency" in found:
        found["danger"] = labels.DANGER if found["urgency"] == "特急" else labels.NO_DANGER
    elif found.get("intent") == "report_danger":
        found["danger"] = labels.DANGER
    return found


def plain(text: str) -> str:
    """The text as it is compared: NFKC, lower case, without blanks, punctuation and mathematical signs."""
    narrow = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c for c in narrow if unicodedata.category(c)[0] not in "PZC" and unicodedata.category(c) != "Sm")
    return kept or narrow.strip()


def _asks(text: str) -> bool:
    return unicodedata.normalize("NFKC", text).rstrip().endswith("?")


def _repeated(found: Sequence[Row], counted: Counter[str]) -> Iterator[Finding]:
    same: defaultdict[str, list[Row]] = defaultdict(list)
    for row in found:
        same[plain(row.text)].append(row)
    for group in same.values():
        for first, second in combinations(group, 2):
            differing = _differing(first, second)
            if differing and _asks(first.text) == _asks(second.text):  # 嗯 agrees, 嗯？ asks back
                yield _pair("conflict", "error", first, second, differing, _remedy_for_conflict(first, second))
            if first.group != second.group:
                level: Level = "warning" if _is_button(first) else "error"
                yield _pair("duplicate", level, first, second, "", _remedy_for_copy(first, second))
            elif differing:
                continue
            elif first.labels == second.labels or _shared(first, second):
                yield _pair("duplicate", "warning", first, second, "", _remedy_for_copy(first, second))
            else:
                counted["same_text_for_other_heads"] += 1


def _nearly_repeated(found: Sequence[Row], counted: Counter[str]) -> Iterator[Finding]:
    exact = [plain(row.text) for row in found]
    keys = [_CODE.sub("0", key) for key in exact]  # ticket numbers make two sentences neither alike nor different
    for i, j, similarity in _near_pairs(keys):
        if exact[i] == exact[j]:
            continue
        first, second = found[min(i, j)], found[max(i, j)]
        differing = _differing(first, second)
        if differing and similarity >= _NEAR_CONFLICT:
            detail = f"{similarity}%，{differing}"
            yield _pair("near_conflict", "warning", first, second, detail, _remedy_for_conflict(first, second))
        if min(len(keys[i]), len(keys[j])) < _SHORTEST:
            continue
        if first.group != "test" and second.group == "test":
            detail = f"{similarity}%"
            yield _pair("near_duplicate", "error", first, second, detail, _remedy_for_copy(first, second))
        else:
            counted["near_duplicates_" + "_".join(dict.fromkeys((first.group, second.group)))] += 1


def _near_pairs(keys: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(row, row, similarity in per cent). Sorted by length, each row only meets those that can reach `_NEAR`."""
    order = sorted((i for i, key in enumerate(keys) if len(key) >= _SHORTEST_CONFLICT), key=lambda i: len(keys[i]))
    sizes = np.array([len(keys[i]) for i in order])
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        # 2·short / (short + long) ≥ near  ⇔  long ≤ short · (200 - near) / near
        stop = int(np.searchsorted(sizes, len(keys[chunk[-1]]) * (200 - _NEAR) / _NEAR, side="right"))
        scores = process.cdist(
            [keys[i] for i in chunk],
            [keys[i] for i in order[start:stop]],
            scorer=fuzz.ratio,
            score_cutoff=_NEAR,
            dtype=np.uint8,
        )
        for i, j in np.argwhere(scores).tolist():
            if i < j:
                yield chunk[i], order[start + j], int(scores[i, j])


def _shared(first: Row, second: Row) -> set[str]:
    """Heads that both teach; danger does not count, it follows from others."""
    return (set(first.labels) & set(second.labels)) - {"danger"}


def _differing(first: Row, second: Row) -> str:
    shared = [head for head in first.labels if head in second.labels and first.labels[head] != second.labels[head]]
    return "，".join(f"{head}：{first.labels[head]} ≠ {second.labels[head]}" for head in shared)


def _pair(kind: Kind, level: Level, first: Row, second: Row, detail: str, remedy: str) -> Finding:
    return Finding(kind, level, (first.place, second.place), (first.text, second.text), detail, remedy)


def _is_button(row: Row) -> bool:
    return row.file.name == data.BUTTONS


def _remedy_for_copy(first: Row, second: Row) -> str:
    if _is_button(first) or _is_button(second):
        if "test" in (first.group, second.group):
            return "按钮上的字靠逐字比较认出，不靠模型：评测里可以删去这一条"
        return "按钮文件里的留下，删去另一条"
    if second.group == "test" != first.group:
        return f"训练让位于评测：删去 {first.place}"
    if first.group != second.group:
        return "定阈值的句子不能参加训练：删去其中一条"
    return "留一条，删去另一条"


def _remedy_for_conflict(first: Row, second: Row) -> str:
    if second.group == "test" != first.group:
        return f"对照 training_data/README.md；训练让位于评测：改正或删去 {first.place}"
    return "对照 training_data/README.md，改正标错的一条"


def _personal(found: Iterable[Row]) -> Iterator[Finding]:
    for row in found:
        spans = [(span, patterns.narrow(row.text[span.start : span.end])) for span in patterns.find(row.text)]
        if any(span.type == "id_card" and is_real_id_card(value) for span, value in spans):
            remedy = "不能收真实的身份证号：地区码后两位改成 97、98 或 99（没有这样的县区），再算校验码"
            yield Finding("personal_data", "error", (row.place,), (masked(row.text),), "身份证号", remedy)
        if row.group == "test" and row.with_entities:
            continue  # what a number looks like is what these rows test
        if any(span.type == "phone" and is_real_mobile(value) for span, value in spans):
            remedy = "不能收像真的手机号：写成 138****5678（对话引擎看到的就是这样），或明显编造的 13800005678"
            level: Level = "warning" if row.group == "test" else "error"
            yield Finding("personal_data", level, (row.place,), (masked(row.text),), "手机号", remedy)


def masked(text: str) -> str:
    """The text with the middle of every telephone and identity number replaced by `****`."""
    for span in reversed(patterns.find(text)):
        if span.type in ("phone", "id_card"):
            text = text[: span.start + 3] + "****" + text[span.end - 2 :]
    return text


def is_real_id_card(value: str) -> bool:
    """Whether somebody may hold this number: 18 characters, a date of birth, the check character of GB 11643 (ISO 7064
    MOD 11-2). Area codes that end in 97, 98 or 99 belong to no county, so that numbers can be invented with them."""
    if not re.fullmatch(r"[1-8]\d{16}[\dXx]", value) or value[4:6] in ("97", "98", "99"):
        return False
    try:
        date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(value, _CARD_WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == value[-1].upper()


def is_real_mobile(value: str) -> bool:
    """Whether somebody may have this mobile number, in digits or spoken (幺三八…). Masked ones and ones with four equal
    or consecutive digits in a row after the first three (13812345678, 13700001111) are taken for invented."""
    digits = re.sub(r"[^\d*]", "", value.translate(_SPOKEN))
    digits = digits.removeprefix("86") if len(digits) == 13 else digits
    return bool(re.fullmatch(r"1[3-9]\d{9}", digits)) and not _RUNS.search(digits[3:])
