"""What the index reads of the database: which documents changed, and their passages with vectors."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage
from kb import store
from kb.documents import Passage
from kb.index import Floats

SEARCHABLE = ("published", "expired", "superseded")


@dataclass(frozen=True, slots=True)
class State:
    """A stored document in so many words. `key` changes when its passages do, `stamp` when anything does."""

    key: str
    stamp: tuple[int, datetime, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A document's passages in reading order as of `key`; `vectors` has those that this encoder made, by passage."""

    id: str
    key: str
    title: str
    passages: list[Passage]
    vectors: dict[int, Floats]


async def states(session: AsyncSession, ids: Sequence[str] | None = None) -> dict[str, State]:
    """The state of every document that may be in force on some day and has passages (of those with `ids`)."""
    counted = select(
        KbPassage.document_id,
        func.count().label("n"),
        func.min(KbPassage.id).label("a"),
        func.max(KbPassage.id).label("b"),
    )
    if ids is not None:
        counted = counted.where(KbPassage.document_id.in_(ids))
    passages = counted.group_by(KbPassage.document_id).subquery()
    query = (
        select(
            KbDocument.id,
            KbDocument.title,
            KbDocument.version,
            KbDocument.created_at,
            KbDocument.updated_at,
            KbDocument.status,
            passages.c.n,
            passages.c.a,
            passages.c.b,
        )
        .join(passages, passages.c.document_id == KbDocument.id)
        .where(KbDocument.status.in_(SEARCHABLE))
    )
    if ids is not None:
        query = query.where(KbDocument.id.in_(ids))
    found = {}
    for row in await session.execute(query):
        title = zlib.crc32(row.title.encode("utf-8", "replace"))
        key = f"{row.version}.{row.created_at.timestamp():.6f}.{row.n}.{row.a}.{row.b}.{title:08x}"
        found[row.id] = State(key, (row.version, row.updated_at, row.status))
    return found


async def stored(session: AsyncSession, ids: Sequence[str], encoder_id: str) -> list[Stored]:
    """The documents with these ids (at most some hundred) with their passages. `session`: a consistent one."""
    keys = await states(session, ids)
    titles = {
        row.id: row.title
        for row in await session.execute(select(KbDocument.id, KbDocument.title).where(KbDocument.id.in_(ids)))
    }
    found = {id_: Stored(id_, state.key, titles[id_], [], {}) for id_, state in keys.items()}
    rows = await session.execute(
        select(
            KbPassage.id,
            KbPassage.document_id,
            KbPassage.ordinal,
            KbPassage.article,
            KbPassage.text,
            KbPassage.embedding,
            KbPassage.encoder,
        )
        .where(KbPassage.document_id.in_(ids))
        .order_by(KbPassage.document_id, KbPassage.ordinal)
    )
    for row in rows:
        document = found.get(row.document_id)
        if document is None:
            continue
        document.passages.append(Passage(row.id, row.document_id, row.ordinal, row.article, row.text))
        if row.embedding is not None and row.encoder == encoder_id:
            document.vectors[row.id] = store.from_bytes(row.embedding)
    return list(found.values())
