"""How a ticket's deadline looks: calm, amber at a quarter left, red when overdue."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assistant.staff.labels import duration, local_time
from assistant.tickets.states import CLOSED, State

AMBER_LEFT: Final = 0.25
# Closed, or answered by the unit: what follows is ours, and the unit's clock has stopped.
STOPPED_STATES: Final = CLOSED | {State.TO_CALL_BACK}


@dataclass(frozen=True, slots=True)
class DeadlineLook:
    """`tone`: neutral, warn (amber) or bad (overdue). `text` in Chinese."""

    tone: str
    text: str


def deadline_look(state: str, created_at: datetime, due_at: datetime | None, moment: datetime) -> DeadlineLook:
    """How to show a deadline at `moment`; the share that is left is measured from creation, in calendar time."""
    if due_at is None:
        return DeadlineLook("neutral", "未定")
    shown = local_time(due_at, moment_now=moment)
    if state in STOPPED_STATES:
        return DeadlineLook("neutral", shown)
    left = (due_at - moment).total_seconds()
    if left < 0:
        return DeadlineLook("bad", f"已超期 {duration(-left)}")
    whole = max(1.0, (due_at - created_at).total_seconds())
    if left <= whole * AMBER_LEFT:
        return DeadlineLook("warn", f"剩 {duration(left)}")
    return DeadlineLook("neutral", shown)


def is_overdue(state: str, due_at: datetime | None, moment: datetime) -> bool:
    return due_at is not None and state not in STOPPED_STATES and due_at < moment
