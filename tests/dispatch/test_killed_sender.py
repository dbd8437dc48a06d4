"""A sender killed with SIGKILL at any moment loses nothing and doubles nothing."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assistant.db.session import Database
from tests.dispatch import doomed
from tests.dispatch.conftest import add_ticket, at_desk, outbox, until
from tests.dispatch.receiver import API_KEY, Receiver

KILLS, TICKETS = 12, 24
# In the gaps of a delivery, and just anywhere.
MOMENTS = ("claimed", "stored", "answered", "any")


class Nursery:
    """Starts senders as processes and learns how they ended."""

    def __init__(self, process: asyncio.subprocess.Process, db_url: str, desk_url: str) -> None:
        self._process = process
        self._arguments = [db_url, desk_url, API_KEY]
        self._ended: dict[int, int] = {}

    async def start(self, moment: doomed.Moment, nth: int = 0) -> int:
        """The process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([*self._arguments, moment, nth]).encode() + b"\n")
        return int((await self._line("start"))[0])

    async def end(self, pid: int) -> int:
        """The exit code, negative for a signal."""
        while pid not in self._ended:
            await self._line("end")
        return self._ended[pid]

    async def _line(self, wanted: str) -> list[str]:
        assert self._process.stdout is not None
        while True:
            line = await asyncio.wait_for(self._process.stdout.readline(), 60)
            kind, *values = line.decode().split() or ["closed"]
            assert kind in ("start", "end"), "a sender could not be started"
            if kind == "end":
                self._ended[int(values[0])] = int(values[1])
            if kind == wanted:
                return values


@pytest.fixture
async def nursery(db_url: str, receiver: Receiver) -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.dispatch.doomed",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    yield Nursery(process, db_url, receiver.desk_url)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def test_kills_lose_and_double_nothing(db: Database, receiver: Receiver, nursery: Nursery) -> None:
    dice = random.Random(20)
    numbers = [f"ZZ{n:03}" for n in range(TICKETS)]
    for number in numbers:
        await add_ticket(db, number, "supplement")

    killed: list[int] = []
    for n in range(KILLS):
        moment, nth = MOMENTS[n % len(MOMENTS)], dice.randint(1, 4)
        if moment == "claimed" or moment == "answered":
            pid = await nursery.start(moment, nth)
        else:
            left, posts = [nth], receiver.faults.seen.total()
            pid = await nursery.start("never")
            if moment == "stored":

                def strike(pid: int = pid, left: list[int] = left) -> None:
                    # In the server: the request is stored, its answer not yet sent.
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(pid, signal.SIGKILL)

                receiver.faults.stored = strike
            else:

                async def at_work(posts: int = posts) -> bool:
                    return receiver.faults.seen.total() > posts

                await until(at_work)
                await asyncio.sleep(dice.uniform(0, 0.05))
                os.kill(pid, signal.SIGKILL)
        killed.append(await nursery.end(pid))
        receiver.faults.stored = None
    assert killed == [-signal.SIGKILL] * KILLS
    assert {row.state for row in await outbox(db)} != {"sent"}, "the last kill came before the work was done"

    survivors = [await nursery.start("never") for _ in range(2)]

    async def all_sent() -> bool:
        return {row.state for row in await outbox(db)} == {"sent"}

    await until(all_sent)
    for pid in survivors:
        os.kill(pid, signal.SIGKILL)
        await nursery.end(pid)

    requests = await at_desk(db)
    counts = Counter(request.attributes["ticket_number"] for request in requests)
    assert sorted(counts) == numbers, "none is lost"
    assert set(counts.values()) == {1}, "none is there twice"
    assert [len(request.notes) for request in requests] == [1] * TICKETS
    ids = {request.attributes["ticket_number"]: request.service_request_id for request in requests}
    assert all(row.remote_id == ids[row.ticket_number] for row in await outbox(db))
