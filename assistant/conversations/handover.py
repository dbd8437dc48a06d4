"""From the assistant to a person and back: who waits, who takes, what is written."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.conversations.events import Events
from assistant.conversations.guard import clean
from assistant.conversations.transcript import question_of
from assistant.db.models import Conversation, Message, PastReply, now
from assistant.db.session import Database
from assistant.errors import Conflict, NotFound
from assistant.privacy import mask

TAKEN = "{name}已接入，为您服务。"
RELEASED = "人工服务已结束，接下来由助手继续为您服务。还需要人工，请说“转人工”。"


@dataclass(frozen=True, slots=True)
class WaitingResident:
    """One line of the queue. `last_text` is the resident's latest message, masked."""

    conversation_id: str
    channel: str
    since: datetime
    reason: str
    last_text: str
    urgent: bool


async def _ahead(session: AsyncSession, conversation_id: str, since: datetime | None) -> int:
    """How many residents wait longer than this one."""
    earlier = or_(
        Conversation.waiting_since < since,
        (Conversation.waiting_since == since) & (Conversation.id < conversation_id),
    )
    count = await session.scalar(
        select(func.count()).select_from(Conversation).where(Conversation.state == "waiting", earlier)
    )
    return count or 0


async def handover_state(
    session: AsyncSession, conversation_id: str, state: str, waiting_since: datetime | None
) -> dict[str, str | int] | None:
    """The `handover` field of the public API for a conversation in this state."""
    if state == "waiting":
        return {"state": "waiting", "ahead": await _ahead(session, conversation_id, waiting_since)}
    if state == "agent":
        return {"state": "agent", "ahead": 0}
    return None


class Handover:
    """The queue of residents who wait for a person."""

    def __init__(self, db: Database, events: Events, *, max_chars: int) -> None:
        self._db, self._events, self._max_chars = db, events, max_chars

    async def request(self, conversation_id: str, reason: str) -> int:
        """Put the resident into the queue (once); returns how many wait before. Raises NotFound."""
        async with self._db.begin() as session:
            conversation = await self._get(session, conversation_id, lock=True)
            if conversation.state == "bot":
                conversation.state, conversation.waiting_since = "waiting", now()
                conversation.waiting_reason = reason[:200]
            waits = conversation.state == "waiting"
            ahead = await _ahead(session, conversation_id, conversation.waiting_since) if waits else 0
        self._events.notify(conversation_id)
        return ahead

    async def leave(self, conversation_id: str) -> None:
        """The resident no longer wants to wait."""
        async with self._db.begin() as session:
            await session.execute(
                update(Conversation)
                .where(Conversation.id == conversation_id, Conversation.state == "waiting")
                .values(state="bot", waiting_since=None, waiting_reason=None)
            )
        self._events.notify(conversation_id)

    async def waiting(self) -> list[WaitingResident]:
        """Everybody who waits, the longest first."""
        async with self._db.read() as session:
            last = (
                select(Message.conversation_id, func.max(Message.id).label("id"))
                .where(Message.sender == "resident")
                .group_by(Message.conversation_id)
                .subquery()
            )
            rows = await session.execute(
                select(Conversation, Message)
                .outerjoin(last, last.c.conversation_id == Conversation.id)
                .outerjoin(Message, Message.id == last.c.id)
                .where(Conversation.state == "waiting")
                .order_by(Conversation.waiting_since, Conversation.id)
            )
            return [
                WaitingResident(
                    conversation_id=conversation.id,
                    channel=conversation.channel,
                    since=conversation.waiting_since or conversation.created_at,
                    reason=conversation.waiting_reason or "",
                    last_text=message.text if message else "",
                    urgent=bool(message and (message.understanding or {}).get("urgency") == "特急"),
                )
                for conversation, message in rows
            ]

    async def taken_by(self, user_id: int) -> list[str]:
        """Conversations that this agent has open."""
        async with self._db.read() as session:
            return list(
                await session.scalars(
                    select(Conversation.id).where(Conversation.state == "agent", Conversation.agent_id == user_id)
                )
            )

    async def take(self, conversation_id: str, user_id: int, display_name: str = "座席") -> None:
        """One agent takes the resident; two at once: one wins. Raises Conflict, NotFound."""
        async with self._db.begin() as session:
            conversation = await self._get(session, conversation_id, lock=True)
            if conversation.state == "agent" and conversation.agent_id == user_id:
                return
            if conversation.state == "agent":
                raise Conflict("这位市民已经由其他座席接待。")
            conversation.state, conversation.agent_id, conversation.waiting_since = "agent", user_id, None
            session.add(Message(conversation_id=conversation_id, sender="system", text=TAKEN.format(name=display_name)))
        self._events.notify(conversation_id)

    async def transcript(self, conversation_id: str) -> list[Message]:
        """All messages in order. Raises NotFound."""
        async with self._db.read() as session:
            await self._get(session, conversation_id)
            return list(
                await session.scalars(
                    select(Message).where(Message.conversation_id == conversation_id).order_by(Message.id)
                )
            )

    async def reply(
        self,
        conversation_id: str,
        user_id: int,
        text: str,
        display_name: str = "座席",
        *,
        ticket: dict[str, Any] | None = None,
    ) -> Message:
        """The agent's words, to the resident, and kept as a past reply to learn from. Raises Conflict, BadInput.

        `ticket`: shown with the words, which tell of it and are nothing to learn.
        """
        text, _ = mask(clean(text, max_chars=self._max_chars))
        async with self._db.begin() as session:
            conversation = await self._get(session, conversation_id, lock=True)
            if conversation.state != "agent" or conversation.agent_id != user_id:
                raise Conflict("请先接入这位市民，再回复。")
            latest = await session.scalars(
                select(Message)
                .where(Message.conversation_id == conversation_id, Message.sender.in_(("resident", "agent")))
                .order_by(Message.id.desc())
                .limit(20)
            )
            question = question_of(list(latest)[::-1])
            message = Message(
                conversation_id=conversation_id, sender="agent", text=text, author=display_name, ticket=ticket
            )
            session.add(message)
            await session.flush()
            if question and ticket is None:
                session.add(PastReply(question=question, reply=text, message_id=message.id))
        self._events.notify(conversation_id)
        return message

    async def release(self, conversation_id: str, user_id: int) -> None:
        """Back to the assistant. Raises Conflict when another agent holds it."""
        async with self._db.begin() as session:
            conversation = await self._get(session, conversation_id, lock=True)
            if conversation.state != "agent":
                return
            if conversation.agent_id != user_id:
                raise Conflict("这位市民由其他座席接待。")
            conversation.state, conversation.agent_id, conversation.waiting_reason = "bot", None, None
            session.add(Message(conversation_id=conversation_id, sender="system", text=RELEASED))
        self._events.notify(conversation_id)

    async def _get(self, session: AsyncSession, conversation_id: str, *, lock: bool = False) -> Conversation:
        conversation = await session.get(Conversation, conversation_id, with_for_update=lock or None)
        if conversation is None:
            raise NotFound("没有找到这个会话。")
        return conversation
