"""The knowledge base: one object a process, over the shared database.

The index lives in memory and is brought up to date whenever the revision in the database differs, so that what one
process publishes or suspends holds for the next question in every process (`kb/keeper.py`).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import structlog

from assistant.db.session import Database
from kb import store
from kb.answer import Answer, Calibration, answer
from kb.documents import Document, DocumentWithPassages, NewDocument, Status, today_in
from kb.errors import DocumentExists, DocumentNotFound, InvalidDocument, KbError
from kb.importer import read_folder
from kb.index import Floats
from kb.keeper import IndexKeeper
from kb.passages import Piece, split
from kb.search import NO_FILTERS, Encoder, Filters, Hit, Query, search_text

__all__ = ["ImportReport", "KbSettings", "KnowledgeBase", "NewDocument", "Refusal"]

log = structlog.get_logger()
Progress = Callable[[int, int], None]


def _today() -> date:
    return today_in("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class KbSettings:
    """`today` is the calendar day in the city; `calibration` says when an answer is good enough to give.

    `index_folder`: where a copy of the index is kept for a quick start (None: it is made from the database).
    """

    today: Callable[[], date] = _today
    calibration: Calibration = field(default_factory=Calibration.load)
    embed_batch: int = 32
    documents_per_transaction: int = 16
    index_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not imported, and why, in Chinese."""

    name: str
    reason: str


@dataclass(slots=True)
class ImportReport:
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    passages: int = 0
    refused: list[Refusal] = field(default_factory=list)
    seconds: float = 0.0


class KnowledgeBase:
    """Search and answer from policy documents in force; import and publish them.

    Args:
        db: the migrated database.
        encoder: makes vectors of questions and passages; vectors in the database of another encoder are made anew.
    """

    def __init__(self, db: Database, encoder: Encoder, *, settings: KbSettings | None = None) -> None:
        self._db = db
        self._encoder = encoder
        self._settings = settings or KbSettings()
        self._index = IndexKeeper(
            db, encoder, folder=self._settings.index_folder, embed_batch=self._settings.embed_batch
        )
        calibration = self._settings.calibration
        if calibration.of(encoder.encoder_id) is not calibration:
            log.warning("kb_calibrated_for_another_encoder", remedy="python -m kb.calibrate")

    @property
    def loaded(self) -> bool:
        return self._index.loaded

    # --- asking ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Bring the index up to date with the database; vectors that are missing are made and stored."""
        await self._index.current()

    async def settled(self) -> None:
        """Wait until nothing of the index is merged or written in the background."""
        await self._index.settled()

    async def search(
        self, query: str, *, top_k: int = 10, as_of: date | None = None, filters: Filters = NO_FILTERS
    ) -> list[Hit]:
        """The passages that fit best, of documents in force today (or on the day `as_of`), best first."""
        snapshot = await self._index.current()
        today = self._settings.today()

        def run() -> list[Hit]:
            if not query.strip():
                return []
            return snapshot.search(
                Query.of(query, self._encoder), top_k=top_k, today=today, as_of=as_of, filters=filters
            )

        return await asyncio.to_thread(run)

    async def answer(
        self, question: str, *, as_of: date | None = None, after: str = "", filters: Filters = NO_FILTERS
    ) -> Answer:
        """An answer in sentences of documents in force, each cited, a question back, or an honest "not found".

        `after`: the question that this one goes on from ("居住证怎么办", then "那要多久").
        """
        snapshot = await self._index.current()
        settings = self._settings
        result = await asyncio.to_thread(
            answer,
            question,
            snapshot,
            self._encoder,
            settings.calibration,
            today=settings.today(),
            as_of=as_of,
            after=after,
            filters=filters,
        )
        log.info(
            "kb_answer",
            outcome=result.outcome,
            confidence=round(result.confidence, 3),
            documents=[c.document for c in result.citations],
            ms=round(sum(s.ms for s in result.steps), 1),
            revision=snapshot.revision,
        )
        return result

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def import_documents(
        self, docs: Iterable[NewDocument], *, publish: bool, progress: Progress | None = None
    ) -> ImportReport:
        """Store documents with their passages and vectors; what cannot be stored is reported and the rest goes on.

        A document with the same id and content is left as it is; with other content it becomes a new version. With
        `publish`, each gets the status it names itself, or "published"; a suspended one stays suspended.
        `progress(done, total)` counts documents.
        """
        started = time.monotonic()
        report = ImportReport()
        waiting = list(docs)
        seen: set[str] = set()
        size = self._settings.documents_per_transaction
        for start in range(0, len(waiting), size):
            batch: list[NewDocument] = []
            for document in waiting[start : start + size]:
                try:
                    checked = document.checked()
                    if checked.id in seen:
                        raise InvalidDocument("同一批里编号重复。")
                    seen.add(checked.id)
                    batch.append(checked)
                except KbError as error:
                    report.refused.append(Refusal(document.id or document.title, error.detail))
            await self._store(batch, publish, report)
            if progress:
                progress(min(start + size, len(waiting)), len(waiting))
        report.seconds = round(time.monotonic() - started, 3)
        log.info(
            "kb_import",
            added=report.added,
            updated=report.updated,
            unchanged=report.unchanged,
            refused=len(report.refused),
            passages=report.passages,
            seconds=report.seconds,
        )
        return report

    async def seed(self, folder: Path) -> ImportReport:
        """Publish a city's entries that the database does not know yet; what staff changed or suspended stays."""
        documents, refused = await asyncio.to_thread(read_folder, folder)
        async with self._db.read() as session:
            known = await store.hashes(session, [d.id for d in documents])
        report = await self.import_documents([d for d in documents if d.id not in known], publish=True)
        report.unchanged += len(known)
        report.refused += [Refusal(error.name, error.reason) for error in refused]
        return report

    async def add_draft(self, document: NewDocument, *, replace: bool = False) -> DocumentWithPassages:
        """Store a document that nobody is answered from yet.

        Raises DocumentExists when the id is taken, unless `replace` is set and the stored one is a draft, too.
        """
        checked = document.checked()
        pieces, vectors = await self._pieces(checked)
        async with self._db.begin() as session:
            await store.count_up(session)
            if not replace and checked.id in await store.hashes(session, [checked.id]):
                raise DocumentExists()
            await store.put(session, checked, pieces, vectors, self._encoder.encoder_id, publish=False)
        return await self._existing(checked.id)

    async def publish(self, document_id: str) -> Document:
        """From the next question on the document is answered from (within its validity)."""
        return await self._set_status(document_id, "published")

    async def suspend(self, document_id: str) -> Document:
        """From the next question on the document is not answered from."""
        return await self._set_status(document_id, "suspended")

    async def list_documents(self) -> list[Document]:
        """All documents, by title."""
        async with self._db.read() as session:
            return await store.documents(session)

    async def passage_counts(self) -> dict[str, int]:
        """Number of passages by document id."""
        async with self._db.read() as session:
            return await store.passage_counts(session)

    async def get(self, document_id: str) -> DocumentWithPassages | None:
        """A document and its passages in reading order; None where there is none."""
        async with self._db.read() as session:
            document = await store.document(session, document_id)
            if document is None:
                return None
            return DocumentWithPassages(document, await store.passages(session, document_id))

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _existing(self, document_id: str) -> DocumentWithPassages:
        found = await self.get(document_id)
        if found is None:
            raise DocumentNotFound()
        return found

    async def _set_status(self, document_id: str, status: Status) -> Document:
        async with self._db.begin() as session:
            await store.count_up(session)
            document = await store.set_status(session, document_id, status)
        log.info("kb_status", document=document_id, status=status)
        return document

    async def _pieces(self, document: NewDocument) -> tuple[list[Piece], Floats]:
        def run() -> tuple[list[Piece], Floats]:
            pieces = split(document.text, document.title)
            found_by = [search_text(document.title, p.article, p.text) for p in pieces]
            size = self._settings.embed_batch
            made = [self._encoder.embed(found_by[i : i + size], "passage") for i in range(0, len(found_by), size)]
            return pieces, np.concatenate(made)

        return await asyncio.to_thread(run)

    async def _store(self, batch: Sequence[NewDocument], publish: bool, report: ImportReport) -> None:
        async with self._db.read() as session:
            known = await store.hashes(session, [d.id for d in batch])
        changed = []
        for document in batch:
            digest, status = known.get(document.id, ("", ""))
            if digest == document.content_hash() and not (publish and status == "draft"):
                report.unchanged += 1
            else:
                changed.append((document, *await self._pieces(document)))
        if not changed:
            return
        async with self._db.begin() as session:
            await store.count_up(session)
            for document, pieces, vectors in changed:
                try:
                    outcome = await store.put(
                        session, document, pieces, vectors, self._encoder.encoder_id, publish=publish
                    )
                except KbError as error:
                    report.refused.append(Refusal(document.id, error.detail))
                    continue
                setattr(report, outcome, getattr(report, outcome) + 1)
                report.passages += len(pieces) if outcome != "unchanged" else 0
