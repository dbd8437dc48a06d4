"""A desk to send to, tickets to send, and a clock that a test moves."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from assistant.db.models import DeskRequest, OutboxRow, Ticket, now
from assistant.db.session import Database
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.sender import Sender
from tests.dispatch.receiver import API_KEY, Receiver, desk_server


@dataclass
class Clock:
    # Ahead of the real time, at which rows are written, so that they are due.
    at: datetime = field(default_factory=lambda: now() + timedelta(minutes=1))

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver(db_url: str) -> Iterator[Receiver]:
    with desk_server(db_url) as running:
        yield running


@pytest.fixture
async def destination(receiver: Receiver) -> AsyncIterator[Open311Destination]:
    made = Open311Destination(receiver.desk_url, api_key=API_KEY, timeout_s=5, trust_env=False)
    yield made
    await made.close()


@pytest.fixture
def sender(db: Database, destination: Open311Destination, clock: Clock) -> Sender:
    return Sender(db, {"desk": destination}, clock=clock, jitter=lambda: 1.0)


Payload = dict[str, Any]


def payload(number: str, **values: Any) -> Payload:
    return {
        "service_code": "environment.pollution",
        "title": "烧烤店油烟扰民",
        "description": f"楼下烧烤店每天晚上油烟很大（{number}）",
        "address_string": "金水区花园路85号",
        "place_grid": ["郑州市", "金水区", "花园路街道"],
        "urgency": "一般",
        "request_type": "投诉",
        "category1": "环境保护",
        "category2": "环境污染",
        "due_at": "2030-01-05T10:00:00+08:00",
        "unit": "金水区城市管理局",
        "ticket_number": number,
        **values,
    }


async def add_ticket(db: Database, number: str, *operations: str, destination: str = "desk", **values: Any) -> None:
    """A ticket with its outbox rows, the way the ticket service writes them; always a `create` first."""
    async with db.begin() as session:
        session.add(
            Ticket(
                number=number,
                request_key=number,
                request_hash="0" * 64,
                channel="web",
                state="已派遣",
                request_type="投诉",
                category1="环境保护",
                title="烧烤店油烟扰民",
                description="楼下烧烤店每天晚上油烟很大",
                urgency="一般",
                assisting_units=[],
                routing={},
            )
        )
        await session.flush()
    await add_rows(db, number, "create", *operations, destination=destination, **values)


async def add_rows(db: Database, number: str, *operations: str, destination: str = "desk", **values: Any) -> None:
    async with db.begin() as session:
        for operation in operations:
            text = payload(number, **values) if operation == "create" else {"text": f"{operation}：{number}"}
            known = list(await session.scalars(select(OutboxRow.id).where(OutboxRow.ticket_number == number)))
            key = f"{number}:{operation}:{len(known) + 1}"
            session.add(
                OutboxRow(key=key, ticket_number=number, destination=destination, operation=operation, payload=text)
            )
            await session.flush()


async def outbox(db: Database) -> list[OutboxRow]:
    async with db.read() as session:
        return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


async def at_desk(db: Database) -> list[DeskRequest]:
    async with db.read() as session:
        return list(await session.scalars(select(DeskRequest).order_by(DeskRequest.requested_at)))


async def until(condition: Callable[[], Any], *, timeout_s: float = 30) -> None:
    """Wait for a condition of real processes; fails after `timeout_s`."""
    import asyncio
    import time

    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
