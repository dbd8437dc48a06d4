"""Contradictions that kb health finds: on pairs written by hand, and on real texts, where there should be next to none.

    python -m benchmarks.kb_contradictions measure --regulations ../shared/data/policies/zhengzhou_regulations.jsonl
    python -m benchmarks.kb_contradictions fit --regulations ../shared/data/policies/zhengzhou_regulations.jsonl

`measure` prints JSON: what is found and missed of each split with the shipped encoder and without one, what is reported
on the sample entries and on the regulations, and the processor time of that. `fit` learns the weights in
kb/data/contradictions.json from the pairs of the split "build" and from every candidate of the real texts, which all
count as no contradiction: logistic regression; of a pair of texts, the pair of numbers counts that the weights so far
like best (several instances, one label). The bar is set so that the real texts have at most three findings. The split
"blind" is by another author than the code, and is no part of `fit`.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.optimize import minimize  # type: ignore[import-untyped]

from benchmarks.kb_quality import KeptVectors
from benchmarks.kb_speed import QuestionEncoder
from benchmarks.machine import describe
from kb.documents import Document, Passage
from kb.evaluate import read_corpus
from kb.health.contradictions import Candidate, candidates, contradictions
from kb.health.finding import Entry
from kb.passages import split
from kb.search import search_text
from kb.tables import markdown_tables

_PAIRS = (Path("tests/kb/contradictions.jsonl"), Path("tests/kb/contradictions_blind.jsonl"))
_WEIGHTS = Path("kb/data/contradictions.json")
_OF_THE_ENCODER = "alike"
_AGAINST = frozenset(("far", "narrowing", "others", "told_elsewhere", "one_bound", "penalty"))
# Real texts are many and alike: one of their candidates counts less than a pair that somebody thought out.
_REAL_WEIGHT = 0.03
_FINDINGS = 3
_ROUNDS = 10
app = typer.Typer()
Vectors = Annotated[Path | None, typer.Option(help="file (.npz) that vectors are kept in for another run")]
Regulations = Annotated[Path | None, typer.Option(help="documents of the regulations, JSON lines")]
Year = Annotated[int, typer.Option(help="what is said of later years contradicts nothing")]


def entry(id_: str, title: str, text: str, encoder: KeptVectors, **fields: Any) -> Entry:
    """A text as an import would store it."""
    pieces = split(markdown_tables(text), title)
    passages = [Passage(n, id_, n, piece.article, piece.text) for n, piece in enumerate(pieces)]
    vectors = encoder.embed([search_text(title, p.article, p.text) for p in passages], "passage")
    return Entry(Document(id_, title, "published", **fields), passages, vectors)


def pairs(encoder: KeptVectors, splits: Sequence[str] = ()) -> Iterator[tuple[dict[str, Any], list[Entry]]]:
    """Rows of the pairs with their two texts; `splits`: only these."""
    for file in _PAIRS:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if not splits or row["split"] in splits:
                yield row, [entry(side, **row[side], encoder=encoder) for side in ("a", "b")]


def real_texts(encoder: KeptVectors, policies: Path, regulations: Path | None) -> dict[str, list[Entry]]:
    found = {"entries": policies} | ({"regulations": regulations} if regulations else {})
    return {
        name: [
            entry(d.id, d.title, d.text, encoder, region=d.region, audience=d.audience)
            for d in read_corpus(path)
            if d.status in ("published", None)
        ]
        for name, path in found.items()
    }


@app.command()
def measure(
    regulations: Regulations = None,
    policies: Annotated[Path, typer.Option()] = Path("city/demo/policies"),
    splits: Annotated[list[str] | None, typer.Option("--split", help="only these")] = None,
    year: Year = 2026,
    vectors: Vectors = None,
) -> None:
    """Measure, and print JSON."""
    encoder = KeptVectors(QuestionEncoder(threads=1), vectors)
    counts: dict[str, dict[str, int]] = {}
    for row, texts in pairs(encoder, splits or ()):
        for name, encoder_id in (("", encoder.encoder_id), (", words alone", "")):
            of = counts.setdefault(row["split"] + name, {"found": 0, "missed": 0, "false": 0, "left alone": 0})
            found = any(True for _ in contradictions(texts, encoder_id=encoder_id, this_year=year))
            of[("found" if found else "missed") if row["contradiction"] else ("false" if found else "left alone")] += 1
    result: dict[str, Any] = {name: of | _shares(of) for name, of in counts.items()}
    for name, entries in real_texts(encoder, policies, regulations).items():
        started = time.process_time()
        reported = list(contradictions(entries, encoder_id=encoder.encoder_id, this_year=year))
        result[name] = {
            "passages": sum(len(one.passages) for one in entries),
            "processor_s": round(time.process_time() - started, 1),
            "reported": [[one.summary, *(quote.text for quote in one.quotes)] for one in reported],
        }
    encoder.keep()
    typer.echo(json.dumps(result | {"machine": describe("numpy", "onnxruntime")}, ensure_ascii=False, indent=1))


@app.command()
def fit(
    regulations: Annotated[Path, typer.Option(exists=True)],
    policies: Annotated[Path, typer.Option()] = Path("city/demo/policies"),
    year: Year = 2026,
    vectors: Vectors = None,
) -> None:
    """Learn the weights anew, with the encoder and without."""
    encoder = KeptVectors(QuestionEncoder(threads=1), vectors)
    rows = [(row, list(candidates(texts, this_year=year))) for row, texts in pairs(encoder, ("build",))]
    real = [
        one
        for entries in real_texts(encoder, policies, regulations).values()
        for one in candidates(entries, this_year=year)
    ]
    encoder.keep()
    names = sorted(real[0].differing.features)
    lexical = [name for name in names if name != _OF_THE_ENCODER]
    shipped = {
        "encoder": encoder.encoder_id,
        "with_vectors": _fitted(rows, real, names),
        "without_vectors": _fitted(rows, real, lexical),
    }
    _WEIGHTS.write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")


def _fitted(
    rows: Sequence[tuple[dict[str, Any], list[Candidate]]], real: Sequence[Candidate], names: Sequence[str]
) -> dict[str, Any]:
    def matrix(found: Sequence[Candidate]) -> Any:
        return np.array([[one.differing.features[name] for name in names] for one in found]).reshape(-1, len(names))

    of_real = matrix(real)
    middle, spread = of_real.mean(axis=0), of_real.std(axis=0) + 1e-6
    scaled = (of_real - middle) / spread
    right = [(matrix(found) - middle) / spread for row, found in rows if row["contradiction"] and found]
    wrong = [(matrix(found) - middle) / spread for row, found in rows if not row["contradiction"] and found]
    start = {name: n for n, name in enumerate(names)}
    chosen = [int(np.argmax(m[:, start["own_less"]] - m[:, start["told_elsewhere"]])) for m in right]
    for _ in range(_ROUNDS):
        best = np.array([m[n] for m, n in zip(right, chosen, strict=True)])
        others = np.concatenate(wrong)
        labels = np.repeat([1, 0, 0], [len(best), len(others), len(scaled)])
        weights = np.repeat([1.0, 1.0, _REAL_WEIGHT], [len(best), len(others), len(scaled)])
        slopes, intercept = _logistic(np.concatenate([best, others, scaled]), labels, weights, names)
        again = [int(np.argmax(m @ slopes)) for m in right]
        if again == chosen:
            break
        chosen = again
    slopes = slopes / spread
    values = of_real @ slopes
    sentences = [tuple(sorted((one.a.text, one.b.text))) for one in real]
    by_sentences: dict[tuple[str, ...], float] = {}
    for texts, value in zip(sentences, values.tolist(), strict=True):
        by_sentences[texts] = max(value, by_sentences.get(texts, value))
    highest = sorted(by_sentences.values(), reverse=True)
    # Even odds, or what leaves the real texts with a few findings.
    bar = max((highest[_FINDINGS - 1] + highest[_FINDINGS]) / 2, float(middle @ slopes - intercept))
    return {
        "bar": round(bar, 4),
        "weights": {name: round(w, 4) for name, w in zip(names, slopes.tolist(), strict=True)},
    }


def _logistic(x: Any, labels: Any, weights: Any, names: Sequence[str]) -> tuple[Any, float]:
    """Slopes and intercept of a logistic regression with an L2 penalty, slopes only of the sign that makes sense."""

    def loss(w: Any) -> tuple[float, Any]:
        value = x @ w[:-1] + w[-1]
        wrong = 1 / (1 + np.exp(-value)) - labels
        total = float(weights @ (np.logaddexp(0, value) - labels * value) + w[:-1] @ w[:-1] / 2)
        return total, np.append(x.T @ (weights * wrong) + w[:-1], (weights * wrong).sum())

    bounds = [(None, 0.0) if name in _AGAINST else (0.0, None) for name in names]
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)])
    return found.x[:-1], float(found.x[-1])


def _shares(of: dict[str, int]) -> dict[str, float | None]:
    reported, true = of["found"] + of["false"], of["found"] + of["missed"]
    return {
        "precision": round(of["found"] / reported, 3) if reported else None,
        "recall": round(of["found"] / true, 3) if true else None,
    }


if __name__ == "__main__":
    app()
