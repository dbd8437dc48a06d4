"""The figures of every head: what is counted, over which rows, for every side that has an answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.intervals import Interval, Statistic, accuracy, difference, interval, macro_f1, share
from benchmarks.rivals import Answer, Pair, Span
from nlu import data, evaluate, fit, labels

REFUSALS = ("out_of_scope", labels.FALLBACK)

Answers = dict[str, list[Answer]]
"""What each side says, one answer a row; the first side is ours."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of every side that has it; `lower` says that less is better.

    `gain` is ours less that of the best other side, `rival`.
    """

    head: str
    data: str
    n: int
    name: str
    sides: dict[str, Interval]
    lower: bool = False
    rival: str | None = None
    gain: Interval | None = None

    @property
    def errors(self) -> float | None:
        """Our errors over the best rival's: below 1 we make fewer."""
        if self.rival is None:
            return None
        values = next(iter(self.sides.values())).value, self.sides[self.rival].value
        mine, other = values if self.lower else (1 - value for value in values)
        return round(mine / other, 2) if other else None


@dataclass(slots=True)
class Sheet:
    """Collects figures."""

    resamples: int
    seed: int
    figures: list[Figure] = field(default_factory=list)

    def add(
        self, head: str, data: str, n: int, name: str, by_side: dict[str, Statistic | None], *, lower: bool = False
    ) -> None:
        """Adds a figure of `n` rows; a side with None has no answer. Fewer than two rows have no interval: left out."""
        known = {side: statistic for side, statistic in by_side.items() if statistic is not None}
        if n < 2 or not known:
            return
        found = {side: interval(statistic, n, self.resamples, self.seed) for side, statistic in known.items()}
        mine, *others = found
        rival = min(others, key=lambda side: found[side].value * (1 if lower else -1), default=None)
        gain = None
        if rival is not None:
            gain = interval(difference(known[mine], known[rival]), n, self.resamples, self.seed)
        self.figures.append(Figure(head, data, n, name, found, lower, rival, gain))


def labelled(
    sheet: Sheet, head: str, source: str, answers: Answers, known: Sequence[str], get: Callable[[Answer], str | None]
) -> None:
    """Macro-F1 and accuracy of a head that gives one label."""
    sheet.add(head, source, len(known), "macro-F1", _each(answers, get, lambda found: macro_f1(known, found)))
    sheet.add(head, source, len(known), "accuracy", _each(answers, get, lambda found: accuracy(known, found)))


def intents(sheet: Sheet, rows: Sequence[data.Example], answers: Answers) -> None:
    """Intents, and what is refused (answered out of scope or not understood): rightly and wrongly."""
    known = [row.intent for row in rows]
    labelled(sheet, "intent", "intents", answers, known, lambda a: a.intent)
    for outside, name in ((True, "out-of-scope recall"), (False, "false rejection")):
        kept = [i for i, intent in enumerate(known) if (intent == "out_of_scope") == outside]
        refused = _each(_only(answers, kept), lambda a: a.intent, lambda found: share([x in REFUSALS for x in found]))
        sheet.add("intent", "intents", len(kept), name, refused, lower=not outside)


def categories(sheet: Sheet, rows: Sequence[data.Example], answers: Answers) -> None:
    """Request type, both levels of category, urgency."""
    source = "categories"
    labelled(sheet, "request type", source, answers, [r.request_type for r in rows], lambda a: a.request_type)
    labelled(sheet, "category level 1", source, answers, [r.category1 for r in rows], lambda a: a.category1)
    right = [f"{row.category1}/{row.category2}" for row in rows]
    for top in (1, 3):
        figure = _among_first(right, top)
        sheet.add("category level 2", source, len(rows), f"top-{top}", _each(answers, lambda a: a.category2, figure))
    labelled(sheet, "urgency", source, answers, [r.urgency for r in rows], lambda a: a.urgency)


def dangers(sheet: Sheet, rows: Sequence[dict[str, Any]], answers: Answers) -> None:
    """Danger found, and cried wrongly: over all rows and by kind."""
    truth = np.array([bool(row["danger"]) for row in rows])
    recall = _each(answers, lambda a: a.danger, lambda found: share(truth & np.array(found), truth))
    precision = _each(answers, lambda a: a.danger, lambda found: share(truth & np.array(found), np.array(found)))
    sheet.add("danger", "danger", len(rows), "recall", recall)
    sheet.add("danger", "danger", len(rows), "precision", precision)
    for is_danger, name in ((True, "recall"), (False, "false alarms")):
        for kind in dict.fromkeys(row["kind"] for row in rows if bool(row["danger"]) == is_danger):
            kept = [i for i, row in enumerate(rows) if row["kind"] == kind and bool(row["danger"]) == is_danger]
            cried = _each(_only(answers, kept), lambda a: a.danger, share)
            sheet.add("danger", "danger", len(kept), f"{name}: {kind}", cried, lower=not is_danger)


def several(sheet: Sheet, rows: Sequence[data.Compound], answers: Answers) -> None:
    """Messages with several requests: the sets at both levels, and the level 1 of the main one."""
    head, source, n = "several requests", "compounds", len(rows)
    right = [row.categories for row in rows]
    for level in (1, 2):
        sheet.add(
            head, source, n, f"set-F1, level {level}", _each(answers, lambda a: a.requests, _set_f1(right, level))
        )
    main = [pairs[0][0] for pairs in right]
    first = _each(answers, _main, lambda found: accuracy(main, found))
    sheet.add(head, source, n, "main one, level 1", first)


def entities(sheet: Sheet, rows: Sequence[tuple[str, list[Span]]], answers: Answers) -> None:
    """F1 of exact spans, over the annotated types together and each."""
    right = [frozenset(spans) for _, spans in rows]
    kinds = [kind for kind in labels.ENTITY_TYPES if any(span[0] == kind for spans in right for span in spans)]
    _span_figures(sheet, "entities", "entities", right, answers, {"all types (micro)": kinds} | {k: [k] for k in kinds})


def addresses(sheet: Sheet, rows: Sequence[tuple[str, list[Span]]], answers: Answers) -> None:
    """F1 of exact spans: the parts of places together, each, and the whole place from the first part to the last."""
    right = [
        frozenset([*spans, ("place", min(s[1] for s in spans), max(s[2] for s in spans))] if spans else [])
        for _, spans in rows
    ]
    groups = {"all parts (micro)": [*labels.PLACE_PARTS]} | {kind: [kind] for kind in labels.PLACE_PARTS}
    _span_figures(sheet, "places", "addresses", right, answers, groups | {"whole place": ["place"]})


def calibration(sheet: Sheet, source: str, head: str, sure: dict[str, tuple[Sequence[float], Sequence[bool]]]) -> None:
    """Expected calibration error: the gap between how sure each side is and how often it is right."""
    n = max(len(right) for _, right in sure.values())
    sheet.add(head, source, n, "ECE", {side: _ece(*found) for side, found in sure.items()}, lower=True)


def _each(
    answers: Answers, get: Callable[[Answer], Any], figure: Callable[[Any], Statistic]
) -> dict[str, Statistic | None]:
    """The figure of every side; None for one that left a row unanswered."""
    values = {side: [get(answer) for answer in found] for side, found in answers.items()}
    return {side: None if any(v is None for v in found) else figure(found) for side, found in values.items()}


def _main(answer: Answer) -> str | None:
    if answer.requests is None:
        return None
    return answer.requests[0][0] if answer.requests else ""


def _only(answers: Answers, kept: Sequence[int]) -> Answers:
    return {side: [found[i] for i in kept] for side, found in answers.items()}


def _among_first(right: Sequence[str], top: int) -> Callable[[Sequence[tuple[str, ...]]], Statistic]:
    return lambda found: share([name in ranking[:top] for name, ranking in zip(right, found, strict=True)])


def _set_f1(right: Sequence[tuple[Pair, ...]], level: int) -> Callable[[Sequence[tuple[Pair, ...]]], Statistic]:
    def figure(found: Sequence[tuple[Pair, ...]]) -> Statistic:
        sets = [[{"/".join(pair[:level]) for pair in pairs} for pairs in rows] for rows in (found, right)]
        return share([evaluate.set_f1([mine], [true]) for mine, true in zip(*sets, strict=True)])

    return figure


def _span_figures(
    sheet: Sheet,
    head: str,
    source: str,
    right: Sequence[frozenset[Span]],
    answers: Answers,
    groups: Mapping[str, Iterable[str]],
) -> None:
    for name, kinds in groups.items():
        figures = _each(answers, lambda a: a.spans, _span_f1(right, frozenset(kinds)))
        sheet.add(head, source, len(right), f"F1: {name}", figures)


def _span_f1(
    right: Sequence[frozenset[Span]], kinds: frozenset[str]
) -> Callable[[Sequence[frozenset[Span]]], Statistic]:
    def figure(found: Sequence[frozenset[Span]]) -> Statistic:
        hits, total = [], []
        for mine, true in zip(found, right, strict=True):
            hits.append(2 * sum(span in true for span in mine if span[0] in kinds))
            total.append(sum(span[0] in kinds for span in [*mine, *true]))
        return share(hits, total)

    return figure


def _ece(sure: Sequence[float], right: Sequence[bool]) -> Statistic:
    confidence: npt.NDArray[np.float32] = np.asarray(sure, np.float32)
    answers = np.column_stack([confidence, np.zeros_like(confidence)])
    truth = np.where(right, 0, 1)
    return lambda rows: fit.calibration_error(answers[rows], truth[rows])
