"""What the workbench needs from the rest of the application; `assistant/app.py` fills it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.additions.service import Additions
    from assistant.city import City
    from assistant.conversations.handover import Handover
    from assistant.crypto import Vault
    from assistant.db.session import Database
    from assistant.dispatch.desk import Desk
    from assistant.explaining import Explain
    from assistant.returns.service import Learning
    from assistant.tickets.service import TicketService
    from assistant.tickets.similar import Similar
    from kb.health.service import Health
    from kb.search import Encoder
    from kb.service import KnowledgeBase


# (conversation, masked value) → the raw value behind it
PrivateValue = Callable[[str, str], Awaitable[str | None]]


async def no_private_value(_conversation_id: str, _masked: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class StaffServices:
    """`vault` derives the key of the session cookies, so all processes with the same secret share sessions.

    `similar` finds tickets of the same event; without it a ticket's page offers none.

    `explain` gives the words of a message that decided about its reading. `private_value` finds the raw number behind a
    masked one, for the ticket that an agent files.
    """

    db: Database
    vault: Vault
    handover: Handover
    kb: KnowledgeBase
    tickets: TicketService
    city: City
    desk: Desk
    reader: Encoder
    additions: Additions
    learning: Learning
    explain: Explain
    kb_health: Health
    private_value: PrivateValue = no_private_value
    similar: Similar | None = None
