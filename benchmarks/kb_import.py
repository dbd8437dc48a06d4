"""Passages a second of an import: where the time goes, and whether vectors stay what they were.

    python -m benchmarks.kb_import --data ../shared/data --documents 60

Documents of policy_qa, drawn by a fixed number. Measured: cutting and embedding as before (a document at a time in
batches of up to 32 on two threads, hidden states included), embedding as now (`kb.embedding`: a passage a pass, two
passes at once), and the whole of `minsheng kb import` into a fresh SQLite database. Figures per second of the clock
stand beside figures per second of processor time, which say more where other programs run. Cosines compare the vectors
of now with those of before, and those of before with themselves in batches of another size.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.settings import get_settings
from benchmarks.machine import describe
from kb.embedding import BulkEncoder
from kb.importer import read_paths
from kb.index import Floats
from kb.passages import split
from kb.search import search_text
from kb.service import KnowledgeBase
from nlu.encoder import Encoder

_SEED = 3


def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False)],
    documents: Annotated[int, typer.Option(min=1)] = 60,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure and print one line of JSON."""
    found, _ = read_paths([data / "policy_qa" / "documents.jsonl"])
    chosen = random.Random(_SEED).sample(found, min(documents, len(found)))
    folder = get_settings().nlu_model_dir
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    before = Encoder(folder, config["prefixes"], threads=threads)
    now = BulkEncoder.load(folder, threads=threads)

    started = time.perf_counter()
    texts = [[search_text(d.title, p.article, p.text) for p in split(d.text, d.title)] for d in chosen]
    cut_s = time.perf_counter() - started
    flat = [text for document in texts for text in document]
    for encoder in (before.vectors, now.embed):
        encoder(flat[:4], "passage")

    def by_document(size: int) -> Floats:
        parts = (d[i : i + size] for d in texts for i in range(0, len(d), size))
        return np.concatenate([before.vectors(part, "passage") for part in parts])

    result: dict[str, Any] = {"documents": len(chosen), "passages": len(flat)}
    result["cut_per_s"] = round(len(flat) / cut_s)
    old, result["embed_before"] = _timed(len(flat), lambda: by_document(32))
    new, result["embed_now"] = _timed(len(flat), lambda: now.embed(flat, "passage"))
    _, result["import_now"] = _timed(len(flat), lambda: asyncio.run(_whole(chosen, now)))
    now.close()
    result["cosine_now_to_before"] = _cosines(new, old)
    result["cosine_before_in_batches_of_3"] = _cosines(by_document(3), old)
    result["machine"] = describe("onnxruntime", "numpy")
    typer.echo(json.dumps(result, ensure_ascii=False))


async def _whole(documents: Any, encoder: BulkEncoder) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite+aiosqlite:///{folder}/base.db")
        await upgrade(db)
        await KnowledgeBase(db, encoder).import_documents(documents, publish=True)
        await db.close()


def _timed(passages: int, work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    started, busy = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - started, time.process_time() - busy
    return result, {"per_s": round(passages / wall, 1), "per_cpu_s": round(passages / cpu, 1)}


def _cosines(a: Floats, b: Floats) -> dict[str, float]:
    cosines = (a * b).sum(axis=1)
    return {"mean": round(float(cosines.mean()), 4), "min": round(float(cosines.min()), 4)}


if __name__ == "__main__":
    typer.run(main)
