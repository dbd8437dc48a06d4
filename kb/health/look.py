"""The checks that read every text, in a process of their own: a turn must not share its interpreter with them.

Run as a program it reads a `Material` from standard input, a file of three arrays (.npy) with JSON behind them, and
writes a `Seen` as JSON.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from typing import IO

import numpy as np
from pydantic import TypeAdapter

from kb.documents import Document, Passage
from kb.health.contradictions import contradictions
from kb.health.duplicates import duplicates
from kb.health.finding import Entry, Finding
from kb.health.references import dead_references
from kb.health.unanswered import Asked, clusters
from kb.index import Floats

_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Material:
    """`entries`: documents in force; `documents`: all; `centre` (width,): the mean passage.

    `encoder_id`: which encoder the vectors are of.
    """

    entries: Sequence[Entry]
    documents: Sequence[Document]
    today: date
    asked: Sequence[Asked]
    centre: Floats
    encoder_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in the texts; `clusters` holds positions of questions, `unread` the passage's id of each sentence
    that could not be read."""

    findings: list[Finding]
    clusters: list[list[int]]
    unread: list[int] = field(default_factory=list)


def look(material: Material) -> Seen:
    """Takes seconds to minutes of one core."""
    entries = material.entries
    unread: list[int] = []
    found = chain(
        contradictions(entries, encoder_id=material.encoder_id, this_year=material.today.year, unread=unread),
        duplicates(entries),
        dead_references(entries, material.documents, material.today),
    )
    return Seen(list(found), clusters(material.asked, material.centre), unread)


async def look_elsewhere(material: Material) -> Seen:
    """`look` in a process of lower priority, which ends when this is cancelled. Raises RuntimeError if it fails."""
    # A file, not a pipe: the vectors of all passages are written out once and never copied in memory.
    with tempfile.TemporaryFile() as given:
        await asyncio.to_thread(_write, material, given)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kb.health.look", stdin=given, stdout=asyncio.subprocess.PIPE
        )
    try:
        written, _ = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if child.returncode:
        raise RuntimeError(f"the health check's process ended with {child.returncode}")
    return await asyncio.to_thread(_SEEN.validate_json, written)


@dataclass(frozen=True, slots=True)
class _Texts:
    """A `Material` without its vectors."""

    entries: list[tuple[Document, list[Passage]]]
    documents: list[Document]
    today: date
    asked: list[tuple[int, str, datetime]]
    encoder_id: str


_TEXTS, _SEEN = TypeAdapter(_Texts), TypeAdapter(Seen)


def _write(material: Material, file: IO[bytes]) -> None:
    width = len(material.centre)
    passages = [entry.vectors for entry in material.entries]
    for vectors in (
        np.concatenate(passages) if passages else np.zeros((0, width), dtype=np.float32),
        np.array([one.vector for one in material.asked], dtype=np.float32).reshape(-1, width),
        material.centre,
    ):
        np.save(file, vectors, allow_pickle=False)
    entries = [(entry.document, list(entry.passages)) for entry in material.entries]
    asked = [(one.id, one.question, one.at) for one in material.asked]
    texts = _Texts(entries, list(material.documents), material.today, asked, material.encoder_id)
    file.write(_TEXTS.dump_json(texts))
    file.flush()
    file.seek(0)


def _read(file: IO[bytes]) -> Material:
    vectors, asked, centre = (np.load(file, allow_pickle=False) for _ in range(3))
    texts = _TEXTS.validate_json(file.read())
    ends = np.cumsum([0, *(len(passages) for _, passages in texts.entries)]).tolist()
    return Material(
        [
            Entry(document, passages, vectors[start:end])
            for (document, passages), start, end in zip(texts.entries, ends, ends[1:], strict=False)
        ],
        texts.documents,
        texts.today,
        [Asked(*one, vector) for one, vector in zip(texts.asked, asked, strict=True)],
        centre,
        texts.encoder_id,
    )


def _main() -> None:
    os.nice(_NICENESS)
    # Whatever a library prints must not get among what is written.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with answer:
        answer.write(_SEEN.dump_json(look(_read(sys.stdin.buffer))))


if __name__ == "__main__":
    _main()
