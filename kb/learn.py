"""Learn from questions with known answers which document and which stretch of it answers, and write down the weights.

    python -m kb.learn --data ../shared/data --policies city/demo/policies

Writes `data/ranking.json` (`kb.ranking`) and `data/spans.json` (`kb.spans`). Documents of policy_qa are divided by
hash: half of them with their questions for learning, a fifth for choosing, the rest (`part`) is for measuring alone.
The ranking learns from our own questions about the sample entries and about Zhengzhou's regulations, too. What
phrasings say is learned after it, with its weights as they are: a base without phrasings is ordered as if there were
none. There questions serve each other as phrasings, in five parts: none sees itself, and some places have none. Needed
again when the encoder or a signal changes.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import typer

from assistant.settings import get_settings
from kb import ranking, spans
from kb.evaluate import Question, build, read_corpus, read_questions, rouge_l
from kb.index import Floats
from kb.phrasing_index import Phrased
from kb.search import Encoder, Query, Snapshot
from nlu.runtime import Reader

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Part = Literal["train", "dev", "test"]
_ABOUT_ENTRIES = Path(__file__).parent / "data" / "calibration_questions.jsonl"
_ABOUT_LAWS = Path(__file__).parent / "data" / "regulation_questions.jsonl"
_PHRASINGS = Path("city/demo/phrasings/regulations.jsonl")
_PARTS = 5
_FEW_PLACES = 0.4
_PASSAGES = 6
_HIDDEN, _SPAN_RIDGE, _SPAN_ROUNDS = 12, 3e-4, 24
_RANK_RIDGES = (0.003, 0.01, 0.03)
_RANK_STEPS = 500
_BATCH = 12
_MOST_SPANS = 700
_ANSWERED_FROM = 0.3


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the document that answers it, and, where these are known, the articles or sections that do."""

    text: str
    document: str
    articles: tuple[str, ...] = ()


def part(document_id: str) -> Part:
    """Which part of the material a document and its questions belong to."""
    bucket = int(hashlib.sha256(document_id.encode()).hexdigest(), 16) % 10
    return "train" if bucket < 5 else "dev" if bucket < 7 else "test"


class Adam:
    """Steps of Adam (Kingma and Ba, 2015) on arrays in place."""

    def __init__(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        self._arrays = arrays
        self._first = [np.zeros_like(a) for a in arrays]
        self._second = [np.zeros_like(a) for a in arrays]
        self._steps = 0

    def step(self, gradients: Sequence[npt.NDArray[Any]], rate: float) -> None:
        self._steps += 1
        for array, first, second, gradient in zip(self._arrays, self._first, self._second, gradients, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            size = np.sqrt(second / (1 - 0.999**self._steps)) + 1e-8
            array -= rate * (first / (1 - 0.9**self._steps)) / size


def learn_ranking(
    groups: Sequence[Sequence[tuple[Floats, Mask]]], ridge: float, *, beside: Array | None = None
) -> Array:
    """Weights of `ranking.NAMES` that make the right passages (a mask of the rows) likely: softmax over the passages
    found for a question. Every group of questions counts the same.

    `beside`: weights that stay as they are; learned are those of `ranking.OF_PHRASINGS` alone.
    """
    columns = [n for n, name in enumerate(ranking.NAMES) if beside is None or name in ranking.OF_PHRASINGS]
    scale = np.concatenate([x for group in groups for x, _ in group]).std(axis=0)[columns] + 1e-6
    fixed = np.zeros(len(ranking.NAMES)) if beside is None else beside
    weights = np.zeros(len(columns))
    if beside is None:
        weights[0] = 2.0
    adam = Adam([weights])
    material = [
        (x @ fixed, x[:, columns] / scale, right, 1 / (len(group) * len(groups)))
        for group in groups
        for x, right in group
    ]
    for _ in range(_RANK_STEPS):
        gradient = ridge * weights
        for known, x, right, share in material:
            likely = _softmax(known + x @ weights)
            wanted = likely * right
            gradient = gradient + x.T @ (likely - wanted / wanted.sum()) * share
        adam.step([gradient], 0.03)
    found: Array = fixed.copy()
    found[columns] = weights / scale
    return found


def learn_spans(
    train: Sequence[tuple[Floats, Floats]], good: Callable[[spans.Network], float]
) -> tuple[spans.Network, float]:
    """A network that gives stretches (features, ROUGE-L) of a question high scores where ROUGE-L is high.

    The loss is the expected ROUGE-L of a stretch drawn by softmax of the scores, negative, and the distance to the best
    stretches. Of every fourth round's network the one is kept for which `good` is highest.
    """
    chance = np.random.default_rng(0)
    everything = np.concatenate([x[::5] for x, _ in train])
    mean, scale = everything.mean(axis=0), everything.std(axis=0) + 1e-3
    material = [((x - mean) / scale, y) for x, y in train]
    width = len(mean)
    w1 = (chance.normal(size=(width, _HIDDEN)) / np.sqrt(width)).astype(np.float32)
    b1 = np.zeros(_HIDDEN, dtype=np.float32)
    w2 = (chance.normal(size=_HIDDEN) / np.sqrt(_HIDDEN)).astype(np.float32)
    adam = Adam([w1, b1, w2])
    best: tuple[spans.Network, float] | None = None
    for number in range(_SPAN_ROUNDS):
        rate = 0.004 * (1 - number / _SPAN_ROUNDS) + 1e-4
        order = chance.permutation(len(material))
        for start in range(0, len(order), _BATCH):
            gradients = [_SPAN_RIDGE * w1, np.zeros_like(b1), _SPAN_RIDGE * w2]
            for i in order[start : start + _BATCH]:
                z, y = _some(material[i][0], material[i][1], chance)
                hidden = np.tanh(z @ w1 + b1)
                likely = _softmax(hidden @ w2)
                wanted = _softmax(y / 0.08)
                error = (0.7 * (likely - wanted) - 6 * likely * (y - likely @ y)).astype(np.float32) / _BATCH
                back = np.outer(error, w2) * (1 - hidden * hidden)
                gradients[0] = gradients[0] + z.T @ back
                gradients[1] = gradients[1] + back.sum(axis=0)
                gradients[2] = gradients[2] + hidden.T @ error
            adam.step(gradients, rate)
        if number % 4 == 3:
            network = spans.Network(mean, scale, w1.copy(), b1.copy(), w2.copy(), np.zeros((), np.float32))
            value = good(network)
            if best is None or value > best[1]:
                best = network, value
    assert best is not None
    return best


def _some(x: Floats, y: Floats, chance: np.random.Generator) -> tuple[Floats, Floats]:
    if len(y) <= _MOST_SPANS + 200:
        return x, y
    kept = np.unique(np.concatenate([chance.choice(len(y), _MOST_SPANS, replace=False), np.argsort(-y)[:100]]))
    return x[kept], y[kept]


def _softmax(scores: npt.NDArray[Any]) -> Array:
    likely = np.exp(scores - scores.max()).astype(np.float64)
    found: Array = likely / likely.sum()
    return found


def passage_rows(asked: Asked, query: Query, snapshot: Snapshot) -> tuple[Floats, Mask] | None:
    """Features of the passages found for a question, and which of them are right; None where none of these is."""
    judged, _ = snapshot.judged(*snapshot.matches(query))
    x = ranking.features(query.as_asked(), judged, snapshot.index.idf)
    right = np.array(
        [
            snapshot.owner(match) == asked.document and (not asked.articles or snapshot.label(match) in asked.articles)
            for document in judged
            for match in document.matches
        ]
    )
    return (x, right) if right.any() else None


def phrased_rows(
    asked: Sequence[Asked], snapshot: Snapshot, encoder: Encoder, *, places: float = 1.0
) -> list[tuple[Floats, Mask]]:
    """Features as `passage_rows` gives them, of questions that are each other's phrasings.

    A question does not see those of its own part (one of five). `places`: the share of places that have phrasings.
    """
    queries = {q.text: Query.of(q.text, encoder) for q in asked}
    chance = np.random.default_rng(0)
    told = [(q.text, q.document, label) for q in asked for label in q.articles or (None,)]
    among = {place: chance.random(_PARTS) < places for place in sorted({(d, label or "") for _, d, label in told})}
    rows = []
    for number in range(_PARTS):
        phrasings = [
            Phrased(document, label, text, queries[text].vector.astype(np.float16))
            for text, document, label in told
            if _part_of(text) != number and among[document, label or ""][number]
        ]
        seen = snapshot.with_phrasings(phrasings)
        found = (passage_rows(q, queries[q.text], seen) for q in asked if _part_of(q.text) == number)
        rows += [row for row in found if row is not None]
    return rows


def _part_of(question: str) -> int:
    return zlib.crc32(question.encode()) % _PARTS


def span_rows(question: Question, query: Query, snapshot: Snapshot) -> tuple[Floats, Floats] | None:
    """Features and ROUGE-L of all stretches of the passages found in the right document; None where there are none."""
    hits = snapshot.search(query, top_k=30, today=date.today())
    mine = [hit for hit in hits if hit.document.id == question.docid][:_PASSAGES]
    rows, values = [], []
    for rank, hit in enumerate(mine):
        pieces = spans.clauses(hit.passage.text)
        heading = f"{hit.document.title}\n{hit.passage.article or ''}"
        x, ends = spans.features(query.text, query.content, heading, pieces, hit.score, rank, snapshot.index.idf)
        rows.append(x)
        values += [rouge_l("".join(pieces[a:b]), question.answer) for a, b in ends.tolist()]
    if not values:
        return None
    return np.concatenate(rows), np.array(values, dtype=np.float32)


def learn(
    notices: tuple[Sequence[Question], Snapshot],
    others: Sequence[tuple[Sequence[Asked], Snapshot]],
    phrased: tuple[Sequence[Asked], Snapshot],
    encoder: Encoder,
) -> tuple[dict[str, Any], spans.Network]:
    """Weights of the ranking, with how they were found, and the network of the stretches.

    The ranking learns from notices, where the title says little, and from `others`, entries, where it says nearly all,
    and laws, where the right article counts; a third of each of these is for choosing. What phrasings say it learns
    from questions that are each other's: `phrased`, those about entries, and those about notices.
    """
    questions, snapshot = notices
    asked = {name: [q for q in questions if part(q.docid) == name] for name in ("train", "dev")}
    queries = {q.text: Query.of(q.text, encoder) for found in asked.values() for q in found}

    def rows(found: Sequence[Asked], where: Snapshot) -> list[tuple[Floats, Mask]]:
        tried = (passage_rows(q, queries.get(q.text) or Query.of(q.text, encoder), where) for q in found)
        return [row for row in tried if row is not None]

    train = [rows([Asked(q.text, q.docid) for q in asked["train"]], snapshot)]
    judging = [rows([Asked(q.text, q.docid) for q in asked["dev"]], snapshot)]
    for found, where in others:
        train.append(rows([q for n, q in enumerate(found) if n % 3], where))
        judging.append(rows(found[::3], where))

    def good(ridge: float) -> float:
        weights = learn_ranking(train, ridge)
        return float(np.mean([_reciprocal(weights, group) for group in judging]))

    ridge = max(_RANK_RIDGES, key=good)
    weights = learn_ranking([train[0], *([*a, *b] for a, b in zip(train[1:], judging[1:], strict=True))], ridge)
    about_notices = [Asked(q.text, q.docid) for q in asked["train"]]
    told = [
        phrased_rows(*phrased, encoder),
        phrased_rows(*phrased, encoder, places=_FEW_PLACES),
        phrased_rows(*others[0], encoder),
        phrased_rows(about_notices, snapshot, encoder),
    ]
    weights = learn_ranking(told, ridge, beside=weights)
    stretches = {
        name: [pair for q in found if (pair := span_rows(q, queries[q.text], snapshot))]
        for name, found in asked.items()
    }

    def overlap(network: spans.Network) -> float:
        return float(np.mean([y[int(np.argmax(network.scores(x)))] for x, y in stretches["dev"]]))

    network, value = learn_spans([(x, y) for x, y in stretches["train"] if y.max() >= _ANSWERED_FROM], overlap)
    report = {
        "weights": {name: round(float(w), 3) for name, w in zip(ranking.NAMES, weights, strict=True)},
        "how": "python -m kb.learn: softmax over the passages of a question; notices, entries and laws alike; "
        "then phrasings, beside the other weights",
        "ridge": ridge,
        "dev": {
            "mean reciprocal rank, notices": round(_reciprocal(weights, judging[0]), 4),
            "rouge_l of stretches": round(value, 4),
        },
    }
    return report, network


def _reciprocal(weights: Array, rows: Sequence[tuple[Floats, Mask]]) -> float:
    """Mean of 1 / the place of the first right passage."""
    scores = [(x @ weights, right) for x, right in rows]
    return float(np.mean([1 / (1 + int(np.sum(found > found[right].max()))) for found, right in scores]))


def _questions_of(file: Path, snapshot: Snapshot) -> list[Asked]:
    """Rows {question, docid or title, section or article(s) or label} whose document is there."""
    of_title = {document.title: id_ for id_, document in snapshot.documents.items()}
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        id_ = str(row.get("docid") or of_title.get(row.get("title", ""), ""))
        article = row.get("section") or row.get("article") or row.get("label")
        if id_ in snapshot.documents:
            found.append(Asked(row["question"], id_, tuple(row.get("articles") or ([article] if article else ()))))
    return found


def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    policies: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    phrasings: Annotated[Path, typer.Option(help="questions about laws that are each other's phrasings")] = _PHRASINGS,
    target: Annotated[Path, typer.Option(file_okay=False)] = ranking.RANKING_FILE.parent,
) -> None:
    """Learn with the shipped encoder and write the result."""
    reader = Reader.load(get_settings().nlu_model_dir, threads=2)
    snapshot = build(read_corpus(data / "policy_qa" / "documents.jsonl"), reader)
    entries = build([d for d in read_corpus(policies) if d.status == "published"], reader)
    laws = build(read_corpus(data / "policies" / "zhengzhou_regulations.jsonl"), reader)
    questions = read_questions(data / "policy_qa" / "questions.jsonl")
    others = [(_questions_of(_ABOUT_ENTRIES, entries), entries), (_questions_of(_ABOUT_LAWS, laws), laws)]
    phrased = _questions_of(phrasings, laws), laws
    report, network = learn((questions, snapshot), others, phrased, reader)
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (target / ranking.RANKING_FILE.name).write_text(text + "\n", encoding="utf-8")
    stored = json.dumps(network.as_lists())
    (target / spans.SPANS_FILE.name).write_text(stored + "\n", encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
