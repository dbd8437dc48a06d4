"""A trial of a new category or intent: learn it, and say what got worse.

Reads the project's own training sentences (what the new label is not) and its calibration sentences (what the answers
are compared on, and nothing is trained on).
"""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nlu import data
from nlu.errors import ExampleError
from nlu.evaluate import figures
from nlu.extend import STRENGTHS, Addition, ExtendedReader, Kind, Material, learn, with_additions
from nlu.heads import Row
from nlu.vectors import VectorCache

LEAST, MOST = 10, 200
"""How many examples an addition needs and may have."""

SHORTEST, LONGEST = 4, 300
"""How many characters an example needs and may have, without blanks and signs."""

_OTHERS = 1500  # sentences to learn against; 2,500 gave the same accuracy, and took a minute on a busy machine
_HELD = 800  # sentences to compare on
_FOLDS = 20  # up to this many examples each is left out by itself
_SHOWN = 30
_NOT_WORDS = re.compile(r"[\W_]+")
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What staff teach. `level1`: the first-level category that a category stands under."""

    kind: Kind
    name: str
    examples: tuple[str, ...]
    level1: str = ""

    @property
    def label(self) -> str:
        """As it is called in its head."""
        return f"{self.level1}/{self.name}" if self.kind == "category" else self.name


@dataclass(frozen=True, slots=True)
class Change:
    """A calibration sentence that is read otherwise. `right`: what it is; empty where the sentence does not say."""

    text: str
    before: str
    after: str
    right: str


@dataclass(frozen=True, slots=True)
class Effect:
    """F1 of a label over the calibration sentences."""

    label: str
    rows: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial showed; `found` of `examples` were recognised when they were left out of learning.

    `worse` holds every sentence that the new label took wrongly, also one that was read wrongly before.
    """

    examples: int
    found: int
    missed: tuple[str, ...]
    compared: int
    worse: tuple[Change, ...]
    better: tuple[Change, ...]
    classes: tuple[Effect, ...]
    dangers: int
    learned_against: int
    seconds: float
    summary: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Trainer:
    """Learns additions from the training data in `folder`; vectors of its sentences are kept in `cache`."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._vectors = folder, VectorCache(cache)

    def learn(self, reader: ExtendedReader, lesson: Lesson, known: Sequence[Lesson] = ()) -> Row:
        """The row of a lesson, beside what `reader` knows already. Raises ExampleError, DataError."""
        school = _School.of(self._folder, known)
        texts = school.checked(lesson)
        return self._learn(reader, lesson, texts, school.others(lesson), _silent)[0]

    def trial(
        self,
        reader: ExtendedReader,
        lesson: Lesson,
        known: Sequence[Lesson] = (),
        progress: Progress | None = None,
    ) -> tuple[Row, Report]:
        """Learn a lesson and measure it.

        Args:
            reader: the shipped reader with the additions in use.
            lesson: what is new. Its examples may hold empty lines, which count for the line numbers in errors.
            known: the lessons of the additions in use.
            progress: is told what is done, in Chinese, and the share that is done.

        Raises:
            ExampleError: the examples cannot be used; names the line.
            DataError: the training data cannot be read.
        """
        tell, started = progress or _silent, time.monotonic()
        tell("读取训练句", 0.0)
        school = _School.of(self._folder, known)
        texts = school.checked(lesson)
        others = school.others(lesson)
        row, near, mine = self._learn(reader, lesson, texts, others, lambda words, share: tell(words, share * 0.7))
        after = with_additions(reader, [*reader.additions, _addition(lesson, row)])
        missed = _left_out(reader, lesson, texts, near, mine, lambda share: tell("逐句回测例句", 0.7 + share * 0.15))
        held = school.held(lesson.kind)
        vectors = self._vectors.vectors(
            reader, [text for text, _ in held], lambda share: tell("对照校准句", 0.85 + share * 0.1)
        )
        before_after = [
            (reader.answer(lesson.kind, text, vector), after.answer(lesson.kind, text, vector))
            for (text, _), vector in zip(held, vectors, strict=True)
        ]
        report = _report(lesson, texts, missed, held, before_after, len(others), time.monotonic() - started)
        tell("完成", 1.0)
        return row, report

    def _learn(
        self, reader: ExtendedReader, lesson: Lesson, texts: Sequence[str], others: Sequence[str], tell: Progress
    ) -> tuple[Row, Material, Material]:
        head = reader.head(lesson.kind)
        vectors = self._vectors.vectors(reader, [*texts, *others], lambda share: tell("读训练句（首次较慢）", share))
        tell("学习", 1.0)
        near = Material.of(head, others, vectors[len(texts) :])
        mine = Material.of(head, texts, vectors[: len(texts)])
        return learn(near, mine, STRENGTHS[lesson.kind]), near, mine


def _silent(words: str, share: float) -> None:
    pass


def _addition(lesson: Lesson, row: Row) -> Addition:
    return Addition(lesson.kind, lesson.name, row, lesson.level1)


def _left_out(
    reader: ExtendedReader,
    lesson: Lesson,
    texts: Sequence[str],
    others: Material,
    mine: Material,
    tell: Callable[[float], None],
) -> list[str]:
    """The examples that are not recognised by a row that was learned without them."""
    folds = min(len(texts), _FOLDS if len(texts) <= _FOLDS else 10)
    missed = []
    for fold in range(folds):
        held = [i for i in range(len(texts)) if i % folds == fold]
        kept = [i for i in range(len(texts)) if i % folds != fold]
        row = learn(others, mine.only(kept), STRENGTHS[lesson.kind])
        tried = with_additions(reader, [*reader.additions, _addition(lesson, row)])
        missed += [texts[i] for i in held if tried.answer(lesson.kind, texts[i], mine.vectors[i]) != lesson.label]
        tell((fold + 1) / folds)
    return missed


# --- sentences -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _School:
    """Every sentence with its label ("" where it has none), by kind: to learn against, and to compare on."""

    taught: dict[Kind, list[tuple[str, str]]]
    held_out: dict[Kind, list[tuple[str, str]]]

    @classmethod
    def of(cls, folder: Path, known: Sequence[Lesson]) -> _School:
        intents = [(e.text, e.intent) for e in data.intents(folder / "nlu")]
        categories = [(e.text, f"{e.category1}/{e.category2}") for e in data.categories(folder / "categories")]
        dangers = [(e.text, "") for e in data.urgencies(folder / "danger")]
        calibration = [e for path in sorted((folder / "calibration").glob("*.jsonl")) for e in data.examples(path)]
        added: dict[Kind, list[tuple[str, str]]] = defaultdict(list)
        for lesson in known:
            added[lesson.kind] += [(text, lesson.label) for text in lesson.examples]
        requests = [(text, "") for text, _ in (*categories, *added["category"])]
        return cls(
            taught={
                "intent": [*intents, *added["intent"], *requests, *dangers],
                "category": [*categories, *added["category"]],
            },
            held_out={
                "intent": [(e.text, e.intent) for e in calibration],
                "category": [(e.text, f"{e.category1}/{e.category2}") for e in calibration if e.category1],
            },
        )

    def checked(self, lesson: Lesson) -> list[str]:
        """The examples without empty lines. Raises ExampleError for one that cannot be learned from."""
        seen: dict[str, int] = {}
        owners = {_plain(text): label for text, label in self.taught[lesson.kind] if label}
        owners |= {_plain(text): label for text, label in self.held_out[lesson.kind] if label.strip("/")}
        found = []
        for line, raw in enumerate(lesson.examples, 1):
            text = " ".join(raw.split())
            if not text:
                continue
            plain = _plain(text)
            if len(plain) < SHORTEST:
                raise ExampleError(line, f"“{text}”太短，请写成居民会说的一整句（至少 {SHORTEST} 个字）。")
            if len(plain) > LONGEST:
                raise ExampleError(line, f"这一句有 {len(plain)} 个字，太长了，请写到 {LONGEST} 个字以内。")
            if plain in seen:
                raise ExampleError(line, f"“{text}”和第 {seen[plain]} 行重复，请换一种说法。")
            owner = owners.get(plain)
            if owner is not None and owner != lesson.label:
                raise ExampleError(line, f"“{text}”已经是“{owner}”的例句，一句话不能属于两类，请换一句。")
            seen[plain] = line
            found.append(text)
        if len(found) < LEAST:
            raise ExampleError(None, f"只有 {len(found)} 句例句，至少要 {LEAST} 句，每句一行。")
        if len(found) > MOST:
            raise ExampleError(None, f"有 {len(found)} 句例句，最多 {MOST} 句，请挑最有代表性的。")
        return found

    def others(self, lesson: Lesson) -> list[str]:
        """Sentences that are not the lesson's, at most 1,500."""
        mine = {_plain(text) for text in lesson.examples}
        fitting = [row for row in self.taught[lesson.kind] if row[1] != lesson.label and _plain(row[0]) not in mine]
        return list(dict.fromkeys(text for text, _ in _some(fitting)))[:_OTHERS]

    def held(self, kind: Kind) -> list[tuple[str, str]]:
        """Sentences to compare on with their labels, at most 800."""
        return _some(self.held_out[kind])[:_HELD]


def _some(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The rows in such an order that every beginning holds all labels alike: the first of each, then the second of
    each. Those without a label, which are of every kind, come twenty at a turn."""
    of_label: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in dict.fromkeys(rows):
        of_label[row[1]].append(row)
    rng = random.Random(7)  # noqa: S311 (not for secrets)
    turns: list[tuple[float, tuple[str, str]]] = []
    for label, found in of_label.items():
        rng.shuffle(found)
        turns += [(turn * (1.0 if label.strip("/") else 0.05), row) for turn, row in enumerate(found)]
    return [row for _, row in sorted(turns, key=lambda item: item[0])]


def _plain(text: str) -> str:
    return _NOT_WORDS.sub("", text).lower()


# --- the report ----------------------------------------------------------------------------------------------------


def _report(
    lesson: Lesson,
    texts: Sequence[str],
    missed: Sequence[str],
    held: Sequence[tuple[str, str]],
    answers: Sequence[tuple[str, str]],
    others: int,
    seconds: float,
) -> Report:
    changes = [
        Change(text, before, after, right)
        for (text, right), (before, after) in zip(held, answers, strict=True)
        if before != after
    ]
    better = tuple(change for change in changes if change.after == change.right)
    worse = tuple(change for change in changes if change.after != change.right)
    known = [i for i, (_, right) in enumerate(held) if right and not right.endswith("/")]
    right = [held[i][1] for i in known]
    before = figures(right, [answers[i][0] for i in known])["per_class"] if known else {}
    after = figures(right, [answers[i][1] for i in known])["per_class"] if known else {}
    classes = tuple(
        Effect(name, int(was["support"]), was["f1"], after[name]["f1"])
        for name, was in before.items()
        if after[name]["f1"] != was["f1"]
    )
    dangers = sum(change.right == "report_danger" or change.before == "report_danger" for change in worse)
    found = len(texts) - len(missed)
    return Report(
        examples=len(texts),
        found=found,
        missed=tuple(missed),
        compared=len(held),
        worse=worse[:_SHOWN],
        better=better[:_SHOWN],
        classes=tuple(sorted(classes, key=lambda effect: effect.after - effect.before)),
        dangers=dangers,
        learned_against=others,
        seconds=round(seconds, 1),
        summary=_summary(lesson, len(texts), found, len(held), worse, classes, dangers),
    )


def _summary(
    lesson: Lesson,
    examples: int,
    found: int,
    compared: int,
    worse: Sequence[Change],
    classes: Sequence[Effect],
    dangers: int,
) -> str:
    parts = [f"把例句逐一拿掉再认，{examples} 句里认出 {found} 句。"]
    if found < examples * 0.6:
        parts.append("认出的偏少：多写些居民真实的、说法各异的句子再试。")
    if not worse:
        parts.append(f"对照 {compared} 句校准句，没有一句变差。")
    else:
        were_right = sum(change.before == change.right for change in worse)
        parts.append(f"对照 {compared} 句校准句，有 {len(worse)} 句改判成了“{lesson.name}”，")
        parts.append(f"其中 {were_right} 句原来认得对。" if were_right else "这些原来也没有认对，或没有标准答案。")
    lost = [effect for effect in classes if effect.after < effect.before]
    if lost:
        named = "、".join(f"{effect.label}（F1 {effect.before:.2f} → {effect.after:.2f}）" for effect in lost[:5])
        parts.append(f"变差的：{named}{'等' if len(lost) > 5 else ''}。")
    if dangers:
        parts.append(f"其中 {dangers} 句说的是险情，不能启用：请改掉像险情的例句。")
    return "".join(parts)
