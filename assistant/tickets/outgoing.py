"""What the destination is told about a ticket. Nothing about the requester is among it.

Payload of create: service_code, title, description, address_string, place_grid, lat, long, request_type, category1,
category2, urgency, event_time, ticket_number, unit, assisting_units, due_at, confidential, review, other_matters (one
text; empty where the request holds a single matter).
Payload of supplement, urge and withdraw: ticket_number, text.
"""

from collections.abc import Sequence

from assistant.tickets.model import HistoryEntry, Matter, Outgoing, Ticket

__all__ = ["also_concerns", "create", "is_closed_there", "note", "words"]

_MATTER_CHARS = 80


def create(ticket: Ticket, count: int, destination: str, service_code: str, remark: str | None = None) -> Outgoing:
    """The request itself; `count` is 1 for the first, more when a returned or resolved one is filed again."""
    description = ticket.description if count == 1 or not remark else f"{ticket.description}\n再次派遣：{remark}"
    return Outgoing(
        f"{ticket.number}:create:{count}",
        destination,
        "create",
        {
            "service_code": service_code,
            "title": ticket.title,
            "description": description,
            "address_string": ticket.place,
            "place_grid": list(ticket.grid_path),
            "lat": None,
            "long": None,
            "request_type": ticket.request_type,
            "category1": ticket.category1,
            "category2": ticket.category2,
            "urgency": ticket.urgency,
            "event_time": ticket.event_time,
            "ticket_number": ticket.number,
            "unit": ticket.lead_unit,
            "assisting_units": list(ticket.assisting_units),
            "due_at": ticket.due_at.isoformat(),
            "confidential": ticket.confidential,
            "review": ticket.routing.review,
            "other_matters": also_concerns(ticket.other_matters),
        },
    )


def also_concerns(matters: Sequence[Matter]) -> str:
    """What else the resident told in the same message, for the staff who read the ticket."""
    return "；".join(
        f"{matter.category1}{f'/{matter.category2}' if matter.category2 else ''}：{_first_words(matter.text)}"
        for matter in matters
    )


def _first_words(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MATTER_CHARS else flat[: _MATTER_CHARS - 1] + "…"


def note(ticket: Ticket, kind: str, count: int, destination: str, text: str) -> Outgoing:
    """A supplement, urge or withdrawal."""
    payload = {"ticket_number": ticket.number, "text": text}
    return Outgoing(f"{ticket.number}:{kind}:{count}", destination, kind, payload)


def words(operation: str, ticket: Ticket, text: str | None) -> str:
    """The note as the unit reads it."""
    if operation == "assign":
        return f"承办单位改为{ticket.lead_unit}：{text}"
    if operation == "urge":
        return text or "居民催办，请尽快办理并反馈。"
    if operation == "withdraw":
        return f"居民要求撤单：{text}" if text else "居民要求撤单。"
    return text or ""


def is_closed_there(history: Sequence[HistoryEntry]) -> bool:
    """Whether the destination closed its request (resolved, returned) after it was last filed."""
    closed = False
    for entry in history:
        if entry.operation in ("resolve", "return"):
            closed = True
        elif entry.operation in ("reopen", "assign"):
            closed = False
    return closed
