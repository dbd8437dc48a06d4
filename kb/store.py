"""Documents, passages and their vectors in the database. Every change counts the revision up in its transaction."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage, KbRevision
from kb.documents import Document, NewDocument, Passage, Status
from kb.errors import DocumentExists, DocumentNotFound
from kb.index import Floats
from kb.passages import Piece

Outcome = Literal["added", "updated", "unchanged"]
_SEARCHABLE = ("published", "expired", "superseded")


def to_bytes(vector: Floats) -> bytes:
    return vector.astype("<f4").tobytes()


def from_bytes(stored: bytes) -> Floats:
    return np.frombuffer(stored, dtype="<f4").astype(np.float32)


async def revision(session: AsyncSession) -> int:
    """How often the knowledge base has changed; 0 before the first change."""
    return (await session.scalar(select(KbRevision.revision).where(KbRevision.id == 1))) or 0


async def count_up(session: AsyncSession) -> None:
    """Announce a change. Call it first in a transaction: it lets only one writer in at a time."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(KbRevision).values(id=1, revision=0).on_conflict_do_nothing())
    await session.execute(update(KbRevision).where(KbRevision.id == 1).values(revision=KbRevision.revision + 1))


async def consistent(session: AsyncSession) -> None:
    """Let all reads of this session see one state (SQLite does so by itself)."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


async def hashes(session: AsyncSession, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Content hash and status of those of the documents that exist."""
    rows = await session.execute(
        select(KbDocument.id, KbDocument.content_hash, KbDocument.status).where(KbDocument.id.in_(ids))
    )
    return {row.id: (row.content_hash, row.status) for row in rows}


async def put(
    session: AsyncSession,
    document: NewDocument,
    pieces: Sequence[Piece],
    vectors: Floats | None,
    encoder_id: str,
    *,
    publish: bool,
) -> Outcome:
    """Add a document or bring the stored one up to date.

    A suspended document stays suspended, and a document on the air is not replaced by a draft: DocumentExists.
    """
    wanted: Status = (document.status or "published") if publish else "draft"
    row = await session.get(KbDocument, document.id)
    digest = document.content_hash()
    if row is not None and row.content_hash == digest:
        if row.status == "draft" and wanted != "draft":
            row.status = wanted
            return "updated"
        return "unchanged"
    if row is not None and wanted == "draft" and row.status != "draft":
        raise DocumentExists(f"编号 {document.id} 的文件已经发布或停用，不能用草稿覆盖。")
    fields: dict[str, Any] = {
        "title": document.title,
        "issuer": document.issuer,
        "document_number": document.document_number,
        "legal_basis": document.legal_basis,
        "region": document.region,
        "audience": document.audience,
        "category": document.category,
        "valid_from": document.valid_from,
        "valid_to": document.valid_to,
        "source_url": document.source,
        "owner": document.owner,
        "content_hash": digest,
    }
    if row is None:
        session.add(KbDocument(id=document.id, status=wanted, **fields))
        outcome: Outcome = "added"
    else:
        for name, value in fields.items():
            setattr(row, name, value)
        row.status = "suspended" if row.status == "suspended" else wanted
        row.version += 1
        await session.execute(delete(KbPassage).where(KbPassage.document_id == document.id))
        outcome = "updated"
    await session.flush()
    session.add_all(
        KbPassage(
            document_id=document.id,
            ordinal=i,
            article=piece.article,
            text=piece.text,
            embedding=to_bytes(vectors[i]) if vectors is not None else None,
            encoder=encoder_id if vectors is not None else None,
        )
        for i, piece in enumerate(pieces)
    )
    await session.flush()
    return outcome


async def set_status(session: AsyncSession, document_id: str, status: Status) -> Document:
    row = await session.get(KbDocument, document_id)
    if row is None:
        raise DocumentNotFound()
    row.status = status
    await session.flush()
    return _document(row)


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
    )
