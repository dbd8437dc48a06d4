"""Delivers the outbox: claims due rows, sends each once, tries again at growing distance, gives up after about a day.

It may be killed anywhere. A row whose sender died is claimed again when its claim lapses; the destination then looks
up whether the row arrived before it sends it again (`destinations.base.Outgoing.retried`).

How the attempts of a moment ended is noted down together, in the transaction that claims the next rows. Each
destination has places of its own, so that one that is slow, down or not configured is not in the way of the others.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from assistant.db.models import now
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Destination, DispatchError, Permanent, Retryable
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.outbox import Claim, Mark, Outbox
from assistant.dispatch.receipts import Receipts

log = structlog.get_logger()

DEPTH_EVERY_S = 10.0
TIDY_EVERY_S = 3600.0
# Far beyond the five minutes in which a signature is valid, so that a delivery repeated by hand is still known.
RECEIPTS_KEPT = timedelta(days=30)
# Long enough for several deliveries to end, so that they share a transaction; nobody notices it.
_GATHER_S = 0.02
# Rows of a destination that is not configured are put off, again and again; while there are others, only now and then.
_UNKNOWN_AT_ONCE = 500
_UNKNOWN_EVERY_S = 5.0
_UNKNOWN = "no_destination"


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
    is cut off well before. `concurrency`: rows sent to one destination at once. `wake()` makes it look at once.
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
        self._under_way: set[asyncio.Task[None]] = set()
        self._taken: Counter[str] = Counter()
        self._ended: list[Mark] = []
        self._unknown_at = 0.0

    def wake(self) -> None:
        """A row was written: look now instead of at the next round."""
        self._woken.set()

    async def deliver_due(self) -> int:
        """Send what is due, and what becomes due by that; returns the number of attempts."""
        attempts = 0
        try:
            while True:
                self._woken.clear()
                count = await self._turn()
                attempts += count
                if self._under_way:
                    await self._woken.wait()
                    await self._gather()
                elif not count and not self._ended:
                    return attempts
        finally:
            await self._come_to_rest()

    async def tidy(self) -> int:
        """Forget what was kept of signed deliveries longer ago than 30 days; returns how many."""
        return await self._receipts.forget_before(self._clock() - RECEIPTS_KEPT)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; what is under way then gets a few seconds to end."""
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
                    await self._turn()
                except Exception as error:
                    # Whatever it is, the next round may do better; a sender that ended would be noticed late.
                    log.error("outbox_unreadable", error=type(error).__name__)
                await self._pause()
        finally:
            stopping.cancel()
            await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        """What is under way gets a few seconds to end."""
        if self._under_way:
            _, left = await asyncio.wait(self._under_way, timeout=min(5.0, self._send_s))
            for task in left:
                task.cancel()
        await self._write_one_by_one()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                await self._woken.wait()
        except TimeoutError:
            return
        await self._gather()

    async def _gather(self) -> None:
        """Give what is about to end the time to."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GATHER_S)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    @property
    def _send_s(self) -> float:
        return self._claim_s * 0.75

    async def _turn(self) -> int:
        """Note down what has ended and begin to send what is due; returns how many rows."""
        at = self._clock()
        self._paused = {name: until for name, until in self._paused.items() if until > at}
        going = [name for name in self._destinations if name not in self._paused]
        ended, self._ended = self._ended, []
        try:
            marked, claims = await self._outbox.turn(
                self._owner,
                ended,
                at=at,
                claim_s=self._claim_s,
                places={name: self._concurrency - self._taken[name] for name in going},
            )
        except BaseException as error:
            self._ended = ended + self._ended
            if not ended or not isinstance(error, SQLAlchemyError | OSError):
                raise
            # Perhaps only one of them cannot be written.
            await self._write_one_by_one()
            return await self._turn()
        self._show(ended, marked)
        for claim in claims:
            self._taken[claim.destination] += 1
            task = asyncio.create_task(self._deliver(claim))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            # A free place, and perhaps a row that waited for this one.
            task.add_done_callback(lambda _: self._woken.set())
        if claims and time.monotonic() < self._unknown_at:
            return len(claims)
        return len(claims) + await self._put_off_unknown()

    async def _put_off_unknown(self) -> int:
        """Rows whose destination is not configured wait for it like others for one that is down."""
        at = self._clock()

        def again(attempts: int) -> datetime | None:
            if self._retry.is_last(attempts):
                return None
            return at + timedelta(seconds=self._retry.delay_s(attempts) * self._jitter())

        reason = "没有配置名为 {destination} 的派单目的地。"
        rows = await self._outbox.put_off(self._destinations, at=at, limit=_UNKNOWN_AT_ONCE, until=again, reason=reason)
        self._unknown_at = time.monotonic() + _UNKNOWN_EVERY_S
        if len(rows) >= _UNKNOWN_AT_ONCE:
            self._woken.set()
        for name, count in Counter(row.destination for row in rows).items():
            log.warning("destination_unknown", destination=name, rows=count)
        for row in rows:
            if row.is_dead:
                self._metrics.dead.labels(row.destination, _UNKNOWN).inc()
                log.error("dispatch_dead", ticket=row.ticket_number, code=_UNKNOWN)
            else:
                self._metrics.failed.labels(row.destination, _UNKNOWN).inc()
        return len(rows)

    async def _write_one_by_one(self) -> None:
        """One row that cannot be written must not keep the others; it is found again when its claim lapses."""
        while self._ended:
            mark = self._ended.pop(0)
            try:
                marked, _ = await self._outbox.turn(
                    self._owner, [mark], at=self._clock(), claim_s=self._claim_s, places={}
                )
            except (SQLAlchemyError, OSError) as error:
                log.warning("outbox_unwritable", error=type(error).__name__, **_fields(mark.claim))
            else:
                self._show([mark], marked)

    async def _deliver(self, claim: Claim) -> None:
        """One attempt. Never raises."""
        started = time.monotonic()
        try:
            remote_id = await self._send(claim)
        except DispatchError as error:
            self._ended.append(self._failure(claim, error))
        else:
            self._ended.append(Mark(claim, "sent", remote_id=remote_id, sent_at=self._clock()))
        finally:
            self._taken[claim.destination] -= 1
            self._metrics.delivery_s.labels(claim.destination).observe(time.monotonic() - started)

    async def _send(self, claim: Claim) -> str:
        try:
            async with asyncio.timeout(self._send_s):
                return (await self._destinations[claim.destination].send(claim.outgoing)).remote_id
        except TimeoutError:
            raise Retryable("对方没有及时回答。", code="timeout") from None
        except DispatchError:
            raise
        except Exception as error:
            # A fault of ours in one row must not stop the others; without the text, which may quote the payload.
            log.error("dispatch_fault", destination=claim.destination, error=type(error).__name__)
            raise Retryable(f"内部错误：{type(error).__name__}。", code="internal") from None

    def _failure(self, claim: Claim, error: DispatchError) -> Mark:
        log.warning("dispatch_failed", attempt=claim.attempts, code=error.code, **_fields(claim))
        if isinstance(error, Permanent) or self._retry.is_last(claim.attempts):
            return Mark(claim, "dead", error.reason, code=error.code)
        delay_s = self._retry.delay_s(claim.attempts) * self._jitter()
        token = None
        if isinstance(error, Retryable):
            token = error.token
            if error.after_s is not None:
                delay_s = max(error.after_s, delay_s) if token is None else error.after_s
                if token is None:
                    # It asked for patience: that holds for every ticket.
                    self._paused[claim.destination] = self._clock() + timedelta(seconds=error.after_s)
        at = self._clock() + timedelta(seconds=delay_s)
        return Mark(claim, "pending", error.reason, token=token, next_attempt_at=at, code=error.code)

    def _show(self, ended: Sequence[Mark], marked: Sequence[Mark]) -> None:
        """Count and log what was noted down."""
        for mark in ended:
            claim = mark.claim
            if mark.state == "sent":
                self._metrics.sent.labels(claim.destination, claim.outgoing.operation).inc()
                log.info("dispatch_sent", attempt=claim.attempts, destination=claim.destination, **_fields(claim))
            elif mark.state == "pending":
                self._metrics.failed.labels(claim.destination, mark.code).inc()
            elif mark in marked:
                self._metrics.dead.labels(claim.destination, mark.code).inc()
                log.error("dispatch_dead", ticket=claim.outgoing.ticket_number, code=mark.code)


def _fields(claim: Claim) -> dict[str, str]:
    return {"ticket": claim.outgoing.ticket_number, "operation": claim.outgoing.operation}
