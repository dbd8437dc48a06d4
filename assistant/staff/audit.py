"""Who did what to which object, and whether it succeeded.

Rows are only ever added. They hold names of staff, event names and object keys (ticket number, document id,
conversation id), never what a resident wrote and never a phone number.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select

from assistant.db.models import AuditEntry
from assistant.db.session import Database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AuditRecord:
    at: datetime
    user: str
    event: str
    object: str
    success: bool


class Audit:
    """Writes and reads the audit trail."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def record(self, user: str, event: str, object_: str, *, success: bool = True) -> None:
        """Adds one entry. `event` like "ticket.reveal_phone"; `object_` a key, not content."""
        async with self._db.begin() as session:
            session.add(AuditEntry(user=user[:40], event=event[:40], object=object_[:120], success=success))
        log.info("audit", user=user, event_name=event, object=object_, success=success)

    async def latest(self, *, limit: int = 100, event: str | None = None) -> list[AuditRecord]:
        """The newest entries first."""
        query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        if event is not None:
            query = query.where(AuditEntry.event == event)
        async with self._db.read() as session:
            return [AuditRecord(e.at, e.user, e.event, e.object, e.success) for e in await session.scalars(query)]
