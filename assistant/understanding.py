"""The language model for the application: read off the event loop, each text once."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from nlu.runtime import Reader, Understanding


class CachingReader:
    """A `Reader` that remembers its last readings: a turn's text is needed by the gateway and by the engine."""

    def __init__(self, reader: Reader, *, size: int = 512) -> None:
        self.reader = reader
        self._known: LRUCache[str, Understanding] = LRUCache(size)
        self._lock = Lock()
        # One thread: the model uses one core, and more would only make each reading slower.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nlu")

    def read(self, text: str) -> Understanding:
        """What the model understands; blocks for some 10 ms on a new text."""
        with self._lock:
            known = self._known.get(text)
        if known is not None:
            return known
        reader = self.reader
        understanding = reader.read(text)
        with self._lock:
            if reader is self.reader:
                self._known[text] = understanding
        return understanding

    def swap(self, reader: Reader) -> None:
        """Read with another reader from the next text on; what the former one read is forgotten."""
        with self._lock:
            self.reader = reader
            self._known.clear()

    async def aread(self, text: str) -> Understanding:
        """`read` without blocking the event loop."""
        with self._lock:
            known = self._known.get(text)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.read, text)

    async def as_dict(self, text: str) -> dict[str, Any]:
        return (await self.aread(text)).as_dict()

    @property
    def encoder_id(self) -> str:
        """Which vectors belong together."""
        return self.reader.encoder_id

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> npt.NDArray[np.float32]:
        """Vectors of length 1, (number of texts, width); a question that was read lately costs nothing."""
        if kind == "query" and len(texts) == 1:
            with self._lock:
                known = self._known.get(texts[0])
            if known is not None and known.vector is not None:
                return known.vector[np.newaxis]
        return self.reader.embed(texts, kind)

    async def aembed(self, text: str) -> npt.NDArray[np.float32]:
        """The vector of a passage, of length 1, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, lambda: self.embed([text], "passage"))
        return np.asarray(vectors[0], np.float32)

    def close(self) -> None:
        self._thread.shutdown()


class Phrases:
    """Vectors of texts as questions; what many are compared with is embedded once for each encoder."""

    def __init__(self, reader: CachingReader, *, size: int = 4096) -> None:
        self._reader = reader
        self._known: LRUCache[tuple[str, str], npt.NDArray[np.float32]] = LRUCache(size)
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(number of texts, width), of length 1; blocks."""
        encoder = self._reader.encoder_id
        with self._lock:
            found = {text: self._known.get((encoder, text)) for text in texts}
        for text, vector in found.items():
            if vector is None:
                vector = found[text] = self._reader.embed([text], "query")[0]
                with self._lock:
                    self._known[encoder, text] = vector
        return np.array([found[text] for text in texts], np.float32)
