"""What the chat's answers rested on, and what it had no answer to: counted in memory, stored in the background.

A turn only appends to a list. A process that is killed loses what the last seconds brought.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from assistant.db.models import KbHits, KbUnanswered, now
from assistant.db.session import Database
from assistant.privacy import mask
from kb.answer import Answer
from kb.health import tasks
from kb.search import Encoder
from kb.store import to_bytes

log = structlog.get_logger()

KEPT_DAYS = 90
_EVERY_S = 5.0
_MOST_WAITING = 1_000
_MAX_CHARS = 500
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    at: datetime


class AnswerLog:
    """One a process. `today` gives the city's calendar day."""

    def __init__(self, db: Database, encoder: Encoder, today: Callable[[], date]) -> None:
        self._db, self._encoder, self._today = db, encoder, today
        self._hits: Counter[tuple[str, date]] = Counter()
        self._questions: list[_Question] = []

    def note(self, question: str, answer: Answer, *, after: str = "") -> None:
        """Remember the documents an answer cites, or the question that found none. Never waits, never fails."""
        if answer.outcome == "answered":
            self._hits.update((id_, self._today()) for id_ in {c.document for c in answer.citations})
        elif answer.outcome == "not_found" and answer.steps and answer.steps[0].outcome == "ok":
            whole = " ".join(part.strip() for part in (after, question) if part.strip())
            if len(self._questions) < _MOST_WAITING:
                self._questions.append(_Question(mask(whole)[0][:_MAX_CHARS], now()))

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was noted every few seconds, and once more at the end."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S)
            await self.store()

    async def store(self) -> None:
        """Store what was noted; what cannot be stored is tried again."""
        hits, self._hits = self._hits, Counter()
        asked, self._questions = self._questions, []
        try:
            await self._store_hits(hits)
            hits = Counter()
            while asked:
                await self._store_questions(asked[:_AT_ONCE])
                asked = asked[_AT_ONCE:]
        except Exception as error:
            self._hits.update(hits)
            self._questions = [*asked, *self._questions][:_MOST_WAITING]
            log.warning("kb_answers_not_logged", error=type(error).__name__)

    async def forget_old(self) -> int:
        """Delete questions older than 90 days, and finished tasks that quote only such; returns how many questions."""
        async with self._db.begin() as session:
            gone = await session.execute(
                delete(KbUnanswered).where(KbUnanswered.asked_at < now() - timedelta(days=KEPT_DAYS))
            )
            await tasks.forget_questions(session, await session.scalar(select(func.min(KbUnanswered.id))))
        return int(getattr(gone, "rowcount", 0))

    async def _store_hits(self, hits: Counter[tuple[str, date]]) -> None:
        if not hits:
            return
        async with self._db.begin() as session:
            insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            # In one order, so that two processes do not wait for each other's rows.
            for (document_id, day), count in sorted(hits.items()):
                row = insert(KbHits).values(document_id=document_id, day=day, count=count)
                await session.execute(
                    row.on_conflict_do_update(
                        index_elements=["document_id", "day"], set_={"count": KbHits.count + row.excluded.count}
                    )
                )

    async def _store_questions(self, asked: list[_Question]) -> None:
        # One by one, so that a turn's own question does not wait for a batch.
        vectors = [(await asyncio.to_thread(self._encoder.embed, [one.text], "query"))[0] for one in asked]
        async with self._db.begin() as session:
            session.add_all(
                KbUnanswered(
                    question=one.text, embedding=to_bytes(vector), encoder=self._encoder.encoder_id, asked_at=one.at
                )
                for one, vector in zip(asked, vectors, strict=True)
            )
