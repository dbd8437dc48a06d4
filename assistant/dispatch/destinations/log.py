"""A destination that only logs the ticket number: for trying the assistant out without any desk."""

from collections.abc import Sequence

import structlog

from assistant.dispatch.destinations.base import Outgoing, RemoteStatus, Sent

log = structlog.get_logger()


class LogDestination:
    async def send(self, row: Outgoing) -> Sent:
        log.info("dispatch_logged", ticket=row.ticket_number, operation=row.operation)
        return Sent(remote_id=f"log:{row.ticket_number}")

    async def status(self, remote_ids: Sequence[str]) -> list[RemoteStatus]:
        return []

    async def close(self) -> None:
        return None
