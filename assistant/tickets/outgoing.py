"""What the destination is told about a ticket. Nothing about the requester is among it.

Payload of create: service_code, title, description, address_string, place_grid, lat, long, request_type, category1,
category2, category3, urgency, event_time, elements, attachments, ticket_number, unit, assisting_units, due_at,
confidential, review, other_matters (one text; empty where the request holds a single matter).
Payload of supplement, urge and withdraw: ticket_number, text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo

from assistant.tickets.model import HistoryEntry, Matter, Outgoing, Ticket
from assistant.tickets.states import TRANSITIONS, Role, role_of

__all__ = ["Standing", "Word", "also_concerns", "create", "note", "standing", "words_of"]

_MATTER_CHARS = 80


class Standing(Enum):
    """How the ticket's request stands at the destination, as far as the ticket knows."""

    NONE = "never filed"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Word:
    """Something to tell `destination`. `kind`: create, supplement, urge, withdraw."""

    kind: str
    destination: str
    text: str | None = None


def standing(history: Sequence[HistoryEntry]) -> Standing:
    """How the request stands after these steps: a resolution, a return and a withdrawal close it, filing opens it."""
    stands = Standing.NONE
    for entry in history:
        if entry.operation in ("accept", "reopen"):
            stands = Standing.OPEN
        elif stands is Standing.NONE:
            continue
        elif entry.operation in ("resolve", "return", "withdraw", "merge"):
            stands = Standing.CLOSED
        elif entry.operation in ("assign", "transfer", "unmerge"):
            stands = Standing.OPEN
    return stands


def words_of(entry: HistoryEntry, stands: Standing, ticket: Ticket, former: str, zone: ZoneInfo) -> list[Word]:
    """What the step `entry` has to say. `stands`, `former`: the request and the destination before it."""
    operation, here = entry.operation, ticket.destination
    if operation in ("accept", "reopen"):
        return [Word("create", here, entry.note)]
    if stands is Standing.NONE:
        return []  # the first request, when it is filed, tells it all
    if operation in ("assign", "transfer", "unmerge"):
        if stands is Standing.CLOSED:
            return [Word("create", here, entry.note)]
        if here != former:
            return [Word("withdraw", former, f"改由{ticket.lead_unit}办理。"), Word("create", here, entry.note)]
    kind = TRANSITIONS[operation].outbox
    if operation in ("resolve", "return") and role_of(entry.actor) is not Role.DESTINATION:
        kind = "withdraw"  # the destination does not know yet
    if kind is None or (kind == "withdraw" and stands is Standing.CLOSED):
        return []
    return [Word(kind, here, _say(entry, ticket, zone))]


def _say(entry: HistoryEntry, ticket: Ticket, zone: ZoneInfo) -> str:
    """The step as the unit reads it."""
    operation, note = entry.operation, entry.note
    because = f"：{note}" if note else "。"
    match operation:
        case "assign" | "transfer":
            return f"承办单位改为{ticket.lead_unit}{because}"
        case "add_unit":
            return f"加派{entry.changes['unit']}协办{because}"
        case "urge":
            return note or "居民催办，请尽快办理并反馈。"
        case "supervise":
            return f"督办{because}"
        case "resume":
            return f"不再等待居民补充，请继续办理{because}"
        case "extend":
            return f"同意延期到{ticket.due_at.astimezone(zone):%Y-%m-%d %H:%M}{because}"
        case "refuse_extension":
            return f"不同意延期{because}"
        case "resolve":
            return "12345已登记办结，请关闭。"
        case "return":
            return f"12345已登记退单（{entry.reason_code}），请关闭。"
        case "merge":
            return f"并入工单{ticket.merged_into}一并办理{because}"
        case "withdraw":
            return f"居民要求撤单{because}"
    return note or ""


def create(ticket: Ticket, history: Sequence[HistoryEntry], count: int, word: Word, service_code: str) -> Outgoing:
    """The request itself; `count` is 1 for the first, more when a returned or resolved one is filed again."""
    lines = [ticket.description]
    lines += [f"补充：{entry.note}" for entry in history if entry.operation in _TOLD_LATER and entry.note]
    if count > 1 and word.text:
        lines.append(f"再次派遣：{word.text}")
    return Outgoing(
        f"{ticket.number}:create:{count}",
        word.destination,
        "create",
        {
            "service_code": service_code,
            "title": ticket.title,
            "description": "\n".join(lines),
            "address_string": ticket.place,
            "place_grid": list(ticket.grid_path),
            "lat": ticket.lat,
            "long": ticket.long,
            "request_type": ticket.request_type,
            "category1": ticket.category1,
            "category2": ticket.category2,
            "category3": ticket.category3,
            "urgency": ticket.urgency,
            "event_time": ticket.event_time,
            "elements": ticket.elements,
            "attachments": list(ticket.attachments),
            "ticket_number": ticket.number,
            "unit": ticket.lead_unit,
            "assisting_units": list(ticket.assisting_units),
            "due_at": ticket.due_at.isoformat(),
            "confidential": ticket.confidential,
            "review": ticket.routing.review,
            "other_matters": also_concerns(ticket.other_matters),
        },
    )


_TOLD_LATER = frozenset({"supplement", "answer", "join"})


def also_concerns(matters: Sequence[Matter]) -> str:
    """What else the resident told in the same message, for the staff who read the ticket."""
    return "；".join(
        f"{matter.category1}{f'/{matter.category2}' if matter.category2 else ''}：{_first_words(matter.text)}"
        for matter in matters
    )


def _first_words(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MATTER_CHARS else flat[: _MATTER_CHARS - 1] + "…"


def note(number: str, count: int, word: Word) -> Outgoing:
    """A supplement, urge or withdrawal."""
    payload = {"ticket_number": number, "text": word.text or ""}
    return Outgoing(f"{number}:{word.kind}:{count}", word.destination, word.kind, payload)
