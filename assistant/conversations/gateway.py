"""The gateway: a resident's words are stored first, answered in order, and never lost.

One message is one row with its own key; the conversation's lease decides which process answers it. When the dialogue
engine is away the resident is told, the message keeps the status `deferred`, and `answer_pending` answers it later.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.conversations import metrics
from assistant.conversations.engine import EngineFailed, EngineReply, EngineUnavailable
from assistant.conversations.events import Events
from assistant.conversations.guard import clean, unreadable
from assistant.conversations.handover import Handover, handover_state
from assistant.conversations.limits import Attempts
from assistant.conversations.model import Opened, Turn, message_dict
from assistant.crypto import Vault
from assistant.db.models import Conversation, Message, now
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotAuthenticated, NotFound, TooMany
from assistant.privacy import mask
from assistant.settings import Settings

log = structlog.get_logger()

DEFERRED = "您的话已经收到并保存。助手正在恢复，恢复后会自动回答您，不用重复发送。如遇危险，请直接拨打110、119或120。"
FAILED = "这句话我没能处理好，已经转给人工座席，您的内容都保存着，请稍候。"
LEASE_S = 60
# A new engine session starts after a subject has ended or the resident was away this long.
AWAY = timedelta(minutes=30)


class DialogueEngine(Protocol):
    """What decides the next step of the dialogue; raises EngineUnavailable or EngineFailed."""

    async def send(self, sender_id: str, text: str) -> list[EngineReply]: ...

    async def ready(self) -> bool: ...


Understand = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A message to answer, its conversation as it was read, and the engine session that answers."""

    conversation: Conversation
    message: Message
    engine_session: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """`status`: answered, or deferred when the engine is away."""

    status: str
    sender: str
    replies: list[EngineReply]
    understanding: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    message_id: int
    is_new: bool
    claimed: _Pending | None


class Gateway:
    """Intake and answers of every channel; implements `channels.base.Intake`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        engine: DialogueEngine,
        handover: Handover,
        events: Events,
        understand: Understand,
        settings: Settings,
    ) -> None:
        """`understand(text)` gives what the language model reads, as a dict, kept for the agents."""
        self._db, self._vault, self._engine, self._handover = db, vault, engine, handover
        self._events, self._understand, self._settings = events, understand, settings
        self._owner = secrets.token_hex(8)
        self._locks: dict[str, asyncio.Lock] = {}
        self._attempts = Attempts(limit=settings.messages_per_minute, per_s=60)

    # --- conversations ---------------------------------------------------------------------------------------------

    async def open(self, channel: str = "web", channel_user: str | None = None) -> Opened:
        """A new conversation with its access token; for a channel user who has one, that one (with a new token)."""
        token = secrets.token_urlsafe(32)
        async with self._db.begin() as session:
            if channel_user is not None:
                known = await session.scalar(
                    select(Conversation).where(
                        Conversation.channel == channel, Conversation.channel_user == channel_user
                    )
                )
                if known is not None:
                    return Opened(known.id, "")
            conversation = Conversation(
                id=secrets.token_hex(12), channel=channel, channel_user=channel_user, token_hash=_hash(token)
            )
            session.add(conversation)
        return Opened(conversation.id, token)

    async def authenticate(self, conversation_id: str, token: str) -> None:
        """Raises NotAuthenticated, the same for a wrong token and an unknown conversation."""
        async with self._db.read() as session:
            stored = await session.scalar(
                select(Conversation.token_hash).where(Conversation.id == conversation_id[:40])
            )
        if not secrets.compare_digest(stored or _hash(""), _hash(token)) or not token:
            raise NotAuthenticated("会话凭证无效，请刷新页面重新开始。")

    async def conversation_of(self, token: str) -> str | None:
        """The conversation that a token opens, or None."""
        async with self._db.read() as session:
            return await session.scalar(select(Conversation.id).where(Conversation.token_hash == _hash(token)))

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

    # --- messages --------------------------------------------------------------------------------------------------

    async def receive(self, conversation_id: str, text: str, client_message_id: str) -> Turn:
        """Store the message, answer it after all earlier ones, and return the answers.

        The same `client_message_id` twice gives the same answers and one effect. Raises BadInput, Conflict (same id,
        other text), NotFound, TooMany.
        """
        if not 1 <= len(client_message_id) <= 80 or not client_message_id.isprintable():
            raise BadInput("消息编号 client_message_id 应为1到80个可见字符。")
        started = time.perf_counter()
        clean_text = clean(text, max_chars=self._settings.max_message_chars)
        stored = await self._store(conversation_id, clean_text, client_message_id)
        if stored.is_new:
            self._events.notify(conversation_id)
        turn = await self.answer_pending(conversation_id, wanted=stored.message_id, claimed=stored.claimed)
        if turn is None:
            turn = await self._turn(conversation_id, stored.message_id)
        metrics.TURN_SECONDS.observe(time.perf_counter() - started)
        return turn

    async def messages(self, conversation_id: str, *, after: int = 0, limit: int = 200) -> Turn:
        """Messages of every sender with an id above `after`, in order."""
        async with self._db.read() as session:
            conversation = await session.get(Conversation, conversation_id)
            if conversation is None:
                raise NotFound("没有找到这个会话。")
            rows = await session.scalars(
                select(Message)
                .where(Message.conversation_id == conversation_id, Message.id > after)
                .order_by(Message.id)
                .limit(limit)
            )
            return Turn([message_dict(row) for row in rows], await handover_state(session, conversation))

    async def answer_pending(
        self, conversation_id: str, *, wanted: int | None = None, claimed: _Pending | None = None
    ) -> Turn | None:
        """Answer what is not answered yet, in order; waits for another process or task that is at it.

        Returns the answers to the message `wanted` when they were made here. `claimed`: a message whose conversation's
        lease is held already.
        """
        if claimed is not None:
            return await self._answer_all(conversation_id, claimed, wanted)
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        async with lock:
            pending = await self._claim(conversation_id)
            turn = None if pending is None else await self._answer_all(conversation_id, pending, wanted)
        if self._locks.get(conversation_id) is lock and not lock.locked():
            del self._locks[conversation_id]
        return turn

    async def _answer_all(self, conversation_id: str, pending: _Pending | None, wanted: int | None) -> Turn | None:
        turn = None
        try:
            while pending is not None:
                outcome = await self._answer(pending)
                message_id, (answers, pending) = pending.message.id, await self._finish(pending, outcome)
                if message_id == wanted:
                    turn = answers
        except BaseException:
            await asyncio.shield(self._release(conversation_id))
            raise
        return turn

    async def pending_conversations(self, *, older_than_s: float) -> list[str]:
        """Conversations with unanswered messages, for the recovery task."""
        async with self._db.read() as session:
            rows = await session.scalars(
                select(Message.conversation_id)
                .where(
                    Message.status.in_(("received", "deferred")),
                    Message.created_at < now() - timedelta(seconds=older_than_s),
                )
                .group_by(Message.conversation_id)
                .order_by(func.min(Message.id))
                .limit(500)
            )
            return list(rows)

    # --- push channels ---------------------------------------------------------------------------------------------

    async def undelivered(self, channel: str, *, limit: int = 100) -> list[tuple[dict[str, Any], str]]:
        """Messages that a push channel has to send, oldest first, each with the channel's user."""
        async with self._db.read() as session:
            rows = await session.execute(
                select(Message, Conversation.channel_user)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .where(Conversation.channel == channel, Message.sender != "resident", Message.delivered_at.is_(None))
                .order_by(Message.id)
                .limit(limit)
            )
            return [(message_dict(message), user or "") for message, user in rows]

    async def mark_delivered(self, message_id: int) -> None:
        async with self._db.begin() as session:
            await session.execute(update(Message).where(Message.id == message_id).values(delivered_at=now()))

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _store(self, conversation_id: str, text: str, client_message_id: str) -> _Stored:
        """Keep the message; where nobody is at the conversation, take its lease in the same transaction."""
        digest = self._vault.digest(text)
        masked, private = mask(text)
        message = Message(
            conversation_id=conversation_id,
            sender="resident",
            text=masked,
            private=self._vault.encrypt(_private_json(private)) if private else None,
            client_message_id=client_message_id,
            text_hash=digest,
            status="received",
        )
        try:
            async with self._db.begin() as session:
                conversation = await session.get(Conversation, conversation_id, with_for_update=True)
                if conversation is None:
                    raise NotFound("没有找到这个会话。")
                session.add(message)
                await session.flush()
                if not self._attempts.allow(conversation_id):
                    raise TooMany
                return _Stored(message.id, True, await self._take_lease(session, conversation))
        except IntegrityError:
            async with self._db.read() as session:
                known = await session.scalar(
                    select(Message).where(
                        Message.conversation_id == conversation_id, Message.client_message_id == client_message_id
                    )
                )
        if known is None or known.text_hash != digest:
            raise Conflict("同一个消息编号已经用于另一条内容，请换一个编号。")
        return _Stored(known.id, False, None)

    async def _take_lease(self, session: AsyncSession, conversation: Conversation) -> _Pending | None:
        """The oldest unanswered message and the lease to answer it; None when somebody else is at it."""
        if conversation.lease_until is not None and conversation.lease_until >= now():
            return None
        pending = await self._next(session, conversation)
        if pending is not None:
            conversation.lease_owner = self._owner
            conversation.lease_until = now() + timedelta(seconds=LEASE_S)
        return pending

    async def _claim(self, conversation_id: str) -> _Pending | None:
        """Wait for the lease; None when there is nothing left to answer."""
        while True:
            async with self._db.begin() as session:
                conversation = await session.get(Conversation, conversation_id, with_for_update=True)
                if conversation is None:
                    raise NotFound("没有找到这个会话。")
                pending = await self._take_lease(session, conversation)
                if pending is not None or await self._next(session, conversation) is None:
                    return pending
            await asyncio.sleep(0.03)

    async def _next(self, session: AsyncSession, conversation: Conversation) -> _Pending | None:
        message = await session.scalar(
            select(Message)
            .where(Message.conversation_id == conversation.id, Message.status.in_(("received", "deferred")))
            .order_by(Message.id)
            .limit(1)
        )
        return None if message is None else _Pending(conversation, message, self._engine_session(conversation))

    async def _release(self, conversation_id: str) -> None:
        async with self._db.begin() as session:
            await session.execute(
                update(Conversation)
                .where(Conversation.id == conversation_id, Conversation.lease_owner == self._owner)
                .values(lease_owner=None, lease_until=None)
            )

    async def _answer(self, pending: _Pending) -> _Outcome:
        """What to say to one message, without storing it."""
        text, conversation = pending.message.text, pending.conversation
        if canned := unreadable(text):
            silent = conversation.state == "agent"
            return _Outcome("answered", "assistant", [] if silent else [EngineReply(text=canned)])
        understanding = await self._understand(text)
        if conversation.state == "agent":
            return _Outcome("answered", "assistant", [], understanding)
        try:
            replies = await self._ask_engine(f"{conversation.id}:{pending.engine_session}", text)
        except EngineUnavailable:
            metrics.TURNS.labels("deferred").inc()
            return _Outcome("deferred", "system", [EngineReply(text=DEFERRED)], understanding)
        except EngineFailed:
            metrics.TURNS.labels("failed").inc()
            log.error("turn_failed", conversation=conversation.id, message=pending.message.id)
            await self._handover.request(conversation.id, "助手未能回答")
            return _Outcome("answered", "system", [EngineReply(text=FAILED)], understanding)
        metrics.TURNS.labels("answered").inc()
        return _Outcome("answered", "assistant", replies, understanding)

    async def _ask_engine(self, sender_id: str, text: str) -> list[EngineReply]:
        try:
            return await self._engine.send(sender_id, text)
        except EngineFailed:
            # The engine answers nothing on nearly every failure, often a passing one; actions happen once by their key.
            await asyncio.sleep(0.2)
            return await self._engine.send(sender_id, text)

    def _engine_session(self, conversation: Conversation) -> int:
        """Which engine session answers: a new one after many turns, since the cost of a turn grows with its history."""
        away = now() - conversation.updated_at > AWAY
        if conversation.engine_turns >= self._settings.turns_per_engine_session and away:
            return conversation.engine_session + 1
        return conversation.engine_session

    async def _finish(self, pending: _Pending, outcome: _Outcome) -> tuple[Turn, _Pending | None]:
        """Store the answers and give the lease back, or keep it and return the next message; one transaction."""
        async with self._db.begin() as session:
            conversation = await session.get(Conversation, pending.conversation.id, with_for_update=True)
            message = await session.get(Message, pending.message.id)
            assert message is not None and conversation is not None
            # The resident is told once that the answer will come later.
            silent = outcome.status == "deferred" and message.status == "deferred"
            message.status, message.understanding = outcome.status, outcome.understanding
            if outcome.status == "answered":
                self._count_turn(conversation, pending.engine_session, outcome.replies)
            rows = [
                Message(
                    conversation_id=conversation.id,
                    sender=outcome.sender,
                    text=reply.text,
                    buttons=reply.buttons or None,
                    citations=reply.citations or None,
                    ticket=reply.ticket,
                    reply_to=message.id,
                )
                for reply in ([] if silent else outcome.replies)
            ]
            for row in rows:
                session.add(row)
                await session.flush()
            following = await self._next(session, conversation) if outcome.status == "answered" else None
            if following is None:
                conversation.lease_owner = conversation.lease_until = None
            else:
                conversation.lease_until = now() + timedelta(seconds=LEASE_S)
            turn = Turn([message_dict(row) for row in rows], await handover_state(session, conversation))
        self._events.notify(conversation.id)
        # Answers stored earlier (that the answer comes later) belong to the turn, too.
        earlier = pending.message.status == "deferred"
        return (await self._turn(conversation.id, pending.message.id) if earlier else turn), following

    def _count_turn(self, conversation: Conversation, engine_session: int, replies: list[EngineReply]) -> None:
        if conversation.engine_session != engine_session:
            conversation.engine_session, conversation.engine_turns = engine_session, 0
        conversation.engine_turns += 1
        conversation.updated_at = now()
        # A reply after the ticket asks something: the subject goes on.
        ended = bool(replies) and replies[-1].ticket is not None
        if ended and conversation.engine_turns >= self._settings.turns_per_engine_session:
            # A ticket ends a subject: the next message starts afresh.
            conversation.engine_session, conversation.engine_turns = engine_session + 1, 0

    async def _turn(self, conversation_id: str, message_id: int) -> Turn:
        async with self._db.read() as session:
            rows = await session.scalars(
                select(Message)
                .where(Message.conversation_id == conversation_id, Message.reply_to == message_id)
                .order_by(Message.id)
            )
            conversation = await session.get(Conversation, conversation_id)
            assert conversation is not None
            return Turn([message_dict(row) for row in rows], await handover_state(session, conversation))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _private_json(values: list[Any]) -> str:
    return json.dumps([{"kind": v.kind, "masked": v.masked, "raw": v.raw} for v in values])
