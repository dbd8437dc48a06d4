"""The language model for the application: read off the event loop, each text once."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from nlu.runtime import Reader, Understanding


class CachingReader:
    """A `Reader` that remembers its last readings: a turn's text is needed by the gateway and by the engine."""

    def __init__(self, reader: Reader, *, size: int = 512) -> None:
        self.reader, self._size = reader, size
        self._known: OrderedDict[str, Understanding] = OrderedDict()
        self._lock = Lock()
        # One thread: the model uses one core, and more would only make each reading slower.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nlu")

    def read(self, text: str) -> Understanding:
        """What the model understands; blocks for some 10 ms on a new text."""
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return self._known[text]
        understanding = self.reader.read(text)
        with self._lock:
            self._known[text] = understanding
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return understanding

    async def aread(self, text: str) -> Understanding:
        """`read` without blocking the event loop."""
        with self._lock:
            known = self._known.get(text)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.read, text)

    async def as_dict(self, text: str) -> dict[str, Any]:
        return (await self.aread(text)).as_dict()

    def close(self) -> None:
        self._thread.shutdown()
