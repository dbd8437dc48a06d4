"""Find out when an answer is good enough to give, and write it down with how it was found.

    python -m kb.calibrate --data ../shared/data --policies city/demo/policies --phrasings city/demo/phrasings

Needed again when the encoder changes. Material: our own questions about the sample entries and about other matters
(`data/calibration_questions.jsonl`), about what the entries say and what they just do not (`data/near_questions.jsonl`)
and about Zhengzhou's regulations, the questions of policy_qa about its notices, and utterances to a phone assistant
(SMP). Every question is also put to the index that cannot answer it, and, where there are any, to one with phrasings;
none sees itself or its author's. Nothing the tests ask is among them.
"""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from assistant.settings import get_settings
from kb.answer import CALIBRATION_FILE, SIGNALS, Signals
from kb.evaluate import build
from kb.importer import read_folder, read_paths
from kb.phrasing_index import Phrased
from kb.search import Encoder, Query, Snapshot
from nlu.runtime import Reader

_QUESTIONS = Path(__file__).parent / "data" / "calibration_questions.jsonl"
_ABOUT_LAWS = Path(__file__).parent / "data" / "regulation_questions.jsonl"
_NEAR = Path(__file__).parent / "data" / "near_questions.jsonl"
_DEPTH = 30
_ASKED, _UTTERANCES = 120, 200
_RIDGE = 1.0
_AS_GOOD = 0.01  # F1 is flat at its top: of what is as good, the threshold that answers most
OF_THE_ENCODER = ("dense", "lead", "value", "margin", "ahead", "phrased")
Array = npt.NDArray[np.float64]
Asked = tuple[str, str | None, tuple[str, ...]]
"""Question, id of the document that answers it (None: none does), its articles that do (none named: any)."""


def signals(asked: Sequence[Asked], snapshot: Snapshot, encoder: Encoder, today: date) -> tuple[Array, Array]:
    """The signals of the best document of each question (n, k), and whether it is the right one (n,)."""
    rows, right = [], []
    for question, wanted, articles in asked:
        query = Query.of(question, encoder)
        hits = snapshot.search(query, top_k=_DEPTH, today=today) if query.terms else []
        if hits:
            rows.append(list(Signals.of(query, hits, snapshot).values().values()))
            right.append(hits[0].document.id == wanted and (not articles or hits[0].article in articles))
    return np.array(rows, dtype=np.float64), np.array(right, dtype=np.float64)


def fit(x: Array, y: Array, weight: Array) -> tuple[Array, float]:
    """Logistic regression by Newton's method with a small ridge: weights per signal and the bias."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    design = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    ridge = np.diag([_RIDGE] * x.shape[1] + [0.0])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weight * (p - y)) + ridge @ beta
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        beta -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = beta[:-1] / scale
    return weights, float(beta[-1] - weights @ mean)


def choose_threshold(confidence: Array, right: Array, weight: Array) -> float:
    """The probability below which "not found" is said: the lowest with about (_AS_GOOD) the best F1, by weight."""
    unknown = right == 0
    thresholds = np.arange(0.05, 0.95, 0.01)
    reached = []
    for threshold in thresholds:
        said = confidence < threshold
        reached.append(2 * weight[said & unknown].sum() / (weight[said].sum() + weight[unknown].sum()))
    first = int(np.argmax(np.array(reached) >= max(reached) - _AS_GOOD))
    return round(float(thresholds[first]), 2)


def calibrate(data: Path, policies: Path, phrasings: Path, encoder: Encoder, encoder_id: str) -> dict[str, Any]:
    """Fit on two thirds of every kind of question, measure on the rest; returns what is stored."""
    chance = random.Random(7)  # noqa: S311 - a repeatable sample
    today = date.today()
    own = [json.loads(line) for line in _QUESTIONS.read_text(encoding="utf-8").splitlines()]
    entries, _ = read_folder(policies)
    lines = (data / "policy_qa" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = chance.sample([json.loads(line) for line in lines], _ASKED)
    about_notices: list[Asked] = [(r["question"], r["docid"], ()) for r in rows]
    notices, _ = read_paths([data / "policy_qa" / "documents.jsonl"])
    notices = [d for d in notices if d.id in {wanted for _, wanted, _ in about_notices}]
    lines = (data / "chitchat" / "smp_domain_intent.jsonl").read_text(encoding="utf-8").splitlines()
    chat: list[Asked] = [(json.loads(line)["text"], None, ()) for line in chance.sample(lines, _UTTERANCES)]
    about_entries: list[Asked] = [(r["question"], r["docid"], ()) for r in own]
    laws, _ = read_paths([data / "policies" / "zhengzhou_regulations.jsonl"])
    entry_index = build([d for d in entries if d.status == "published"], encoder)
    notice_index = build(notices, encoder)
    law_index = build(laws, encoder)

    about_laws = _asked(_ABOUT_LAWS, law_index)
    by_others = _without(_asked(phrasings / "regulations.jsonl", law_index), about_laws)
    laws_told = [_told(law_index, theirs, encoder) for theirs in (by_others, about_laws)]
    entries_told = _told(entry_index, _asked(phrasings / "entries.jsonl", entry_index), encoder)
    near = _asked(_NEAR, entry_index)
    nobody: list[Asked] = [(q, None, ()) for q, _, _ in about_notices]
    sets: dict[str, tuple[Snapshot, Sequence[Asked]]] = {
        "entries": (entry_index, about_entries),
        "near misses": (entry_index, near),
        "notice questions to entries": (entry_index, nobody),
        "chat to entries": (entry_index, chat),
        "entries with phrasings": (entries_told, about_entries),
        "near misses with phrasings": (entries_told, near),
        "chat to entries with phrasings": (entries_told, chat),
        "notices": (notice_index, about_notices),
        "entry questions to notices": (notice_index, [(q, None, ()) for q, _, _ in about_entries]),
        "chat to notices": (notice_index, chat),
        "laws": (law_index, about_laws),
        "notice questions to laws": (law_index, nobody),
        "laws with phrasings": (laws_told[0], about_laws),
        "notice questions to laws with phrasings": (laws_told[0], nobody),
        "laws with other phrasings": (laws_told[1], by_others),
    }
    sides = [entry_index, notice_index, law_index, *laws_told, entries_told]
    parts = {
        name: (*signals(asked, index, encoder, today), sides.index(index)) for name, (index, asked) in sets.items()
    }
    x = np.concatenate([p[0] for p in parts.values()])
    y = np.concatenate([p[1] for p in parts.values()])
    # The indexes, and right and wrong within each, count the same.
    side_of = np.concatenate([np.full(len(p[1]), p[2]) for p in parts.values()])
    weight = np.zeros(len(y))
    for side in range(len(sides)):
        for label in (0.0, 1.0):
            group = (side_of == side) & (y == label)
            weight[group] = len(y) / 2 / len(sides) / max(group.sum(), 1)
    held_out = np.array([chance.random() < 1 / 3 for _ in y])
    full = _model(SIGNALS, x, y, weight, held_out, parts)
    by_words = _model([n for n in SIGNALS if n not in OF_THE_ENCODER], x, y, weight, held_out, parts)
    return {
        "encoder": encoder_id,
        **full,
        "other_encoder": by_words,
        "how": "python -m kb.calibrate: logistic regression on two thirds, threshold for the best F1 of saying "
        "not found; measured on the last third",
    }


def _asked(file: Path, snapshot: Snapshot) -> list[Asked]:
    """Rows {question, docid or title, article, label or articles}; those of documents that are not there are left out,
    those that name none have no answer."""
    of_title = {document.title: id_ for id_, document in snapshot.documents.items()}
    found: list[Asked] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        id_ = row.get("docid") or of_title.get(row.get("title", ""))
        places = row.get("articles") or [row.get("article") or row.get("label")]
        if id_ in snapshot.documents or not (row.get("docid") or row.get("title")):
            found.append((row["question"], id_, tuple(p for p in places if p)))
    return found


def _without(asked: Sequence[Asked], known: Sequence[Asked]) -> list[Asked]:
    questions = {question for question, _, _ in known}
    return [row for row in asked if row[0] not in questions]


def _told(snapshot: Snapshot, asked: Sequence[Asked], encoder: Encoder) -> Snapshot:
    """The index with questions as phrasings of the places that answer them."""
    vectors = encoder.embed([question for question, _, _ in asked], "query").astype(np.float16)
    return snapshot.with_phrasings(
        [
            Phrased(id_, label, question, vector)
            for (question, id_, labels), vector in zip(asked, vectors, strict=True)
            if id_ is not None
            for label in labels or (None,)
        ]
    )


def _model(
    used: Sequence[str],
    x: Array,
    y: Array,
    weight: Array,
    held_out: npt.NDArray[np.bool_],
    parts: Mapping[str, tuple[Array, Array, int]],
) -> dict[str, Any]:
    """A model over some of the signals, its threshold, and how it does on what was held out."""
    x = x[:, [SIGNALS.index(n) for n in used]]
    weights, bias = fit(x[~held_out], y[~held_out], weight[~held_out])
    confidence = 1 / (1 + np.exp(-(x @ weights + bias)))
    threshold = choose_threshold(confidence[~held_out], y[~held_out], weight[~held_out])
    measured = {}
    start = 0
    for name, part in parts.items():
        here = np.zeros(len(y), dtype=bool)
        here[start : start + len(part[1])] = True
        start += len(part[1])
        rest = here & held_out
        good, bad = rest & (y == 1), rest & (y == 0)
        measured[name] = {
            "right document": int(good.sum()),
            "answered": round(float(np.mean(confidence[good] >= threshold)), 3) if good.any() else None,
            "no or wrong document": int(bad.sum()),
            "not answered": round(float(np.mean(confidence[bad] < threshold)), 3) if bad.any() else None,
        }
    return {
        "weights": {name: round(float(w), 4) for name, w in zip(used, weights, strict=True)},
        "bias": round(bias, 4),
        "threshold": threshold,
        "measured": measured,
    }


def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    policies: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    phrasings: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    target: Annotated[Path, typer.Option()] = CALIBRATION_FILE,
) -> None:
    """Calibrate with the shipped encoder and write the result."""
    reader = Reader.load(get_settings().nlu_model_dir, threads=2)
    result = calibrate(data, policies, phrasings, reader, reader.encoder_id)
    target.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    typer.run(main)
