"""Which unit leads: our own 600 requests, each with the unit that the matrix names, routed end to end and with the
category given.

    python benchmarks/routing.py [--fit] [--no-model] [--resamples 2000] [--json FILE]

"end to end": category and confidences as the language model reads them, the place as the resident wrote it.
"category given": the one that a careful agent would choose. `--fit` finds the weights of `assistant/tickets/routing.py`
on the city's `routing_examples.jsonl`, which no figure below comes from. What examples taught is told there by models
that did not see the row; words of `sayings.yml` that only one of those rows says, and no training sentence of its
category, do not count for that row, since it may have given the word.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assistant.city import City  # noqa: E402
from assistant.matters import Embed, load  # noqa: E402
from assistant.matters_training import EXAMPLES, Example, learn  # noqa: E402
from assistant.tickets.evidence import (  # noqa: E402
    Evidence,
    Features,
    Tell,
    Weights,
    likelihoods,
    probabilities_of,
)
from assistant.tickets.routing import Router  # noqa: E402
from benchmarks.intervals import Interval, interval, share  # noqa: E402
from benchmarks.machine import describe  # noqa: E402
from nlu import data  # noqa: E402
from nlu.runtime import Reader, Understanding  # noqa: E402

AIMS = {"lead unit first": 0.95, "among three": 0.99, "automatic": 0.85, "right of automatic": 0.97}
FOLDS, LEARNED_FOLDS = 4, 6


@dataclass(frozen=True, slots=True)
class Row:
    """A request with what a careful agent says about it."""

    id: str
    text: str
    rule: str
    category1: str
    category2: str
    place: str | None
    district: str | None
    lead: str


def rows(file: Path) -> list[Row]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


@dataclass(frozen=True, slots=True)
class Given:
    """What routing gets beside text and place."""

    category1: str
    category2: str | None
    confidences: Mapping[str, Any]


def by_agent(row: Row) -> Given:
    return Given(row.category1, row.category2, {})


def by_model(read: Understanding) -> Given:
    """As the dialogue fills a draft."""
    sure: dict[str, Any] = {
        "category1": read.category1.confidence,
        "candidates": [[label.name, label.confidence] for label in read.category2_ranking],
        "model": read.model_version,
    }
    if read.category2 is not None:
        sure["category2"] = read.category2.confidence
    return Given(read.category1.name, read.category2.name if read.category2 else None, sure)


def measured(
    router: Router, city: City, found: Sequence[Row], given: Sequence[Given], resamples: int
) -> dict[str, Any]:
    """The figures of AIMS with their intervals, the district's, and the curve of thresholds."""
    first, third, automatic, right, places, sure = [], [], [], [], [], []
    for row, one in zip(found, given, strict=True):
        place = city.find_place(row.place, row.text)
        route = router.route(one.category1, one.category2, row.text, place, one.confidences)
        units = [candidate.unit for candidate in route.routing.candidates]
        first.append(units[0] == row.lead)
        third.append(row.lead in units)
        automatic.append(not route.routing.review)
        right.append(automatic[-1] and route.lead_unit == row.lead)
        places.append(place.district == row.district)
        sure.append(route.routing.confidence)

    def of(part: Sequence[bool], whole: Sequence[bool] | None = None) -> Interval:
        return interval(share(part, whole), len(found), resamples, seed=7)

    figures = {
        "lead unit first": of(first),
        "among three": of(third),
        "automatic": of(automatic),
        "right of automatic": of(right, automatic),
        "district": of(places),
    }
    return {**figures, "curve": curve(np.array(sure), np.array(first))}


def curve(sure: Any, right: Any) -> list[tuple[float, float, float]]:
    """Threshold, share that goes automatically, share of those that is right."""
    points = []
    for threshold in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97):
        over = sure >= threshold
        points.append((threshold, float(over.mean()), float(right[over].mean()) if over.any() else 1.0))
    return points


# --- fitting -------------------------------------------------------------------------------------------------------


def fit(city: City, told: Any, given: Sequence[Given], found: Sequence[Row]) -> tuple[Weights, str]:
    """Weights of greatest likelihood of the lead units, and how they do on rows that each of FOLDS left out.

    Args:
        told: log-probabilities of the rules, (rows, rules), by models that did not see the row; None: words alone.
    """
    evidence = Evidence(city)
    ignored = _given_by_one_row(city, found)
    router = Router(city)
    units = np.array([[router.unit_of(r, p) for r in evidence.rules] for p in _places(city, found)])
    right = units == np.array([row.lead for row in found])[:, None]
    several = _stacked(
        [
            evidence.features(_likely(city, one), row.text, lost)
            for row, one, lost in zip(found, given, ignored, strict=True)
        ]
    )
    if told is not None:
        several = replace(several, told=told)
    start = np.array([2.0, 0, 2, 0, 0, 0, 0, -1, 2, -0.5, -1.5, 0.0 if told is None else 0.5])

    def weights(values: Any) -> Weights:
        return _weights(values, told is not None)

    def loss(values: Any, part: Any) -> float:
        known = likelihoods(several, weights(values), evidence.of_matter, evidence.categories)
        return -float(np.log((known * right).sum(1) + 1e-5)[part].mean()) + 0.003 * float(((values - start) ** 2).sum())

    def best(part: Any) -> Any:
        return optimize.minimize(loss, start, args=(part,), method="L-BFGS-B", options={"maxiter": 60}).x

    folds = np.random.default_rng(0).permutation(len(found)) % FOLDS
    sure, hit = np.zeros(len(found)), np.zeros(len(found), bool)
    for fold in range(FOLDS):
        values = best(np.flatnonzero(folds != fold))
        likely = likelihoods(several, weights(values), evidence.of_matter, evidence.categories)
        for n in np.flatnonzero(folds == fold).tolist():
            shares: Counter[str] = Counter()
            for unit, likelihood in zip(units[n], likely[n], strict=True):
                shares[unit] += likelihood
            (unit, confidence), *_ = shares.most_common(1)
            sure[n], hit[n] = confidence, unit == found[n].lead
    report = f"left-out rows: first {hit.mean():.3f}; " + _points(curve(sure, hit))
    return _rounded(weights(best(np.arange(len(found))))), report


def told_by_others(city: City, found: Sequence[Row], embed: Embed) -> Any:
    """Log-probabilities of the rules for each row, (rows, rules), by a model learned without the row's fold."""
    evidence = Evidence(city)
    names = [rule.name for rule in evidence.rules]
    folds = np.random.default_rng(1).permutation(len(found)) % LEARNED_FOLDS
    result = np.zeros((len(found), len(names)))
    for fold in range(LEARNED_FOLDS):
        rest = [Example(row.text, row.rule) for row, f in zip(found, folds, strict=True) if f != fold]
        here = np.flatnonzero(folds == fold).tolist()
        learned = learn(rest, embed, names, [Example(found[n].text, found[n].rule) for n in here])
        of_rule = {name: k for k, name in enumerate(learned.config["labels"])}
        # A row whose rule is too rare there was not judged: as a model in use, it says nothing of that rule.
        judged = iter(learned.probabilities)
        for n in here:
            if found[n].rule not in of_rule:
                continue
            known = np.log(np.maximum(next(judged), 1e-6))
            result[n] = [known[of_rule[name]] if name in of_rule else float(np.median(known)) for name in names]
    return result


def _stacked(several: Sequence[Features]) -> Features:
    return Features(
        first=np.stack([one.first for one in several]),
        second=np.stack([one.second for one in several]),
        sisters=np.stack([one.sisters for one in several]),
        rest=np.array([[one.rest] for one in several]),
        words=np.stack([one.words for one in several], axis=1),
        told=np.stack([one.told for one in several]),
    )


def _rounded(weights: Weights) -> Weights:
    told: dict[str, Any] = {
        name: tuple(round(v, 2) for v in value) if isinstance(value, tuple) else round(value, 4)
        for name, value in asdict(weights).items()
    }
    return Weights(**told)


def _weights(values: Any, taught: bool) -> Weights:
    def share_of(value: float) -> float:
        return float(1 / (1 + np.exp(-value)))

    power = [float(np.exp(value)) for value in values[3:9]]
    return Weights(
        trust=share_of(values[0]), family=share_of(values[1]), second_home=share_of(values[2]), prior=power[0],
        words=(power[1], power[2], power[3], power[4]), most=power[5],
        unnamed=float(values[9]), unnamed_matter=float(values[10]),
        told=float(values[11]) if taught else 0.0,
    )  # fmt: skip


def _likely(city: City, given: Given) -> dict[str, float]:
    inside = [f"{given.category1}/{category.level2}" for category in city.categories_of(given.category1)]
    chosen = f"{given.category1}/{given.category2}"
    return probabilities_of(chosen if chosen in inside else given.category1, inside, given.confidences)


def _places(city: City, found: Sequence[Row]) -> list[Any]:
    return [city.find_place(row.place, row.text) for row in found]


def _given_by_one_row(city: City, found: Sequence[Row]) -> list[set[str]]:
    """Per row the sayings that it may have given: no other row says them, nor a training sentence of the category."""
    lost: list[set[str]] = [set() for _ in found]
    taught = data.categories(ROOT / "training_data" / "categories")
    for rule in city.matrix.rules:
        sentences = [e.text for e in taught if f"{e.category1}/{e.category2}" in rule.category]
        for word in rule.sayings.clear:
            parts = word.split("+")
            saying = [n for n, row in enumerate(found) if all(part in row.text for part in parts)]
            if len(saying) == 1 and not any(all(part in text for part in parts) for text in sentences):
                lost[saying[0]].add(word)
    return lost


# --- telling -------------------------------------------------------------------------------------------------------


def _points(points: Sequence[tuple[float, float, float]]) -> str:
    return ", ".join(f"≥{t:g}: {a:.3f} automatic, {r:.3f} right" for t, a, r in points)


def _tell(name: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{name}")
    for what, figure in figures.items():
        if isinstance(figure, Interval):
            aim = f"  aim {AIMS[what]:.2f}" if what in AIMS else ""
            print(f"  {what:<19}{figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]{aim}")
    print("  threshold " + _points(figures["curve"]))


def main() -> None:
    """Measure, or fit, and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--fit", action="store_true")
    options.add_argument("--no-model", action="store_true", help="words and given categories only")
    options.add_argument("--city", type=Path, default=ROOT / "city" / "demo")
    options.add_argument("--model", type=Path, default=ROOT / "models" / "nlu")
    options.add_argument("--resamples", type=int, default=2000)
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    city = City.load(asked.city)
    reader = None if asked.no_model else Reader.load(asked.model)
    found = rows(asked.city / (EXAMPLES if asked.fit else "routing_cases.jsonl"))
    sides: dict[str, list[Given]] = {"category given": [by_agent(row) for row in found]}
    if reader is not None:
        sides["end to end"] = [by_model(read) for read in reader.read_many([row.text for row in found])]
    if asked.fit:
        told = None if reader is None else told_by_others(city, found, lambda texts: reader.embed(texts, "query"))
        tried = {"WORDS_ONLY": (None, sides["category given"])}
        if reader is not None:
            tried |= {"BY_PERSON": (told, sides["category given"]), "BY_MODEL": (told, sides["end to end"])}
        for name, (known, given) in tried.items():
            weights, report = fit(city, known, given, found)
            print(f"{name} = {weights}\n{report}", flush=True)
        return
    tells: dict[str, Tell | None] = {"words": None}
    if reader is not None:
        tells["words and examples"] = load(asked.city, lambda texts: reader.embed(texts, "query"), reader.encoder_id)
    result: dict[str, Any] = {"machine": describe("numpy"), "rows": len(found)}
    for name, given in sides.items():
        for kind, tell in tells.items():
            figures = measured(Router(city, tell), city, found, given, asked.resamples)
            _tell(f"{name}, {kind}", figures)
            result[f"{name}, {kind}"] = {k: asdict(v) if isinstance(v, Interval) else v for k, v in figures.items()}
    if asked.json:
        asked.json.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
