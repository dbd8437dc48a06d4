"""The life of a document: the one table of what a person may do to its status, and what each step changes.

That a document runs out on its last day needs no step: validity is looked at for every question.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

from kb.documents import STATUS_NAMES, Document, Status
from kb.errors import MoveRefused

__all__ = ["CHANGES_SUCCESSOR", "TRANSITIONS", "Outcome", "Role", "Transition", "allowed", "find", "outcome", "towards"]

Required = Literal["successor", "until", "not_over"]


class Role(StrEnum):
    """EDITOR: policy staff at the workbench. OPERATOR: whoever has the command line."""

    EDITOR = "editor"
    OPERATOR = "operator"


_PEOPLE = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing that a person may do.

    `required`: "successor", the document that takes its place; "until", its last day in force, which is over;
    "not_over", that it has not run out. `successor`: only for documents that name one (True) or name none (False).
    """

    operation: str
    label: str
    roles: frozenset[Role]
    from_statuses: frozenset[Status]
    to: Status
    required: tuple[Required, ...] = ()
    successor: bool | None = None


_ALL = (
    Transition("publish", "发布", _PEOPLE, frozenset({"draft"}), "published"),
    Transition("suspend", "停用", _PEOPLE, frozenset({"published"}), "suspended"),
    Transition("resume", "恢复使用", _PEOPLE, frozenset({"suspended"}), "published"),
    Transition(
        "supersede",
        "由新文件替代",
        _PEOPLE,
        frozenset({"published", "suspended", "expired", "superseded"}),
        "superseded",
        ("successor",),
    ),
    Transition(
        "expire", "标为失效", _PEOPLE, frozenset({"published", "suspended"}), "expired", ("until",), successor=False
    ),
    Transition(
        "reinstate",
        "恢复有效",
        _PEOPLE,
        frozenset({"expired", "superseded"}),
        "published",
        ("not_over",),
        successor=False,
    ),
    Transition(
        "undo_supersede", "撤销替代", _PEOPLE, frozenset({"published", "superseded"}), "published", successor=True
    ),
)
CHANGES_SUCCESSOR = frozenset({"supersede", "undo_supersede"})
"""Operations after which another document, or none, takes a document's place."""
TRANSITIONS: dict[str, Transition] = {transition.operation: transition for transition in _ALL}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a document is after a step."""

    status: Status
    valid_to: date | None
    superseded_by: str | None


def allowed(document: Document, role: Role) -> list[Transition]:
    """What somebody in this role may do to the document now, in the order of the table."""
    return [
        transition
        for transition in _ALL
        if role in transition.roles
        and document.status in transition.from_statuses
        and transition.successor in (None, document.superseded_by is not None)
    ]


def find(document: Document, operation: str, role: Role) -> Transition:
    """The step of this name. Raises MoveRefused where it may not be taken now."""
    for transition in allowed(document, role):
        if transition.operation == operation:
            return transition
    named = TRANSITIONS[operation].label if operation in TRANSITIONS else operation
    raise MoveRefused(f"《{document.title}》现在是“{STATUS_NAMES[document.status]}”，不能“{named}”。")


def towards(document: Document, to: str, role: Role) -> Transition:
    """The step that leads to the status `to`. Raises MoveRefused with what is possible where there is none."""
    steps = allowed(document, role)
    for transition in steps:
        if transition.to == to:
            return transition
    possible = "、".join(dict.fromkeys(f"{step.to}（{step.label}）" for step in steps))
    raise MoveRefused(f"《{document.title}》现在是“{STATUS_NAMES[document.status]}”，只能改为：{possible}。")


def outcome(
    document: Document,
    transition: Transition,
    *,
    today: date,
    successor: Document | None = None,
    until: date | None = None,
    end_before: date | None = None,
    suspended_before: bool = False,
) -> Outcome:
    """What the step makes of the document; raises MoveRefused with the reason.

    A superseded document ends on `until`, else the day before its successor begins, at the latest on its own last day.
    While that day is not over it stays published: its rules hold until then.

    Args:
        successor: the document that takes its place; it must be published, or nothing would answer.
        until: the last day in force.
        end_before: the last day of its own that it had before it was superseded.
        suspended_before: whether it was suspended when it was superseded.
    """
    if "not_over" in transition.required and document.valid_to is not None and document.valid_to < today:
        raise MoveRefused(f"失效日期 {document.valid_to} 已过；请先改失效日期，再“{transition.label}”。")
    match transition.operation:
        case "supersede":
            own_end = end_before if document.superseded_by else document.valid_to
            return _superseded(document, successor, today, until or _default_end(successor, today, own_end))
        case "expire":
            end = until or document.valid_to
            if end is None:
                raise MoveRefused("请写明最后有效的一天。")
            if end >= today:
                raise MoveRefused(f"{end} 还没有过完，当天仍然有效；改“失效日期”即可，到期后自动不再引用。")
            return Outcome("expired", _checked_end(document, end), None)
        case "undo_supersede":
            # What staff had taken out of use does not come back by itself.
            taken_out = suspended_before and document.status == "superseded"
            return Outcome("suspended" if taken_out else "published", end_before, None)
        case _:
            return Outcome(transition.to, document.valid_to, document.superseded_by)


def _superseded(document: Document, successor: Document | None, today: date, end: date) -> Outcome:
    if successor is None:
        raise MoveRefused("请选择替代它的新文件。")
    if successor.id == document.id:
        raise MoveRefused("文件不能替代它自己。")
    if successor.status_on(today) != "published" or successor.superseded_by:
        raise MoveRefused(f"《{successor.title}》现在是“{_named(successor, today)}”；请先发布新文件，再替代旧的。")
    _checked_end(document, end)
    # One that was only superseded too early answers again until its day.
    answers = document.status == "published" or (document.status == "superseded" and document.superseded_by)
    running = answers and end >= today
    return Outcome("published" if running else "superseded", end, successor.id)


def _default_end(successor: Document | None, today: date, own_end: date | None) -> date:
    begins = (successor.valid_from if successor else None) or today
    return min(begins - timedelta(days=1), own_end or date.max)


def _checked_end(document: Document, end: date) -> date:
    if document.valid_from is not None and end < document.valid_from:
        raise MoveRefused(f"最后有效的一天 {end} 早于生效日期 {document.valid_from}，请核对。")
    return end


def _named(document: Document, today: date) -> str:
    status = document.status_on(today)
    return "将被替代" if status == "published" else STATUS_NAMES[status]
