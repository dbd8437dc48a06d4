"""A sender in a process of its own that is killed, or kills itself, in the middle of its work.

`python -m tests.dispatch.doomed` starts one per line of its input (a JSON list, the arguments of `run`), forked so that
hundreds of them cost one import, and prints `start PID` and `end PID STATUS`.
"""

import asyncio
import json
import os
import select
import signal
import threading
import time
from typing import Literal

from sqlalchemy import event
from sqlalchemy.orm import configure_mappers

from assistant.db.session import Database
from assistant.dispatch.destinations.base import Destination, Outgoing, RemoteStatus, Sent
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.destinations.webhook import WebhookDestination
from assistant.dispatch.sender import RetryPolicy, Sender

# committing: a claim or a mark is written and not committed; claimed: the row is claimed and not sent; answered: the
# answer is here and not noted down; any: so many milliseconds after the start; never: somebody else kills.
Moment = Literal["committing", "claimed", "answered", "any", "never"]
CLAIM_S = 2.0


class Doom:
    """Ends the process without any farewell at the `nth` time the moment comes."""

    def __init__(self, moment: Moment, nth: int) -> None:
        self._moment, self._left = moment, nth

    def strike(self, moment: Moment) -> None:
        if moment == self._moment:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def start(self) -> None:
        if self._moment == "any":
            threading.Thread(target=self._later, daemon=True).start()

    def _later(self) -> None:
        time.sleep(self._left / 1000)
        os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    def __init__(self, inner: Destination, doom: Doom) -> None:
        self._inner, self._doom = inner, doom

    async def send(self, row: Outgoing) -> Sent:
        self._doom.strike("claimed")
        sent = await self._inner.send(row)
        self._doom.strike("answered")
        return sent

    async def status(self, remote_ids: object) -> list[RemoteStatus]:
        return []

    async def close(self) -> None:
        await self._inner.close()


def destination(kind: str, url: str, secret: str) -> Destination:
    if kind == "webhook":
        return WebhookDestination(url, secret=secret, trust_env=False)
    return Open311Destination(url, api_key=secret, trust_env=False)


def run(db_url: str, kind: str, url: str, secret: str, moment: Moment, nth: int) -> None:
    """The whole life of the process."""
    doom = Doom(moment, nth)
    doom.start()

    async def work() -> None:
        db = Database(db_url)
        event.listen(db.engine.sync_engine, "commit", lambda _: doom.strike("committing"))
        sender = Sender(
            db,
            {"desk": Deadly(destination(kind, url, secret), doom)},
            retry=RetryPolicy(base_s=0.1, longest_s=1),
            claim_s=CLAIM_S,
            concurrency=4,
            idle_s=0.05,
        )
        await sender.run(asyncio.Event())

    asyncio.run(work())


def _warm_up() -> None:
    """Import before the forks what a sender imports on its way, drivers above all."""
    for url in ("sqlite+aiosqlite://", "postgresql+asyncpg://nobody@127.0.0.1/none"):
        Database(url)
    configure_mappers()
    Open311Destination("http://127.0.0.1", trust_env=False)


def main() -> None:
    _warm_up()
    children: set[int] = set()
    while True:
        if select.select([0], [], [], 0.003)[0]:
            # Byte by byte, so that no further line hides in a buffer.
            line = b""
            while not line.endswith(b"\n"):
                byte = os.read(0, 1)
                if not byte:
                    for pid in children:
                        os.kill(pid, signal.SIGKILL)
                    return
                line += byte
            pid = os.fork()
            if pid == 0:
                # What it logs must not come between our lines.
                os.dup2(2, 1)
                try:
                    run(*json.loads(line))
                finally:
                    os._exit(1)
            children.add(pid)
            print("start", pid, flush=True)
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.remove(pid)
                print("end", pid, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
