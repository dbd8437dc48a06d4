import pytest

from assistant.tickets.errors import IncompleteDraft, InvalidDraft, TransitionRefused
from assistant.tickets.states import CLOSED, REASON_CODES, TRANSITIONS, Role, State, check, role_of

GIVEN = {"note": "说明", "reason_code": "属地不符", "unit": "市水利局"}
ACTORS = {Role.RESIDENT: "resident", Role.STAFF: "li.na", Role.DESTINATION: "destination:desk", Role.SYSTEM: "system"}


@pytest.mark.parametrize("operation", sorted(TRANSITIONS))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", [None, *State])
def test_table_is_enforced_for_every_operation_state_and_role(operation: str, role: Role, state: State | None) -> None:
    row = TRANSITIONS[operation]
    allowed = role in row.roles and (state is None if row.from_states is None else state in row.from_states)
    if allowed:
        assert check(operation, state, ACTORS[role], **GIVEN) == (row.to or state)
    else:
        with pytest.raises(TransitionRefused) as caught:
            check(operation, state, ACTORS[role], **GIVEN)
        assert caught.value.status == 409
        assert state is None or caught.value.state == state


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
