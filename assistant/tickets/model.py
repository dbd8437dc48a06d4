"""What a ticket is: the draft a resident confirms, the record that is kept, the view that others get."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from assistant.tickets.states import State

__all__ = [
    "Candidate",
    "HistoryEntry",
    "Judgement",
    "Matter",
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
class Matter:
    """One of the things that a message speaks of, in the resident's words."""

    category1: str
    category2: str | None
    text: str

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Matter":
        return cls(stored["category1"], stored["category2"], stored["text"])


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """A request as confirmed by the resident.

    `place` None: the resident was asked and has none to give; empty: not known yet. `phone` is the raw number.
    `confidences`: what the models were sure of (request_type, category1, category2, urgency: 0..1; model: a version;
    rule: what decided about the category in place of the model).
    `other_matters`: what the description speaks of beside the matter of this ticket. `elements`: what the category asks
    for, element → the words for it. `lat`, `long`: degrees, WGS 84. `attachments`: addresses of pictures, documents.
    `follows`: the open ticket that tells of the same event; this one is merged into it at once. `apart_from`: tickets
    of which the resident said that they tell of another event.
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
    other_matters: tuple[Matter, ...] = ()
    elements: dict[str, str] = field(default_factory=dict)
    lat: float | None = None
    long: float | None = None
    attachments: tuple[str, ...] = ()
    follows: str | None = None
    apart_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A unit that could lead, with the matter it would be for."""

    unit: str
    matter: str
    confidence: float


@dataclass(frozen=True)
class Routing:
    """Why a unit leads. `review`: a person is to check it. `candidates`: the best three, the chosen one first.

    `deadline`: the deadline class that category and matter call for. `handler_hours`: how long a first handler has the
    request before the unit gets it (working hours where `handler_working`); None where there is no first handler.
    """

    reason: str
    confidence: float
    candidates: tuple[Candidate, ...]
    review: bool
    model_version: str | None = None
    place_confidence: float = 0.0
    deadline: str = "general"
    handler_hours: float | None = None
    handler_working: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "confidence": self.confidence,
            "candidates": [vars(candidate) for candidate in self.candidates],
            "review": self.review,
            "model_version": self.model_version,
            "place_confidence": self.place_confidence,
            "deadline": self.deadline,
            "handler_hours": self.handler_hours,
            "handler_working": self.handler_working,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Routing":
        candidates = tuple(Candidate(**candidate) for candidate in stored["candidates"])
        # A later version may have stored more, where processes of two versions stand beside each other.
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(**{**known, "candidates": candidates})


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why the models said what they said, found once for a ticket.

    `words`: the words that decided, by what they decided (category, urgency), the strongest first. `candidates`: the
    best second levels with their probability ("level 1/level 2"). `model_version`: of the model that was asked why.
    """

    words: dict[str, tuple[str, ...]]
    candidates: tuple[tuple[str, float], ...]
    model_version: str | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "words": {name: list(words) for name, words in self.words.items()},
            "candidates": [list(candidate) for candidate in self.candidates],
            "model_version": self.model_version,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Judgement":
        return cls(
            words={name: tuple(words) for name, words in stored["words"].items()},
            candidates=tuple((name, float(confidence)) for name, confidence in stored["candidates"]),
            model_version=stored["model_version"],
        )


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step. `note` is internal, `public_reply` was told to the resident.

    `changes`: every field of the ticket that the step changed, with its new value as JSON (the first step: all that can
    change), beside them what the actor gave: unit, until, into. `evidence`: names or addresses of what proves it.
    """

    key: str
    at: datetime
    actor: str
    operation: str
    from_state: str | None
    to_state: str
    reason_code: str | None = None
    note: str | None = None
    public_reply: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requester:
    name: str | None
    phone: str | None


@dataclass(slots=True)
class Ticket:
    """The record as stored. `version` counts changes; a save with an old version is refused.

    `judgement` is None until it was found.
    """

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
    confidences: dict[str, Any] = field(default_factory=dict)
    other_matters: tuple[Matter, ...] = ()
    judgement: Judgement | None = None
    category3: str | None = None
    elements: dict[str, str] = field(default_factory=dict)
    lat: float | None = None
    long: float | None = None
    attachments: tuple[str, ...] = ()
    destination: str = "desk"
    paused_at: datetime | None = None
    handler_until: datetime | None = None
    next_step_at: datetime | None = None
    merged_into: str | None = None
    solved: bool | None = None
    satisfied: bool | None = None
    callback_comment: str | None = None
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
    """A ticket as others see it: no requester, everything else masked text.

    `version` is what an operation names as `seen`, so that it is refused when somebody else was faster.
    """

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
    confidences: dict[str, Any] = field(default_factory=dict)
    other_matters: tuple[Matter, ...] = ()
    judgement: Judgement | None = None
    category3: str | None = None
    elements: dict[str, str] = field(default_factory=dict)
    lat: float | None = None
    long: float | None = None
    attachments: tuple[str, ...] = ()
    destination: str = "desk"
    paused_at: datetime | None = None
    handler_until: datetime | None = None
    merged_into: str | None = None
    solved: bool | None = None
    satisfied: bool | None = None
    callback_comment: str | None = None
    version: int = 1

    @classmethod
    def of(cls, ticket: Ticket, history: list[HistoryEntry]) -> "TicketView":
        shared = {name: getattr(ticket, name) for name in cls.__slots__ if name not in ("history", "state")}
        return cls(state=str(ticket.state), history=history, **shared)

    def public(self) -> dict[str, Any]:
        """What a resident's page shows: number, state, unit, due_at (ISO 8601)."""
        return {"number": self.number, "state": self.state, "unit": self.lead_unit, "due_at": self.due_at.isoformat()}
