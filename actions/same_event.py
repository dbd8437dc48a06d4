"""An event that others have reported already: the resident is told, and can follow it instead of starting anew.

The slot `same_event` holds what was found for the draft: number, callers, unit, state and the `answer` (follow or
other); without a number where nothing was found.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog

from actions import reading
from actions.protocol import Reply, Turn
from actions.services import ActionServices
from actions.wording import say_state_of_unit
from assistant.tickets.model import TicketDraft

log = structlog.get_logger()

FOLLOW, OTHER = "一起跟进", "不是同一件事"
_PATIENCE_S = 3.0


async def look(draft: TicketDraft, slots: Mapping[str, Any], services: ActionServices, reply: Reply) -> None:
    """Look once for each draft; nobody waits long for it, and nothing is lost when it fails."""
    if slots.get("same_event") is not None:
        return
    try:
        found = await asyncio.wait_for(services.similar(draft), _PATIENCE_S)
    except Exception as error:
        log.warning("similar_failed", error=type(error).__name__)
        found = None
    reply.put(same_event=asdict(found) if found else {})


def is_offered(slots: Mapping[str, Any]) -> bool:
    """Whether the resident is being asked."""
    event = slots.get("same_event") or {}
    return bool(event.get("number")) and not event.get("answer")


def followed(slots: Mapping[str, Any]) -> str | None:
    """The number of the ticket that the draft follows."""
    event = slots.get("same_event") or {}
    return event["number"] if event.get("answer") == "follow" else None


def refused(slots: Mapping[str, Any]) -> tuple[str, ...]:
    """The number of the ticket that the resident said tells of another event."""
    event = slots.get("same_event") or {}
    return (event["number"],) if event.get("answer") == "other" else ()


def ask(slots: Mapping[str, Any], reply: Reply) -> None:
    """How many, who works on it: nothing of what others wrote."""
    event = slots["same_event"]
    reply.say(
        f"这件事已有{event['callers']}人反映，{say_state_of_unit(event['state'], event['unit'])}"
        f"（工单{event['number']}，可随时问进度）。要不要一起跟进？有结果会告诉您。",
        FOLLOW,
        OTHER,
        "转人工",
    )


def take(turn: Turn, reply: Reply) -> bool:
    """The answer to the offer; False where it is none."""
    text = reading.trim(turn.text)
    answer = {FOLLOW: "follow", OTHER: "other"}.get(text) or {"affirm": "follow", "deny": "other"}.get(turn.intent)
    if answer is None:
        return False
    reply.put(same_event={**turn.slots["same_event"], "answer": answer})
    return True


def reconsider(turn: Turn, reply: Reply) -> None:
    """A corrected place or account may be another event; a no holds for the whole draft."""
    event = turn.slots.get("same_event")
    if event is None or event.get("answer") == "other":
        return
    after = reply.slots_after(turn)
    if any(after.get(name) != turn.slots.get(name) for name in ("place", "category")):
        reply.put(same_event=None)


def line(slots: Mapping[str, Any]) -> list[str]:
    number = followed(slots)
    return [f"· 一起跟进：工单{number}"] if number else []
