"""One event or two: the model of `assistant/tickets/duplicates.py` on pairs of requests, beside cosine alone.

    python benchmarks/duplicates.py          # figures on the frozen test pairs
    python benchmarks/duplicates.py --fit    # fit weights and thresholds on the other pairs, write duplicates.json

The pairs of tests/tickets/data were written by four authors: three wrote what is fitted on, one what figures are of.
Vectors and request types come from the language model in models/nlu, matters from the city's routing model, as in the
application. Fitting also prints how well each author's pairs are told by weights that were fitted on the others'.
"""

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold

from assistant import matters
from assistant.city import City
from assistant.tickets import duplicates
from assistant.tickets.duplicates import FEATURES, Report, SameEvent, compare_reports, features
from assistant.tickets.place_keys import spot_of, without_names
from benchmarks.intervals import interval
from nlu.runtime import Reader

ROOT = Path(__file__).resolve().parents[1]
CITY = ROOT / "city/demo"
EXAMPLES = ROOT / "training_data/nlu"
PAIRS = ROOT / "tests/tickets/data"
NEVER = ("other_number", "other_building")
_START = datetime(2026, 1, 5, tzinfo=UTC)
_FOLDS = StratifiedKFold(10, shuffle=True, random_state=7)
_STRENGTH, _WEIGHT_OF_MOVED = 3.0, 0.2  # both by the left-out folds
_LATER = (20, 300, 2000, 9000, 20000)  # minutes
_SUREST = 0.99  # asked of a city that lets nothing be merged by itself
_ASKED_IN_VAIN = 0.1  # share of moved pairs of which a resident would be asked
_AS_GOOD = 0.005  # F1 is flat at its top: of what is as good, the threshold that merges least
_TRIED = tuple(float(round(n / 100, 2)) for n in range(5, 96))
Scores = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pair:
    kind: str
    same: bool
    author: str
    one: Report
    other: Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit on pairs_dev.jsonl and write duplicates.json")
    parser.add_argument("--model-dir", type=Path, default=ROOT / "models/nlu")
    parser.add_argument("--resamples", type=int, default=2000)
    given = parser.parse_args()
    city, reader = City.load(CITY), Reader.load(given.model_dir)
    learned = read_pairs(PAIRS / "pairs_dev.jsonl", city, reader)
    if given.fit:
        fit(learned)
        return
    pairs = read_pairs(PAIRS / "pairs.jsonl", city, reader)
    report(pairs, learned, city, given.resamples)


def read_pairs(path: Path, city: City, reader: Reader) -> list[Pair]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [row[side]["text"] for row in rows for side in ("a", "b")]
    inquiries = [reading.request_type.name == "咨询" for reading in reader.read_many(texts)]
    said = [row[side] for row in rows for side in ("a", "b")]
    reports = [_report(each, city, inquiry) for each, inquiry in zip(said, inquiries, strict=True)]
    vectors = reader.embed([each.compared_text for each in reports], "passage")
    tell = matters.load(CITY, partial(reader.embed, kind="query"), reader.encoder_id)
    assert tell is not None, "the city has no routing model for this language model: minsheng tickets learn"
    whole = [
        replace(each, vector=vector, matters=tell.profile(each.compared_text, vector))
        for each, vector in zip(reports, vectors, strict=True)
    ]
    return [Pair(row["kind"], row["same"], row["id"][0], *whole[2 * n : 2 * n + 2]) for n, row in enumerate(rows)]


def _report(said: dict[str, str], city: City, inquiry: bool) -> Report:
    spot = spot_of(said["place"], said["text"], city.resolve_place, districts=city.district_words)
    at = _START + timedelta(minutes=int(said["minutes"]))
    return Report(said["text"], spot, said["category1"], said["category2"], at, None, inquiry)


# --- fitting ---------------------------------------------------------------------------------------------------------


def fit(pairs: Sequence[Pair]) -> None:
    """Logistic regression with signs that make sense, thresholds from the scores of left-out folds.

    The pairs hold few requests from one place about different matters, which is what most candidates are in life, and
    same pairs are longer than others. So requests are also moved to the place of another one and count, a little, as
    pairs that differ: no weight then says that one place is one event, or that long texts are.
    """
    stored: dict[str, object] = {"rarity": rarity()}
    # What `features` reads must be there first.
    duplicates.FILE.write_text(json.dumps(stored), encoding="utf-8")
    possible = [pair for pair in pairs if SameEvent.is_possible(pair.one, pair.other)]
    stored["weights"] = _fitted(possible, FEATURES)
    stored["weights_without_matters"] = _fitted(possible, [name for name in FEATURES if name != "matter"])
    bare = [name for name in FEATURES if name not in ("cosine", "matter")]
    stored["weights_without_vector"] = _fitted(possible, bare)
    truth = np.array([pair.same for pair in possible])
    scores, moved = _left_out(possible, list(_FOLDS.split(truth, truth)))
    same = np.array([pair.same for pair in pairs])
    stored |= _thresholds(_of_all(pairs, possible, scores), same, moved)
    _print_authors(pairs, possible)
    duplicates.FILE.write_text(json.dumps(stored, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({**stored, "rarity": "…"}, ensure_ascii=False, indent=1))


def rarity() -> dict[str, str]:
    """Characters by inverse document frequency over the project's own example sentences: weight → characters."""
    lines = [line for path in sorted(EXAMPLES.rglob("*.yml")) for line in path.read_text(encoding="utf-8").splitlines()]
    counts = Counter(char for line in lines for char in set(line) if "\u4e00" <= char <= "\u9fff")
    by_weight: dict[float, str] = {}
    for char, count in sorted(counts.items()):
        weight = round(math.log(len(lines) / (1 + count)) * 2) / 2
        by_weight[weight] = by_weight.get(weight, "") + char
    return {str(weight): by_weight[weight] for weight in sorted(by_weight)}


def _fitted(pairs: Sequence[Pair], names: Sequence[str]) -> dict[str, float]:
    """Weights of the features as they are, with `bias`."""
    moved = _moved(pairs, seed=1)
    table = _table([*pairs, *moved], names)
    truth = np.array([pair.same for pair in (*pairs, *moved)])
    mean, scale = table.mean(0), table.std(0) + 1e-9
    each = np.concatenate([np.ones(len(pairs)), np.full(len(moved), _WEIGHT_OF_MOVED)])
    found = _minimum((table - mean) / scale, truth, each, _bounds(names))
    weights = found[:-1] / scale
    rounded = {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)}
    return {"bias": round(float(found[-1] - weights @ mean), 4), **rounded}


def _minimum(
    table: Scores, truth: npt.NDArray[np.bool_], each: Scores, bounds: list[tuple[float | None, float | None]]
) -> Scores:
    signs = np.where(truth, 1.0, -1.0)

    def loss(weights: Scores) -> tuple[float, Scores]:
        margin = signs * (table @ weights[:-1] + weights[-1])
        slope = -_STRENGTH * each * signs / (1 + np.exp(margin))
        value = _STRENGTH * (each * np.logaddexp(0, -margin)).sum() + (weights[:-1] ** 2).sum() / 2
        return float(value), np.append(table.T @ slope + weights[:-1], slope.sum())

    start = np.zeros(table.shape[1] + 1)
    return np.asarray(minimize(loss, start, jac=True, bounds=[*bounds, (None, None)], method="L-BFGS-B").x)


def _bounds(names: Sequence[str]) -> list[tuple[float | None, float | None]]:
    return [(None, 0.0) if name in duplicates.SPEAKS_AGAINST else (0.0, None) for name in names]


def _moved(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Of every same pair three that differ: another request, most of the same category, told of the same place."""
    rng = random.Random(seed)
    reports = [(n, report) for n, pair in enumerate(pairs) for report in (pair.one, pair.other)]
    made = []
    for n, pair in enumerate(pairs):
        if not pair.same:
            continue
        others = [report for m, report in reports if m != n]
        alike = [report for report in others if report.category2 == pair.one.category2]
        for other in (*rng.sample(alike, min(2, len(alike))), rng.choice(others)):
            there = replace(
                other,
                text=without_names(other.text, other.spot),
                spot=pair.one.spot,
                at=pair.one.at + timedelta(minutes=rng.choice(_LATER)),
            )
            made.append(Pair("moved", False, pair.author, pair.one, there))
    return made


def _left_out(pairs: Sequence[Pair], folds: Sequence[tuple[Rows, Rows]]) -> tuple[Scores, Scores]:
    """Scores of each pair, and of moved ones, by weights that were fitted without them."""
    scores, moved = np.zeros(len(pairs)), []
    for learned, asked in folds:
        weights = _fitted([pairs[n] for n in learned], FEATURES)
        scores[asked] = _scores([pairs[n] for n in asked], weights)
        moved.append(_scores(_moved([pairs[n] for n in asked], seed=2), weights))
    return scores, np.concatenate(moved)


def _of_all(pairs: Sequence[Pair], possible: Sequence[Pair], scores: Scores) -> Scores:
    known = {id(pair): score for pair, score in zip(possible, scores, strict=True)}
    return np.array([known.get(id(pair), 0.0) for pair in pairs])


def _print_authors(pairs: Sequence[Pair], possible: Sequence[Pair]) -> None:
    """What a new author will find: the threshold, too, is the one of the other authors' left-out folds."""
    authors, truth = np.array([pair.author for pair in pairs]), np.array([pair.same for pair in pairs])
    said = np.zeros(len(pairs), bool)
    for author in sorted(set(authors)):
        learned, asked = ([pair for pair in pairs if (pair.author == author) is own] for own in (False, True))
        others, theirs = ([pair for pair in possible if (pair.author == author) is own] for own in (False, True))
        same = np.array([pair.same for pair in others])
        scores, _ = _left_out(others, list(_FOLDS.split(same, same)))
        least = _best(_of_all(learned, others, scores), truth[authors != author])
        rows = authors == author
        said[rows] = _of_all(asked, theirs, _scores(theirs, _fitted(others, FEATURES))) >= least
        print(f"left-out author {author}: F1 {_f1(truth[rows], said[rows]):.3f} from {least}")
    print(f"left-out authors: F1 {_f1(truth, said):.3f}", end=", ")
    print(f"precision {truth[said].mean():.3f}, recall {said[truth].mean():.3f}")
    _print_kinds(pairs, {"left-out authors": said})


def _scores(pairs: Sequence[Pair], weights: dict[str, float]) -> Scores:
    return np.asarray(1 / (1 + np.exp(-(_table(pairs, FEATURES) @ [weights[n] for n in FEATURES] + weights["bias"]))))


def _table(pairs: Sequence[Pair], names: Sequence[str]) -> Scores:
    found = (features(pair.one, pair.other, compare_reports(pair.one, pair.other)) for pair in pairs)
    return np.array([[row[name] for name in names] for row in found])


def _thresholds(scores: Scores, truth: npt.NDArray[np.bool_], moved: Scores) -> dict[str, float]:
    same = _best(scores, truth)
    offer = min(t for t in _TRIED if t >= same and (moved >= t).mean() <= _ASKED_IN_VAIN)
    print(f"left-out folds: F1 {_f1(truth, scores >= same):.3f} from {same}")
    for threshold in (same, offer, 0.8, 0.9, 0.95, 0.97):
        chosen = scores >= threshold
        print(f"  from {threshold}: precision {truth[chosen].mean():.3f}, recall {chosen[truth].mean():.3f}", end="")
        print(f", of moved ones {(moved >= threshold).mean():.3f}")
    return {"same": float(same), "offer": float(offer)}


def _best(scores: Scores, truth: npt.NDArray[np.bool_]) -> float:
    f1 = {threshold: _f1(truth, scores >= threshold) for threshold in _TRIED}
    return max(threshold for threshold, found in f1.items() if found >= max(f1.values()) - _AS_GOOD)


# --- figures ---------------------------------------------------------------------------------------------------------


def report(pairs: Sequence[Pair], learned: Sequence[Pair], city: City, resamples: int) -> None:
    event = SameEvent.load()
    truth = np.array([pair.same for pair in pairs])
    judged = [event.judge(pair.one, pair.other) for pair in pairs]
    scores = np.array([each.score for each in judged])
    cosines = np.array([_cosine(pair) for pair in pairs])
    cut = _thresholds_of_cosine(learned)
    answers = {"Minsheng": scores >= event.same, f"cosine ≥ {cut}": cosines >= cut}
    print(f"{len(pairs)} pairs; same from {event.same}, residents are asked from {event.offer}")
    for name, said in answers.items():
        found = interval(partial(_f1_of, truth, said), len(pairs), resamples, 1)
        precision, recall = truth[said].mean(), said[truth].mean()
        print(f"{name:16} F1 {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]", end="  ")
        print(f"precision {precision:.3f} recall {recall:.3f}")
    offered = scores >= event.offer
    print(f"asked: recall {offered[truth].mean():.3f}, precision {truth[offered].mean():.3f}")
    least = city.facts.merging.automatic or _SUREST
    by_itself = np.array([j.score >= least and j.mergeable for j in judged])
    print(
        f"would be merged by itself from {least}: {by_itself.sum()} pairs, {by_itself[truth].sum()} of them one event"
    )
    for name, less in (("matters", _without_matters), ("vectors", _without_vectors)):
        bare = np.array([event.judge(less(pair.one), less(pair.other)).score for pair in pairs])
        print(f"without {name}: F1 {_f1(truth, bare >= event.same):.3f}")
    _print_kinds(pairs, answers)
    for kind in NEVER:
        rows = [n for n, pair in enumerate(pairs) if pair.kind == kind]
        print(f"{kind}: {(scores[rows] >= event.same).sum()} called the same, {by_itself[rows].sum()} merged by itself")


def _print_kinds(pairs: Sequence[Pair], answers: dict[str, npt.NDArray[np.bool_]]) -> None:
    rows: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        rows[not pair.same, pair.kind].append(n)
    print(f"{'right of':16} {'':>5}" + "".join(f"{name:>16}" for name in answers))
    for (different, kind), numbers in sorted(rows.items()):
        right = (int((said[numbers] != different).sum()) for said in answers.values())
        print(f"{kind:16} {len(numbers):5}" + "".join(f"{count:16}" for count in right))


def _cosine(pair: Pair) -> float:
    assert pair.one.vector is not None and pair.other.vector is not None
    return float(pair.one.vector @ pair.other.vector)


def _thresholds_of_cosine(learned: Sequence[Pair]) -> float:
    truth, cosines = np.array([pair.same for pair in learned]), np.array([_cosine(pair) for pair in learned])
    return float(max(np.round(np.arange(0.7, 1, 0.005), 3), key=lambda cut: _f1(truth, cosines >= cut)))


def _without_matters(report: Report) -> Report:
    return replace(report, matters=None)


def _without_vectors(report: Report) -> Report:
    return replace(report, matters=None, vector=None)


def _f1_of(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_], rows: npt.NDArray[np.intp]) -> float:
    return _f1(truth[rows], said[rows])


def _f1(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> float:
    return float(2 * (truth & said).sum() / max(truth.sum() + said.sum(), 1))


if __name__ == "__main__":
    main()
