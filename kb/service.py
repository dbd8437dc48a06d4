"""The knowledge base: one object a process, over the shared database.

The index lives in memory and is brought up to date whenever the revision in the database differs, so that what one
process publishes or suspends holds for the next question in every process (`kb/keeper.py`).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from assistant.db.session import Database
from kb import feedback, lifecycle, phrasing_moves, phrasing_seed, store, versions
from kb.answer import Answer, Calibration, Step, answer
from kb.compare import Comparison, compare
from kb.documents import FIELD_NAMES, Document, DocumentWithPassages, NewDocument, Status, today_in
from kb.errors import DocumentExists, DocumentNotFound, InvalidDocument, KbError, MoveRefused
from kb.importer import read_folder
from kb.index import Floats
from kb.keeper import IndexKeeper
from kb.lifecycle import Role
from kb.passages import Piece, split
from kb.rephrase import STEP, Rephraser
from kb.search import NO_FILTERS, Encoder, Filters, Hit, Query, search_text
from kb.versions import IMPORTED, SEEDED, Version, VersionInfo

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
        rephraser: says answers in plainer words; None: they are given as they stand.
    """

    def __init__(
        self,
        db: Database,
        encoder: Encoder,
        *,
        settings: KbSettings | None = None,
        rephraser: Rephraser | None = None,
    ) -> None:
        self._db = db
        self._rephraser = rephraser
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

    def today(self) -> date:
        """The calendar day in the city."""
        return self._settings.today()

    # --- asking ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Bring the index up to date with the database; vectors that are missing are made and stored."""
        await self._index.current()

    async def close(self) -> None:
        """End what is open to other servers; the database is whoever's made it."""
        if self._rephraser is not None:
            await self._rephraser.close()

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
        self,
        question: str,
        *,
        as_of: date | None = None,
        after: str = "",
        filters: Filters = NO_FILTERS,
        rephrase: bool = True,
    ) -> Answer:
        """An answer in sentences of documents in force, each cited, a question back, or an honest "not found".

        `after`: the question that this one goes on from ("居住证怎么办", then "那要多久").
        `rephrase`: put it into plainer words where a language model is set; False where nobody reads the text.
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
        if result.outcome == "answered":
            if self._rephraser is not None and rephrase:
                result = await self._rephraser.rephrase(result, question, after=after, as_of=as_of)
                if (await self._index.current()).revision != snapshot.revision:
                    # The model took its time, and what it was told of may be off the air by now.
                    return await self.answer(question, as_of=as_of, after=after, filters=filters, rephrase=False)
            else:
                result = replace(result, steps=[*result.steps, Step(STEP, 0.0, "off")])
        log.info(
            "kb_answer",
            outcome=result.outcome,
            confidence=round(result.confidence, 3),
            documents=[c.document for c in result.citations],
            ms=round(sum(s.ms for s in result.steps), 1),
            revision=snapshot.revision,
        )
        return result

    async def feedback(
        self,
        key: str,
        document_id: str,
        article: str | None,
        verdict: str,
        comment: str | None,
        source: str,
    ) -> None:
        """Keep what somebody says of an answer at the entry it came from; the same `key` again replaces it.

        Args:
            verdict: helpful, wrong or outdated; the last two become a task (`kb.health`).
            comment: in their own words; phone and identity numbers are masked.
            source: resident or agent.

        Raises DocumentNotFound, and KbError for another verdict or source.
        """
        async with self._db.begin() as session:
            await feedback.put(session, key, document_id, article, verdict, comment, source)
        log.info("kb_feedback", document=document_id, verdict=verdict, source=source)

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def import_documents(
        self,
        docs: Iterable[NewDocument],
        *,
        publish: bool,
        progress: Progress | None = None,
        by: str | None = IMPORTED,
    ) -> ImportReport:
        """Store documents with their passages and vectors; what cannot be stored is reported and the rest goes on.

        A document with the same id and content is left as it is; with other content it becomes a new version. With
        `publish`, each gets the status it names itself, or "published"; what is suspended, expired or superseded stays
        so.
        `progress(done, total)` counts documents; `by` is who made these versions.
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
            await self._store(batch, publish, report, by)
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
        """Publish a city's entries that the database does not know yet; what staff changed or suspended stays.

        Phrasings for the city's entries come from the folder "phrasings" beside, and those of its rows that name a
        document by its id; each is brought once, at whichever start finds it first (`kb.phrasing_seed`).
        """
        documents, refused = await asyncio.to_thread(read_folder, folder)
        async with self._db.read() as session:
            known = await store.hashes(session, [d.id for d in documents])
        new = [d for d in documents if d.id not in known]
        report = await self.import_documents(new, publish=True, by=SEEDED)
        report.unchanged += len(known)
        report.refused += [Refusal(error.name, error.reason) for error in refused]
        not_brought = await phrasing_seed.seed(self._db, self._encoder, folder.with_name("phrasings"), documents)
        report.refused += [Refusal(name, reason) for name, reason in not_brought]
        return report

    async def add_draft(
        self, document: NewDocument, *, replace: bool = False, by: str | None = None
    ) -> DocumentWithPassages:
        """Store a document that nobody is answered from yet; `by` is who made this version.

        Raises DocumentExists when the id is taken, unless `replace` is set and the stored one is a draft, too.
        """
        checked = document.checked()
        pieces, vectors = await self._pieces(checked)
        async with self._db.begin() as session:
            await store.count_up(session)
            if not replace and checked.id in await store.hashes(session, [checked.id]):
                raise DocumentExists()
            was = await phrasing_moves.before(session, checked.id)
            await store.put(session, checked, pieces, vectors, self._encoder.encoder_id, publish=False)
            await phrasing_moves.follow(session, was)
            await versions.keep(session, {checked.id: checked.text}, by)
        return await self._existing(checked.id)

    async def publish(self, document_id: str, *, by: str | None = None) -> Document:
        """From the next question on the document is answered from (within its validity).

        Raises MoveRefused for one that has run out.
        """
        return await self._move_to("published", document_id, by)

    async def suspend(self, document_id: str, *, by: str | None = None) -> Document:
        """From the next question on the document is not answered from."""
        return await self._move_to("suspended", document_id, by)

    async def move(
        self,
        document_id: str,
        operation: str,
        *,
        by: str | None = None,
        role: Role = Role.EDITOR,
        successor: str | None = None,
        until: date | None = None,
    ) -> Document:
        """Take a step of the table in `kb.lifecycle`; it holds from the next question on.

        Args:
            successor: id of the document that takes this one's place; it gets this one's phrasings, too, and one that
                takes it no longer loses them (`kb.phrasing_moves`).
            until: the last day in force of a document that expires or is superseded.

        Raises DocumentNotFound, MoveRefused (with the reason).
        """
        async with self._db.begin() as session:
            await store.count_up(session)
            document = await store.document(session, document_id)
            if document is None:
                raise DocumentNotFound()
            transition = lifecycle.find(document, operation, role)
            heir = await store.document(session, successor) if successor else None
            if successor and heir is None:
                raise MoveRefused(f"没有编号为 {successor} 的文件。")
            end_before, suspended_before = None, False
            if document.superseded_by:
                end_before, suspended_before = await store.before_superseding(session, document_id)
            moved = lifecycle.outcome(
                document,
                transition,
                today=self._settings.today(),
                successor=heir,
                until=until,
                end_before=end_before,
                suspended_before=suspended_before,
            )
            superseded = heir is not None and document.superseded_by != heir.id and moved.superseded_by == heir.id
            former = document.superseded_by
            document = await store.move(session, document_id, moved, by)
            if former is not None and former != document.superseded_by:
                await phrasing_moves.take_back(session, document_id, former)
            if heir is not None and superseded:
                await phrasing_moves.carry(session, document_id, heir.id)
        log.info("kb_status", document=document_id, operation=operation, status=document.status)
        return document

    async def edit(
        self, document_id: str, changes: Mapping[str, Any], *, base_version: int, by: str | None = None
    ) -> Document:
        """Change fields (FIELD_NAMES) and the text ("text") of a document, whatever its status: a new version.

        Only what `changes` names is changed. New text is cut and embedded anew, passages that stay the same keep their
        vectors; it is answered from with the next question. No change, no version.

        Args:
            base_version: the version that the changes were made to. Another one: DocumentChanged, nothing is stored.

        Raises DocumentNotFound, InvalidDocument.
        """
        unknown = set(changes) - {*FIELD_NAMES, "text"}
        if unknown:
            raise InvalidDocument(f"没有这样的字段：{'、'.join(sorted(unknown))}。")
        encoder_id = self._encoder.encoder_id
        async with self._db.read() as session:
            now = await versions.version(session, document_id)
            if now.number != base_version:
                raise await store.changed(session, document_id)
            stored = await store.vectors_by_piece(session, document_id, encoder_id)
        fields = {name: now.fields[name] for name in FIELD_NAMES}
        old = NewDocument(id=document_id, text=now.text, **fields)
        new = replace(old, **changes).checked()
        if now.fields["superseded_by"] and new.valid_to is None:
            raise InvalidDocument("有新文件替代它，失效日期不能空着；不再替代的，请先“撤销替代”。")
        if new == old:
            return (await self._existing(document_id)).document
        cut = None
        if (new.title, new.text) != (old.title, old.text):
            cut = await self._cut(new, stored if new.title == old.title else {})
        async with self._db.begin() as session:
            await store.count_up(session)
            was = await phrasing_moves.before(session, document_id)
            document = await store.rewrite(session, new, cut, encoder_id, base_version=base_version)
            await phrasing_moves.follow(session, was)
            await versions.keep(session, {document_id: new.text}, by)
        log.info("kb_edited", document=document_id, version=document.version, passages=len(cut or ()))
        return document

    async def restore(self, document_id: str, number: int, *, base_version: int, by: str | None = None) -> Document:
        """Make a document what it was in an earlier version: a new version, as `edit` makes it.

        The last day of what has ended, or will be superseded, stays: an old text must not outlive its successor.

        Raises DocumentNotFound, VersionNotFound, DocumentChanged, InvalidDocument.
        """
        async with self._db.read() as session:
            was = await versions.version(session, document_id, number)
            document = await store.document(session, document_id)
        if document is None:
            raise DocumentNotFound()
        changes = {name: was.fields[name] for name in FIELD_NAMES} | {"text": was.text}
        if document.superseded_by or document.status in ("expired", "superseded"):
            changes["valid_to"] = document.valid_to
        return await self.edit(document_id, changes, base_version=base_version, by=by)

    async def versions(self, document_id: str) -> list[VersionInfo]:
        """The versions of a document, the newest first. Raises DocumentNotFound."""
        async with self._db.read() as session:
            return await versions.listed(session, document_id)

    async def version(self, document_id: str, number: int | None = None) -> Version:
        """A document in one version, or as it is now. Raises DocumentNotFound, VersionNotFound."""
        async with self._db.read() as session:
            return await versions.version(session, document_id, number)

    async def compare(self, document_id: str, old: int, new: int) -> Comparison:
        """What leads from one version to another. Raises DocumentNotFound, VersionNotFound."""
        async with self._db.read() as session:
            before = await versions.version(session, document_id, old)
            after = await versions.version(session, document_id, new)
        return await asyncio.to_thread(compare, before.fields, before.text, after.fields, after.text)

    async def revision(self) -> int:
        """Another one whenever a document, a passage or a phrasing is another."""
        async with self._db.read() as session:
            return await store.revision(session)

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

    async def _move_to(self, status: Status, document_id: str, by: str | None) -> Document:
        async with self._db.read() as session:
            document = await store.document(session, document_id)
        if document is None:
            raise DocumentNotFound()
        if document.status == status:
            return document
        step = lifecycle.towards(document, status, Role.EDITOR)
        return await self.move(document_id, step.operation, by=by)

    async def _pieces(self, document: NewDocument) -> tuple[list[Piece], Floats]:
        cut = await self._cut(document, {})
        return [piece for piece, _ in cut], np.array([vector for _, vector in cut], dtype=np.float32)

    async def _cut(self, document: NewDocument, known: Mapping[Piece, Floats]) -> list[tuple[Piece, Floats]]:
        """The passages of a document with their vectors; those of `known` are not made again."""

        def run() -> list[tuple[Piece, Floats]]:
            pieces = split(document.text, document.title)
            if not pieces:
                raise InvalidDocument("正文里没有可以引用的内容。")
            missing = [piece for piece in pieces if piece not in known]
            texts = [search_text(document.title, piece.article, piece.text) for piece in missing]
            size = self._settings.embed_batch
            made = [
                vector
                for i in range(0, len(texts), size)
                for vector in self._encoder.embed(texts[i : i + size], "passage")
            ]
            vectors = {**known, **dict(zip(missing, made, strict=True))}
            return [(piece, vectors[piece]) for piece in pieces]

        return await asyncio.to_thread(run)

    async def _store(self, batch: Sequence[NewDocument], publish: bool, report: ImportReport, by: str | None) -> None:
        async with self._db.read() as session:
            known = await store.hashes(session, [d.id for d in batch])
        changed = []
        for document in batch:
            digest, status = known.get(document.id, ("", ""))
            wanted: Status = (document.status or "published") if publish else "draft"
            if digest == document.content_hash() and not store.changes_status(status, wanted):
                report.unchanged += 1
                continue
            try:
                changed.append((document, *await self._pieces(document)))
            except KbError as error:
                report.refused.append(Refusal(document.id, error.detail))
        if not changed:
            return
        stored = {}
        async with self._db.begin() as session:
            await store.count_up(session)
            for document, pieces, vectors in changed:
                was = await phrasing_moves.before(session, document.id)
                try:
                    outcome = await store.put(
                        session, document, pieces, vectors, self._encoder.encoder_id, publish=publish
                    )
                except KbError as error:
                    report.refused.append(Refusal(document.id, error.detail))
                    continue
                await phrasing_moves.follow(session, was)
                setattr(report, outcome, getattr(report, outcome) + 1)
                report.passages += len(pieces) if outcome != "unchanged" else 0
                if outcome != "unchanged":
                    stored[document.id] = document.text
            await versions.keep(session, stored, by)
