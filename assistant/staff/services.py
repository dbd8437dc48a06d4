"""What the workbench needs from the rest of the application; `assistant/app.py` fills it in."""

from __future__ import annotations

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
    from assistant.tickets.service import TicketService
    from kb.search import Encoder
    from kb.service import KnowledgeBase


@dataclass(frozen=True, slots=True)
class StaffServices:
    """`vault` derives the key of the session cookies, so all processes with the same secret share sessions.

    `explain` gives the words of a message that decided about its reading.
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
    explain: Explain
