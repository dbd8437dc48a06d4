"""The process that opens files of unknown origin: `python -m kb.untrusted_child BYTES`, spoken to by `kb.untrusted`.

On standard input: a line of JSON {"name", "bytes", "skip"}, then that many bytes; again for the next file. On standard
output, a line of JSON each: {"file"} when a file is begun (of an archive: each of its files, the first `skip` left
out), {"document"}, {"refused", "reason"}, {"name", "note"} for what came of it, and {"end"}.

Limits it sets for itself: address space (RLIMIT_AS), no file written (RLIMIT_FSIZE), processor time of each file by
ITIMER_PROF, whose signal kills; processor time and not the clock, so that a busy machine refuses no healthy file.
"""

import json
import re
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

# openpyxl takes numpy along where it is installed: much memory, and nothing of it is needed here.
sys.modules["numpy"] = None  # type: ignore[assignment]

from kb.errors import FileRefused  # noqa: E402
from kb.importer import parts_of, read_one  # noqa: E402

SECONDS: Final = 1.2
"""Processor time for a file before its reader knows what it needs (`more` in `kb.formats`)."""

MOST_SECONDS: Final = 30.0
_WORN_SHARE = 0.5


class Clock:
    """Processor time left for the file that is read."""

    def restart(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)

    def more(self, seconds: float) -> None:
        left, _ = signal.getitimer(signal.ITIMER_PROF)
        signal.setitimer(signal.ITIMER_PROF, min(left + max(seconds, 0.0), MOST_SECONDS))

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit(memory: int) -> None:
    """Holds this process to `memory` bytes of address space, and to reading."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def answers(name: str, data: bytes, skip: int, clock: Clock) -> Iterator[dict[str, Any]]:
    """What came of a file or an archive, message by message."""
    clock.restart()
    try:
        for number, part in enumerate(parts_of(name, data)):
            if number < skip:
                continue
            clock.restart()
            yield {"file": part.name}
            try:
                reading = read_one(part.name, part.load(), clock.more)
            except FileRefused as error:
                yield {"refused": error.name, "reason": error.reason}
                continue
            for document in reading.documents:
                yield {"document": asdict(document)}
            for refused in reading.refused:
                yield {"refused": refused.name, "reason": refused.reason}
            for note in reading.notes:
                yield {"name": note.name, "note": note.text}
    except FileRefused as error:
        yield {"refused": error.name, "reason": error.reason}
    clock.stop()
    yield {"end": True, "worn": _worn()}


def _worn() -> bool:
    """Whether a file took so much memory that what is left lies in pieces; the next one gets a fresh process."""
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    # Not ru_maxrss, which counts what the parent held when it started this process.
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return peak is not None and int(peak[1]) * 1024 > memory * _WORN_SHARE


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers until the other side closes; ends after a file that took all the memory."""
    clock = Clock()
    while line := source.readline():
        order = json.loads(line)
        data = source.read(order["bytes"])
        try:
            for message in answers(order["name"], data, order["skip"], clock):
                sink.write(json.dumps(message, default=str).encode() + b"\n")
                sink.flush()
        except MemoryError:
            # Freed memory lies in pieces: the next file gets a fresh process.
            sys.exit(1)


if __name__ == "__main__":
    limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
