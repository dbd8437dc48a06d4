"""Delivers the outbox: claims due rows, sends each once, tries again at growing distance, gives up after about a day.

It may be killed anywhere. A row whose sender died is claimed again when its claim lapses; the destination then looks
up whether the row arrived before it sends it again (`destinations.base.Outgoing.retried`).
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from assistant.db.models import now
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Destination, DispatchError, Permanent, Retryable
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.outbox import Claim, Outbox
from assistant.dispatch.receipts import Receipts

log = structlog.get_logger()

DEPTH_EVERY_S = 10.0
TIDY_EVERY_S = 3600.0
# Far beyond the five minutes in which a signature is valid, so that a delivery repeated by hand is still known.
RECEIPTS_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays of `base_s`, twice that, … up to `longest_s`, each ±25 %, until they add up to `give_up_after_s`."""

    base_s: float = 2.0
    longest_s: float = 900.0
    give_up_after_s: float = 86_400.0

    def delay_s(self, attempt: int) -> float:
        """The delay after attempt number `attempt` (from 1), without jitter."""
        return min(self.longest_s, self.base_s * 2.0 ** min(attempt - 1, 60))

    def is_last(self, attempt: int) -> bool:
        """Whether the delays up to and after this attempt exceed the time after which a row is given up."""
        return sum(self.delay_s(n) for n in range(1, attempt + 1)) > self.give_up_after_s


class Sender:
    """One of any number of senders.

    `destinations` by the name in the outbox. `claim_s`: how long a row belongs to a sender that may have died; a send
    is cut off well before. `concurrency`: rows sent at once. `wake()` makes it look at once.
    """

    def __init__(
        self,
        db: Database,
        destinations: Mapping[str, Destination],
        *,
        metrics: DispatchMetrics | None = None,
        clock: Callable[[], datetime] = now,
        retry: RetryPolicy = RetryPolicy(),
        concurrency: int = 8,
        claim_s: float = 60.0,
        idle_s: float = 1.0,
        jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.25),  # noqa: S311 - spreads load, no secret
    ) -> None:
        if claim_s <= 0 or concurrency < 1:
            raise ValueError(f"claim_s must be positive and concurrency at least 1, not {claim_s} and {concurrency}")
        self._outbox = Outbox(db)
        self._receipts = Receipts(db)
        self._destinations = destinations
        self._metrics = metrics or DispatchMetrics()
        self._clock = clock
        self._retry = retry
        self._concurrency = concurrency
        self._claim_s = claim_s
        self._idle_s = idle_s
        self._jitter = jitter
        self._owner = secrets.token_hex(12)
        self._woken = asyncio.Event()
        self._paused: dict[str, datetime] = {}

    def wake(self) -> None:
        """A row was written: look now instead of at the next round."""
        self._woken.set()

    async def deliver_due(self) -> int:
        """Send what is due, and what becomes due by that; returns the number of attempts."""
        attempts = 0
        while claims := await self._claim(self._concurrency):
            await asyncio.gather(*(self._deliver(claim) for claim in claims))
            attempts += len(claims)
        return attempts

    async def tidy(self) -> int:
        """Forget what was kept of signed deliveries longer ago than 30 days; returns how many."""
        return await self._receipts.forget_before(self._clock() - RECEIPTS_KEPT)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; what is under way then gets a few seconds to end."""
        under_way: set[asyncio.Task[None]] = set()
        stopping = asyncio.create_task(self._wake_at(stop))
        depth_at = tidy_at = 0.0
        try:
            while not stop.is_set():
                self._woken.clear()
                try:
                    if time.monotonic() >= depth_at:
                        self._metrics.show_depth(await self._outbox.depth(at=self._clock()))
                        depth_at = time.monotonic() + DEPTH_EVERY_S
                    if time.monotonic() >= tidy_at:
                        await self.tidy()
                        tidy_at = time.monotonic() + TIDY_EVERY_S
                    free = self._concurrency - len(under_way)
                    claims = await self._claim(free) if free else []
                except Exception as error:
                    # Whatever it is, the next round may do better; a sender that ended would be noticed late.
                    log.error("outbox_unreadable", error=type(error).__name__)
                    claims = []
                for claim in claims:
                    task = asyncio.create_task(self._deliver(claim))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    # A free place, and perhaps a row that waited for this one.
                    task.add_done_callback(lambda _: self._woken.set())
                await self._pause()
        finally:
            stopping.cancel()
            if under_way:
                _, left = await asyncio.wait(under_way, timeout=min(5.0, self._send_s))
                for task in left:
                    task.cancel()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    @property
    def _send_s(self) -> float:
        return self._claim_s * 0.75

    async def _claim(self, limit: int) -> list[Claim]:
        at = self._clock()
        self._paused = {name: until for name, until in self._paused.items() if until > at}
        return await self._outbox.claim(
            self._owner, at=at, claim_s=self._claim_s, limit=limit, without=sorted(self._paused)
        )

    async def _deliver(self, claim: Claim) -> None:
        """One attempt. Never raises: what could not be noted down is found again when the claim lapses."""
        started = time.monotonic()
        fields = {"ticket": claim.outgoing.ticket_number, "operation": claim.outgoing.operation}
        try:
            try:
                remote_id = await self._send(claim)
            except DispatchError as error:
                await self._note_failure(claim, error)
                log.warning("dispatch_failed", attempt=claim.attempts, code=error.code, **fields)
            else:
                await self._outbox.mark_sent(claim, self._owner, remote_id, at=self._clock())
                self._metrics.sent.labels(claim.destination, claim.outgoing.operation).inc()
                log.info("dispatch_sent", attempt=claim.attempts, destination=claim.destination, **fields)
        except (SQLAlchemyError, OSError) as error:
            log.warning("outbox_unwritable", error=type(error).__name__, **fields)
        finally:
            self._metrics.delivery_s.labels(claim.destination).observe(time.monotonic() - started)

    async def _send(self, claim: Claim) -> str:
        destination = self._destinations.get(claim.destination)
        if destination is None:
            raise Retryable(f"没有配置名为 {claim.destination} 的派单目的地。", code="no_destination")
        try:
            async with asyncio.timeout(self._send_s):
                return (await destination.send(claim.outgoing)).remote_id
        except TimeoutError:
            raise Retryable("对方没有及时回答。", code="timeout") from None
        except DispatchError:
            raise
        except Exception as error:
            # A fault of ours in one row must not stop the others; without the text, which may quote the payload.
            log.error("dispatch_fault", destination=claim.destination, error=type(error).__name__)
            raise Retryable(f"内部错误：{type(error).__name__}。", code="internal") from None

    async def _note_failure(self, claim: Claim, error: DispatchError) -> None:
        if isinstance(error, Permanent) or self._retry.is_last(claim.attempts):
            if await self._outbox.mark_dead(claim, self._owner, error.reason):
                self._metrics.dead.labels(claim.destination, error.code).inc()
                log.error("dispatch_dead", ticket=claim.outgoing.ticket_number, code=error.code)
            return
        delay_s = self._retry.delay_s(claim.attempts) * self._jitter()
        token = None
        if isinstance(error, Retryable):
            token = error.token
            if error.after_s is not None:
                delay_s = max(error.after_s, delay_s) if token is None else error.after_s
                if token is None:
                    # It asked for patience: that holds for every ticket.
                    self._paused[claim.destination] = self._clock() + timedelta(seconds=error.after_s)
        self._metrics.failed.labels(claim.destination, error.code).inc()
        at = self._clock() + timedelta(seconds=delay_s)
        await self._outbox.mark_retry(claim, self._owner, error.reason, next_attempt_at=at, token=token)
