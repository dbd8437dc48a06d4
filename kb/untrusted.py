"""Read files of unknown origin: in a process of their own, with limits on memory and processor time.

Libraries for PDF, Word and Excel are no match for hostile files: a few kilobytes can take minutes and gigabytes. One
child serves a whole batch (`kb/untrusted_child.py`); it holds itself to the limits, and when it dies of a file, the
file is refused, another child takes its place and the batch goes on. Only JSON comes back, never pickled objects.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from kb.documents import NewDocument
from kb.errors import FileRefused, KbError
from kb.importer import FileReading, Note, found_in

MEMORY_BYTES: Final = 256 * 1024 * 1024
"""Address space of the child, its program included."""

# The clock on the wall only catches a child that hangs without working; what a file may take is processor time.
_SILENT_FOR_S = 120.0
_MOST_DEATHS = 20
_CHUNK = 1 << 16
_DAYS = ("valid_from", "valid_to")

Progress = Callable[[int, int], None]


class UntrustedReader:
    """Reads files through one child process. Use it as a context manager, from one thread at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def __enter__(self) -> "UntrustedReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def read(self, name: str, data: bytes) -> FileReading:
        """What is in a file or an archive. Never raises for its content: what cannot be read is among the refused."""
        whole = FileReading()
        done = 0
        for _ in range(_MOST_DEATHS):
            failed = self._round(name, data, done, whole)
            if failed is None:
                return whole
            # Each failed round gets past one file at least.
            done, current = failed
            whole.refused.append(FileRefused(current, self._cause_of_death()))
            if current == name:
                return whole
        whole.refused.append(FileRefused(name, f"已有 {_MOST_DEATHS} 个文件使读取程序中止，其余的没有再读。"))
        return whole

    def _round(self, name: str, data: bytes, skip: int, whole: FileReading) -> tuple[int, str] | None:
        """Adds what the child reads to `whole`; where it dies, the number of files passed and the name of the last."""
        child = self._started()
        done, current = skip, name
        # Nothing of a file that is refused half-way may remain, so each is added when the next begins.
        part = FileReading()
        try:
            assert child.stdin is not None
            head = json.dumps({"name": name, "bytes": len(data), "skip": skip}).encode() + b"\n"
            child.stdin.write(head)
            child.stdin.write(data)
            child.stdin.flush()
            while (message := self._message(child)) is not None:
                if "end" in message:
                    whole.add(part)
                    if message.get("worn"):
                        self.close()
                    return None
                if "file" in message:
                    whole.add(part)
                    part = FileReading()
                    done, current = done + 1, str(message["file"])
                _take(message, current, part)
        except (BrokenPipeError, ValueError, KeyError, TypeError):
            # The child died, or what it wrote is no message of ours: either way it is not to be trusted any more.
            pass
        return done, current

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._unread = b""
            # Nothing of our environment: it holds the keys.
            environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUTF8": "1"}
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-B", "-m", "kb.untrusted_child", str(MEMORY_BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
            )
        return self._child

    def _message(self, child: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        assert child.stdout is not None
        blocks = [self._unread]
        while b"\n" not in blocks[-1]:
            if not select.select([child.stdout], [], [], _SILENT_FOR_S)[0]:
                return None
            block = os.read(child.stdout.fileno(), _CHUNK)
            if not block:
                return None
            blocks.append(block)
        line, _, self._unread = b"".join(blocks).partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError
        return message

    def _cause_of_death(self) -> str:
        child = self._child
        code: int | None = None
        if child is not None:
            try:
                code = child.wait(1)
            except subprocess.TimeoutExpired:
                code = None
        self.close()
        if code == -signal.SIGPROF or code is None:
            return "读取用时过长，已中止；文件可能损坏，或是特意做成这样的。"
        return "读取时内存超过限制，或文件使读取程序出错，已中止；请另存一份或拆分后再导入。"


def read_untrusted(name: str, data: bytes) -> FileReading:
    """One file or archive, in a child that is started for it."""
    with UntrustedReader() as reader:
        return reader.read(name, data)


def read_untrusted_paths(paths: Iterable[Path], progress: Progress | None = None) -> FileReading:
    """Files, folders and archives; `progress(done, total)` counts files and archives."""
    sources, notes = found_in(paths)
    whole = FileReading(notes=notes)
    with UntrustedReader() as reader:
        for number, source in enumerate(sources, start=1):
            try:
                data = source.load()
            except FileRefused as error:
                whole.refused.append(error)
            else:
                whole.add(reader.read(source.name, data))
            if progress:
                progress(number, len(sources))
    return whole


def _take(message: dict[str, Any], current: str, part: FileReading) -> None:
    if "document" in message:
        given = message["document"]
        known = {f.name for f in fields(NewDocument)}
        values = {key: value for key, value in given.items() if key in known}
        for key in _DAYS:
            values[key] = date.fromisoformat(values[key]) if values.get(key) else None
        try:
            part.documents.append(NewDocument(**values).checked())
        except KbError as error:
            part.refused.append(FileRefused(current, error.detail))
    elif "refused" in message:
        part.refused.append(FileRefused(str(message["refused"]), str(message["reason"])))
    elif "note" in message:
        part.notes.append(Note(str(message["name"]), str(message["note"])))
