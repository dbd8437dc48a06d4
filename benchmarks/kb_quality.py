"""Retrieval and extraction of the knowledge base on real questions, with 95 % bootstrap intervals.

    python -m benchmarks.kb_quality --data ../shared/data [--replies 600] [--regulations FILE] [--not-found FILE]
        [--phrasings FILE]

policy_qa: documents found by words alone, by vectors alone, by the fused score and by the learned ranking, over the
questions that nothing was learned from (`kb.learn.part` is "test") and over all; ROUGE-L of the stretch extracted and
of the sentences shown. Messages with replies: whether the official reply is found among all replies, words, vectors and
fused. Regulations: the right article first, and cited. Not found: whether the base says so.

--phrasings: rows {docid or title, label or near, question}; `near` is copied from the place, and the passage that has
it is meant. Notices and regulations are then measured without and with them.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.intervals import interval, share
from benchmarks.kb_speed import QuestionEncoder
from benchmarks.machine import describe
from kb.answer import Calibration, answer
from kb.evaluate import Question, build, read_corpus, read_questions, rouge_l
from kb.extract import extract
from kb.index import Floats, Match, Part, PassageIndex
from kb.learn import part
from kb.nearest import Nearest
from kb.phrasing_index import Phrased
from kb.postings import Postings
from kb.search import Encoder, Query, Snapshot
from kb.words import query_terms, terms

_RESAMPLES = 2000
_SEED = 1
_DEPTH = 200
_ANSWERABLE = [Path("tests/kb/resident_questions.jsonl"), Path("tests/kb/resident_sections.jsonl")]
_NONE: list[Path] = []
Figures = dict[str, Any]


class KeptVectors:
    """An encoder that keeps what it embedded in a file, for another run."""

    def __init__(self, encoder: QuestionEncoder, file: Path | None) -> None:
        self.encoder_id = encoder.encoder_id
        self._encoder, self._file = encoder, file
        self._known: dict[str, Floats] = {}
        if file and file.exists():
            with np.load(file, allow_pickle=False) as stored:
                self._known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def embed(self, texts: Sequence[str], kind: Any) -> Floats:
        keys = [f"{kind}\t{text}" for text in texts]
        missing = [i for i, key in enumerate(keys) if key not in self._known]
        missing.sort(key=lambda i: len(texts[i]))
        for start in range(0, len(missing), 16):
            here = missing[start : start + 16]
            for i, vector in zip(here, self._encoder.embed([texts[i] for i in here], kind), strict=True):
                self._known[keys[i]] = vector
        return np.array([self._known[key] for key in keys], dtype=np.float32)

    def keep(self) -> None:
        if self._file:
            np.savez(self._file, keys=np.array(list(self._known)), vectors=np.array(list(self._known.values())))


def _retrieval(ranks: Sequence[int]) -> Figures:
    """Recall and reciprocal rank of places from 1 (0: not found)."""
    places = np.array(ranks)
    found: Figures = {"n": len(ranks)}
    for depth in (1, 5, 10):
        found[f"recall@{depth}"] = _with_interval((places > 0) & (places <= depth))
    inside = (places > 0) & (places <= 10)
    found["mrr@10"] = _with_interval(np.where(inside, 1 / np.maximum(places, 1), 0.0))
    return found


def _with_interval(values: Any) -> list[float]:
    one = interval(share(values), len(values), _RESAMPLES, _SEED)
    return [round(x, 3) for x in (one.value, one.low, one.high)]


def _place(order: Sequence[str], wanted: str) -> int:
    return order.index(wanted) + 1 if wanted in order else 0


def phrased(snapshot: Snapshot, encoder: Encoder, files: Sequence[Path]) -> Snapshot:
    """The snapshot with those phrasings of the files whose document and place it has."""
    ids = {document.title: id_ for id_, document in snapshot.documents.items()}
    told: list[tuple[str, str | None, str]] = []
    for line in (line for file in files for line in file.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        document = str(row.get("docid") or ids.get(row.get("title", "")))
        if document not in snapshot.documents:
            continue
        label = row.get("label")
        if near := row.get("near"):
            label = next((p.article for p in snapshot.passages_of(document) if near in p.text), None)
        told.append((document, label, row["question"]))
    if not told:
        return snapshot
    vectors = encoder.embed([text for _, _, text in told], "query").astype(np.float16)
    return snapshot.with_phrasings([Phrased(*row, vector) for row, vector in zip(told, vectors, strict=True)])


def notices(data: Path, encoder: Encoder) -> Snapshot:
    """The documents of policy_qa."""
    return build(read_corpus(data / "policy_qa" / "documents.jsonl"), encoder, batch=64)


def policy_qa(data: Path, snapshot: Snapshot, encoder: Encoder) -> Figures:
    """Documents and answers of policy_qa."""
    questions = read_questions(data / "policy_qa" / "questions.jsonl")
    calibration, today = Calibration.load(), date.today()
    places: dict[str, list[int]] = {"words": [], "vectors": [], "fused": [], "ranked": []}
    overlaps: dict[str, list[float]] = {"stretch": [], "sentences": []}
    answered, test = [], []
    for question in questions:
        query = Query.of(question.text, encoder)
        matches, _ = snapshot.matches(query, limit=_DEPTH)
        by: dict[str, Callable[[Match], float]] = {
            "words": lambda m: m.sparse,
            "vectors": lambda m: m.dense,
            "fused": lambda m: m.score,
        }
        for name, score in by.items():
            order = list(snapshot.found(sorted(matches, key=score, reverse=True)))
            places[name].append(_place(order, question.docid))
        hits = snapshot.search(query, top_k=100, today=today)
        places["ranked"].append(_place(list(dict.fromkeys(h.document.id for h in hits)), question.docid))
        quotes = extract(query, hits[:30], snapshot)
        overlaps["stretch"].append(rouge_l("".join(q.answer for q in quotes), question.answer))
        overlaps["sentences"].append(rouge_l("".join(q.text for q in quotes), question.answer))
        answered.append(answer(question.text, snapshot, encoder, calibration, today=today, suggest=False).outcome)
        test.append(part(question.docid) == "test")
    figures: Figures = {}
    for name, chosen in (("test", np.array(test)), ("all", np.ones(len(test), dtype=np.bool_))):
        rows = np.flatnonzero(chosen)
        figures[name] = {way: _retrieval([found[i] for i in rows]) for way, found in places.items()}
        figures[name] |= {f"rouge_l {way}": _with_interval([f[i] for i in rows]) for way, f in overlaps.items()}
        right = [i for i in rows if places["ranked"][i] == 1]
        figures[name]["rouge_l stretch, right document"] = _with_interval([overlaps["stretch"][i] for i in right])
        outcomes = [answered[i] for i in rows]
        figures[name]["outcomes"] = {o: outcomes.count(o) for o in sorted(set(outcomes))}
    return figures


def replies(data: Path, encoder: Encoder, limit: int) -> Figures:
    """Messages and their official replies; `limit`: the first so many of them, both as questions and to be found."""
    lines = (data / "hotline" / "messages_with_replies.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines][: limit or None]
    asked = [f"{row['title']}\n{row['text']}" for row in rows]
    vectors = encoder.embed([row["reply"] for row in rows], "passage")
    queries = encoder.embed(asked, "query")
    postings = Postings.of(terms(row["reply"]) for row in rows)
    index = PassageIndex([Part.of(postings, Nearest.of(vectors.astype(np.float16)))])
    places: dict[str, list[int]] = {"words": [], "vectors": [], "fused": []}
    for number, (text, vector) in enumerate(zip(asked, queries, strict=True)):
        matches = index.search(vector, query_terms(text), limit=_DEPTH)
        for name in places:
            score = {"words": "sparse", "vectors": "dense", "fused": "score"}[name]
            order = [m.position for m in sorted(matches, key=lambda m, s=score: getattr(m, s), reverse=True)]  # type: ignore[misc]
            places[name].append(order.index(number) + 1 if number in order else 0)
    return {name: _retrieval(found) for name, found in places.items()}


def laws(data: Path, encoder: Encoder) -> tuple[Snapshot, dict[str, str]]:
    """Zhengzhou's regulations, and their texts by id."""
    documents = read_corpus(data / "policies" / "zhengzhou_regulations.jsonl")
    return build(documents, encoder, batch=64), {d.id: d.text for d in documents}


def _stands(quote: str, article: str | None, text: str) -> bool:
    """Whether a quote stands in an article of a law's own text; found by the text alone, not by how it was cut."""
    mine = re.findall(rf"^\s*({article}\s.*?)(?=^\s*第[零〇一二三四五六七八九十百]+条\s|\Z)", text, re.M | re.S)
    return any("".join(quote.split()) in "".join(found.split()) for found in mine)


def regulations(snapshot: Snapshot, encoder: Encoder, file: Path, texts: Mapping[str, str]) -> Figures:
    """Rows {question, docid or title, article}: the right article first among the hits, and among the cited.

    `texts`: of the laws, by id, as they were published.
    """
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    calibration, today = Calibration.load(), date.today()
    first, cited, stands, outcomes = [], [], [], []
    for row in rows:
        wanted = row.get("title") or row.get("docid")

        def right(document: str, title: str, article: str | None, row: Any = row, wanted: Any = wanted) -> bool:
            return wanted in (document, title) and article in (row["article"], *row.get("also", ()))

        hits = snapshot.search(Query.of(row["question"], encoder), top_k=1, today=today)
        first.append(bool(hits) and right(hits[0].document.id, hits[0].document.title, hits[0].article))
        result = answer(row["question"], snapshot, encoder, calibration, today=today, suggest=False)
        outcomes.append(result.outcome)
        if result.citations:
            cited.append(any(right(c.document, c.title, c.article) for c in result.citations))
            stands.append(all(_stands(q.text, q.hit.article, texts[q.hit.document.id]) for q in result.evidence))
    return {
        "n": len(rows),
        "article first": _with_interval(first),
        "right among those cited": _with_interval(cited) if len(cited) > 1 else None,
        "every quote stands in the article it cites": f"{sum(stands)} of {len(stands)}",
        "outcomes": {o: outcomes.count(o) for o in sorted(set(outcomes))},
    }


def not_found(snapshot: Snapshot, encoder: Encoder, file: Path, answerable: Sequence[Question]) -> Figures:
    """Precision, recall and F1 of saying that the base does not know, beside questions it can answer."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    calibration, today = Calibration.load(), date.today()

    def said(text: str) -> bool:
        return answer(text, snapshot, encoder, calibration, today=today, suggest=False).outcome == "not_found"

    unknown, known = [said(row["question"]) for row in rows], [said(q.text) for q in answerable]
    known_share = np.array([*unknown, *known])
    both = 2 * np.array([*unknown, *([False] * len(known))])
    parts = known_share.astype(int) + np.array([1] * len(unknown) + [0] * len(known))
    one = interval(share(both, parts), len(parts), _RESAMPLES, _SEED)
    return {
        "unanswerable": len(rows),
        "answerable": len(known),
        "recall": round(float(np.mean(unknown)), 3),
        "answerable refused": round(float(np.mean(known)), 3),
        "f1": [round(x, 3) for x in (one.value, one.low, one.high)],
    }


def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    policies: Annotated[Path, typer.Option(help="the entries that not-found questions are put to")] = Path(
        "city/demo/policies"
    ),
    reply_rows: Annotated[int, typer.Option("--replies", help="the first so many messages; 0: all; -1: none")] = 0,
    regulation_file: Annotated[Path | None, typer.Option("--regulations")] = None,
    not_found_file: Annotated[Path | None, typer.Option("--not-found")] = None,
    answerable_files: Annotated[list[Path], typer.Option("--answerable")] = _ANSWERABLE,
    phrasings: Annotated[list[Path], typer.Option(help="questions attached to places of the documents")] = _NONE,
    with_notices: Annotated[bool, typer.Option("--notices/--no-notices")] = True,
    vectors: Annotated[Path | None, typer.Option(help="file (.npz) that vectors are kept in for another run")] = None,
) -> None:
    """Measure, and print JSON."""
    encoder = KeptVectors(QuestionEncoder(threads=2), vectors)
    result: Figures = {}
    if with_notices:
        base = notices(data, encoder)
        result["policy_qa"] = policy_qa(data, base, encoder)
        if (told := phrased(base, encoder, phrasings)).phrasings:
            result["policy_qa, with phrasings"] = {"phrasings": len(told.phrasings), **policy_qa(data, told, encoder)}
        encoder.keep()
    if reply_rows >= 0:
        result["replies"] = replies(data, encoder, reply_rows)
    if regulation_file:
        base, texts = laws(data, encoder)
        result["regulations"] = regulations(base, encoder, regulation_file, texts)
        if (told := phrased(base, encoder, phrasings)).phrasings:
            with_them = regulations(told, encoder, regulation_file, texts)
            result["regulations, with phrasings"] = {"phrasings": len(told.phrasings), **with_them}
    if not_found_file:
        entries = [d for d in read_corpus(policies) if d.status == "published"]
        lines = [
            line for file in answerable_files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        asked = [Question(r["question"], r["docid"]) for r in map(json.loads, lines) if r.get("docid")]
        base = build(entries, encoder, batch=64)
        result["not found"] = not_found(base, encoder, not_found_file, asked)
        if (told := phrased(base, encoder, phrasings)).phrasings:
            with_them = not_found(told, encoder, not_found_file, asked)
            result["not found, with phrasings"] = {"phrasings": len(told.phrasings), **with_them}
    encoder.keep()
    result["machine"] = describe("faiss-cpu", "numpy", "onnxruntime")
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    typer.run(main)
