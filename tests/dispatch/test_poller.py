"""What the desk decides comes back to the ticket, once."""

from collections.abc import Sequence
from typing import Any

import pytest

from assistant.db.session import Database
from assistant.dispatch.desk import Desk
from assistant.dispatch.destinations.base import Destination, Outgoing, RemoteStatus, Retryable, Sent
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.outbox import Outbox
from assistant.dispatch.poller import Poller
from assistant.dispatch.sender import Sender
from assistant.errors import Conflict
from assistant.tickets.errors import TicketConflict, TransitionRefused
from tests.dispatch.conftest import add_ticket, at_desk, outbox


class Tickets:
    """Notes every call; a key counts once, as in the ticket service. `fail` is raised at the next call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.fail: Exception | None = None

    async def apply_dispatch_status(self, number: str, state: str, **values: Any) -> None:
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self.calls.append({"number": number, "state": state, **values})

    @property
    def effects(self) -> list[tuple[str, str]]:
        return list({call["key"]: (call["number"], call["state"]) for call in self.calls}.values())


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()


@pytest.fixture
def poller(db: Database, destination: Open311Destination, tickets: Tickets) -> Poller:
    return Poller(db, {"desk": destination}, tickets, batch=2, round_limit=3)


async def at_the_desk(db: Database, sender: Sender, *numbers: str) -> list[str]:
    for number in numbers:
        await add_ticket(db, number)
    await sender.deliver_due()
    ids = {request.attributes["ticket_number"]: request.service_request_id for request in await at_desk(db)}
    return [ids[number] for number in numbers]


async def test_every_change_is_applied_once(db: Database, sender: Sender, poller: Poller, tickets: Tickets) -> None:
    desk, (first, second) = Desk(db), await at_the_desk(db, sender, "ZZ1", "ZZ2")
    assert await poller.poll() and tickets.calls == []
    await desk.accept(first, actor="a")
    await desk.add_note(first, "reminder", "催", key="1")
    await desk.return_request(second, reason_code="属地不符", note="在二七区", actor="a")
    for _ in range(2):
        assert await poller.poll()
    await desk.add_note(first, "reminder", "再催", key="2")
    assert await poller.poll()
    await desk.resolve(first, public_reply="已责令整改", actor="a")
    for _ in range(2):
        assert await poller.poll()
    assert tickets.calls == [
        {
            "number": "ZZ1", "state": "accepted", "note": None, "public_reply": None, "reason_code": None,
            "key": f"desk:{first}:accepted", "actor": "destination:desk",
        },
        {
            "number": "ZZ2", "state": "returned", "note": "在二七区", "public_reply": None, "reason_code": "属地不符",
            "key": f"desk:{second}:returned", "actor": "destination:desk",
        },
        {
            "number": "ZZ1", "state": "resolved", "note": None, "public_reply": "已责令整改", "reason_code": None,
            "key": f"desk:{first}:resolved", "actor": "destination:desk",
        },
    ]  # fmt: skip
    assert [row.remote_state for row in await outbox(db)] == ["resolved", "returned"]


async def test_closed_requests_are_not_asked_about(db: Database, sender: Sender, poller: Poller) -> None:
    (first,) = await at_the_desk(db, sender, "ZZ1")
    await Desk(db).resolve(first, public_reply="已修好", actor="a")
    await poller.poll()
    assert await Outbox(db).open_requests("desk", after_id=0, limit=9) == []


async def test_a_round_goes_on_where_the_last_one_ended(
    db: Database, sender: Sender, poller: Poller, tickets: Tickets
) -> None:
    numbers = [f"ZZ{n}" for n in range(5)]
    for request_id in await at_the_desk(db, sender, *numbers):
        await Desk(db).accept(request_id, actor="a")
    await poller.poll()
    assert [number for number, _ in tickets.effects] == numbers[:3]
    await poller.poll()
    assert [number for number, _ in tickets.effects] == numbers


@pytest.mark.parametrize("error", [TicketConflict(), RuntimeError("database gone")], ids=lambda e: type(e).__name__)
async def test_a_change_that_failed_comes_again(
    db: Database, sender: Sender, poller: Poller, tickets: Tickets, error: Exception
) -> None:
    desk, (first, second) = Desk(db), await at_the_desk(db, sender, "ZZ1", "ZZ2")
    await desk.accept(first, actor="a")
    await desk.accept(second, actor="a")
    tickets.fail = error
    await poller.poll()
    assert tickets.effects == [("ZZ2", "accepted")], "one ticket does not hold up the others"
    await poller.poll()
    assert tickets.effects == [("ZZ2", "accepted"), ("ZZ1", "accepted")]


@pytest.mark.parametrize("error", [TransitionRefused("签收", "已撤单"), Conflict()], ids=lambda e: type(e).__name__)
async def test_a_change_the_ticket_refuses_is_not_repeated(
    db: Database, sender: Sender, poller: Poller, tickets: Tickets, error: Exception
) -> None:
    (first,) = await at_the_desk(db, sender, "ZZ1")
    await Desk(db).accept(first, actor="a")
    tickets.fail = error
    for _ in range(2):
        assert await poller.poll()
    assert tickets.calls == []


async def test_two_pollers_have_one_effect(db: Database, destination: Destination, sender: Sender) -> None:
    (first,) = await at_the_desk(db, sender, "ZZ1")
    await Desk(db).accept(first, actor="a")
    tickets = Tickets()
    box = Outbox(db)
    pollers = [Poller(db, {"desk": destination}, tickets) for _ in range(2)]
    await pollers[0].poll()
    # As if the second had read the outbox before the first wrote to it.
    await box.remember_remote_state((await outbox(db))[0].id, "received", at=(await outbox(db))[0].created_at)
    await pollers[1].poll()
    assert len(tickets.calls) == 2 and tickets.effects == [("ZZ1", "accepted")]


async def test_an_unreachable_desk_leaves_the_other_destinations_alone(
    db: Database, destination: Open311Destination, sender: Sender, tickets: Tickets
) -> None:
    class Silent:
        async def send(self, row: Outgoing) -> Sent:
            return Sent("S1")

        async def status(self, remote_ids: Sequence[str]) -> list[RemoteStatus]:
            raise Retryable("连不上对方，或连接中断。", code="unreachable")

        async def close(self) -> None: ...

    both: dict[str, Destination] = {"silent": Silent(), "desk": destination}
    await add_ticket(db, "ZZ0", destination="silent")
    await Sender(db, both).deliver_due()
    (first,) = await at_the_desk(db, sender, "ZZ1")
    await Desk(db).accept(first, actor="a")
    metrics = DispatchMetrics()
    assert not await Poller(db, both, tickets, metrics=metrics).poll()
    assert tickets.effects == [("ZZ1", "accepted")]
    assert metrics.polled.labels("silent", "unreachable")._value.get() == 1
    assert metrics.states.labels("desk", "accepted")._value.get() == 1
