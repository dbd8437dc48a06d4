"""What a ticket is: the draft a resident confirms, the record that is kept, the view that others get."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assistant.tickets.states import State

__all__ = [
    "Candidate",
    "HistoryEntry",
    "Outgoing",
    "Requester",
    "ResidentMessage",
    "Routing",
    "Ticket",
    "TicketDraft",
    "TicketView",
]

NO_PLACE = "未提供"


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """A request as confirmed by the resident.

    `place` None: the resident was asked and has none to give; empty: not known yet. `phone` is the raw number.
    `confidences`: what the models were sure of (request_type, category1, category2, urgency: 0..1; model: a version).
    """

    request_type: str
    category1: str
    category2: str | None
    title: str
    description: str
    place: str | None
    event_time: str | None
    phone: str | None
    name: str | None
    anonymous: bool
    confidential: bool
    urgency: str
    conversation_id: str | None
    channel: str
    confidences: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A unit that could lead, with the matter it would be for."""

    unit: str
    matter: str
    confidence: float


@dataclass(frozen=True)
class Routing:
    """Why a unit leads. `review`: a person is to check it. `candidates`: the best three, the chosen one first."""

    reason: str
    confidence: float
    candidates: tuple[Candidate, ...]
    review: bool
    model_version: str | None = None
    place_confidence: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "confidence": self.confidence,
            "candidates": [vars(candidate) for candidate in self.candidates],
            "review": self.review,
            "model_version": self.model_version,
            "place_confidence": self.place_confidence,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Routing":
        candidates = tuple(Candidate(**candidate) for candidate in stored["candidates"])
        return cls(**{**stored, "candidates": candidates})


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step. `note` is internal, `public_reply` was told to the resident."""

    key: str
    at: datetime
    actor: str
    operation: str
    from_state: str | None
    to_state: str
    reason_code: str | None = None
    note: str | None = None
    public_reply: str | None = None


@dataclass(frozen=True, slots=True)
class Requester:
    name: str | None
    phone: str | None


@dataclass(slots=True)
class Ticket:
    """The record as stored. `version` counts changes; a save with an old version is refused."""

    number: str
    request_key: str
    request_hash: str
    conversation_id: str | None
    channel: str
    state: State
    request_type: str
    category1: str
    category2: str | None
    title: str
    description: str
    place: str | None
    grid_path: tuple[str, ...]
    event_time: str | None
    requester_encrypted: bytes | None
    phone_last4_hash: str | None
    anonymous: bool
    confidential: bool
    urgency: str
    lead_unit: str
    assisting_units: tuple[str, ...]
    routing: Routing
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row for the outbox. `operation`: create, supplement, urge, withdraw."""

    key: str
    destination: str
    operation: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResidentMessage:
    """What the resident is told in the own conversation."""

    conversation_id: str
    text: str
    buttons: tuple[dict[str, str], ...]
    ticket: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TicketView:
    """A ticket as others see it: no requester, everything else masked text."""

    number: str
    state: str
    request_type: str
    category1: str
    category2: str | None
    title: str
    description: str
    place: str | None
    grid_path: tuple[str, ...]
    event_time: str | None
    urgency: str
    lead_unit: str
    assisting_units: tuple[str, ...]
    routing: Routing
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    conversation_id: str | None
    channel: str
    anonymous: bool
    confidential: bool
    history: list[HistoryEntry]

    @classmethod
    def of(cls, ticket: Ticket, history: list[HistoryEntry]) -> "TicketView":
        shared = {name: getattr(ticket, name) for name in cls.__slots__ if name not in ("history", "state")}
        return cls(state=str(ticket.state), history=history, **shared)

    def public(self) -> dict[str, Any]:
        """What a resident's page shows: number, state, unit, due_at (ISO 8601)."""
        return {"number": self.number, "state": self.state, "unit": self.lead_unit, "due_at": self.due_at.isoformat()}
