"""How a ticket's deadline looks: calm, amber at a quarter left, red when overdue; its clock decides."""

from dataclasses import dataclass
from datetime import datetime

from assistant.city import City
from assistant.staff.labels import duration, local_time
from assistant.tickets.clock import clock_of
from assistant.tickets.model import TicketView


@dataclass(frozen=True, slots=True)
class DeadlineLook:
    """`tone`: neutral, info (stands still), warn (amber) or bad (overdue). `text` in Chinese."""

    tone: str
    text: str


def deadline_look(city: City, ticket: TicketView, moment: datetime) -> DeadlineLook:
    """How to show the ticket's deadline at `moment`. A quarter is one of the time that counts, not of the calendar."""
    clock = clock_of(city, ticket, ticket.history)
    shown = local_time(ticket.due_at, moment_now=moment)
    if clock.paused_at is not None and clock.stopped_at is None:
        return DeadlineLook("info", "计时暂停")
    left = (ticket.due_at - moment).total_seconds()
    match clock.tone(moment):
        case "bad":
            return DeadlineLook("bad", f"已超期 {duration(-left)}")
        case "warn":
            return DeadlineLook("warn", f"剩 {duration(left)}")
    return DeadlineLook("neutral", shown)
