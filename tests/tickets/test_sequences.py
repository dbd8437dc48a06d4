"""Random sequences of all operations by all actors: no illegal state, nothing lost, the history gives the ticket."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.errors import BadInput, Conflict, MinshengError
from assistant.tickets.errors import KeyReused, TicketChanged
from assistant.tickets.model import HistoryEntry, Outgoing, Ticket
from assistant.tickets.replay import facts, replay
from assistant.tickets.service import TicketService
from assistant.tickets.states import CLOSED, DRAWN, TRANSITIONS, Back, Role, State, allowed, check, role_of
from tests.tickets.conftest import DEMO
from tests.tickets.drafts import draft
from tests.tickets.memory import MemoryStore

CITY = City.load(DEMO)
START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ACTORS = {"resident": Role.RESIDENT, "li.na": Role.STAFF, "destination:desk": Role.DESTINATION, "system": Role.SYSTEM}
UNITS = ("市水利局", "二七区城市管理局", "金水区城市管理局")
OPERATIONS = sorted(set(TRANSITIONS) - DRAWN)
DECISIONS = ("extend", "refuse_extension")
UNSURE = {"category1": 0.2}
MOST_TICKETS, PARTS = 8, 4
LEADS = {State.TO_DISPATCH, State.DISPATCHED, State.HANDLING, State.TO_SUPPLEMENT}
UNIT_ACTS = {State.DISPATCHED, State.HANDLING}
NOBODY_ACTS = {State.TO_CALL_BACK, State.MERGED, *CLOSED}

steps = {"asked": 0, "done": 0}
done_operations: set[str] = set()


def destination_of(unit: str, _category1: str, _category2: str | None) -> str:
    return "far" if unit.startswith("市") else "desk"


@dataclass(frozen=True)
class Call:
    number: str
    operation: str
    given: dict[str, Any]


class Tickets(RuleBasedStateMachine):
    """A service on a store in memory, up to MOST_TICKETS tickets, and a model of what the destinations hold."""

    store: MemoryStore
    service: TicketService
    moment = START

    @initialize(seed=st.integers(0, 2**62))
    def begin(self, seed: int) -> None:
        # Hypothesis chooses this and what kind of step comes next; numbers it chooses for every step repeat themselves.
        self.dice = Random(seed)
        self.loop = asyncio.new_event_loop()
        Tickets.moment = START
        self.store.clear()
        self.numbers: list[str] = []
        self.calls: list[Call] = []
        self.open_at: dict[str, str] = {}
        self.filed_at: dict[str, str] = {}
        self.seen_events = self.seen_rows = 0
        self.checked: dict[str, int] = {}
        # Every kind of step is possible from the start: Hypothesis throws sequences away that run into one that is not.
        self.submit()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    # --- what can be done ------------------------------------------------------------------------------------------

    @rule()
    def submit(self) -> None:
        if len(self.numbers) == MOST_TICKETS:
            return self.act()
        steps["asked"] += 1
        dice = self.dice
        wanted: dict[str, Any] = {"conversation_id": f"c{len(self.numbers)}"}
        if dice.random() < 0.3:
            wanted |= {"category1": "党务政务", "category2": None, "description": "有个事", "confidences": UNSURE}
        if self.numbers and dice.random() < 0.3:
            wanted["follows"] = dice.choice(self.numbers)
        trusted = dice.random() < 0.8
        key = f"submit:{len(self.numbers)}"
        view = self.run(self.service.submit(draft(**wanted), key=key, actor="resident", trusted=trusted))
        if dice.random() < 0.1:
            assert self.run(self.service.submit(draft(**wanted), key=key, actor="resident", trusted=trusted)) == view
            with pytest.raises(KeyReused):
                self.run(self.service.submit(draft(**wanted, place="二七区"), key=key, actor="resident"))
        if not trusted:
            assert view.state == "待受理"
        self.numbers.append(view.number)
        self.take_in()
        steps["done"] += 1
        return None

    @rule()
    def act(self) -> None:
        """Any operation, mostly one that the actor may do now."""
        dice = self.dice
        number, actor = dice.choice(self.numbers), dice.choice(sorted(ACTORS))
        ticket = self.ticket(number)
        if dice.random() < 0.05:
            return self.apply_for_time(number)
        legal = [row.operation for row in allowed(ticket.state, ACTORS[actor]) if row.operation not in DRAWN]
        operation = dice.choice(legal if legal and dice.random() < 0.7 else OPERATIONS)
        Tickets.moment += timedelta(minutes=dice.choice((1, 1, 1, 30, 60 * 24)))
        given = _given(dice, actor, f"说明{len(self.calls)}", ticket.due_at, self.numbers)
        seen = dice.choice((None, None, None, "present", "stale"))
        if seen is not None:
            given["seen"] = ticket.version - (seen == "stale")
        self.perform(Call(number, operation, given), TicketChanged if seen == "stale" else None)

    def apply_for_time(self, number: str) -> None:
        until = self.ticket(number).due_at + timedelta(days=3)
        for operation, actor in (("apply_extension", "destination:desk"), (self.dice.choice(DECISIONS), "li.na")):
            given = {"until": until, "note": f"说明{len(self.calls)}", "actor": actor}
            self.perform(Call(number, operation, given))

    @rule()
    def repeat(self) -> None:
        """What was done is done once, however often it is said."""
        if not self.calls:
            return self.act()
        dice = self.dice
        index = dice.randrange(len(self.calls))
        call = self.calls[index]
        before = self.everything()
        steps["asked"] += 1
        change = dice.random() < 0.5
        given = dict(call.given, note="另一句") if change else call.given
        work = self.service.perform(call.number, call.operation, key=f"key:{index}", **given)
        if change:
            with pytest.raises(KeyReused):
                self.run(work)
        else:
            assert self.run(work).version == self.ticket(call.number).version
        assert self.everything() == before
        return None

    def perform(self, call: Call, refuses: type[MinshengError] | None = None) -> None:
        steps["asked"] += 1
        before = self.everything()
        work = self.service.perform(call.number, call.operation, key=f"key:{len(self.calls)}", **call.given)
        try:
            self.run(work)
        except MinshengError as error:
            assert error.status in (409, 422)
            if refuses is not None:
                assert isinstance(error, refuses)
            assert self.everything() == before, "something half done"
            return
        assert refuses is None
        self.calls.append(call)
        self.take_in()
        steps["done"] += 1

    # --- what must hold --------------------------------------------------------------------------------------------

    def take_in(self) -> None:
        """What the step wrote, told to the model of the destinations."""
        events, rows = self.read_new()
        for number, entry in events:
            done_operations.add(entry.operation)
            if entry.operation in ("resolve", "return") and role_of(entry.actor) is Role.DESTINATION:
                self.open_at.pop(number, None)
        for number, row in rows:
            if row.operation == "create":
                assert number not in self.open_at, "filed while it is open"
                self.open_at[number] = self.filed_at[number] = row.destination
            elif row.operation == "withdraw":
                assert self.open_at.pop(number) == row.destination
            else:
                assert self.filed_at[number] == row.destination

    def read_new(self) -> tuple[list[tuple[str, HistoryEntry]], list[tuple[str, Outgoing]]]:
        events, rows = self.store.events[self.seen_events :], self.store.outbox[self.seen_rows :]
        self.seen_events, self.seen_rows = len(self.store.events), len(self.store.outbox)
        return events, rows

    def everything(self) -> object:
        store = self.store
        return dict(store.tickets), len(store.events), len(store.outbox), len(store.messages)

    def ticket(self, number: str) -> Ticket:
        return self.store.tickets[number]

    def story(self, number: str) -> str:
        history = self.run(self.store.get(number))[1]
        return "\n".join(f"{step.operation} {step.actor} {step.to_state} {step.changes}" for step in history[1:])

    @invariant()
    def every_ticket_is_sound(self) -> None:
        for number in getattr(self, "numbers", ()):
            ticket = self.ticket(number)
            if self.checked.get(number) != ticket.version:
                self.check_history(ticket)
                self.checked[number] = ticket.version
            self.check_merging(ticket)
            self.check_destination(ticket)

    def check_history(self, ticket: Ticket) -> None:
        history = self.run(self.store.history(ticket.number))
        assert replay(history) == facts(ticket)
        assert history[-1].at == ticket.updated_at
        _check_steps(history)

    def check_merging(self, ticket: Ticket) -> None:
        if ticket.state is State.MERGED:
            lead = self.ticket(ticket.merged_into or "")
            assert lead.state in LEADS and lead.merged_into is None, self.story(ticket.number)
        elif ticket.merged_into is not None:
            assert ticket.state in (State.TO_CALL_BACK, State.CLOSED)

    def check_destination(self, ticket: Ticket) -> None:
        assert ticket.state is not State.RETURNED
        if ticket.state in UNIT_ACTS:
            assert self.open_at.get(ticket.number) == ticket.destination, self.story(ticket.number)
        if ticket.state in NOBODY_ACTS or ticket.state is State.TO_ACCEPT:
            assert ticket.number not in self.open_at, self.story(ticket.number)
        assert (ticket.next_step_at is None) == (ticket.state in (*CLOSED, State.MERGED, State.TO_ACCEPT))


def _given(dice: Random, actor: str, note: str, due_at: datetime, numbers: list[str]) -> dict[str, Any]:
    """What any operation could need."""
    return {
        "actor": actor,
        "note": note,
        "reason_code": "权属不清",
        "unit": dice.choice(UNITS),
        "until": due_at + timedelta(days=dice.choice((1, 40, -1))),
        "into": dice.choice(numbers),
        "solved": dice.random() < 0.5,
    }


def _check_steps(history: list[HistoryEntry]) -> None:
    """Unbroken, and every step one that the table allows."""
    state: State | None = None
    for index, entry in enumerate(history):
        assert entry.from_state == state
        given = {name: entry.changes.get(name) for name in ("unit", "until", "into")}
        before = _left_for(history[:index]) if TRANSITIONS[entry.operation].to is Back.BEFORE else None
        state = check(
            entry.operation, state, entry.actor, before, note=entry.note, reason_code=entry.reason_code, **given
        )
        assert entry.to_state == state
    assert len({entry.key for entry in history}) == len(history)


def _left_for(history: list[HistoryEntry]) -> State:
    """The state that a ticket was in when it was last merged or asked about, found in another way than the code's."""
    now = history[-1].to_state
    entered = {State.MERGED: "merge", State.TO_SUPPLEMENT: "ask"}[State(now)]
    last = max(index for index, entry in enumerate(history) if entry.operation == entered)
    left = State(history[last].from_state or "")
    return _left_for(history[:last]) if left is State.TO_SUPPLEMENT else left


def test_ten_thousand_random_sequences_stay_legal_and_replay() -> None:
    """Sequences that came to their end; those that were broken off are not counted."""
    each = 10_000 // PARTS
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        asked = pool.map(run_sequences, [each] * PARTS, [12] * PARTS, range(PARTS))
    assert sum(asked) >= 100_000


def test_long_sequences_reach_every_operation() -> None:
    asked = run_sequences(230, 60, PARTS)
    assert asked >= 10_000 and steps["done"] >= 3_000, steps
    assert done_operations == set(TRANSITIONS)


def run_sequences(count: int, most_steps: int, start: int) -> int:
    """How many operations were asked for."""
    # One for all examples: a router takes its time to prepare.
    Tickets.store = MemoryStore()
    Tickets.service = TicketService(
        Tickets.store, CITY, Vault("s" * 40), clock=lambda: Tickets.moment, choose_destination=destination_of
    )
    steps.update(asked=0, done=0)
    done_operations.clear()
    run_state_machine_as_test(
        seed(start)(Tickets),
        settings=settings(
            max_examples=count,
            stateful_step_count=most_steps,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return steps["asked"]


async def test_sequences_at_once_leave_sound_tickets(db: Database) -> None:
    """Several act on the same few tickets at the same time, and merge them this way and that."""
    service = TicketService(SqlTicketStore(db), CITY, Vault("s" * 40), choose_destination=destination_of)
    numbers = [(await service.submit(draft(), key=f"submit:{n}", actor="resident")).number for n in range(6)]
    done: Counter[str] = Counter()

    async def act(worker: int) -> None:
        dice = Random(worker)
        for index in range(40):
            number, actor = dice.choice(numbers), dice.choice(sorted(ACTORS))
            view = await service.get(number)
            assert view is not None
            legal = [row.operation for row in allowed(State(view.state), ACTORS[actor]) if row.operation not in DRAWN]
            operation = dice.choice(("merge", "unmerge", *sorted(set(legal or OPERATIONS) - {"withdraw"})))
            given = _given(dice, actor, f"{worker}:{index}", view.due_at, numbers)
            seen = view.version if dice.random() < 0.3 else None
            try:
                await service.perform(number, operation, key=f"{worker}:{index}", seen=seen, **given)
                done[operation] += 1
            except (BadInput, Conflict):
                pass

    await asyncio.gather(*(act(worker) for worker in range(6)))
    assert sum(done.values()) >= 20 and done["merge"] >= 1, done
    views = {number: await service.get(number) for number in numbers}
    for number, view in views.items():
        assert view is not None
        assert await service.replayed(number) == facts(view)
        _check_steps(view.history)
        if view.state == State.MERGED:
            lead = views[view.merged_into or ""]
            assert lead is not None and lead.state in LEADS and lead.merged_into is None
