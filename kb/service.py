"""The knowledge base: one object a process, over the shared database.

The index lives in memory and is rebuilt from the database whenever the revision there differs, so that what one
process publishes or suspends holds for the next question in every process.
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
from kb.passages import Piece, split
from kb.search import Encoder, Hit, Prepared, Query, Snapshot, search_text

__all__ = ["ImportReport", "KbSettings", "KnowledgeBase", "NewDocument", "Refusal"]

log = structlog.get_logger()
Progress = Callable[[int, int], None]


def _today() -> date:
    return today_in("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class KbSettings:
    """`today` is the calendar day in the city; `calibration` says when an answer is good enough to give."""

    today: Callable[[], date] = _today
    calibration: Calibration = field(default_factory=Calibration.load)
    embed_batch: int = 32
    documents_per_transaction: int = 16


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
        self._snapshot: Snapshot | None = None
        self._loading = asyncio.Lock()
        calibration = self._settings.calibration
        if calibration.of(encoder.encoder_id) is not calibration:
            log.warning("kb_calibrated_for_another_encoder", remedy="python -m kb.calibrate")

    @property
    def loaded(self) -> bool:
        return self._snapshot is not None

    # --- asking ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Build the index from the database unless it is up to date; vectors that are missing are made and stored."""
        await self._current()

    async def search(self, query: str, *, top_k: int = 10, as_of: date | None = None) -> list[Hit]:
        """The passages that fit best, of documents in force today (or on the day `as_of`), best first."""
        snapshot = await self._current()
        today = self._settings.today()

        def run() -> list[Hit]:
            if not query.strip():
                return []
            return snapshot.search(Query.of(query, self._encoder), top_k=top_k, today=today, as_of=as_of)

        return await asyncio.to_thread(run)

    async def answer(self, question: str, *, as_of: date | None = None, after: str = "") -> Answer:
        """An answer in sentences of documents in force, each cited, or an honest "not found".

        `after`: the question that this one goes on from ("居住证怎么办", then "那要多久").
        """
        snapshot = await self._current()
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

    async def _current(self) -> Snapshot:
        snapshot = self._snapshot
        if snapshot is not None and snapshot.revision == await self._revision():
            return snapshot
        async with self._loading:
            # Whoever held the lock before may have loaded what is wanted here.
            snapshot = self._snapshot
            if snapshot is None or snapshot.revision != await self._revision():
                snapshot = await self._load(snapshot)
                self._snapshot = snapshot
            return snapshot

    async def _revision(self) -> int:
        async with self._db.read() as session:
            return await store.revision(session)

    async def _load(self, old: Snapshot | None) -> Snapshot:
        started = time.monotonic()
        encoder_id = self._encoder.encoder_id
        known = {p.id: done for p, done in zip(old.passages, old.prepared, strict=True)} if old else {}
        async with self._db.read() as session:
            await store.consistent(session)
            revision = await store.revision(session)
            documents = {d.id: d for d in await store.documents(session, searchable=True)}
            passages = [p for p in await store.passages(session) if p.document_id in documents]
            found_by = {p.id: search_text(documents[p.document_id].title, p.article, p.text) for p in passages}
            prepared = {p.id: known[p.id] for p in passages if p.id in known and known[p.id].text == found_by[p.id]}
            fresh = [p for p in passages if p.id not in prepared]
            vectors = await store.vectors(session, [p.id for p in fresh], encoder_id)
        missing = [p for p in fresh if p.id not in vectors]
        size = self._settings.embed_batch
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            made = await asyncio.to_thread(self._encoder.embed, [found_by[p.id] for p in part], "passage")
            vectors |= {p.id: made[i] for i, p in enumerate(part)}
            async with self._db.begin() as session:
                await store.keep_vectors(session, [(p.id, p.text) for p in part], list(made), encoder_id)

        def build() -> Snapshot:
            for p in fresh:
                prepared[p.id] = Prepared.of(documents[p.document_id].title, found_by[p.id], vectors[p.id])
            return Snapshot(documents, passages, [prepared[p.id] for p in passages], revision)

        snapshot = await asyncio.to_thread(build)
        log.info(
            "kb_loaded",
            revision=revision,
            documents=len(documents),
            passages=len(passages),
            embedded=len(missing),
            seconds=round(time.monotonic() - started, 3),
        )
        return snapshot
