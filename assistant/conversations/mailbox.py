"""Messages at rest: each stored once, answered under a lease, in order. All statements of a turn are here.

A turn is two short transactions, written as prepared Core statements: they are half of what a turn costs. The lease
(a random word and a time) says who answers a conversation's messages; it lapses by itself when its holder dies.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Boolean, Table, and_, bindparam, case, exists, func, insert, null, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from assistant.conversations.handover import handover_state
from assistant.conversations.model import Turn, message_dict
from assistant.crypto import Vault
from assistant.db.models import Conversation, Message, now
from assistant.db.session import Database
from assistant.errors import Conflict, NotFound, TooMany
from assistant.privacy import mask

LEASE = timedelta(seconds=60)
UNANSWERED = ("received", "deferred")


@dataclass(frozen=True, slots=True)
class Pending:
    """A message to answer, its conversation as it was when it was taken, and the lease under which it is answered."""

    conversation_id: str
    message_id: int
    text: str
    was_deferred: bool
    lease: str
    state: str
    engine_session: int
    engine_turns: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """`claimed`: what to answer first, when nobody was at the conversation."""

    message_id: int
    is_new: bool
    claimed: Pending | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a pending message. `status`: answered, or deferred when the engine is away."""

    status: str
    sender: str
    replies: Sequence[dict[str, Any]]  # {text, buttons, citations, ticket}
    understanding: dict[str, Any] | None
    engine_session: int
    engine_turns: int
    updated_at: datetime


_CONVERSATIONS, _MESSAGES = cast(Table, Conversation.__table__), cast(Table, Message.__table__)
_C, _M = _CONVERSATIONS.c, _MESSAGES.c
_OLDER = _MESSAGES.alias("older")


def _param(name: str, column: Any) -> Any:
    return bindparam(name, type_=column.type)


_OLDEST = (
    select(func.min(_OLDER.c.id))
    .where(_OLDER.c.conversation_id == bindparam("of", type_=_C.id.type), _OLDER.c.status.in_(UNANSWERED))
    .scalar_subquery()
)
_FREE = or_(_C.lease_until.is_(None), _C.lease_until < _param("at", _C.lease_until))
# Also locks the row on PostgreSQL: whoever stores or answers in this conversation comes one after the other.
_TAKE = (
    update(_CONVERSATIONS)
    .where(_C.id == _param("of", _C.id))
    .values(
        lease_owner=case((_FREE, _param("lease", _C.lease_owner)), else_=_C.lease_owner),
        lease_until=case((_FREE, _param("until", _C.lease_until)), else_=_C.lease_until),
        updated_at=_C.updated_at,
    )
    .returning(_C.lease_owner, _C.state, _C.engine_session, _C.engine_turns, _C.updated_at)
)
_RELEASE = (
    update(_CONVERSATIONS)
    .where(_C.id == _param("of", _C.id), _C.lease_owner == _param("lease", _C.lease_owner))
    .values(lease_owner=null(), lease_until=null(), updated_at=_C.updated_at)
)
# The insert sees what the lock before it let in: earlier messages that nobody has answered.
_INSERT = insert(_MESSAGES).returning(_M.id, _OLDEST.label("oldest"))
_SELECT_OLDEST = select(_M.id, _M.text, _M.status).where(_M.id == _OLDEST)
_MARK = (
    update(_MESSAGES)
    .where(_M.id == _param("message", _M.id), _M.status.in_(UNANSWERED))
    .values(status=_param("new_status", _M.status), understanding=_param("new_understanding", _M.understanding))
)
_REPLIES = insert(_MESSAGES).returning(_M.id, sort_by_parameter_order=True)
_MINE = _C.lease_owner == _param("lease", _C.lease_owner)
_DONE = and_(
    _MINE,
    or_(
        bindparam("give_back", type_=Boolean()),
        ~exists().where(
            _OLDER.c.conversation_id == _C.id,
            _OLDER.c.status.in_(UNANSWERED),
            _OLDER.c.id != _param("message", _M.id),
        ),
    ),
)
_END = (
    update(_CONVERSATIONS)
    .where(_C.id == _param("of", _C.id))
    .values(
        engine_session=case((_MINE, _param("new_session", _C.engine_session)), else_=_C.engine_session),
        engine_turns=case((_MINE, _param("new_turns", _C.engine_turns)), else_=_C.engine_turns),
        updated_at=case((_MINE, _param("new_updated_at", _C.updated_at)), else_=_C.updated_at),
        lease_owner=case((_DONE, null()), else_=_C.lease_owner),
        lease_until=case((_DONE, null()), (_MINE, _param("until", _C.lease_until)), else_=_C.lease_until),
    )
    .returning(_C.state, _C.waiting_since, _C.lease_owner)
)


class Mailbox:
    """The messages of all conversations, as the gateway needs them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db, self._vault = db, vault

    async def store(
        self, conversation_id: str, text: str, client_message_id: str, *, allow: Callable[[], bool]
    ) -> Stored:
        """Keep a resident's message and, where nobody is at the conversation, take its lease; one transaction.

        `allow()` says whether one more new message is accepted. Raises NotFound, TooMany, and Conflict for a known
        message id with another text.
        """
        digest = self._vault.digest(text)
        masked, private = mask(text)
        raw = json.dumps([{"kind": v.kind, "masked": v.masked, "raw": v.raw} for v in private])
        row = _message(conversation_id, "resident", masked, status="received") | {
            "private": self._vault.encrypt(raw) if private else None,
            "client_message_id": client_message_id,
            "text_hash": digest,
            "of": conversation_id,
        }
        lease = secrets.token_hex(8)
        try:
            async with self._db.begin() as session:
                connection = await session.connection()
                taken = (await connection.execute(_TAKE, self._lease(conversation_id, lease))).one_or_none()
                if taken is None:
                    raise NotFound("没有找到这个会话。")
                message_id, oldest = (await connection.execute(_INSERT, row)).one()
                if not allow():
                    raise TooMany
                if taken.lease_owner != lease:
                    return Stored(message_id, True, None)
                pending = Pending(conversation_id, message_id, masked, False, lease, *taken[1:])
                if oldest is not None and oldest < message_id:
                    pending = await self._oldest(connection, pending) or pending
                return Stored(message_id, True, pending)
        except IntegrityError:
            async with self._db.read() as session:
                known = await session.scalar(
                    select(Message).where(
                        Message.conversation_id == conversation_id, Message.client_message_id == client_message_id
                    )
                )
        if known is None or known.text_hash != digest:
            raise Conflict("同一个消息编号已经用于另一条内容，请换一个编号。")
        return Stored(known.id, False, None)

    async def claim(self, conversation_id: str) -> tuple[Pending | None, bool]:
        """The oldest unanswered message with the lease, and whether there is anything to answer at all.

        `(None, True)`: somebody else is at it, ask again. Raises NotFound.
        """
        lease = secrets.token_hex(8)
        async with self._db.begin() as session:
            connection = await session.connection()
            taken = (await connection.execute(_TAKE, self._lease(conversation_id, lease))).one_or_none()
            if taken is None:
                raise NotFound("没有找到这个会话。")
            pending = await self._oldest(connection, Pending(conversation_id, 0, "", False, lease, *taken[1:]))
            if taken.lease_owner != lease:
                return None, pending is not None
            if pending is None:
                await connection.execute(_RELEASE, {"of": conversation_id, "lease": lease})
            return pending, pending is not None

    async def release(self, pending: Pending) -> None:
        """Give the lease back without an answer."""
        async with self._db.begin() as session:
            connection = await session.connection()
            await connection.execute(_RELEASE, {"of": pending.conversation_id, "lease": pending.lease})

    async def finish(self, pending: Pending, answered: Answered) -> tuple[Turn, Pending | None]:
        """Store the answers; give the lease back, or keep it for the next message (returned). One transaction."""
        of, deferred = pending.conversation_id, answered.status == "deferred"
        # The resident is told once that the answer will come later.
        replies = [] if deferred and pending.was_deferred else answered.replies
        rows = [
            _message(of, answered.sender, reply["text"])
            | {name: reply.get(name) or None for name in ("buttons", "citations", "ticket")}
            | {"reply_to": pending.message_id}
            for reply in replies
        ]
        end = {
            "of": of,
            "message": pending.message_id,
            "lease": pending.lease,
            "until": now() + LEASE,
            "give_back": deferred,
            "new_session": answered.engine_session,
            "new_turns": answered.engine_turns,
            "new_updated_at": answered.updated_at,
        }
        mark = {
            "message": pending.message_id,
            "new_status": answered.status,
            "new_understanding": answered.understanding,
        }
        async with self._db.begin() as session:
            connection = await session.connection()
            # The conversation first, as everywhere: two transactions that wait for each other would be a deadlock.
            state, waiting_since, lease = (await connection.execute(_END, end)).one()
            if not (await connection.execute(_MARK, mark)).rowcount:
                # The lease had lapsed, and whoever took it has answered: nobody is answered twice.
                rows = []
            ids = list((await connection.execute(_REPLIES, rows)).scalars()) if rows else []
            following = None
            if lease == pending.lease:
                counted = replace(
                    pending,
                    state=state,
                    engine_session=answered.engine_session,
                    engine_turns=answered.engine_turns,
                    updated_at=answered.updated_at,
                )
                following = await self._oldest(connection, counted)
            handover = await handover_state(session, of, state, waiting_since)
        messages = [message_dict(Message(id=id_, **row)) for id_, row in zip(ids, rows, strict=True)]
        return Turn(messages, handover), following

    async def turn(self, conversation_id: str, message_id: int) -> Turn:
        """The stored answers to one message."""
        async with self._db.read() as session:
            rows = await session.scalars(
                select(Message)
                .where(Message.conversation_id == conversation_id, Message.reply_to == message_id)
                .order_by(Message.id)
            )
            return Turn([message_dict(row) for row in rows], await self._handover(session, conversation_id))

    async def messages(self, conversation_id: str, *, after: int, limit: int) -> Turn:
        """Messages of every sender with an id above `after`, in order. Raises NotFound."""
        async with self._db.read() as session:
            handover = await self._handover(session, conversation_id)
            rows = await session.scalars(
                select(Message)
                .where(Message.conversation_id == conversation_id, Message.id > after)
                .order_by(Message.id)
                .limit(limit)
            )
            return Turn([message_dict(row) for row in rows], handover)

    async def private_value(self, conversation_id: str, masked: str) -> str | None:
        """The raw value behind a masked one of this conversation, the latest first."""
        async with self._db.read() as session:
            rows = await session.scalars(
                select(Message.private)
                .where(Message.conversation_id == conversation_id, Message.private.is_not(None))
                .order_by(Message.id.desc())
            )
            for row in rows:
                for value in json.loads(self._vault.decrypt(row or b"")):
                    if value["masked"] == masked:
                        return str(value["raw"])
        return None

    async def unanswered_conversations(self, *, older_than_s: float) -> list[str]:
        """Conversations with messages that wait for an answer, the longest first; at most 500."""
        async with self._db.read() as session:
            rows = await session.scalars(
                select(Message.conversation_id)
                .where(
                    Message.status.in_(UNANSWERED),
                    Message.created_at < now() - timedelta(seconds=older_than_s),
                )
                .group_by(Message.conversation_id)
                .order_by(func.min(Message.id))
                .limit(500)
            )
            return list(rows)

    @staticmethod
    def _lease(conversation_id: str, lease: str) -> dict[str, Any]:
        moment = now()
        return {"of": conversation_id, "lease": lease, "at": moment, "until": moment + LEASE}

    @staticmethod
    async def _oldest(connection: AsyncConnection, pending: Pending) -> Pending | None:
        """`pending` with the oldest unanswered message of its conversation; None when all are answered."""
        row = (await connection.execute(_SELECT_OLDEST, {"of": pending.conversation_id})).one_or_none()
        if row is None:
            return None
        return replace(pending, message_id=row.id, text=row.text, was_deferred=row.status == "deferred")

    @staticmethod
    async def _handover(session: Any, conversation_id: str) -> dict[str, str | int] | None:
        conversation = await session.get(Conversation, conversation_id)
        if conversation is None:
            raise NotFound("没有找到这个会话。")
        return await handover_state(session, conversation_id, conversation.state, conversation.waiting_since)


def _message(conversation_id: str, sender: str, text: str, *, status: str = "answered") -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "sender": sender,
        "text": text,
        "status": status,
        "created_at": now(),
    }
