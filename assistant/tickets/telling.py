"""What the resident is told when something happens to a ticket elsewhere. `city/<city>/texts.yml` has the sentences.

What residents do themselves is answered where they do it, in the dialogue, and makes no message.
"""

from datetime import datetime

from assistant.city import City
from assistant.tickets.model import HistoryEntry, ResidentMessage, Ticket, TicketView
from assistant.tickets.states import Role, role_of

__all__ = ["TOLD_TO_FOLLOWERS", "message"]

# What happens to a ticket and matters to those whose tickets were merged into it. A resolution they get as their own.
TOLD_TO_FOLLOWERS = frozenset({"acknowledge", "assign", "transfer", "extend"})

_SOLVED_BUTTONS = ({"title": "已经解决", "payload": "已经解决了"}, {"title": "没有解决", "payload": "没有解决"})
_TEXTS = {
    "acknowledge": "ticket_accepted",
    "urge": "ticket_urged_for_you",
    "supervise": "ticket_supervised",
    "close": "ticket_closed_unanswered",
    "assign": "ticket_reassigned",
    "transfer": "ticket_transferred",
    "ask": "ticket_asked",
    "resume": "ticket_resumed",
    "extend": "ticket_extended",
    "return": "ticket_returned",
    "merge": "ticket_merged",
    "unmerge": "ticket_unmerged",
    "withdraw": "ticket_withdrawn",
    "resolve": "ticket_resolved",
}


def message(
    city: City, ticket: Ticket, entry: HistoryEntry, *, acted_on: Ticket | None = None, callers: int = 1
) -> ResidentMessage | None:
    """What the requester of `ticket` is told about the step `entry`; None for nothing.

    `acted_on`: the ticket that the step happened to where it is another one, whose unit acts for this one too.
    `callers`: how many have reported the event.
    """
    key = _TEXTS.get(entry.operation)
    if ticket.conversation_id is None or key is None or role_of(entry.actor) is Role.RESIDENT:
        return None
    acting = acted_on or ticket
    if key == "ticket_resolved" and not entry.public_reply:
        key = "ticket_resolved_no_reply"
    text = city.text(
        key,
        number=ticket.number,
        unit=acting.lead_unit,
        due=_say_time(city, acting.due_at),
        reply=entry.public_reply,
        reason=entry.reason_code,
        question=entry.note,
        count=callers,
    )
    buttons = _SOLVED_BUTTONS if entry.operation == "resolve" else ()
    return ResidentMessage(ticket.conversation_id, text, buttons, TicketView.of(ticket, []).public())


def _say_time(city: City, moment: datetime) -> str:
    local = moment.astimezone(city.zone)
    return f"{local.year}年{local.month}月{local.day}日{local:%H:%M}"
