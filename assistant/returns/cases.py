"""Returns as the history has them: which unit gave the ticket back, why, and where it was sent by ruling."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from assistant.city import City, Place
from assistant.tickets.model import HistoryEntry, Ticket
from assistant.tickets.states import Role, State, role_of

__all__ = ["ReturnCase", "first_unit", "place_of", "returns_of"]

_RULINGS = frozenset({"assign", "transfer"})


@dataclass(frozen=True, slots=True)
class ReturnCase:
    """One return. `unit` gave the ticket back; `ruling`: the step that sent it out again, None without one.

    `waiting`: nobody has ruled yet, and somebody has to.
    """

    ticket: Ticket
    returned: HistoryEntry
    unit: str
    ruling: HistoryEntry | None
    waiting: bool

    @property
    def number(self) -> str:
        return self.ticket.number

    @property
    def at(self) -> datetime:
        return self.returned.at

    @property
    def reason_code(self) -> str:
        return self.returned.reason_code or ""

    @property
    def ruled_unit(self) -> str | None:
        return self.ruling.changes.get("unit") if self.ruling is not None else None

    @property
    def category(self) -> str:
        """As the matrix writes it: level 1/level 2; of a first level alone, its 其他."""
        return f"{self.ticket.category1}/{self.ticket.category2 or '其他'}"

    @property
    def text(self) -> str:
        return f"{self.ticket.title}\n{self.ticket.description}"


def returns_of(ticket: Ticket, history: Sequence[HistoryEntry]) -> list[ReturnCase]:
    """All returns of one ticket, the oldest first.

    A ruling is the next step by which a person sends the ticket to a unit, the same one or another. Steps between do
    not matter: the unit may take it after all, or the resident withdraw it; then there is none.
    """
    found: list[ReturnCase] = []
    unit = first_unit(ticket, history)
    for step in history:
        if step.operation == "return":
            found.append(ReturnCase(ticket, step, unit, None, waiting=False))
        elif step.operation in _RULINGS:
            if found and found[-1].ruling is None and role_of(step.actor) is Role.STAFF:
                found[-1] = replace(found[-1], ruling=step)
            unit = step.changes.get("unit") or unit
        unit = step.changes.get("lead_unit") or unit
    if found and found[-1].ruling is None and ticket.state is State.TO_DISPATCH:
        found[-1] = replace(found[-1], waiting=True)
    return found


def first_unit(ticket: Ticket, history: Sequence[HistoryEntry]) -> str:
    """Where the ticket was sent first; for one older than the recorded changes, where the matrix sent it."""
    if history and (unit := history[0].changes.get("lead_unit")):
        return str(unit)
    routing = ticket.routing
    return ticket.lead_unit if routing.review or not routing.candidates else routing.candidates[0].unit


def place_of(city: City, place: str | None, text: str) -> Place:
    """Where a request is, by its words."""
    return city.find_place(place, text)
