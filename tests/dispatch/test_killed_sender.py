"""A sender killed with SIGKILL at any moment loses nothing and doubles nothing."""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import func, select

from assistant.db.models import OutboxRow
from assistant.db.session import Database
from tests.dispatch import doomed
from tests.dispatch.conftest import add_ticket, at_desk, outbox, until
from tests.dispatch.hook_receiver import SECRET, Hook, hook_server
from tests.dispatch.receiver import API_KEY, Faults, Receiver

# Between commit, send, answer and mark; "stored": the request is at the receiver, its answer not yet on the way.
Moment = Literal["committing", "claimed", "stored", "answered", "any"]
MOMENTS: tuple[Moment, ...] = ("committing", "claimed", "stored", "answered", "any")


class Nursery:
    """Starts senders as processes and learns how they ended."""

    def __init__(self, process: asyncio.subprocess.Process, arguments: list[str]) -> None:
        self._process, self._arguments = process, arguments
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


@asynccontextmanager
async def nursery(db_url: str, kind: str, url: str, secret: str) -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.dispatch.doomed",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    yield Nursery(process, [db_url, kind, url, secret])
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@dataclass
class Plan:
    """`kills` in all. There is always a backlog, and with each kill new tickets come in."""

    kills: int
    dice: random.Random
    backlog: int = 40
    per_kill: int = 2

    @property
    def numbers(self) -> list[str]:
        return [f"ZZ{n:04}" for n in range(self.backlog + self.kills * self.per_kill)]


async def kill_them(plan: Plan, db: Database, faults: Faults, senders: Nursery) -> None:
    """One sender after another is killed; in the end, two that live deliver what is left."""
    numbers, killed = iter(plan.numbers), Counter[int]()
    for number in itertools.islice(numbers, plan.backlog):
        await add_ticket(db, number, "supplement")
    for n in range(plan.kills):
        moment = MOMENTS[n % len(MOMENTS)]
        if moment == "any":
            pid = await senders.start("any", plan.dice.randint(1, 150))
        elif moment == "stored":
            pid = await senders.start("never")
            faults.stored = _strike(pid, plan.dice.randint(1, 3))
        else:
            pid = await senders.start(moment, plan.dice.randint(1, 4))
        for number in itertools.islice(numbers, plan.per_kill):
            await add_ticket(db, number, "supplement")
        killed[await senders.end(pid)] += 1
        faults.stored = None
    assert killed == {-signal.SIGKILL: plan.kills}
    assert await not_sent(db), "the last kill came before the work was done"

    survivors = [await senders.start("never") for _ in range(2)]

    async def all_sent() -> bool:
        return not await not_sent(db)

    await until(all_sent, timeout_s=240)
    for pid in survivors:
        os.kill(pid, signal.SIGKILL)
        await senders.end(pid)


async def not_sent(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.state != "sent")) or 0


def _strike(pid: int, nth: int) -> Callable[[], None]:
    left = [nth]

    def strike() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(pid, signal.SIGKILL)

    return strike


async def test_kills_lose_and_double_nothing(db: Database, db_url: str, receiver: Receiver) -> None:
    plan = Plan(200 if "postgresql" in db_url else 20, random.Random(20))
    async with nursery(db_url, "open311", receiver.desk_url, API_KEY) as senders:
        await kill_them(plan, db, receiver.faults, senders)
    requests = await at_desk(db)
    counts = Counter(request.attributes["ticket_number"] for request in requests)
    assert sorted(counts) == plan.numbers, "none is lost"
    assert set(counts.values()) == {1}, "none is there twice"
    assert {len(request.notes) for request in requests} == {1}
    ids = {request.attributes["ticket_number"]: request.service_request_id for request in requests}
    assert all(row.remote_id == ids[row.ticket_number] for row in await outbox(db))


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as running:
        yield running


async def test_kills_lose_and_double_nothing_at_a_webhook(db: Database, db_url: str, hook: Hook) -> None:
    plan = Plan(40 if "postgresql" in db_url else 10, random.Random(21))
    async with nursery(db_url, "webhook", hook.url, SECRET) as senders:
        await kill_them(plan, db, hook.faults, senders)
    assert hook.effects == {(number, kind): 1 for number in plan.numbers for kind in ("create", "supplement")}
    assert len(hook.headers) > len(hook.filed), "some were delivered again, and had no effect"
