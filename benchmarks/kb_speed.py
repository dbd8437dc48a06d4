"""Time, memory and recall of policy search over many passages.

    python -m benchmarks.kb_speed --data ../shared/data --passages 100000 --work FOLDER

The passages are those of policy_qa again and again: each copy's vector is the real one with noise of half its length, a
third of its words come from another passage. The questions are real, and embedded in the time measured. What is
measured runs in a fresh process after the base was written: start until the index is ready (mapped from its file),
search by `Snapshot.search`, change until found through `KnowledgeBase` on the database, memory of the process. Times of
the processor (cpu) stand beside those of the clock: they say more where other programs run.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import psutil
import typer
from sqlalchemy import insert

from assistant.db.models import KbDocument, KbPassage, KbRevision
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.settings import get_settings
from benchmarks.machine import describe
from kb import index_file, reading
from kb.documents import NewDocument, Passage
from kb.index import Floats
from kb.keeper import FILE
from kb.nearest import Nearest, exact_nearest
from kb.passages import split
from kb.postings import Postings
from kb.search import Query
from kb.segment import Entry, Segment, Texts, search_terms, search_text
from kb.service import KbSettings, KnowledgeBase
from nlu.encoder import Encoder

_NOISE = 0.5
_OTHER_WORDS = 1 / 3
_OF_A_DOCUMENT = 10
_ASKED = 300
app = typer.Typer()


class QuestionEncoder:
    """The shipped encoder without the heads."""

    def __init__(self, threads: int = 1) -> None:
        folder = get_settings().nlu_model_dir
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.encoder_id: str = config["files"]["encoder.onnx"]
        self._encoder = Encoder(folder, config["prefixes"], threads=threads, with_hidden=False)

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> Floats:
        return self._encoder.vectors(texts, kind)


@app.command()
def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    work: Annotated[Path, typer.Option(help="folder for the base; what is there of an earlier run is used again")],
    passages: int = 100_000,
    changes: Annotated[int, typer.Option(help="documents published one after another; 0 needs no database")] = 20,
) -> None:
    """Write a base of `passages` and measure it in a fresh process."""
    work.mkdir(parents=True, exist_ok=True)
    base = work / f"{passages}"
    if not (base / FILE).exists():
        _write(data, work, base, passages, changes > 0)
    command = [sys.executable, "-m", "benchmarks.kb_speed", "measure"]
    command += ["--data", str(data), "--base", str(base), "--changes", str(changes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    typer.echo(done.stdout.strip().splitlines()[-1])


@app.command()
def measure(data: Annotated[Path, typer.Option()], base: Annotated[Path, typer.Option()], changes: int = 20) -> None:
    """Measure a base that was written before; the last line is the result as JSON."""
    process = psutil.Process()
    encoder = QuestionEncoder()
    encoder.embed(["暖机"], "query")
    Query.of("先装入分词词典", encoder)
    before = process.memory_info().rss
    started = time.perf_counter()
    segment = index_file.load(base / FILE, encoder.encoder_id)
    loaded = time.perf_counter() - started
    assert segment is not None
    result: dict[str, Any] = {
        "passages": len(segment),
        "file_gb": round((base / FILE).stat().st_size / 2**30, 2),
        "load_file_s": round(loaded, 2),
        "search": "lists" if segment.nearest.lists else "exact",
    }
    if segment.nearest.lists:
        result |= {"probes": segment.nearest.lists.probes, "recall_at_build": segment.nearest.lists.recall}
    del segment
    result |= asyncio.run(_asked(data, base, encoder, changes, process, before))
    result["machine"] = describe("faiss-cpu", "numpy", "onnxruntime")
    typer.echo(json.dumps(result, ensure_ascii=False))


async def _asked(
    data: Path, base: Path, encoder: QuestionEncoder, changes: int, process: psutil.Process, before: int
) -> dict[str, Any]:
    db = Database(f"sqlite+aiosqlite:///{base / 'base.db'}")
    settings = KbSettings(today=lambda: date(2026, 1, 1), index_folder=base)
    kb = KnowledgeBase(db, encoder, settings=settings)
    started, busy = time.perf_counter(), time.process_time()
    await kb.load()
    ready, ready_cpu = time.perf_counter() - started, time.process_time() - busy
    snapshot = await kb._index.current()
    questions = [r["question"] for r in _rows(data / "policy_qa" / "questions.jsonl")]
    questions = random.Random(1).sample(questions, _ASKED)
    today = date(2026, 1, 1)
    times, embedding, cpu = [], [], []
    for question in questions[:10] + questions:
        started, busy = time.perf_counter(), time.thread_time()
        query = Query.of(question, encoder)
        embedding.append(time.perf_counter() - started)
        snapshot.search(query, top_k=30, today=today)
        times.append(time.perf_counter() - started)
        cpu.append(time.thread_time() - busy)
    memory = process.memory_full_info()
    vectors = encoder.embed(questions, "query")
    nearest = snapshot.segments[0].nearest
    true = exact_nearest(nearest.vectors, vectors, 10)
    recall = np.mean([np.isin(t, nearest.search(v, 200)).mean() for t, v in zip(true, vectors, strict=True)])
    found_after, found_cpu = [], []
    run = time.time_ns()
    for number in range(changes):
        text = f"## 新规定\n编号{run}{number}号的飞行汽车停放办法，停车费每小时{number + 3}元，由空港管理处登记。"
        await kb.import_documents([NewDocument(f"new{number}-{run}", f"飞行汽车停放办法{number}", text)], publish=True)
        started, busy = time.perf_counter(), time.process_time()
        hits = await kb.search(f"编号{run}{number}号的飞行汽车停放办法停车费", top_k=3)
        found_after.append(time.perf_counter() - started)
        found_cpu.append(time.process_time() - busy)
        assert hits[0].document.id == f"new{number}-{run}"
    await kb.settled()
    await db.close()
    ms = np.array(times[10:]) * 1000
    return {
        "ready_s": round(ready, 2),
        "ready_cpu_s": round(ready_cpu, 2),
        "p50_ms": round(float(np.percentile(ms, 50)), 1),
        "p95_ms": round(float(np.percentile(ms, 95)), 1),
        "p50_cpu_ms": round(float(np.percentile(np.array(cpu[10:]) * 1000, 50)), 1),
        "p95_cpu_ms": round(float(np.percentile(np.array(cpu[10:]) * 1000, 95)), 1),
        "of_it_query_p95_ms": round(float(np.percentile(np.array(embedding[10:]) * 1000, 95)), 1),
        "recall@10": round(float(recall), 4),
        "found_after_change_p50_s": round(float(np.median(found_after)), 3) if found_after else None,
        "found_after_change_cpu_p50_s": round(float(np.median(found_cpu)), 3) if found_cpu else None,
        "found_after_change_max_s": round(max(found_after), 3) if found_after else None,
        "memory_of_index_gb": round((memory.rss - before) / 2**30, 2),
        "memory_own_gb": round(memory.uss / 2**30, 2),
        "memory_process_gb": round(memory.rss / 2**30, 2),
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(data: Path, work: Path, base: Path, wanted: int, with_database: bool) -> None:
    documents = _rows(data / "policy_qa" / "documents.jsonl")
    real = [(d["title"], p) for d in documents for p in split(d["text"], d["title"])]
    found_by = [search_text(title, piece.article, piece.text) for title, piece in real]
    encoder = QuestionEncoder(threads=2)
    kept = work / f"vectors-{encoder.encoder_id[:16]}.npy"
    if not kept.exists():
        order = np.argsort([len(text) for text in found_by])
        vectors = np.zeros((len(real), encoder.embed(["x"], "passage").shape[1]), dtype=np.float32)
        for start in range(0, len(real), 16):
            here = order[start : start + 16]
            vectors[here] = encoder.embed([found_by[i] for i in here], "passage")
        np.save(kept, vectors)
    vectors = np.load(kept)
    terms = [search_terms(title, Passage(0, "", 0, piece.article, piece.text)) for title, piece in real]
    chance, numbers = random.Random(0), np.random.default_rng(0)
    source = numbers.integers(0, len(real), wanted)
    halves = np.empty((wanted, vectors.shape[1]), dtype=np.float16)
    for start in range(0, wanted, 50_000):
        part = vectors[source[start : start + 50_000]]
        noise = numbers.normal(size=part.shape).astype(np.float32)
        part = part + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        halves[start : start + 50_000] = part / np.linalg.norm(part, axis=1, keepdims=True)

    def mixed(i: int) -> list[str]:
        own, other = terms[source[i]], terms[chance.randrange(len(terms))]
        cut = int(len(own) * _OTHER_WORDS)
        at = chance.randrange(max(len(own) - cut, 1))
        return own[:at] + own[at + cut :] + other[:cut]

    base.mkdir(parents=True, exist_ok=True)
    names = [f"d{i}" for i in range(-(-wanted // _OF_A_DOCUMENT))]
    keys = asyncio.run(_database(base, names, real, source, with_database))
    segment = Segment(
        [
            Entry(name, keys[name], i * _OF_A_DOCUMENT, min((i + 1) * _OF_A_DOCUMENT, wanted))
            for i, name in enumerate(names)
        ],
        np.arange(1, wanted + 1, dtype=np.int64),
        (np.arange(wanted) % _OF_A_DOCUMENT).astype(np.int32),
        Texts.of(real[i][1].article or "\x00" for i in source),
        Texts.of(real[i][1].text for i in source),
        Postings.of(mixed(i) for i in range(wanted)),
        Nearest.of(halves[:0]),
    )
    questions = encoder.embed(segment.openings(128), "query")
    segment = replace(segment, nearest=Nearest.chosen(halves, questions))
    index_file.save(base / FILE, segment, encoder.encoder_id)


async def _database(base: Path, names: Sequence[str], real: Any, source: Any, with_passages: bool) -> dict[str, str]:
    """A database of the documents; vectors lie in the file alone."""
    db = Database(f"sqlite+aiosqlite:///{base / 'base.db'}")
    await upgrade(db)
    at = datetime.now(UTC)
    async with db.begin() as session:
        await session.execute(insert(KbRevision).values(id=1, revision=1))
        for start in range(0, len(names), 1000):
            rows = [
                {
                    "id": name,
                    "title": real[source[(start + i) * _OF_A_DOCUMENT]][0][:300],
                    "status": "published",
                    "content_hash": "",
                    "version": 1,
                    "created_at": at,
                    "updated_at": at,
                }
                for i, name in enumerate(names[start : start + 1000])
            ]
            await session.execute(insert(KbDocument), rows)
        for start in range(0, len(source), 10_000):
            rows = [
                {
                    "id": i + 1,
                    "document_id": names[i // _OF_A_DOCUMENT],
                    "ordinal": i % _OF_A_DOCUMENT,
                    "text": real[source[i]][1].text if with_passages else "",
                }
                for i in range(start, min(start + 10_000, len(source)))
            ]
            await session.execute(insert(KbPassage), rows)
    async with db.read() as session:
        keys = {id_: state.key for id_, state in (await reading.states(session)).items()}
    await db.close()
    return keys


if __name__ == "__main__":
    app()
