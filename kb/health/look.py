"""The checks that read every text, in a process of their own: a turn must not share its interpreter with them.

Run as a program it reads a `Material` from standard input and writes a `Seen`, both pickled by the other side of the
same code; nothing else is ever read.
"""

import asyncio
import os
import pickle
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import IO

from kb.documents import Document
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
    seen: Seen = await asyncio.to_thread(pickle.loads, written)
    return seen


def _write(material: Material, file: IO[bytes]) -> None:
    pickle.dump(material, file, protocol=pickle.HIGHEST_PROTOCOL)
    file.flush()
    file.seek(0)


def _main() -> None:
    os.nice(_NICENESS)
    # Whatever a library prints must not get among what is written.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Pickled by the process that started this one.
    material = pickle.load(sys.stdin.buffer)  # noqa: S301
    with answer:
        answer.write(pickle.dumps(look(material)))


if __name__ == "__main__":
    # Not as __main__: what is pickled must have the names that the other side knows.
    from kb.health import look as itself

    itself._main()
