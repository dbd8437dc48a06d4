"""Random sequences of operations: no illegal state, and the history replays to the same ticket."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.city import City
from assistant.crypto import Vault
from assistant.errors import MinshengError
from assistant.tickets.service import TicketService
from assistant.tickets.states import CLOSED, TRANSITIONS, State, check
from tests.tickets.drafts import draft
from tests.tickets.memory import MemoryStore

OPERATIONS = (
    "supplement", "urge", "withdraw", "accepted", "resolved", "returned", "assign", "solved", "unsolved",
)  # fmt: skip


async def _run(service: TicketService, number: str, operation: str, key: str) -> None:
    if operation == "supplement":
        await service.add_supplement(number, f"补充{key}", key=key, actor="resident")
    elif operation == "urge":
        await service.urge(number, key=key, actor="resident")
    elif operation == "withdraw":
        await service.withdraw(number, "不用了", key=key, actor="resident")
    elif operation == "assign":
        await service.assign(number, "市水利局", "应由水利部门办理", key=key, actor="li.na")
    elif operation in ("solved", "unsolved"):
        await service.record_callback(number, solved=operation == "solved", key=key, actor="resident")
    else:
        reason = "权属不清" if operation == "returned" else None
        await service.apply_dispatch_status(number, operation, reason_code=reason, key=key, actor="destination:desk")


async def _sequence(city: City, steps: list[tuple[str, bool]]) -> None:
    moment = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    store = MemoryStore()
    service = TicketService(store, city, Vault("s" * 40), clock=lambda: moment)
    view = await service.submit(draft(conversation_id="c"), key="submit", actor="resident")
    number = view.number
    for index, (operation, twice) in enumerate(steps):
        moment += timedelta(minutes=1)
        before = await service.get(number)
        assert before is not None
        for _ in range(2 if twice else 1):
            try:
                await _run(service, number, operation, f"{operation}:{index}")
            except MinshengError:
                assert await service.get(number) == before  # nothing half done
    view = await service.get(number)
    assert view is not None

    # The history alone gives the state, and every step of it is one that the table allows.
    state: State | None = None
    for entry in view.history:
        assert entry.from_state == state
        given = {"note": entry.note, "reason_code": entry.reason_code, "unit": "市水利局"}
        state = check(entry.operation, state, entry.actor, **given)
        assert entry.to_state == state
    assert view.state == state != State.RETURNED
    assert len({entry.key for entry in view.history}) == len(view.history)

    # Every step that the destination must know of has one row, and no ticket is filed twice at the same time.
    told = sum(TRANSITIONS[entry.operation].outbox is not None for entry in view.history)
    assert len(store.outbox) == told
    filed = [row.key for _, row in store.outbox if row.operation == "create"]
    closings = sum(entry.operation in ("resolve", "return") for entry in view.history)
    assert 1 <= len(filed) <= 1 + closings
    if view.state in CLOSED:
        assert view.history[-1].operation in ("close", "withdraw")


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.booleans()), max_size=14))
def test_random_sequences_stay_legal_and_replay(city: City, steps: list[tuple[str, bool]]) -> None:
    asyncio.run(_sequence(city, steps))
