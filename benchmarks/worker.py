"""A side of a benchmark in its own process: it is sent texts, a line of JSON each time, and says how long they took."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_INTRA_OP_PARALLELISM_THREADS",
        "TF_INTER_OP_PARALLELISM_THREADS",
    ),
    "1",
)
"""Environment variables that keep every library to one thread."""


class WorkerError(RuntimeError):
    """A worker ended early; the message holds the end of what it printed."""


class Worker:
    """A process that answers lines."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        self._receive()  # it says that it has loaded

    def ask(self, texts: Sequence[str]) -> dict[str, Any]:
        """Sends texts; returns `{"ms": …}` and whatever else the process says. Raises WorkerError when it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer tells more
            self._process.stdin.write(json.dumps({"texts": list(texts)}) + "\n")
            self._process.stdin.flush()
        return self._receive()

    def memory_mb(self) -> int:
        """Resident memory, in MiB."""
        return int(psutil.Process(self._process.pid).memory_info().rss >> 20)

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            end = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise WorkerError(f"{self._process.args!r} has ended:\n{end}")
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def running(command: Sequence[str | Path], **variables: str) -> Iterator[Worker]:
    """Starts a worker and waits until it has loaded; ends it with the block."""
    with tempfile.TemporaryDirectory(prefix="worker-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*map(str, command)],
                cwd=ROOT,
                env=os.environ | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        try:
            yield Worker(process, log)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
