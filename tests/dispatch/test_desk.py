"""What a unit may do with a request at the desk, and in which state."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from assistant.db.session import Database
from assistant.dispatch.desk import OPEN_STATES, STATE_NAMES, Desk, RequestFilter, return_note
from assistant.errors import BadInput, Conflict, NotFound
from assistant.open311.input import NewRequest

Operation = Callable[[Desk, str], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "accept": lambda desk, i: desk.accept(i, actor="a"),
    "resolve": lambda desk, i: desk.resolve(i, public_reply="已修好", actor="a"),
    "return": lambda desk, i: desk.return_request(i, reason_code="超职责", actor="a"),
}
# state → operation → state after it; what is not there is refused.
ALLOWED = {
    "received": {"accept": "accepted", "resolve": "resolved", "return": "returned"},
    "accepted": {"resolve": "resolved", "return": "returned"},
    "resolved": {},
    "returned": {},
    "withdrawn": {},
}


async def in_state(desk: Desk, state: str) -> str:
    request_id = (await desk.receive(NewRequest("c", "路灯不亮", address="花园路"))).service_request_id
    if state == "withdrawn":
        await desk.add_note(request_id, "withdrawal", "")
    elif state != "received":
        await OPERATIONS[{"accepted": "accept", "resolved": "resolve", "returned": "return"}[state]](desk, request_id)
    return request_id


@pytest.mark.parametrize("state", ALLOWED)
async def test_each_operation_is_allowed_where_the_table_says(db: Database, state: str) -> None:
    desk = Desk(db)
    for name, operation in OPERATIONS.items():
        request_id = await in_state(desk, state)
        if after := ALLOWED[state].get(name):
            await operation(desk, request_id)
        else:
            after = state
            with pytest.raises(Conflict, match=STATE_NAMES[state]):
                await operation(desk, request_id)
        row = await desk.get(request_id)
        assert row is not None and row.desk_state == after


async def test_what_the_unit_says_is_kept(db: Database) -> None:
    desk = Desk(db)
    resolved, returned = await in_state(desk, "received"), await in_state(desk, "received")
    with pytest.raises(BadInput, match="公开答复"):
        await desk.resolve(resolved, public_reply=" \n", actor="a")
    with pytest.raises(BadInput, match="缩短"):
        await desk.resolve(resolved, public_reply="长" * 4001, actor="a")
    with pytest.raises(BadInput, match="属地不符"):
        await desk.return_request(returned, reason_code="不想管", actor="a")
    assert (await desk.resolve(resolved, public_reply=" 已修好\x00 ", actor="a")).status_notes == "已修好"
    row = await desk.return_request(returned, reason_code="权属不清", note="是小区内部路灯", actor="a")
    assert (row.reason_code, return_note(row), row.status_notes) == ("权属不清", "是小区内部路灯", None)
    with pytest.raises(NotFound):
        await desk.accept("none", actor="a")


async def test_of_two_at_once_one_wins(db: Database) -> None:
    desk = Desk(db)
    request_id = await in_state(desk, "received")
    outcomes = await asyncio.gather(
        *(OPERATIONS[name](desk, request_id) for name in ("resolve", "return")), return_exceptions=True
    )
    assert sorted(isinstance(outcome, Conflict) for outcome in outcomes) == [False, True]


async def test_notes_written_at_once_are_all_kept(db: Database) -> None:
    desk = Desk(db)
    request_id = await in_state(desk, "received")
    await asyncio.gather(*(desk.add_note(request_id, "supplement", f"第{n}条", key=f"{n % 5}") for n in range(5)))
    row = await desk.get(request_id)
    assert row is not None and sorted(note["text"] for note in row.notes) == [f"第{n}条" for n in range(5)]


async def test_requests_are_listed_by_state_and_unit(db: Database) -> None:
    desk = Desk(db)
    await desk.receive(NewRequest("c", "一", address="a", attributes={"unit": "市城管局"}))
    second = await desk.receive(NewRequest("c", "二", address="a", attributes={"unit": "市生态环境局"}))
    await desk.accept(second.service_request_id, actor="a")
    assert [row.description for row in await desk.find(RequestFilter(states=OPEN_STATES))] == ["二", "一"]
    assert [row.description for row in await desk.find(RequestFilter(states=["accepted"]))] == ["二"]
    assert await desk.count(RequestFilter(unit="市城管局")) == 1
