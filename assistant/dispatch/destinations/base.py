"""What a destination is, what it is given, and the errors it may raise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One outbox row to send.

    `key` is the same at every attempt. `retried`: it was tried before and nobody knows how that ended. `parent_id`: id
    at the destination of the request that a supplement, reminder or withdrawal belongs to. `token`: what the
    destination gave instead of an id at an earlier attempt. `first_attempt_at`: not later than the first attempt.
    """

    key: str
    ticket_number: str
    operation: str
    payload: dict[str, Any]
    first_attempt_at: datetime
    retried: bool = False
    parent_id: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """Delivered; `remote_id` is the id at the destination."""

    remote_id: str


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """A request as the destination reports it.

    `state`: received, accepted, resolved, returned, withdrawn. `public_reply` is for the resident, `note` is internal.
    `updated_at` is the destination's own text for the time of the change.
    """

    remote_id: str
    state: str
    updated_at: str
    public_reply: str | None = None
    note: str | None = None
    reason_code: str | None = None


class DispatchError(Exception):
    """A delivery did not succeed. The text is for staff and the outbox row; `code` is a short word for logs."""

    def __init__(self, reason: str, *, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Retryable(DispatchError):
    """Try again, no sooner than `after_s` seconds where the destination said so; `token` is kept for then."""

    def __init__(self, reason: str, *, code: str, after_s: float | None = None, token: str | None = None) -> None:
        super().__init__(reason, code=code)
        self.after_s = after_s
        self.token = token


class Permanent(DispatchError):
    """Trying again cannot help; a person must look."""


class Destination(Protocol):
    """One way to hand over tickets. Both methods may be called from several tasks at once."""

    async def send(self, row: Outgoing) -> Sent:
        """Deliver once, however often it is called for the same key. Raises Retryable or Permanent."""
        ...

    async def status(self, remote_ids: Sequence[str]) -> list[RemoteStatus]:
        """Present states; unknown ids are left out. Raises Retryable or Permanent."""
        ...

    async def close(self) -> None: ...
