"""Measure retrieval and extraction on questions whose document and answer are known, in an index of its own."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from kb.answer import Calibration, answer
from kb.documents import Document, NewDocument, Passage
from kb.errors import FileRefused, InvalidDocument
from kb.extract import extract
from kb.importer import read_paths
from kb.index import Floats
from kb.passages import split
from kb.search import Encoder, Query, Snapshot, search_text

# Deep enough that ten different documents are among the passages found.
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the id of the document that answers it, and the answer's words where they are known."""

    text: str
    docid: str
    answer: str = ""


def read_questions(path: Path) -> list[Question]:
    """Rows `{question, docid, answer}` of a JSON lines file; raises InvalidDocument with the line."""
    questions = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefused(path.name, "文件打不开，或者不是 UTF-8 文字。") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            questions.append(Question(str(row["question"]), str(row["docid"]), str(row.get("answer") or "")))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InvalidDocument(f"{path.name} 第 {number} 行不是 {{question, docid, answer}}。") from error
    return questions


def read_corpus(path: Path) -> list[NewDocument]:
    """The documents of a corpus; a file without any is refused."""
    documents, refused = read_paths([path])
    if not documents:
        raise refused[0] if refused else FileRefused(path.name, "里面没有文件。")
    return documents


def build(
    documents: Sequence[NewDocument],
    encoder: Encoder,
    *,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Snapshot:
    """An index in memory over the documents, published unless they say otherwise; touches no database."""
    passages: list[Passage] = []
    found_by: list[str] = []
    for document in documents:
        for ordinal, piece in enumerate(split(document.text, document.title)):
            passages.append(Passage(len(passages), document.id, ordinal, piece.article, piece.text))
            found_by.append(search_text(document.title, piece.article, piece.text))
    made: list[Floats] = []
    for start in range(0, len(found_by), batch):
        made.append(encoder.embed(found_by[start : start + batch], "passage"))
        if progress:
            progress(min(start + batch, len(found_by)), len(found_by))
    vectors = np.concatenate(made) if made else np.zeros((0, 1), dtype=np.float32)
    return Snapshot.of({d.id: _published(d) for d in documents}, passages, vectors)


def evaluate(
    questions: Sequence[Question],
    snapshot: Snapshot,
    encoder: Encoder,
    calibration: Calibration,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Recall and reciprocal rank of the right document, ROUGE-L of the sentences extracted, time of an answer.

    Returns:
        n, recall@1/5/10 and mrr@10 over documents; rouge_l: mean F over characters between what is extracted and the
        known answer, over all questions that have one and whatever the threshold says; answered: share of questions
        above the threshold; answered_right: share of those whose cited document is the right one; ms_p50 and ms_p95:
        milliseconds from question to answer, embedding included.
    """
    today = date.today()
    ranks: list[int] = []
    overlaps: list[float] = []
    times: list[float] = []
    right: list[bool] = []
    for number, question in enumerate(questions, start=1):
        started = time.perf_counter()
        result = answer(question.text, snapshot, encoder, calibration, today=today)
        times.append((time.perf_counter() - started) * 1000)
        query = Query.of(question.text, encoder)
        hits = snapshot.search(query, top_k=_DEPTH, today=today)
        order = list(dict.fromkeys(h.document.id for h in hits))
        ranks.append(order.index(question.docid) + 1 if question.docid in order else 0)
        if question.answer.strip():
            quotes = extract(query, hits, snapshot)
            overlaps.append(rouge_l("".join(q.answer for q in quotes), question.answer))
        if result.outcome == "answered":
            right.append(any(c.document == question.docid for c in result.citations))
        if progress:
            progress(number, len(questions))
    total = max(len(questions), 1)

    def recall(depth: int) -> float:
        return round(sum(1 for r in ranks if 0 < r <= depth) / total, 4)

    return {
        "n": len(questions),
        "recall@1": recall(1),
        "recall@5": recall(5),
        "recall@10": recall(10),
        "mrr@10": round(sum(1 / r for r in ranks if 0 < r <= 10) / total, 4),
        "rouge_l": round(float(np.mean(overlaps)), 4) if overlaps else 0.0,
        "answered": round(len(right) / total, 4),
        "answered_right": round(sum(right) / len(right), 4) if right else 0.0,
        "ms_p50": round(float(np.percentile(times, 50)), 1) if times else 0.0,
        "ms_p95": round(float(np.percentile(times, 95)), 1) if times else 0.0,
        "documents": len(snapshot.documents),
        "passages": len(snapshot),
    }


def rouge_l(candidate: str, reference: str) -> float:
    """F measure of the longest common subsequence over characters, white space left out: 0…1 (Lin, 2004)."""
    a, b = "".join(candidate.split()), "".join(reference.split())
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return 2 * row[-1] / (len(a) + len(b))


def _published(document: NewDocument) -> Document:
    return Document(
        id=document.id,
        title=document.title,
        status=document.status or "published",
        issuer=document.issuer,
        region=document.region,
        audience=document.audience,
        category=document.category,
        valid_from=document.valid_from,
        valid_to=document.valid_to,
    )
