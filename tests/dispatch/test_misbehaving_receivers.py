"""Whatever a receiver does, each ticket is filed there once in the end, and taking tickets in waits for none of it."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.dispatch.destinations.base import Destination
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.destinations.webhook import WebhookDestination
from assistant.dispatch.sender import Sender
from assistant.tickets.service import TicketService
from tests.dispatch.conftest import Clock, add_ticket, at_desk, outbox
from tests.dispatch.hook_receiver import SECRET, Hook, hook_server
from tests.dispatch.receiver import API_KEY, Fault, Faults, desk_server
from tests.dispatch.test_with_tickets import CITY, draft
from tests.servers import free_port

TICKETS = 6
# How long the one attempt waits whose answer never comes; all others have ample time.
LOST_ANSWER_S = 1.0
RETRY_AFTER = {"Retry-After": "1200"}

TROUBLE = {
    "slowly": [Fault("slow")] * TICKETS,
    "500": [Fault("refuse", 500)] * TICKETS,
    "429 with Retry-After": [Fault("refuse", 429, RETRY_AFTER)] * 2,
    "garbage": [Fault("garble"), Fault("garble", body=b"{]"), Fault("garble", body=b"[]"), Fault("garble", body=b"")],
    "an answer lost after it accepted": [Fault("lose")] * 3,
    "everything": [
        Fault("refuse", 503), Fault("garble"), Fault("lose"), Fault("refuse", 429, RETRY_AFTER), Fault("lose"),
        Fault("refuse", 500), Fault("garble", body=b'{"id": null}'), Fault("refuse", 401), Fault("slow"),
    ],
}  # fmt: skip


@dataclass
class Place:
    """A receiver of one kind. `serve`: start it on a port; `client`: a destination that speaks to that port."""

    serve: Callable[[int], AbstractContextManager[object]]
    client: Callable[[int, float], Destination]
    filed: Callable[[], AsyncIterator[str]]
    running: list[object]


@pytest.fixture(params=["open311", "webhook"])
def place(request: pytest.FixtureRequest, db_url: str, db: Database) -> Place:
    running: list[object] = []
    if request.param == "open311":

        async def requests() -> AsyncIterator[str]:
            for each in await at_desk(db):
                yield each.attributes["ticket_number"]

        return Place(
            lambda port: desk_server(db_url, port),
            lambda port, timeout_s: Open311Destination(
                f"http://127.0.0.1:{port}/desk/open311/v2", api_key=API_KEY, timeout_s=timeout_s, trust_env=False
            ),
            requests,
            running,
        )

    async def effects() -> AsyncIterator[str]:
        for hook in running:
            assert isinstance(hook, Hook)
            for (number, _), count in hook.effects.items():
                for _ in range(count):
                    yield number

    return Place(
        hook_server,
        lambda port, timeout_s: WebhookDestination(
            f"http://127.0.0.1:{port}/intake", secret=SECRET, timeout_s=timeout_s, trust_env=False
        ),
        effects,
        running,
    )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def destination(place: Place, port: int) -> AsyncIterator[Destination]:
    made = place.client(port, 10.0)
    yield made
    await made.close()


@pytest.fixture
async def impatient(place: Place, port: int) -> AsyncIterator[Destination]:
    made = place.client(port, LOST_ANSWER_S)
    yield made
    await made.close()


async def delivered(db: Database) -> bool:
    return {row.state for row in await outbox(db)} == {"sent"}


async def once_each(place: Place) -> bool:
    counts = Counter([number async for number in place.filed()])
    return counts == {f"ZZ{n}": 1 for n in range(TICKETS)}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_all_is_delivered_once_in_the_end(
    db: Database, place: Place, port: int, destination: Destination, impatient: Destination, clock: Clock, trouble: str
) -> None:
    for n in range(TICKETS):
        await add_ticket(db, f"ZZ{n}")
    with place.serve(port) as running:
        place.running.append(running)
        faults: Faults = running.faults  # type: ignore[attr-defined]
        faults.posts.extend(TROUBLE[trouble])
        # Nobody waits long for an answer that never comes; the attempt that follows has all the time it needs.
        hasty = Sender(db, {"desk": impatient}, clock=clock, concurrency=3)
        patient = Sender(db, {"desk": destination}, clock=clock, concurrency=3)
        for _ in range(12):
            sender = hasty if any(fault.kind == "lose" for fault in faults.posts) else patient
            await sender.deliver_due()
            clock.advance(1300)
        assert not faults.posts, "every trouble came"
        assert await delivered(db)
        assert await once_each(place)


async def test_thirty_minutes_down_lose_and_double_nothing(
    db: Database, place: Place, port: int, destination: Destination, clock: Clock
) -> None:
    sender = Sender(db, {"desk": destination}, clock=clock)
    for n in range(TICKETS):
        await add_ticket(db, f"ZZ{n}")
    end = clock.at + timedelta(minutes=30)
    while clock.at < end:
        await sender.deliver_due()
        clock.advance(60)
    assert {row.state for row in await outbox(db)} == {"pending"}, "not given up"
    with place.serve(port) as running:
        place.running.append(running)
        clock.advance(1200)
        await sender.deliver_due()
        assert await delivered(db)
        assert await once_each(place)


@pytest.fixture
def silent_receiver() -> Iterator[tuple[int, list[socket.socket]]]:
    """Takes connections and never answers; the connections are listed."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(listener.accept()[0])

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield listener.getsockname()[1], taken
    # Closing alone does not wake whoever waits in accept.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    for connection in taken:
        connection.close()


async def test_taking_tickets_in_does_not_touch_the_receiver(
    db: Database, silent_receiver: tuple[int, list[socket.socket]]
) -> None:
    port, taken = silent_receiver
    destination = WebhookDestination(f"http://127.0.0.1:{port}/", secret=SECRET, timeout_s=600, trust_env=False)
    sender = Sender(db, {"desk": destination}, concurrency=4, claim_s=3600, idle_s=3600)
    tickets = TicketService(SqlTicketStore(db, on_outgoing=sender.wake), CITY, Vault("s" * 32))
    for n in range(3):
        await tickets.submit(draft(), key=f"before-{n}", actor="resident")
    assert taken == [], "committed without a word to the receiver"
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    while not taken:
        await asyncio.sleep(0.01)
    # Deliveries hang now, for as long as they may; intake goes on, and the rows wait.
    for n in range(20):
        await tickets.submit(draft(), key=f"while-{n}", actor="resident")
    rows = await outbox(db)
    assert len(rows) == 23 and "sent" not in {row.state for row in rows}
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await destination.close()
