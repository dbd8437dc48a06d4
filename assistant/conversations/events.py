"""Wakes those who watch a conversation. Only a hint: watchers also look at the database, where others write too."""

import asyncio
from collections import defaultdict


class Events:
    """`notify(id)` ends the current `wait(id, …)` of every watcher in this process."""

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def notify(self, conversation_id: str) -> None:
        for event in self._watchers.get(conversation_id, ()):
            event.set()

    async def wait(self, conversation_id: str, timeout_s: float) -> None:
        """Return when something happened, or after `timeout_s`."""
        event = asyncio.Event()
        self._watchers[conversation_id].add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._watchers[conversation_id].discard(event)
            if not self._watchers[conversation_id]:
                del self._watchers[conversation_id]
