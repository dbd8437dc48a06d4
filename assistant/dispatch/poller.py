"""Brings states back: asks each destination how its open requests stand and applies every change to the ticket once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from assistant.db.models import now
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Destination, DispatchError, RemoteStatus
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.outbox import OpenRequest, Outbox
from assistant.errors import MinshengError
from assistant.tickets.errors import TicketConflict

log = structlog.get_logger()

APPLIED_STATES = ("accepted", "resolved", "returned")
LONGEST_WAIT_S = 60.0


class TicketUpdates(Protocol):
    """What the poller needs of the ticket service. The same `key` twice must have one effect."""

    async def apply_dispatch_status(
        self,
        number: str,
        state: str,
        *,
        note: str | None,
        public_reply: str | None,
        reason_code: str | None,
        key: str,
        actor: str,
    ) -> Any: ...


class Poller:
    """Several may run beside each other: they apply the same changes under the same keys.

    `batch`: ids asked for at once. `round_limit`: requests looked at per round and destination; the next round goes on
    where this one ended.
    """

    def __init__(
        self,
        db: Database,
        destinations: Mapping[str, Destination],
        tickets: TicketUpdates,
        *,
        metrics: DispatchMetrics | None = None,
        clock: Callable[[], datetime] = now,
        interval_s: float = 2.0,
        batch: int = 50,
        round_limit: int = 500,
    ) -> None:
        self._outbox = Outbox(db)
        self._destinations = destinations
        self._tickets = tickets
        self._metrics = metrics or DispatchMetrics()
        self._clock = clock
        self._interval_s = interval_s
        self._batch = batch
        self._round_limit = round_limit
        self._position: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`; after a round without any answer the next one waits longer, up to a minute."""
        wait_s = self._interval_s
        while not stop.is_set():
            try:
                reached = await self.poll()
            except Exception as error:
                # Nothing is lost: what was not applied is reported again in the next round.
                log.error("poll_failed", error=type(error).__name__)
                reached = False
            wait_s = self._interval_s if reached else min(wait_s * 2, LONGEST_WAIT_S)
            try:
                async with asyncio.timeout(wait_s):
                    await stop.wait()
            except TimeoutError:
                pass

    async def poll(self) -> bool:
        """One round over every destination; False when one of them could not be asked."""
        outcomes = [await self._poll_destination(name, each) for name, each in self._destinations.items()]
        return all(outcomes)

    async def _poll_destination(self, name: str, destination: Destination) -> bool:
        after = self._position.get(name, 0)
        requests = await self._outbox.open_requests(name, after_id=after, limit=self._round_limit)
        for start in range(0, len(requests), self._batch):
            batch = requests[start : start + self._batch]
            try:
                statuses = await destination.status([request.remote_id for request in batch])
            except DispatchError as error:
                self._metrics.polled.labels(name, error.code).inc()
                log.warning("poll_unanswered", destination=name, code=error.code)
                return False
            self._metrics.polled.labels(name, "ok").inc()
            await self._apply(name, batch, statuses)
            # Beyond a change that could not be applied too: a later round asks about it again.
            self._position[name] = batch[-1].outbox_id
        if len(requests) < self._round_limit:
            self._position[name] = 0
        return True

    async def _apply(self, name: str, batch: Sequence[OpenRequest], statuses: Sequence[RemoteStatus]) -> None:
        by_id = {status.remote_id: status for status in statuses}
        for request in batch:
            status = by_id.get(request.remote_id)
            if status is None or status.state == request.remote_state:
                continue
            if status.state in APPLIED_STATES and not await self._apply_one(name, request, status):
                continue
            # After the ticket, not before: a crash in between applies it again under the same key.
            await self._outbox.remember_remote_state(request.outbox_id, status.state, at=self._clock())
            self._metrics.states.labels(name, status.state).inc()

    async def _apply_one(self, name: str, request: OpenRequest, status: RemoteStatus) -> bool:
        """False when it has to be tried again."""
        try:
            await self._tickets.apply_dispatch_status(
                request.ticket_number,
                status.state,
                note=status.note,
                public_reply=status.public_reply,
                reason_code=status.reason_code,
                key=change_key(name, status),
                actor=f"destination:{name}",
            )
        except TicketConflict:
            log.info("status_delayed", ticket=request.ticket_number, state=status.state)
            return False
        except MinshengError as error:
            # The ticket refuses it for good (withdrawn meanwhile, closed by a person): the ticket's own state stands.
            log.warning("status_refused", ticket=request.ticket_number, state=status.state, code=error.code)
        except Exception as error:
            # One ticket must not hold up the others.
            log.error("status_fault", ticket=request.ticket_number, state=status.state, error=type(error).__name__)
            return False
        return True


def change_key(destination: str, status: RemoteStatus) -> str:
    """The key of one change of state, at most 160 characters.

    A request enters each state once and is not asked about after it closed, so id and state are enough. The time of
    the change is left out: a note that arrives at the desk moves it too, and the change would count twice.
    """
    return f"{destination}:{status.remote_id}:{status.state}"
