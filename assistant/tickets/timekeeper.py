"""Takes the steps that are due by the clock: 催办, 督办, 转办, 不再等待补充, 结案. What and when, `clock.plan` says.

Any number of timekeepers may run beside each other: a step has one key, and a ticket that moved on is left alone.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from assistant.city import City
from assistant.tickets.clock import BY_CLOCK, plan
from assistant.tickets.errors import KeyReused, TicketChanged, TicketConflict, TransitionRefused
from assistant.tickets.model import HistoryEntry, Ticket
from assistant.tickets.service import TicketService
from assistant.tickets.store import TicketStore

__all__ = ["Timekeeper"]

log = structlog.get_logger()

_BATCH = 100
_WORDS = {
    "urge": "办理时限只剩四分之一，系统自动催办，请抓紧办理。",
    "supervise": "已经超过办理时限，系统自动督办，请立即办理并说明原因。",
    "transfer": "先行处理方没有在规定时间内办结，转责任单位办理。",
    "resume": "居民没有在期限内补充，按现有材料继续办理。",
    "close": "居民没有回访，到期结案。",
}


class Timekeeper:
    """`clock` gives zoned UTC time, the same as the service's."""

    def __init__(
        self,
        store: TicketStore,
        tickets: TicketService,
        city: City,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        interval_s: float = 20.0,
    ) -> None:
        self._store, self._tickets, self._city = store, tickets, city
        self._clock, self._interval_s = clock, interval_s

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            taken = await self.round()
            if taken < _BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._interval_s)

    async def round(self) -> int:
        """Look once at every ticket that is due, up to a batch; returns how many were looked at."""
        due = await self._store.due_steps(at=self._clock(), limit=_BATCH)
        for ticket, history in due:
            await self._step(ticket, history)
        return len(due)

    async def _step(self, ticket: Ticket, history: list[HistoryEntry]) -> None:
        planned = plan(self._city, ticket, history)
        if planned.operation is None or planned.next_step_at is None or planned.next_step_at > self._clock():
            # The city's rules were changed after the step was planned.
            await self._store.put_off(ticket.number, ticket.version, planned.next_step_at)
            return
        try:
            await self._tickets.perform(
                ticket.number,
                planned.operation,
                key=f"{ticket.number}:{BY_CLOCK}:{planned.operation}:{len(history)}",
                actor=BY_CLOCK,
                seen=ticket.version,
                note=_WORDS[planned.operation],
                unit=ticket.routing.candidates[0].unit if planned.operation == "transfer" else None,
            )
        except (TicketChanged, TransitionRefused, TicketConflict, KeyReused) as error:
            # Somebody else moved it in the same moment; what is due then, the next round sees.
            log.info("clock_step_left", number=ticket.number, operation=planned.operation, error=type(error).__name__)
