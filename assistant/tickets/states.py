"""The states of a ticket and the one table of what may happen to it."""

from dataclasses import dataclass
from enum import StrEnum

from assistant.tickets.errors import IncompleteDraft, InvalidDraft, TransitionRefused

__all__ = [
    "CLOSED",
    "DRAWN",
    "REASON_CODES",
    "REQUIRED_NAMES",
    "RUNNING",
    "TRANSITIONS",
    "Back",
    "Role",
    "State",
    "Transition",
    "allowed",
    "check",
    "role_of",
]


class State(StrEnum):
    """Names as people read them. 退单 is passed through: a returned ticket waits as 待派遣 for a ruling.

    待受理: a person must accept it first. 已并案: it is acted on with the ticket it was merged into.
    """

    TO_ACCEPT = "待受理"
    TO_SUPPLEMENT = "待补充"
    TO_DISPATCH = "待派遣"
    DISPATCHED = "已派遣"
    HANDLING = "处置中"
    TO_CALL_BACK = "待回访"
    RETURNED = "退单"
    MERGED = "已并案"
    CLOSED = "已结案"
    WITHDRAWN = "已撤单"


class Role(StrEnum):
    RESIDENT = "resident"
    STAFF = "staff"
    DESTINATION = "destination"
    SYSTEM = "system"


class Back(StrEnum):
    """A target that depends on the history: the state before the ticket came into the present one."""

    BEFORE = "原状态"


CLOSED = frozenset({State.CLOSED, State.WITHDRAWN})
REASON_CODES = ("属地不符", "权属不清", "职能交叉", "超职责")

# A unit has it, or it waits for one.
RUNNING = frozenset({State.TO_ACCEPT, State.TO_DISPATCH, State.DISPATCHED, State.HANDLING, State.RETURNED})

_OPEN = frozenset(set(State) - CLOSED)
_ACTIVE = _OPEN - {State.TO_CALL_BACK, State.RETURNED, State.MERGED}
_AT_UNIT = frozenset({State.TO_DISPATCH, State.DISPATCHED, State.HANDLING})
_PEOPLE = frozenset({Role.RESIDENT, Role.STAFF})
_STAFF = frozenset({Role.STAFF})
_UNIT = frozenset({Role.DESTINATION, Role.STAFF})
_SYSTEM = frozenset({Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Transition:
    """`from_states` None: a new ticket. `to` None: the state stays. `required`: fields that must not be empty.

    `outbox`: the operation the destination is told, None for nothing.
    """

    operation: str
    label: str
    roles: frozenset[Role]
    from_states: frozenset[State] | None
    to: State | Back | None
    required: tuple[str, ...] = ()
    outbox: str | None = None


_ALL = (
    Transition("submit", "登记", _PEOPLE | _SYSTEM, None, State.TO_ACCEPT),
    Transition("accept", "受理", _STAFF | _SYSTEM, frozenset({State.TO_ACCEPT}), State.TO_DISPATCH, outbox="create"),
    Transition("dispatch", "派遣", _SYSTEM, frozenset({State.TO_DISPATCH}), State.DISPATCHED),
    Transition("assign", "改派", _STAFF, _AT_UNIT, State.DISPATCHED, ("unit", "note"), "supplement"),
    Transition("transfer", "转办", _STAFF | _SYSTEM, _AT_UNIT, State.DISPATCHED, ("unit",), "supplement"),
    Transition("add_unit", "加派", _STAFF, _AT_UNIT, None, ("unit", "note"), "supplement"),
    Transition("acknowledge", "签收", _UNIT, _AT_UNIT - {State.HANDLING}, State.HANDLING),
    Transition("ask", "请居民补充", _UNIT, _AT_UNIT | {State.TO_ACCEPT}, State.TO_SUPPLEMENT, ("note",)),
    Transition("supplement", "补充", _PEOPLE, _OPEN - {State.TO_SUPPLEMENT}, None, ("note",), "supplement"),
    Transition("answer", "补充", _PEOPLE, frozenset({State.TO_SUPPLEMENT}), Back.BEFORE, ("note",), "supplement"),
    Transition(
        "resume", "不再等待补充", _STAFF | _SYSTEM, frozenset({State.TO_SUPPLEMENT}), Back.BEFORE, outbox="supplement"
    ),
    Transition("apply_extension", "申请延期", _UNIT, _AT_UNIT, None, ("note", "until")),
    Transition("extend", "同意延期", _STAFF, _AT_UNIT, None, ("note", "until"), "supplement"),
    Transition("refuse_extension", "不同意延期", _STAFF, _AT_UNIT, None, ("note",), "supplement"),
    Transition("urge", "催办", _PEOPLE | _SYSTEM, _ACTIVE | {State.MERGED}, None, outbox="urge"),
    Transition("supervise", "督办", _STAFF | _SYSTEM, _AT_UNIT, None, ("note",), "urge"),
    Transition("resolve", "办结", _UNIT | _SYSTEM, _AT_UNIT | {State.MERGED}, State.TO_CALL_BACK),
    Transition("return", "退单", _UNIT, _AT_UNIT, State.RETURNED, ("reason_code",)),
    Transition("rule", "等待裁定", _SYSTEM, frozenset({State.RETURNED}), State.TO_DISPATCH),
    Transition("withdraw", "撤单", _PEOPLE, _OPEN - {State.TO_CALL_BACK}, State.WITHDRAWN, outbox="withdraw"),
    Transition("merge", "并案", _STAFF | _SYSTEM | _PEOPLE, _ACTIVE, State.MERGED, ("into",), "withdraw"),
    Transition("move", "随并", _SYSTEM, frozenset({State.MERGED}), None, ("into",)),
    Transition("join", "又有人反映", _SYSTEM, _ACTIVE, None, ("note",), "supplement"),
    Transition("unmerge", "撤销并案", _STAFF | _SYSTEM, frozenset({State.MERGED}), Back.BEFORE, ("note",), "create"),
    Transition("keep_apart", "不是同一件事", _PEOPLE | _SYSTEM, _OPEN, None, ("into",)),
    Transition("close", "结案", _PEOPLE | _SYSTEM, frozenset({State.TO_CALL_BACK}), State.CLOSED),
    Transition(
        "reopen",
        "重办",
        _PEOPLE,
        frozenset({State.TO_CALL_BACK, State.CLOSED}),
        State.DISPATCHED,
        outbox="create",
    ),
    Transition("rate", "评价", _PEOPLE, frozenset({State.CLOSED}), None),
)
TRANSITIONS: dict[str, Transition] = {transition.operation: transition for transition in _ALL}
# Steps that others draw after them; nobody asks for one by itself.
DRAWN = frozenset({"submit", "dispatch", "rule", "move", "join"})

REQUIRED_NAMES = {
    "reason_code": "退单原因",
    "note": "说明",
    "unit": "承办单位",
    "until": "延期到什么时候",
    "into": "另一张工单的编号",
}


def role_of(actor: str) -> Role:
    """`resident…`, `destination:…`, `system…`; anybody else (a user's name) is staff."""
    for role in (Role.RESIDENT, Role.DESTINATION, Role.SYSTEM):
        if actor == role or actor.startswith(f"{role}:"):
            return role
    return Role.STAFF


def allowed(state: State, role: Role) -> tuple[Transition, ...]:
    """What `role` may do with a ticket in `state`, in the order of the table."""
    return tuple(row for row in _ALL if role in row.roles and row.from_states is not None and state in row.from_states)


def check(operation: str, state: State | None, actor: str, before: State | None = None, **given: object) -> State:
    """The state after `operation`; `given` holds what the table may require.

    `before`: the state that an operation leads back to. Raises TransitionRefused when the state or the actor does not
    allow it, InvalidDraft when something is missing or the reason code is none of REASON_CODES.
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
        if not str(given.get(name) or "").strip():
            if operation in ("supplement", "answer"):
                raise IncompleteDraft(("description",))
            raise InvalidDraft(f"{transition.label}需要填写{REQUIRED_NAMES[name]}。")
    code = given.get("reason_code")
    if code and code not in REASON_CODES:
        raise InvalidDraft("退单原因应为" + "、".join(REASON_CODES) + "之一。")
    after = before if isinstance(transition.to, Back) else transition.to or state
    assert after is not None  # a new ticket gets a state, and what leads back came from somewhere
    return after
