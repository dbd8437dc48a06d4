"""`POST /webhooks/dispatch/{destination}`: a destination reports what became of a ticket, signed.

Body, JSON: `delivery_id` (the same for the same report), `ticket` (number) or `request_id` (the id it gave to us),
`state`, and what belongs to it:

| state | meaning | needs | may have |
|---|---|---|---|
| accepted | 签收 | | note, evidence |
| resolved | 办结 | | public_reply (the resident reads it), note, evidence |
| returned | 退单 | reason_code | note, evidence |
| ask | 请居民补充 | note (the resident reads it) | evidence |
| apply_extension | 申请延期 | note, until (zoned ISO 8601) | evidence |

Answer: `{"ticket", "state", "applied"}`, `applied` false for a delivery that was taken in before. Errors are
`application/problem+json`: 401 signature or timestamp, 404 destination or ticket, 409 the ticket's state forbids it or
the delivery id had another content, 413 more than 64 KB, 422 a field. A destination may speak only of tickets that were
last sent to it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

import structlog
from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from sqlalchemy import select

from assistant.db.models import OutboxRow, now
from assistant.db.session import Database
from assistant.dispatch.outbox import Outbox
from assistant.dispatch.poller import APPLIED_STATES
from assistant.dispatch.receipts import Receipts
from assistant.dispatch.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, is_fresh, is_genuine
from assistant.errors import BadInput, Conflict, MinshengError, NotAuthenticated, NotFound

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024
MAX_EVIDENCE = 20
# For the timing of an unknown destination, which must not differ from a wrong signature.
_NO_SECRET = "-" * 32

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]


class TooLarge(MinshengError):
    status = 413
    code = "too_large"
    detail = f"通知超过 {MAX_BODY_BYTES // 1024} KB。"


class StaleReport(Conflict):
    """It is about a request that was filed again since."""

    code = "stale_report"
    detail = "这个编号的诉求之后又派过一次，请按最新的编号报告。"


class Report(BaseModel):
    """What a destination says. Field names and needs: the table above."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delivery_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,120}$")]
    ticket: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, max_length=40)] = ""
    request_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""
    state: Literal["accepted", "resolved", "returned", "ask", "apply_extension"]
    public_reply: _Text | None = None
    note: _Text | None = None
    reason_code: Annotated[str, StringConstraints(max_length=20)] | None = None
    evidence: Annotated[tuple[_Line, ...], Field(max_length=MAX_EVIDENCE)] = ()
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Report":
        needed = {"returned": ("reason_code",), "ask": ("note",), "apply_extension": ("note", "until")}
        for name in needed.get(self.state, ()):
            if not getattr(self, name):
                raise ValueError(name)
        if not self.ticket and not self.request_id:
            raise ValueError("ticket")
        return self


class TicketReports(Protocol):
    """What is needed of the ticket service. The same `key` twice must have one effect; a view has a `state`."""

    async def get(self, number: str) -> Any: ...

    async def apply_dispatch_status(
        self,
        number: str,
        state: str,
        *,
        note: str | None,
        public_reply: str | None,
        reason_code: str | None,
        evidence: Sequence[str],
        until: datetime | None,
        key: str,
        actor: str,
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Filed:
    outbox_id: int
    ticket_number: str


def build_router(
    db: Database, tickets: TicketReports, secrets: Mapping[str, str], *, clock: Callable[[], datetime] = now
) -> APIRouter:
    """`secrets`: by destination; one without a secret cannot report."""
    router = APIRouter(tags=["dispatch"])
    receipts, outbox = Receipts(db), Outbox(db)

    @router.post("/webhooks/dispatch/{destination}")
    async def report(destination: str, request: Request) -> dict[str, Any]:
        body = await _body(request)
        _check_sender(secrets.get(destination), request.headers, body, clock())
        told = _read(body)
        content = told.model_dump(mode="json")
        filed = await _filed(db, destination, told)
        if await receipts.known(destination, told.delivery_id, content):
            view = await tickets.get(filed.ticket_number)
            return {"ticket": filed.ticket_number, "state": view.state, "applied": False}
        view = await tickets.apply_dispatch_status(
            filed.ticket_number,
            told.state,
            note=told.note or None,
            public_reply=told.public_reply or None,
            reason_code=told.reason_code or None,
            evidence=told.evidence,
            until=told.until,
            key=change_key(destination, told.delivery_id),
            actor=f"destination:{destination}",
        )
        if told.state in APPLIED_STATES:
            await outbox.remember_remote_state(filed.outbox_id, told.state, at=clock())
        # After the effect: a crash in between lets the delivery come again, under the same key.
        await receipts.remember(destination, told.delivery_id, content, at=clock())
        log.info("report_applied", destination=destination, ticket=filed.ticket_number, state=told.state)
        return {"ticket": filed.ticket_number, "state": view.state, "applied": True}

    return router


def change_key(destination: str, delivery_id: str) -> str:
    """The key of the change in the ticket's history, of a length that leaves room for what follows from it."""
    return f"webhook:{destination}:{hashlib.sha256(delivery_id.encode()).hexdigest()[:40]}"


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
    return bytes(body)


def _check_sender(secret: str | None, headers: Mapping[str, str], body: bytes, at: datetime) -> None:
    timestamp, offered = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    genuine = is_genuine(secret or _NO_SECRET, timestamp, body, offered)
    if secret is None:
        raise NotFound("没有这个派单目的地，或它没有登记密钥。")
    if not genuine:
        raise NotAuthenticated(f"签名不对：请核对密钥、{TIMESTAMP_HEADER} 和 {SIGNATURE_HEADER}。")
    if not is_fresh(timestamp, at):
        raise NotAuthenticated(f"{TIMESTAMP_HEADER} 与现在相差超过五分钟：请校准时钟，重发时重新签名。")


def _read(body: bytes) -> Report:
    try:
        return Report.model_validate(json.loads(body))
    except ValidationError as error:
        fields = dict.fromkeys(str(item["loc"][0]) if item["loc"] else _missing(item) for item in error.errors())
        raise BadInput(f"以下字段缺失或不对：{'、'.join(fields)}。") from None
    except (ValueError, RecursionError):
        raise BadInput("通知应为一个 UTF-8 编码的 JSON 对象。") from None


def _missing(item: Mapping[str, Any]) -> str:
    """The field that the check of the whole report named."""
    error = item.get("ctx", {}).get("error")
    return str(error) if error is not None else "JSON"


async def _filed(db: Database, destination: str, told: Report) -> _Filed:
    """The last time the ticket was sent anywhere. Raises NotFound where that was not this destination."""
    async with db.read() as session:
        number = told.ticket
        if not number:
            number = (
                await session.scalar(
                    select(OutboxRow.ticket_number).where(
                        OutboxRow.remote_id == told.request_id, OutboxRow.destination == destination
                    )
                )
                or ""
            )
        last = (
            await session.execute(
                select(OutboxRow.id, OutboxRow.destination, OutboxRow.remote_id, OutboxRow.attempts)
                .where(OutboxRow.ticket_number == number, OutboxRow.operation == "create")
                .order_by(OutboxRow.id.desc())
                .limit(1)
            )
        ).first()
    if last is None or last.destination != destination or last.attempts == 0:
        raise NotFound("没有派给您这张工单，请核对编号。")
    if told.request_id and last.remote_id and last.remote_id != told.request_id:
        raise StaleReport
    return _Filed(last.id, number)
