"""The built-in dispatch desk: receives requests and notes, and what a unit does with them.

It is the far side of the wire: it knows requests, not tickets. The states of a request and who moves it:

| from | operation | to |
|---|---|---|
| – | receive | received |
| received | accept | accepted |
| received, accepted | resolve (public reply) | resolved |
| received, accepted | return_request (reason code) | returned |
| received, accepted | withdrawal note from the sender | withdrawn |
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import DeskRequest, now
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound
from assistant.open311.input import NewRequest, clean_text

log = structlog.get_logger()

OPEN_STATES = ("received", "accepted")
CLOSED_STATES = ("resolved", "returned", "withdrawn")
STATE_NAMES = {
    "received": "待签收",
    "accepted": "处置中",
    "resolved": "已办结",
    "returned": "已退单",
    "withdrawn": "已撤单",
}
REASON_CODES = ("属地不符", "权属不清", "职能交叉", "超职责")
NoteKind = Literal["supplement", "reminder", "withdrawal"]
NOTE_KINDS: tuple[NoteKind, ...] = ("supplement", "reminder", "withdrawal")
MAX_REPLY_CHARS = 4000

_ID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class KeyReused(Conflict):
    """An idempotency key came again with another body."""

    code = "key_reused"
    detail = "同一个 Idempotency-Key 已用于内容不同的请求。"


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests to list; empty means any. Times bound `requested_at`, both ends included."""

    ids: Sequence[str] = ()
    service_codes: Sequence[str] = ()
    states: Sequence[str] = ()
    start: datetime | None = None
    end: datetime | None = None
    unit: str | None = None
    updated_after: datetime | None = None


class Desk:
    """All operations on `desk_requests`; every write is one transaction and safe beside other processes."""

    def __init__(self, db: Database, *, clock: Callable[[], datetime] = now) -> None:
        self._db = db
        self._clock = clock

    # --- what comes over the wire -----------------------------------------------------------------------------------

    async def receive(self, new: NewRequest, *, key: str | None = None) -> DeskRequest:
        """Store a request; the same `key` with the same content gives the request stored the first time.

        Raises KeyReused when the key was used for other content.
        """
        for _ in range(5):
            try:
                async with self._db.begin() as session:
                    if key is not None:
                        known = await session.scalar(select(DeskRequest).where(DeskRequest.idempotency_key == key))
                        if known is not None:
                            return _same_content(known, new)
                    row = self._new_row(new, key)
                    session.add(row)
                    await session.flush()
                log.info("desk_request_received", id=row.service_request_id, service=new.service_code)
                return row
            except IntegrityError:
                # Another process stored the same key, or drew the same id, between our look and our write.
                continue
        raise Conflict

    def _new_row(self, new: NewRequest, key: str | None) -> DeskRequest:
        at = self._clock()
        due, unit = new.attributes.get("due_at"), new.attributes.get("unit")
        return DeskRequest(
            service_request_id=f"{at:%y%m%d}-{''.join(secrets.choice(_ID_ALPHABET) for _ in range(8))}",
            idempotency_key=key,
            body_hash=_body_hash(new),
            jurisdiction_id=new.jurisdiction_id,
            service_code=new.service_code,
            description=new.description,
            address=new.address,
            lat=new.lat,
            long=new.long,
            attributes=new.attributes,
            agency_responsible=unit[:80] if unit else None,
            desk_state="received",
            notes=[],
            requested_at=at,
            updated_at=at,
            expected_at=datetime.fromisoformat(due) if due else None,
        )

    async def add_note(self, request_id: str, kind: NoteKind, text: str, *, key: str | None = None) -> DeskRequest:
        """Keep a note of the sender with the request; a withdrawal closes a request that is still open.

        A note to a closed request is kept too: the sender may not know yet. The same `key` with the same content is
        kept once. Raises NotFound, and KeyReused for other content under a used key.
        """
        digest = _digest([kind, text])
        async with self._db.begin() as session:
            row = await self._locked(session, request_id)
            for note in row.notes:
                if key is not None and note.get("key") == key:
                    if note["digest"] != digest:
                        raise KeyReused
                    return row
            note = {"kind": kind, "text": text, "at": self._clock().isoformat(), "key": key, "digest": digest}
            row.notes = [*row.notes, note]
            if kind == "withdrawal" and row.desk_state in OPEN_STATES:
                row.desk_state = "withdrawn"
            row.updated_at = self._clock()
        log.info("desk_note_received", id=request_id, kind=kind, state=row.desk_state)
        return row

    # --- what the unit does -----------------------------------------------------------------------------------------

    async def accept(self, request_id: str, *, actor: str) -> DeskRequest:
        """Acknowledge (签收). Raises NotFound, Conflict with the present state."""
        async with self._db.begin() as session:
            row = await self._move(session, request_id, ("received",), "accepted")
        log.info("desk_request_accepted", id=request_id, actor=actor)
        return row

    async def resolve(self, request_id: str, *, public_reply: str, actor: str) -> DeskRequest:
        """Close with the reply the resident reads. Raises BadInput without a reply, NotFound, Conflict."""
        reply = _clean(public_reply)
        if not reply:
            raise BadInput("请填写公开答复内容。")
        async with self._db.begin() as session:
            row = await self._move(session, request_id, OPEN_STATES, "resolved")
            row.status_notes = reply
        log.info("desk_request_resolved", id=request_id, actor=actor)
        return row

    async def return_request(self, request_id: str, *, reason_code: str, note: str = "", actor: str) -> DeskRequest:
        """Give back to the dispatcher (退单) with one of REASON_CODES; `note` is internal.

        Raises BadInput for another reason code, NotFound, Conflict with the present state.
        """
        if reason_code not in REASON_CODES:
            raise BadInput(f"退单原因应为：{'、'.join(REASON_CODES)}。")
        async with self._db.begin() as session:
            row = await self._move(session, request_id, OPEN_STATES, "returned")
            row.reason_code = reason_code
            if _clean(note):
                row.notes = [*row.notes, {"kind": "return", "text": _clean(note), "at": row.updated_at.isoformat()}]
        log.info("desk_request_returned", id=request_id, reason=reason_code, actor=actor)
        return row

    async def _move(self, session: AsyncSession, request_id: str, sources: Sequence[str], target: str) -> DeskRequest:
        row = await self._locked(session, request_id)
        if row.desk_state not in sources:
            raise Conflict(f"这件诉求现在是“{STATE_NAMES[row.desk_state]}”，不能再做这个操作，请刷新。")
        row.desk_state = target
        row.updated_at = self._clock()
        return row

    async def _locked(self, session: AsyncSession, request_id: str) -> DeskRequest:
        row = await session.get(DeskRequest, request_id, with_for_update=True)
        if row is None:
            raise NotFound("没有这件诉求。")
        return row

    # --- reading ----------------------------------------------------------------------------------------------------

    async def get(self, request_id: str) -> DeskRequest | None:
        async with self._db.read() as session:
            return await session.get(DeskRequest, request_id)

    async def find(self, wanted: RequestFilter, *, limit: int = 100, offset: int = 0) -> list[DeskRequest]:
        """Requests, the newest first."""
        order = (DeskRequest.requested_at.desc(), DeskRequest.service_request_id)
        async with self._db.read() as session:
            query = _where(select(DeskRequest), wanted).order_by(*order).limit(limit).offset(offset)
            return list(await session.scalars(query))

    async def count(self, wanted: RequestFilter) -> int:
        async with self._db.read() as session:
            return await session.scalar(_where(select(func.count(DeskRequest.service_request_id)), wanted)) or 0


def _where(query: Select[Any], wanted: RequestFilter) -> Select[Any]:
    if wanted.ids:
        query = query.where(DeskRequest.service_request_id.in_(wanted.ids))
    if wanted.service_codes:
        query = query.where(DeskRequest.service_code.in_(wanted.service_codes))
    if wanted.states:
        query = query.where(DeskRequest.desk_state.in_(wanted.states))
    if wanted.start is not None:
        query = query.where(DeskRequest.requested_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(DeskRequest.requested_at <= wanted.end)
    if wanted.updated_after is not None:
        query = query.where(DeskRequest.updated_at > wanted.updated_after)
    if wanted.unit:
        query = query.where(DeskRequest.agency_responsible == wanted.unit)
    return query


def return_note(row: DeskRequest) -> str | None:
    """What the unit wrote when it returned the request; internal."""
    return next((note["text"] for note in reversed(row.notes) if note["kind"] == "return"), None)


def _clean(text: str) -> str:
    cleaned = clean_text(text)
    if len(cleaned) > MAX_REPLY_CHARS:
        raise BadInput(f"内容超过 {MAX_REPLY_CHARS} 个字，请缩短。")
    return cleaned


def _same_content(known: DeskRequest, new: NewRequest) -> DeskRequest:
    if known.body_hash != _body_hash(new):
        raise KeyReused
    return known


def _body_hash(new: NewRequest) -> str:
    """SHA-256 of the content: two equal requests have the same."""
    content = [new.service_code, new.description, new.address, new.lat, new.long]
    return _digest([*content, new.attributes, new.jurisdiction_id])


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
