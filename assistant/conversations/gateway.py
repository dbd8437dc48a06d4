"""The gateway: a resident's words are stored first, answered in order, and never lost.

One message is one row with its own key; the conversation's lease decides which process answers it. When the dialogue
engine is away the resident is told, the message keeps the status `deferred`, and `answer_pending` answers it later.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, cast

import structlog
from cachetools import LRUCache
from sqlalchemy import select, update

from assistant.conversations import metrics
from assistant.conversations.engine import EngineFailed, EngineReply, EngineUnavailable
from assistant.conversations.events import Events
from assistant.conversations.guard import clean, unreadable
from assistant.conversations.handover import Handover
from assistant.conversations.limits import Attempts
from assistant.conversations.mailbox import Answered, Mailbox, Pending
from assistant.conversations.model import Opened, Turn, message_dict
from assistant.crypto import Vault
from assistant.db.models import Conversation, Message, now
from assistant.db.session import Database
from assistant.errors import BadInput, NotAuthenticated
from assistant.settings import Settings

log = structlog.get_logger()

DEFERRED = "您的话已经收到并保存。助手正在恢复，恢复后会自动回答您，不用重复发送。如遇危险，请直接拨打110、119或120。"
FAILED = "这句话我没能处理好，已经转给人工座席，您的内容都保存着，请稍候。"
# A new engine session starts after a subject has ended or the resident was away this long.
AWAY = timedelta(minutes=30)


class DialogueEngine(Protocol):
    """What decides the next step of the dialogue; raises EngineUnavailable or EngineFailed."""

    async def send(self, sender_id: str, text: str) -> list[EngineReply]: ...

    async def ready(self) -> bool: ...


Understand = Callable[[str], Awaitable[dict[str, Any]]]


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
        self._db, self._engine, self._handover = db, engine, handover
        self._events, self._understand, self._settings = events, understand, settings
        self._mailbox = Mailbox(db, vault)
        self._token_hashes: LRUCache[str, str] = LRUCache(10_000)
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
        self._token_hashes[conversation.id] = conversation.token_hash
        return Opened(conversation.id, token)

    async def authenticate(self, conversation_id: str, token: str) -> None:
        """Raises NotAuthenticated, the same for a wrong token and an unknown conversation."""
        stored = self._token_hashes.get(conversation_id)
        if stored is None:
            async with self._db.read() as session:
                stored = await session.scalar(
                    select(Conversation.token_hash).where(Conversation.id == conversation_id[:40])
                )
            if stored is not None:
                self._token_hashes[conversation_id] = stored
        if not secrets.compare_digest(stored or _hash(""), _hash(token)) or not token:
            raise NotAuthenticated("会话凭证无效，请刷新页面重新开始。")

    async def conversation_of(self, token: str) -> str | None:
        """The conversation that a token opens, or None."""
        async with self._db.read() as session:
            return await session.scalar(select(Conversation.id).where(Conversation.token_hash == _hash(token)))

    async def private_value(self, conversation_id: str, masked: str) -> str | None:
        """The raw value behind a masked one of this conversation, the latest first."""
        return await self._mailbox.private_value(conversation_id, masked)

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
        stored = await self._mailbox.store(
            conversation_id, clean_text, client_message_id, allow=lambda: self._attempts.allow(conversation_id)
        )
        if stored.is_new:
            self._events.notify(conversation_id)
        turn = await self.answer_pending(conversation_id, wanted=stored.message_id, claimed=stored.claimed)
        if turn is None:
            turn = await self._mailbox.turn(conversation_id, stored.message_id)
        metrics.TURN_SECONDS.observe(time.perf_counter() - started)
        return turn

    async def messages(self, conversation_id: str, *, after: int = 0, limit: int = 200) -> Turn:
        """Messages of every sender with an id above `after`, in order."""
        return await self._mailbox.messages(conversation_id, after=after, limit=limit)

    async def answer_pending(
        self, conversation_id: str, *, wanted: int | None = None, claimed: Pending | None = None
    ) -> Turn | None:
        """Answer what is not answered yet, in order; waits for another process or task that is at it.

        Returns the answers to the message `wanted` when they were made here. `claimed`: a message whose conversation's
        lease is held already.
        """
        if claimed is not None:
            return await self._answer_all(claimed, wanted)
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        try:
            async with lock:
                pending = await self._claim(conversation_id)
                return None if pending is None else await self._answer_all(pending, wanted)
        finally:
            if self._locks.get(conversation_id) is lock and not lock.locked():
                del self._locks[conversation_id]

    async def _claim(self, conversation_id: str) -> Pending | None:
        """Wait for the lease; None when there is nothing left to answer."""
        pause_s = 0.03
        while True:
            pending, more = await self._mailbox.claim(conversation_id)
            if pending is not None or not more:
                return pending
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.25)

    async def _answer_all(self, first: Pending, wanted: int | None) -> Turn | None:
        turn, pending = None, cast(Pending | None, first)
        try:
            while pending is not None:
                answered = await self._answer(pending)
                message_id, (answers, pending) = pending.message_id, await self._finish(pending, answered)
                if message_id == wanted:
                    turn = answers
        except BaseException:
            await asyncio.shield(self._mailbox.release(first))
            raise
        return turn

    async def pending_conversations(self, *, older_than_s: float) -> list[str]:
        """Conversations with unanswered messages, for the recovery task."""
        return await self._mailbox.unanswered_conversations(older_than_s=older_than_s)

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

    async def _answer(self, pending: Pending) -> Answered:
        """What to say to one message, without storing it."""
        text, with_agent = pending.text, pending.state == "agent"
        if canned := unreadable(text):
            return self._outcome(pending, [] if with_agent else [EngineReply(text=canned)])
        understanding = await self._understand(text)
        if with_agent:
            return self._outcome(pending, [], understanding)
        try:
            replies = await self._ask_engine(f"{pending.conversation_id}:{self._engine_session(pending)}", text)
        except EngineUnavailable:
            metrics.TURNS.labels("deferred").inc()
            return self._outcome(pending, [EngineReply(text=DEFERRED)], understanding, "system", "deferred")
        except EngineFailed:
            metrics.TURNS.labels("failed").inc()
            log.error("turn_failed", conversation=pending.conversation_id, message=pending.message_id)
            await self._handover.request(pending.conversation_id, "助手未能回答")
            return self._outcome(pending, [EngineReply(text=FAILED)], understanding, "system")
        metrics.TURNS.labels("answered").inc()
        return self._outcome(pending, replies, understanding)

    async def _ask_engine(self, sender_id: str, text: str) -> list[EngineReply]:
        try:
            return await self._engine.send(sender_id, text)
        except EngineFailed:
            # The engine answers nothing on nearly every failure, often a passing one; actions happen once by their key.
            await asyncio.sleep(0.2)
            return await self._engine.send(sender_id, text)

    def _engine_session(self, pending: Pending) -> int:
        """Which engine session answers: a new one after many turns, since the cost of a turn grows with its history."""
        away = now() - pending.updated_at > AWAY
        if pending.engine_turns >= self._settings.turns_per_engine_session and away:
            return pending.engine_session + 1
        return pending.engine_session

    def _outcome(
        self,
        pending: Pending,
        replies: list[EngineReply],
        understanding: dict[str, Any] | None = None,
        sender: str = "assistant",
        status: str = "answered",
    ) -> Answered:
        """The answer with the turn counted; a deferred one counts when it is made."""
        session, turns, updated_at = pending.engine_session, pending.engine_turns, pending.updated_at
        if status == "answered":
            used = self._engine_session(pending)
            turns = turns + 1 if used == session else 1
            session, updated_at = used, now()
            # A ticket ends a subject, and the next message starts afresh; a reply after it asks something, and goes on.
            if replies and replies[-1].ticket is not None and turns >= self._settings.turns_per_engine_session:
                session, turns = session + 1, 0
        rows = [{"text": r.text, "buttons": r.buttons, "citations": r.citations, "ticket": r.ticket} for r in replies]
        return Answered(status, sender, rows, understanding, session, turns, updated_at)

    async def _finish(self, pending: Pending, answered: Answered) -> tuple[Turn, Pending | None]:
        turn, following = await self._mailbox.finish(pending, answered)
        self._events.notify(pending.conversation_id)
        if pending.was_deferred or (answered.replies and not turn.messages):
            # What was stored earlier (that the answer comes later), or by who took a lapsed lease, belongs to the turn.
            turn = await self._mailbox.turn(pending.conversation_id, pending.message_id)
        return turn, following


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
