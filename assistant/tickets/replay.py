"""A ticket told again by its history: what can change about it is the sum of the changes of its steps."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from assistant.tickets.model import HistoryEntry, Ticket, TicketView

__all__ = ["FACTS", "asked_until", "facts", "replay"]

# What the steps of a ticket change. Everything else stays as it was confirmed, or is no step (judgement, next_step_at).
FACTS = (
    "state", "lead_unit", "assisting_units", "destination", "due_at", "paused_at", "handler_until", "merged_into",
    "solved", "satisfied", "callback_comment",
)  # fmt: skip

# Decided upon, or no longer for the unit that asked.
_ENDS_APPLICATION = frozenset(
    {"extend", "refuse_extension", "assign", "transfer", "resolve", "return", "merge", "withdraw", "reopen"}
)


def replay(history: Sequence[HistoryEntry]) -> dict[str, Any]:
    """The fields of FACTS as JSON, from the steps alone, the oldest first; equal to `facts` of the stored ticket.

    Of steps that were written before changes were kept, only the state is known.
    """
    told: dict[str, Any] = {}
    for step in history:
        told["state"] = step.to_state
        told |= {name: value for name, value in step.changes.items() if name in FACTS}
    return told


def facts(ticket: Ticket | TicketView) -> dict[str, Any]:
    """The fields of FACTS of a ticket as JSON: times in ISO 8601, UTC."""
    return {name: _json(getattr(ticket, name)) for name in FACTS}


def asked_until(history: Sequence[HistoryEntry]) -> datetime | None:
    """Until when the unit asked to extend, while nobody has decided about it."""
    for step in reversed(history):
        if step.operation == "apply_extension":
            return datetime.fromisoformat(step.changes["until"])
        if step.operation in _ENDS_APPLICATION:
            return None
    return None


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
