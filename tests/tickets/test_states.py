import pytest

from assistant.tickets.errors import IncompleteDraft, InvalidDraft, TransitionRefused
from assistant.tickets.states import CLOSED, REASON_CODES, TRANSITIONS, Back, Role, State, allowed, check, role_of

GIVEN = {
    "note": "说明",
    "reason_code": "属地不符",
    "unit": "市水利局",
    "until": "2026-12-01",
    "into": "ZZ20261122050001",
}
ACTORS = {Role.RESIDENT: "resident", Role.STAFF: "li.na", Role.DESTINATION: "destination:desk", Role.SYSTEM: "system"}


@pytest.mark.parametrize("operation", sorted(TRANSITIONS))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", [None, *State])
def test_table_is_enforced_for_every_operation_state_and_role(operation: str, role: Role, state: State | None) -> None:
    row = TRANSITIONS[operation]
    may = role in row.roles and (state is None if row.from_states is None else state in row.from_states)
    if may:
        after = State.HANDLING if row.to is Back.BEFORE else row.to or state
        assert check(operation, state, ACTORS[role], State.HANDLING, **GIVEN) == after
    else:
        with pytest.raises(TransitionRefused) as caught:
            check(operation, state, ACTORS[role], State.HANDLING, **GIVEN)
        assert caught.value.status == 409
        assert state is None or caught.value.state == state


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", list(State))
def test_what_is_allowed_is_what_the_check_lets_through(state: State, role: Role) -> None:
    for operation, row in TRANSITIONS.items():
        if row in allowed(state, role):
            check(operation, state, ACTORS[role], State.HANDLING, **GIVEN)
        else:
            with pytest.raises(TransitionRefused):
                check(operation, state, ACTORS[role], State.HANDLING, **GIVEN)


@pytest.mark.parametrize("operation", [name for name, row in TRANSITIONS.items() if row.required])
def test_what_an_operation_requires_is_named_when_it_is_missing(operation: str) -> None:
    row = TRANSITIONS[operation]
    assert row.from_states is not None
    state, actor = min(row.from_states), ACTORS[min(row.roles)]
    for name in row.required:
        with pytest.raises((InvalidDraft, IncompleteDraft)) as caught:
            check(operation, state, actor, State.HANDLING, **{**GIVEN, name: " "})
        assert row.label in caught.value.detail or operation in ("supplement", "answer")


def test_every_state_can_be_left_and_the_closed_ones_only_by_reopening() -> None:
    for state in State:
        leaving = {
            row.operation for row in TRANSITIONS.values() if row.from_states and state in row.from_states and row.to
        }
        assert leaving == {"reopen"} if state is State.CLOSED else leaving or state in CLOSED


def test_a_withdrawn_ticket_stays_withdrawn() -> None:
    assert not [row for row in TRANSITIONS.values() if row.from_states and State.WITHDRAWN in row.from_states]


@pytest.mark.parametrize("code", REASON_CODES)
def test_a_return_takes_the_known_reason_codes(code: str) -> None:
    assert check("return", State.DISPATCHED, "destination:desk", reason_code=code) is State.RETURNED


@pytest.mark.parametrize("code", [None, "", "  ", "不想办"])
def test_a_return_without_a_known_reason_code_is_refused(code: str | None) -> None:
    with pytest.raises(InvalidDraft, match="退单"):
        check("return", State.DISPATCHED, "destination:desk", reason_code=code)


def test_an_empty_supplement_is_refused() -> None:
    with pytest.raises(IncompleteDraft):
        check("supplement", State.DISPATCHED, "resident", note="  ")


@pytest.mark.parametrize(
    ("actor", "role"),
    [
        ("resident", Role.RESIDENT),
        ("resident:c1", Role.RESIDENT),
        ("destination:desk", Role.DESTINATION),
        ("system", Role.SYSTEM),
        ("residential", Role.STAFF),
        ("wang.fang", Role.STAFF),
    ],
)
def test_role_of_an_actor(actor: str, role: Role) -> None:
    assert role_of(actor) is role
