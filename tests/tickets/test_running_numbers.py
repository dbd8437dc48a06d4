"""Running numbers from several processes and over midnight: unique, in order of time, and nobody waits for another."""

import asyncio
import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from assistant.city import City
from assistant.crypto import Vault
from assistant.db import models
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.tickets.service import TicketService
from tests.tickets.drafts import draft

ROOT = Path(__file__).resolve().parents[2]
DAY, NEXT = date(2026, 11, 22), date(2026, 11, 23)

# Draws as the service does, and says when each draw began and when its transaction had ended (the machine's one clock).
WORKER = """
import asyncio, json, sys, time
from datetime import date
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore

async def main(url, count):
    db = Database(url)
    store, drawn = SqlTicketStore(db), []
    for turn in range(count):
        day = date(2026, 11, 22 if turn < count // 2 else 23)
        began = time.monotonic_ns()
        await store.open_day(day)
        async with store.begin() as work:
            number = await work.next_number(day)
        drawn.append((day.day, number, began, time.monotonic_ns()))
    await db.close()
    print(json.dumps(drawn))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_eight_processes_draw_unique_numbers_in_order_of_time(db: Database, db_url: str) -> None:
    workers, count = 8, 50
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, db_url, str(count),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(workers)
    ]  # fmt: skip
    outputs = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * workers, outputs
    drawn = [tuple(draw) for out, _ in outputs for draw in json.loads(out)]
    assert len(drawn) == workers * count
    for day in (22, 23):
        of_day = sorted(draw[1:] for draw in drawn if draw[0] == day)
        numbers = [number for number, _, _ in of_day]
        assert len(set(numbers)) == len(numbers) == workers * count // 2 and numbers[0] >= 1
        # Whatever began after another had ended has the higher number: none that is lower ended before it began.
        latest_began = 0
        for _, began, ended in of_day:
            assert ended > latest_began
            latest_began = max(latest_began, began)


async def test_a_day_begins_with_one_and_the_day_before_may_go_on(db: Database) -> None:
    store, other = SqlTicketStore(db), SqlTicketStore(db)  # as two processes

    async def draw(store: SqlTicketStore, day: date) -> int:
        await store.open_day(day)
        async with store.begin() as work:
            return await work.next_number(day)

    assert [await draw(store, DAY), await draw(other, DAY), await draw(store, DAY)] == [1, 2, 3]
    assert [await draw(other, NEXT), await draw(store, NEXT)] == [1, 2]
    # A process whose clock is behind still files for yesterday: higher than all before, and never twice.
    assert await draw(other, DAY) > 3
    assert await draw(store, NEXT) > 2


async def test_numbers_go_on_above_those_that_were_counted_per_district(db: Database) -> None:
    async with db.begin() as session:
        session.add(models.TicketDay(day=DAY, base=-41))  # as the migration leaves it
    store = SqlTicketStore(db)
    await store.open_day(DAY)
    async with store.begin() as work:
        assert await work.next_number(DAY) == 42


@pytest.mark.parametrize("db_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_a_ticket_that_is_being_written_holds_up_no_other(db: Database) -> None:
    store = SqlTicketStore(db)
    await store.open_day(DAY)
    async with store.begin() as slow:
        first = await slow.next_number(DAY)
        async with asyncio.timeout(20):
            async with store.begin() as fast:
                assert await fast.next_number(DAY) == first + 1
    async with db.read() as session:
        assert list(await session.scalars(select(models.TicketDay.base))) == [0]
        assert await session.scalar(text("SELECT count(*) FROM ticket_counter")) == 0


async def test_tickets_of_both_sides_of_midnight(db: Database, city: City) -> None:
    midnight = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)  # in the city
    moment = [midnight - timedelta(seconds=1)]
    service = TicketService(SqlTicketStore(db), city, Vault("s" * 40), clock=lambda: moment[0])
    numbers = [(await service.submit(draft(), key="a", actor="resident")).number]
    moment[0] = midnight
    numbers.append((await service.submit(draft(), key="b", actor="resident")).number)
    assert numbers == ["ZZ20261122050001", "ZZ20261123050001"]
