"""The health of the knowledge base: every check, the tasks that come of it, and the nightly run."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbFinding, KbHits, KbUnanswered
from assistant.db.session import Database
from kb import feedback, phrasings, reading, store
from kb.answer_log import AnswerLog
from kb.documents import Document
from kb.health import tasks
from kb.health.dates import never_hit, run_out
from kb.health.finding import KINDS, Entry, Finding
from kb.health.look import Material, Seen, look_elsewhere
from kb.health.phrased import dead_phrasings
from kb.health.tasks import Task
from kb.health.unanswered import FEWEST, Asked, unanswered
from kb.index import Floats
from kb.service import KnowledgeBase

log = structlog.get_logger()

NIGHTLY_AT_HOUR = 3
_ZONE = ZoneInfo("Asia/Shanghai")
_LOOK_EVERY_S = 600.0
# Several processes wake at the same hour; the first to finish spares the others.
_JITTER_S = 300.0
# A reading of so many documents blocks the loop for some ten milliseconds at most.
_DOCUMENTS_AT_ONCE = 20
_MOST_QUESTIONS = 3_000
_ASKED_AGAIN = 3
_IDS_LOGGED = 20


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What a run found (`found`: by kind) and changed. `unread`: sentences with numbers that could not be compared."""

    found: dict[str, int]
    new: int
    reopened: int
    closed: int
    open: int
    documents: int
    passages: int
    questions: int
    seconds: float
    unread: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Progress:
    running: bool = False
    failed: bool = False
    last: HealthReport | None = None
    at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Health:
    """One a process.

    Args:
        look: how the texts are read; by default in a process of its own.
        clock: zoned UTC time.
        zone: the city's time zone; the nightly run begins at three o'clock there.
    """

    def __init__(
        self,
        db: Database,
        kb: KnowledgeBase,
        encoder_id: Callable[[], str],
        *,
        answers: AnswerLog | None = None,
        look: Callable[[Material], Awaitable[Seen]] = look_elsewhere,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        zone: ZoneInfo = _ZONE,
    ) -> None:
        self._db, self._kb, self._encoder_id, self._answers, self._look = db, kb, encoder_id, answers, look
        self._clock, self._zone = clock, zone
        self._progress = _Progress()

    @property
    def running(self) -> bool:
        """Whether a run is under way in this process."""
        return self._progress.running

    @property
    def failed(self) -> bool:
        """Whether the last run of this process ended with an error."""
        return self._progress.failed

    @property
    def last(self) -> tuple[datetime, HealthReport] | None:
        """The last run of this process: when it ended, what came of it."""
        if self._progress.at is None or self._progress.last is None:
            return None
        return self._progress.at, self._progress.last

    async def check(self) -> HealthReport:
        """Look at everything once and bring the tasks up to date; a second call waits for the first."""
        async with self._progress.lock:
            self._progress.running = True
            try:
                report = await self._check()
                self._progress.failed = False
            except Exception:
                self._progress.failed = True
                raise
            finally:
                self._progress.running = False
            self._progress.last, self._progress.at = report, self._clock()
            return report

    async def run(self, stop: asyncio.Event) -> None:
        """Look once every night after three, wherever no other process has done so."""
        while not stop.is_set():
            pause = _LOOK_EVERY_S + random.uniform(0, _JITTER_S)  # noqa: S311
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            if not stop.is_set() and await self.is_due():
                await self._until(stop)

    async def is_due(self) -> bool:
        """Whether nobody has looked since three o'clock last."""
        local = self._clock().astimezone(self._zone)
        night = local.replace(hour=NIGHTLY_AT_HOUR, minute=0, second=0, microsecond=0)
        if local < night:
            night -= timedelta(days=1)
        if self._progress.at is not None and self._progress.at >= night:
            return False
        async with self._db.read() as session:
            seen = await tasks.last_run(session)
        return seen is None or seen < night

    async def tasks(
        self,
        *,
        kinds: Sequence[str] = (),
        states: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Task]:
        """Tasks, the latest found first; without `kinds` or `states`, of all."""
        async with self._db.read() as session:
            return await tasks.listed(session, kinds=kinds, states=states, limit=limit)

    async def questions(self, task_id: int, *, limit: int) -> list[str]:
        """What was asked in a cluster of unanswered questions, each once, the latest first. Raises FindingNotFound."""
        async with self._db.read() as session:
            task = await session.get(KbFinding, task_id)
            if task is None:
                raise tasks.FindingNotFound
            rows = await session.scalars(
                select(KbUnanswered.question)
                .where(KbUnanswered.id.in_(task.detail.get("questions", [])))
                .order_by(KbUnanswered.id.desc())
            )
            return list(dict.fromkeys(rows))[:limit]

    async def titles(self, ids: Collection[str]) -> dict[str, str]:
        """Titles of those of the documents that still exist, by id."""
        async with self._db.read() as session:
            rows = await session.execute(select(KbDocument.id, KbDocument.title).where(KbDocument.id.in_(ids)))
            return {row.id: row.title for row in rows}

    async def counts(self) -> dict[tuple[str, str], int]:
        """Number of tasks by kind and state."""
        async with self._db.read() as session:
            return await tasks.counts(session)

    async def change(self, task_id: int, *, by: str, state: str | None = None, owner: str | None = None) -> Task:
        """Set the state or the owner of a task ("" takes the owner away). Raises FindingNotFound, KbError."""
        async with self._db.begin() as session:
            return await tasks.change(session, task_id, by=by, state=state, owner=owner)

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _until(self, stop: asyncio.Event) -> None:
        work, ended = asyncio.create_task(self.check()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for each in (work, ended):
                each.cancel()
            await asyncio.gather(work, ended, return_exceptions=True)

    async def _check(self) -> HealthReport:
        started, clock = self._clock(), time.monotonic()
        today = self._kb.today()
        # Vectors that are missing, or of another encoder, are made first.
        await self._kb.load()
        if self._answers is not None:
            await self._answers.store()
            await self._answers.forget_old()
        documents = await self._kb.list_documents()
        entries = await self._entries([d for d in documents if d.in_force(today)])
        asked = await self._asked()
        vectors, owners = _passages(entries)
        centre = vectors.mean(axis=0) if len(vectors) else np.zeros(1, dtype=np.float32)
        if not len(vectors):
            asked = []
        seen = await self._look(Material(entries, documents, today, asked, centre, self._encoder_id()))
        if seen.unread:
            log.warning("kb_health_unread", sentences=len(seen.unread), passages=sorted(set(seen.unread))[:_IDS_LOGGED])
        found = [*run_out(documents, today), *await self._never_hit(documents, today), *seen.findings]
        open_clusters = await self._still_unanswered(asked, seen.clusters)
        known = await self._known_clusters()
        by_id = {document.id: document for document in documents}
        found += await asyncio.to_thread(lambda: list(unanswered(asked, open_clusters, vectors, owners, by_id, known)))
        in_force = {entry.document.id: entry.document for entry in entries}
        async with self._db.read() as session:
            found += dead_phrasings(await phrasings.listed(session), in_force)
        async with self._db.begin() as session:
            found += await feedback.findings(session)
            changed = await tasks.take_in(session, found, KINDS, started=started)
        report = HealthReport(
            found=dict(Counter[str](f.kind for f in found)),
            new=changed.new,
            reopened=changed.reopened,
            closed=changed.closed,
            open=changed.open,
            documents=len(entries),
            passages=len(vectors),
            questions=len(asked),
            seconds=round(time.monotonic() - clock, 2),
            unread=len(seen.unread),
        )
        log.info("kb_health", **report.as_dict())
        return report

    async def _entries(self, documents: Sequence[Document]) -> list[Entry]:
        entries = []
        encoder_id = self._encoder_id()
        for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
            part = {document.id: document for document in documents[start : start + _DOCUMENTS_AT_ONCE]}
            async with self._db.read(consistent=True) as session:
                for stored in await reading.stored(session, list(part), encoder_id):
                    passages = [p for p in stored.passages if p.id in stored.vectors]
                    if passages:
                        vectors = np.array([stored.vectors[p.id] for p in passages], dtype=np.float32)
                        entries.append(Entry(part[stored.id], passages, vectors))
            await asyncio.sleep(0)
        return entries

    async def _asked(self) -> list[Asked]:
        async with self._db.read() as session:
            rows = await session.scalars(
                select(KbUnanswered)
                .where(KbUnanswered.encoder == self._encoder_id())
                .order_by(KbUnanswered.id.desc())
                .limit(_MOST_QUESTIONS)
            )
            return [Asked(row.id, row.question, row.asked_at, store.from_bytes(row.embedding)) for row in rows]

    async def _still_unanswered(self, asked: Sequence[Asked], clusters: Sequence[Sequence[int]]) -> list[list[int]]:
        """Clusters less those that the base can answer by now: some of each are asked again."""
        still = []
        for cluster in clusters:
            if len(cluster) < FEWEST:
                continue
            again = list(dict.fromkeys(asked[i].question for i in cluster))[:_ASKED_AGAIN]
            answers = [await self._kb.answer(question, rephrase=False) for question in again]
            if 2 * sum(answer.outcome == "not_found" for answer in answers) > len(answers):
                still.append(list(cluster))
        return still

    async def _known_clusters(self) -> dict[str, list[int]]:
        async with self._db.read() as session:
            rows = await session.scalars(select(KbFinding).where(KbFinding.kind == "unanswered"))
            return {row.detail["about"]: row.detail["questions"] for row in rows if "about" in row.detail}

    async def _never_hit(self, documents: Sequence[Document], today: date) -> list[Finding]:
        async with self._db.read() as session:
            last = await _last_hits(session)
            since = await session.scalar(select(func.min(KbHits.day)))
            created = {
                row.id: row.created_at.astimezone(self._zone).date()
                for row in await session.execute(select(KbDocument.id, KbDocument.created_at))
            }
        return list(never_hit(documents, created, last, since, today))


async def _last_hits(session: AsyncSession) -> dict[str, date]:
    rows = await session.execute(select(KbHits.document_id, func.max(KbHits.day)).group_by(KbHits.document_id))
    return {row[0]: row[1] for row in rows}


def _passages(entries: Sequence[Entry]) -> tuple[Floats, list[str]]:
    """The vectors of all passages (n, width), and the document each belongs to."""
    if not entries:
        return np.zeros((0, 1), dtype=np.float32), []
    owners = [entry.document.id for entry in entries for _ in entry.passages]
    return np.concatenate([entry.vectors for entry in entries]), owners
