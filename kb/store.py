"""Documents, passages and their vectors in the database. Every change counts the revision up in its transaction."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, cast

import numpy as np
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage, KbRevision
from kb import versions
from kb.documents import FIELD_NAMES, Document, NewDocument, Passage, Status
from kb.errors import DocumentChanged, DocumentExists, DocumentNotFound
from kb.index import Floats
from kb.lifecycle import Outcome as Moved
from kb.passages import Piece

Outcome = Literal["added", "updated", "unchanged"]
Pieces = Sequence[tuple[Piece, Floats]]
_SEARCHABLE = ("published", "expired", "superseded")
# What staff took out of use is not brought back by an import.
_ENDED = ("expired", "superseded")
_CLOSED = ("suspended", *_ENDED)
# Rows of `KbRevision`.
_ANYTHING, _PHRASINGS = 1, 2


def to_bytes(vector: Floats) -> bytes:
    return vector.astype("<f4").tobytes()


def from_bytes(stored: bytes) -> Floats:
    return np.frombuffer(stored, dtype="<f4").astype(np.float32)


async def revision(session: AsyncSession) -> int:
    """How often the knowledge base has changed; 0 before the first change."""
    return (await session.scalar(select(KbRevision.revision).where(KbRevision.id == _ANYTHING))) or 0


async def phrasings_revision(session: AsyncSession) -> int:
    """How often phrasings have changed; 0 before the first change."""
    return (await session.scalar(select(KbRevision.revision).where(KbRevision.id == _PHRASINGS))) or 0


async def count_up(session: AsyncSession) -> None:
    """Announce a change. Call it first in a transaction: it lets only one writer in at a time."""
    await _count_up(session, _ANYTHING)


async def count_phrasings_up(session: AsyncSession) -> None:
    """Announce that phrasings are others, in a transaction that has announced a change (`count_up`)."""
    await _count_up(session, _PHRASINGS)


async def _count_up(session: AsyncSession, counted: int) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(KbRevision).values(id=counted, revision=0).on_conflict_do_nothing())
    await session.execute(update(KbRevision).where(KbRevision.id == counted).values(revision=KbRevision.revision + 1))


async def hashes(session: AsyncSession, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Content hash and status of those of the documents that exist."""
    rows = await session.execute(
        select(KbDocument.id, KbDocument.content_hash, KbDocument.status).where(KbDocument.id.in_(ids))
    )
    return {row.id: (row.content_hash, row.status) for row in rows}


def changes_status(present: str, wanted: Status) -> bool:
    """Whether an import of the same text does something: it publishes a draft, or ends what is on the air."""
    return wanted != "draft" and (present == "draft" or (present == "published" and wanted in _CLOSED))


async def put(
    session: AsyncSession,
    document: NewDocument,
    pieces: Sequence[Piece],
    vectors: Floats | None,
    encoder_id: str,
    *,
    publish: bool,
) -> Outcome:
    """Add a document or bring the stored one up to date; whoever calls keeps the version (`kb.versions.keep`).

    What is suspended, expired or superseded stays so and keeps its last day, as does what another document will
    replace. A document on the air is not replaced by a draft: DocumentExists.
    """
    wanted: Status = (document.status or "published") if publish else "draft"
    row = await session.get(KbDocument, document.id)
    digest = document.content_hash()
    if row is not None and row.content_hash == digest:
        if not changes_status(row.status, wanted):
            return "unchanged"
        row.status = wanted
        return "updated"
    if row is not None and wanted == "draft" and row.status != "draft":
        raise DocumentExists(f"编号 {document.id} 的文件已经发布或停用，不能用草稿覆盖。")
    if row is None:
        session.add(KbDocument(id=document.id, status=wanted, **_columns(document)))
        outcome: Outcome = "added"
    else:
        await versions.keep_what_was(session, row)
        last_day = row.valid_to
        _write(row, document)
        if row.superseded_by or (row.status in _ENDED and row.valid_to is None):
            row.valid_to = last_day
        if row.status not in _CLOSED:
            row.status = wanted
        outcome = "updated"
    await session.flush()
    await _write_passages(session, document.id, pieces, vectors, encoder_id)
    return outcome


async def rewrite(
    session: AsyncSession, document: NewDocument, cut: Pieces | None, encoder_id: str, *, base_version: int
) -> Document:
    """Make a document what a person wrote, whatever its status; with `cut`, its passages and their vectors, too.

    Raises DocumentNotFound, and DocumentChanged where it is no longer in the version `base_version`.
    """
    row = await _row(session, document.id)
    if row.version != base_version:
        raise await changed(session, row.id)
    await versions.keep_what_was(session, row)
    _write(row, document)
    await session.flush()
    if cut is not None:
        vectors = np.array([vector for _, vector in cut], dtype=np.float32)
        await _write_passages(session, document.id, [piece for piece, _ in cut], vectors, encoder_id)
    return _document(row)


async def move(session: AsyncSession, document_id: str, moved: Moved, by: str | None) -> Document:
    """Take a step of `kb.lifecycle`; a new last day or successor is a new version, kept with the status before it."""
    row = await _row(session, document_id)
    if (row.valid_to, row.superseded_by) != (moved.valid_to, moved.superseded_by):
        text = await versions.keep_what_was(session, row)
        row.valid_to, row.superseded_by = moved.valid_to, moved.superseded_by
        row.version += 1
        await versions.keep(session, {row.id: text}, by)
    row.status = moved.status
    await session.flush()
    return _document(row)


async def before_superseding(session: AsyncSession, document_id: str) -> tuple[date | None, bool]:
    """The last day that a superseded document had of its own, and whether it was suspended when it was superseded."""
    return await versions.before_superseding(session, await _row(session, document_id))


async def changed(session: AsyncSession, document_id: str) -> DocumentChanged:
    """The error for somebody who changed an older version than the one that is stored."""
    now = await versions.version(session, document_id)
    return DocumentChanged(now.number, now.changed_by)


async def vectors_by_piece(session: AsyncSession, document_id: str, encoder_id: str) -> dict[Piece, Floats]:
    """The stored vectors of a document that this encoder made, by what they were made from."""
    rows = await session.execute(
        select(KbPassage.article, KbPassage.text, KbPassage.embedding).where(
            KbPassage.document_id == document_id, KbPassage.encoder == encoder_id, KbPassage.embedding.is_not(None)
        )
    )
    return {Piece(row.article, row.text): from_bytes(cast(bytes, row.embedding)) for row in rows}


async def documents(session: AsyncSession, *, searchable: bool = False) -> list[Document]:
    """All documents by title; with `searchable`, only those that may be in force on some day."""
    query = select(KbDocument).order_by(KbDocument.title, KbDocument.id)
    if searchable:
        query = query.where(KbDocument.status.in_(_SEARCHABLE))
    return [_document(row) for row in await session.scalars(query)]


async def document(session: AsyncSession, document_id: str) -> Document | None:
    row = await session.get(KbDocument, document_id)
    return _document(row) if row is not None else None


async def passages(session: AsyncSession, document_id: str | None = None) -> list[Passage]:
    """Passages in reading order: of one document, or of all that may be in force on some day."""
    query = select(KbPassage.id, KbPassage.document_id, KbPassage.ordinal, KbPassage.article, KbPassage.text)
    if document_id is None:
        query = query.join(KbDocument).where(KbDocument.status.in_(_SEARCHABLE))
    else:
        query = query.where(KbPassage.document_id == document_id)
    rows = await session.execute(query.order_by(KbPassage.document_id, KbPassage.ordinal))
    return [Passage(*row) for row in rows]


async def passage_counts(session: AsyncSession) -> dict[str, int]:
    rows = await session.execute(select(KbPassage.document_id, func.count()).group_by(KbPassage.document_id))
    return {row[0]: row[1] for row in rows}


async def vectors(session: AsyncSession, ids: Sequence[int], encoder_id: str) -> dict[int, Floats]:
    """Stored vectors of this encoder, by passage; what another encoder made is left out."""
    found: dict[int, Floats] = {}
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        rows = await session.execute(
            select(KbPassage.id, KbPassage.embedding).where(
                KbPassage.id.in_(chunk), KbPassage.encoder == encoder_id, KbPassage.embedding.is_not(None)
            )
        )
        found |= {row.id: from_bytes(cast(bytes, row.embedding)) for row in rows}
    return found


async def keep_vectors(
    session: AsyncSession, texts: Sequence[tuple[int, str]], made: Sequence[Floats], encoder_id: str
) -> None:
    """Store vectors of passages, each only if the passage still has the text it was made from."""
    for (passage_id, words), vector in zip(texts, made, strict=True):
        await session.execute(
            update(KbPassage)
            .where(KbPassage.id == passage_id, KbPassage.text == words)
            .values(embedding=to_bytes(vector), encoder=encoder_id)
        )


async def _row(session: AsyncSession, document_id: str) -> KbDocument:
    row = await session.get(KbDocument, document_id)
    if row is None:
        raise DocumentNotFound()
    return row


def _columns(document: NewDocument) -> dict[str, Any]:
    return {"source_url" if name == "source" else name: getattr(document, name) for name in FIELD_NAMES} | {
        "content_hash": document.content_hash()
    }


def _write(row: KbDocument, document: NewDocument) -> None:
    for name, value in _columns(document).items():
        setattr(row, name, value)
    row.version += 1


async def _write_passages(
    session: AsyncSession, document_id: str, pieces: Sequence[Piece], vectors: Floats | None, encoder_id: str
) -> None:
    await session.execute(delete(KbPassage).where(KbPassage.document_id == document_id))
    session.add_all(
        KbPassage(
            document_id=document_id,
            ordinal=i,
            article=piece.article,
            text=piece.text,
            embedding=to_bytes(vectors[i]) if vectors is not None else None,
            encoder=encoder_id if vectors is not None else None,
        )
        for i, piece in enumerate(pieces)
    )
    await session.flush()


def _document(row: KbDocument) -> Document:
    return Document(
        id=row.id,
        title=row.title,
        status=cast(Status, row.status),
        issuer=row.issuer,
        document_number=row.document_number,
        legal_basis=row.legal_basis,
        region=row.region,
        audience=row.audience,
        category=row.category,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        source=row.source_url,
        owner=row.owner,
        version=row.version,
        updated_at=row.updated_at,
        superseded_by=row.superseded_by,
    )
