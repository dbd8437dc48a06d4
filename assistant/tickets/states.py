"""The states of a ticket and the one table of what may happen to it."""

from dataclasses import dataclass
from enum import StrEnum

from assistant.tickets.errors import IncompleteDraft, InvalidDraft, TransitionRefused

__all__ = ["CLOSED", "REASON_CODES", "TRANSITIONS", "Role", "State", "Transition", "check", "role_of"]


class State(StrEnum):
    """Names as people read them. 退单 is passed through: a returned ticket waits as 待派遣 for a ruling."""

    TO_ACCEPT = "待受理"
    TO_SUPPLEMENT = "待补充"
    TO_DISPATCH = "待派遣"
    DISPATCHED = "已派遣"
    HANDLING = "处置中"
    TO_CALL_BACK = "待回访"
    RETURNED = "退单"
    CLOSED = "已结案"
    WITHDRAWN = "已撤单"


class Role(StrEnum):
    RESIDENT = "resident"
    STAFF = "staff"
    DESTINATION = "destination"
    SYSTEM = "system"


CLOSED = frozenset({State.CLOSED, State.WITHDRAWN})
REASON_CODES = ("属地不符", "权属不清", "职能交叉", "超职责")

_OPEN = frozenset(set(State) - CLOSED)
_AT_UNIT = frozenset({State.TO_DISPATCH, State.DISPATCHED, State.HANDLING})
_PEOPLE = frozenset({Role.RESIDENT, Role.STAFF})


@dataclass(frozen=True, slots=True)
class Transition:
    """`from_states` None: a new ticket. `to` None: the state stays. `required`: fields that must not be empty.

    `outbox`: the operation the destination is told, None for nothing.
    """

    operation: str
    label: str
    roles: frozenset[Role]
    from_states: frozenset[State] | None
    to: State | None
    required: tuple[str, ...] = ()
    outbox: str | None = None


_ALL = (
    Transition("submit", "登记", _PEOPLE | {Role.SYSTEM}, None, State.TO_DISPATCH, outbox="create"),
    Transition("dispatch", "派遣", frozenset({Role.SYSTEM}), frozenset({State.TO_DISPATCH}), State.DISPATCHED),
    Transition(
        "assign",
        "改派",
        frozenset({Role.STAFF}),
        frozenset({State.TO_DISPATCH, State.DISPATCHED}),
        State.DISPATCHED,
        ("unit", "note"),
        "supplement",
    ),
    Transition(
        "accept", "签收", frozenset({Role.DESTINATION, Role.STAFF}), _AT_UNIT - {State.HANDLING}, State.HANDLING
    ),
    Transition("resolve", "办结", frozenset({Role.DESTINATION, Role.STAFF}), _AT_UNIT, State.TO_CALL_BACK),
    Transition("return", "退单", frozenset({Role.DESTINATION, Role.STAFF}), _AT_UNIT, State.RETURNED, ("reason_code",)),
    Transition("rule", "等待裁定", frozenset({Role.SYSTEM}), frozenset({State.RETURNED}), State.TO_DISPATCH),
    Transition("supplement", "补充", _PEOPLE, _OPEN, None, ("note",), "supplement"),
    Transition("urge", "催办", _PEOPLE, _OPEN - {State.TO_CALL_BACK}, None, outbox="urge"),
    Transition("withdraw", "撤单", _PEOPLE, _OPEN - {State.TO_CALL_BACK}, State.WITHDRAWN, outbox="withdraw"),
    Transition("close", "结案", _PEOPLE | {Role.SYSTEM}, frozenset({State.TO_CALL_BACK}), State.CLOSED),
    Transition(
        "reopen",
        "重办",
        _PEOPLE,
        frozenset({State.TO_CALL_BACK, State.CLOSED}),
        State.DISPATCHED,
        outbox="create",
    ),
)
TRANSITIONS: dict[str, Transition] = {transition.operation: transition for transition in _ALL}

_MISSING = {"reason_code": "退单原因", "note": "说明", "unit": "承办单位"}


def role_of(actor: str) -> Role:
    """`resident…`, `destination:…`, `system…`; anybody else (a user's name) is staff."""
    for role in (Role.RESIDENT, Role.DESTINATION, Role.SYSTEM):
        if actor == role or actor.startswith(f"{role}:"):
            return role
    return Role.STAFF


def check(operation: str, state: State | None, actor: str, **given: str | None) -> State:
    """The state after `operation`; `given` holds what the table may require.

    Raises TransitionRefused when the state or the actor does not allow it, InvalidDraft when something is missing or
    the reason code is none of REASON_CODES.
    """
    transition = TRANSITIONS[operation]
    if role_of(actor) not in transition.roles:
        raise TransitionRefused(f"由您{transition.label}", state or "新工单")
    if transition.from_states is None:
        if state is not None:
            raise TransitionRefused(transition.label, state)
    elif state not in transition.from_states:
        raise TransitionRefused(transition.label, state or "新工单")
    for name in transition.required:
        if not (given.get(name) or "").strip():
            if operation == "supplement":
                raise IncompleteDraft(("description",))
            raise InvalidDraft(f"{transition.label}需要填写{_MISSING[name]}。")
    code = given.get("reason_code")
    if code and code not in REASON_CODES:
        raise InvalidDraft("退单原因应为" + "、".join(REASON_CODES) + "之一。")
    after = transition.to or state
    assert after is not None  # only a new ticket has no state, and it gets one
    return after
