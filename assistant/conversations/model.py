"""What a turn gives back to whoever asked, in the words of the public API."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assistant.db.models import Message

SENDERS = ("resident", "assistant", "agent", "system")


@dataclass(frozen=True, slots=True)
class Opened:
    """A new conversation; the token is shown once and stored only as a hash."""

    id: str
    token: str


@dataclass(slots=True)
class Turn:
    """Answers to one message. `handover`: None, or `{"state": "waiting"|"agent", "ahead": people before}`."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    handover: dict[str, Any] | None = None


def message_dict(message: Message) -> dict[str, Any]:
    """One message as the public API shows it."""
    created: datetime = message.created_at
    return {
        "id": message.id,
        "sender": message.sender,
        "text": message.text,
        "buttons": message.buttons or [],
        "citations": message.citations or [],
        "ticket": message.ticket,
        "reply_to": message.reply_to,
        "client_message_id": message.client_message_id,
        "created_at": created.isoformat(),
    }
