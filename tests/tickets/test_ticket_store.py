"""The SQL store under the service, on SQLite and PostgreSQL, with many tasks and several processes."""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from assistant.city import City
from assistant.crypto import Vault
from assistant.db import models
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.tickets.errors import KeyReused, TransitionRefused
from assistant.tickets.model import Judgement, Matter
from assistant.tickets.service import TicketService
from assistant.tickets.store import StaleTicket
from tests.tickets.drafts import PHONE, draft

SECRET = "s" * 40


@pytest.fixture
def service(db: Database, city: City) -> TicketService:
    return TicketService(SqlTicketStore(db), city, Vault(SECRET))


@pytest.fixture
async def conversation(db: Database) -> str:
    async with db.begin() as session:
        session.add(models.Conversation(id="c1", token_hash="t"))
    return "c1"


async def _count(db: Database, table: type[models.Base]) -> int:
    async with db.read() as session:
        return int(await session.scalar(select(func.count()).select_from(table)) or 0)


async def test_what_is_submitted_comes_back_the_same(db: Database, service: TicketService, conversation: str) -> None:
    view = await service.submit(draft(conversation_id=conversation), key="k", actor="resident")
    assert await service.get(view.number) == view
    assert await service.find(conversation_id=conversation) == [view]
    assert await service.find(conversation_id="c2") == []
    again = await service.submit(draft(conversation_id=conversation), key="k", actor="resident")
    assert again == view
    with pytest.raises(KeyReused):
        await service.submit(draft(description="别的", conversation_id=conversation), key="k", actor="resident")
    assert await service.check_phone(view.number, PHONE[-4:])
    async with db.read() as session:
        row = await session.get_one(models.Ticket, view.number)
        assert PHONE not in repr({column.name: getattr(row, column.name) for column in models.Ticket.__table__.columns})
        assert row.requester_encrypted is not None and PHONE.encode() not in row.requester_encrypted


async def test_what_was_read_of_a_ticket_is_kept_with_it(db: Database, service: TicketService) -> None:
    matter = Matter("交通运输", None, "公交车等不来")
    view = await service.submit(draft(other_matters=(matter,)), key="k", actor="resident")
    earliest = view.created_at - timedelta(seconds=1)
    assert [waiting.number for waiting in await service.without_judgement(since=earliest)] == [view.number]
    judgement = Judgement({"category": ("油烟很大", "咳嗽"), "urgency": ()}, (("环境保护/环境污染", 0.9),), "nlu-test")
    await service.keep_judgement(view.number, judgement)
    known = await service.get(view.number)
    assert known == replace(view, judgement=judgement)
    assert known.other_matters == (matter,) and known.confidences["model"] == "nlu-test"
    assert await service.without_judgement(since=earliest) == []


async def test_steps_that_are_due_by_the_clock_are_found_and_put_off(db: Database, service: TicketService) -> None:
    store = SqlTicketStore(db)
    number = (await service.submit(draft(), key="k", actor="resident")).number
    ticket, _ = await store.get(number) or (None, [])
    assert ticket is not None and ticket.next_step_at is not None
    before, due = ticket.next_step_at - timedelta(seconds=1), ticket.next_step_at
    assert await store.due_steps(at=before, limit=10) == []
    assert [found.number for found, _ in await store.due_steps(at=due, limit=10)] == [number]
    await store.put_off(number, ticket.version + 1, None)
    assert len(await store.due_steps(at=due, limit=10)) == 1
    await store.put_off(number, ticket.version, None)
    assert await store.due_steps(at=due, limit=10) == []


async def test_fifty_confirmations_of_one_request_make_one_ticket(db: Database, service: TicketService) -> None:
    views = await asyncio.gather(*(service.submit(draft(), key="one", actor="resident") for _ in range(50)))
    assert len({view.number for view in views}) == 1
    assert (await _count(db, models.Ticket), await _count(db, models.OutboxRow)) == (1, 1)
    assert await _count(db, models.TicketEvent) == 3


async def test_parallel_requests_get_numbers_without_gap_or_double(db: Database, service: TicketService) -> None:
    views = await asyncio.gather(*(service.submit(draft(), key=f"k{n}", actor="resident") for n in range(40)))
    assert sorted(int(view.number[12:]) for view in views) == list(range(1, 41))
    assert await _count(db, models.OutboxRow) == 40


async def test_status_message_history_and_outbox_are_written_together(
    db: Database, service: TicketService, conversation: str
) -> None:
    number = (await service.submit(draft(conversation_id=conversation), key="k", actor="resident")).number

    async def resolve() -> str:
        view = await service.apply_dispatch_status(
            number, "resolved", public_reply="已办好", key="desk:1:resolved", actor="destination:desk"
        )
        return view.state

    assert set(await asyncio.gather(*(resolve() for _ in range(10)))) == {"待回访"}
    await service.record_callback(number, solved=False, comment="没有办好", key="cb", actor="resident")
    async with db.read() as session:
        [message] = await session.scalars(select(models.Message))
        rows = list(await session.scalars(select(models.OutboxRow).order_by(models.OutboxRow.id)))
    assert (message.sender, message.conversation_id, message.reply_to) == ("assistant", conversation, None)
    assert "已办好" in message.text and message.ticket is not None and message.ticket["state"] == "待回访"
    assert [row.key for row in rows] == [f"{number}:create:1", f"{number}:create:2"]
    assert {row.state for row in rows} == {"pending"}


async def test_two_at_once_one_wins_and_the_other_gets_the_state(service: TicketService) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    outcomes = await asyncio.gather(
        service.withdraw(number, "不用了", key="w", actor="resident"),
        service.apply_dispatch_status(number, "resolved", key="r", actor="destination:desk"),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert len(refused) == 1 and isinstance(refused[0], TransitionRefused)
    view = await service.get(number)
    assert view is not None and refused[0].state == view.state
    assert len(view.history) == 4


async def test_nothing_is_left_when_the_transaction_fails_late(db: Database, service: TicketService) -> None:
    def broken_outbox(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO outbox"):
            raise OSError("disk full")

    event.listen(db.engine.sync_engine, "before_cursor_execute", broken_outbox)
    with pytest.raises(OSError, match="disk full"):
        await service.submit(draft(), key="k", actor="resident")
    event.remove(db.engine.sync_engine, "before_cursor_execute", broken_outbox)
    for table in (models.Ticket, models.TicketEvent, models.OutboxRow):
        assert await _count(db, table) == 0
    await service.submit(draft(), key="k", actor="resident")
    assert await _count(db, models.Ticket) == 1


async def test_an_old_version_is_not_written(db: Database, service: TicketService) -> None:
    number = (await service.submit(draft(), key="k", actor="resident")).number
    store = SqlTicketStore(db)
    with pytest.raises(StaleTicket):
        async with store.begin() as work:
            [ticket] = await work.lock([number])
            ticket.version -= 1
            await work.save(ticket)


async def test_an_unknown_conversation_is_an_error_and_no_retry_loop(service: TicketService) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await service.submit(draft(conversation_id="nobody"), key="k", actor="resident")


WORKER = """
import asyncio, json, sys
from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.tickets.service import TicketService
from tests.tickets.drafts import draft

async def main(url, city, worker, count):
    db = Database(url)
    service = TicketService(SqlTicketStore(db), City.load(city), Vault("s" * 40))
    numbers = []
    for n in range(count):
        own = await service.submit(draft(), key=f"{worker}:{n}", actor="resident")
        shared = await service.submit(draft(), key=f"shared:{n}", actor="resident")
        numbers += [own.number, shared.number]
    await db.close()
    print(json.dumps(numbers))

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
"""


async def test_several_processes_share_keys_and_numbers(db: Database, db_url: str) -> None:
    root, workers, count = Path(__file__).resolve().parents[2], 3, 8
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, db_url, str(root / "city" / "demo"), str(worker), str(count),
            cwd=root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for worker in range(workers)
    ]  # fmt: skip
    outputs = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * workers, outputs
    numbers = Counter(number for out, _ in outputs for number in json.loads(out.decode().splitlines()[-1]))
    assert len(numbers) == workers * count + count
    assert Counter(numbers.values()) == {1: workers * count, workers: count}
    assert len({int(number[12:]) for number in numbers}) == len(numbers)
    assert await _count(db, models.OutboxRow) == len(numbers)
