"""Phrasings (常见问法): questions in residents' words that staff attach to one place of a document.

Search uses them from the next question on (`kb.phrasing_index`). They belong to the document, not to a version: one
whose place the present version lacks is kept, not used, and a finding of the health check.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage, KbPhrasing
from assistant.db.session import Database
from assistant.privacy import mask
from kb import store
from kb.documents import label_of
from kb.errors import DocumentNotFound, KbError
from kb.nearest import Halves
from kb.phrasing_index import Phrased
from kb.search import Encoder
from kb.text import storable

Source = Literal["staff", "import", "unanswered", "hit_test"]
SOURCES: dict[str, str] = {"staff": "手工添加", "import": "导入", "unanswered": "答不出的问题", "hit_test": "试一试"}
WHOLE = "整份文件"
MOST_CHARS = 500
_AT_ONCE = 64
_NAMED = 30


class PhrasingExists(KbError):
    status = 409
    code = "phrasing_exists"
    detail = "这个问法已经在这里了。"


class PhrasingNotFound(KbError):
    status = 404
    code = "phrasing_not_found"
    detail = "没有找到这条问法。"


class NoSuchPlace(KbError):
    """The document has no such article or section; the message names those it has."""

    code = "no_such_place"

    def __init__(self, title: str, label: str, places: Sequence[str]) -> None:
        named = "、".join(places[:_NAMED]) + (f"等 {len(places)} 处" if len(places) > _NAMED else "")
        has = f"它有：{named}。" if places else "它没有分条或分节，位置请留空。"
        super().__init__(f"《{title}》没有“{label}”。{has}")


@dataclass(frozen=True, slots=True)
class NewPhrasing:
    """A question and the place that answers it. `label` None: the whole document. `name`: what errors call it."""

    document_id: str
    label: str | None
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A stored phrasing. `used`: whether the document as it is now has the place."""

    id: int
    document_id: str
    title: str
    label: str | None
    text: str
    source: str
    actor: str
    created_at: datetime
    used: bool

    @property
    def place(self) -> str:
        return f"《{self.title}》{self.label or WHOLE}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `docid`, `label` and `question` are what an import reads."""
        return {
            "id": self.id,
            "docid": self.document_id,
            "title": self.title,
            "label": self.label,
            "question": self.text,
            "source": self.source,
            "actor": self.actor,
            "created_at": self.created_at.isoformat(),
            "used": self.used,
        }


@dataclass(slots=True)
class PhrasingReport:
    """What came of storing several; `refused`: name and reason, in Chinese."""

    added: int = 0
    unchanged: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class Phrasings:
    """The stored phrasings. `encoder` makes the vectors of those that are added."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db, self._encoder = db, encoder

    async def add(self, document_id: str, label: str | None, text: str, *, source: Source, by: str) -> Phrasing:
        """Attach a question to a place; phone and identity numbers are masked.

        Raises DocumentNotFound, NoSuchPlace, PhrasingExists, KbError.
        """
        new = _checked(NewPhrasing(document_id, label, text))
        (vector,) = await self._embedded([new])
        async with self._db.begin() as session:
            await store.count_up(session)
            number = await _put(session, new, vector, self._encoder.encoder_id, source, by)
            if number is None:
                raise PhrasingExists
            return next(one for one in await listed(session, document_id) if one.id == number)

    async def add_all(self, found: Sequence[NewPhrasing], *, source: Source, by: str) -> PhrasingReport:
        """Attach many; those that cannot be are reported, the others are stored."""
        report = PhrasingReport()
        for start in range(0, len(found), _AT_ONCE):
            good = []
            for new in found[start : start + _AT_ONCE]:
                try:
                    good.append(_checked(new))
                except KbError as error:
                    report.refused.append((new.name or new.text, error.detail))
            if not good:
                continue
            vectors = await self._embedded(good)
            async with self._db.begin() as session:
                await store.count_up(session)
                for new, vector in zip(good, vectors, strict=True):
                    try:
                        number = await _put(session, new, vector, self._encoder.encoder_id, source, by)
                    except KbError as error:
                        report.refused.append((new.name or new.text, error.detail))
                        continue
                    report.added += number is not None
                    report.unchanged += number is None
        return report

    async def remove(self, phrasing_id: int) -> None:
        """Raises PhrasingNotFound."""
        async with self._db.begin() as session:
            await store.count_up(session)
            if await session.get(KbPhrasing, phrasing_id) is None:
                raise PhrasingNotFound
            await session.execute(delete(KbPhrasing).where(KbPhrasing.id == phrasing_id))

    async def listed(self, document_id: str | None = None) -> list[Phrasing]:
        """Of one document, or all, by document and in the order of its places."""
        async with self._db.read() as session:
            return await listed(session, document_id)

    async def places(self, document_id: str) -> list[str]:
        """The places of a document that a phrasing can be attached to, in reading order."""
        async with self._db.read() as session:
            return (await _places(session, document_id)).get(document_id, [])

    async def _embedded(self, found: Sequence[NewPhrasing]) -> Halves:
        vectors = await asyncio.to_thread(self._encoder.embed, [new.text for new in found], "query")
        return vectors.astype(np.float16)


async def listed(session: AsyncSession, document_id: str | None = None) -> list[Phrasing]:
    """Stored phrasings, of one document or of all, by document and in the order of its places."""
    query = select(
        KbPhrasing.id,
        KbPhrasing.document_id,
        KbDocument.title,
        KbPhrasing.label,
        KbPhrasing.text,
        KbPhrasing.source,
        KbPhrasing.actor,
        KbPhrasing.created_at,
    ).join(KbDocument, KbDocument.id == KbPhrasing.document_id)
    if document_id is not None:
        query = query.where(KbPhrasing.document_id == document_id)
    rows = list(await session.execute(query.order_by(KbDocument.title, KbPhrasing.document_id, KbPhrasing.id)))
    places = await _places(session, document_id) if rows else {}
    order = {id_: {label: n for n, label in enumerate(labels)} for id_, labels in places.items()}
    found = [Phrasing(*row, used=row.label is None or row.label in order.get(row.document_id, {})) for row in rows]

    def place(one: Phrasing) -> int:
        return -1 if one.label is None else order.get(one.document_id, {}).get(one.label, len(order))

    found.sort(key=lambda one: (one.title, one.document_id, not one.used, place(one)))
    return found


async def stamp(session: AsyncSession) -> tuple[object, ...]:
    """Another one whenever the phrasings are others."""
    ids = func.count(), func.max(KbPhrasing.id), func.sum(KbPhrasing.id), func.max(KbPhrasing.created_at)
    return tuple((await session.execute(select(*ids))).one())


async def searched(session: AsyncSession, encoder_id: str) -> tuple[list[Phrased], list[tuple[int, str]]]:
    """All phrasings as they are searched; then id and text of those that another encoder made the vectors of."""
    rows = await session.execute(
        select(
            KbPhrasing.id,
            KbPhrasing.document_id,
            KbPhrasing.label,
            KbPhrasing.text,
            KbPhrasing.encoder,
            KbPhrasing.embedding,
        ).order_by(KbPhrasing.id)
    )
    found, missing = [], []
    for row in rows:
        if row.encoder == encoder_id:
            vector = np.frombuffer(row.embedding, dtype="<f2").astype(np.float16)
            found.append(Phrased(row.document_id, row.label, row.text, vector))
        else:
            missing.append((row.id, row.text))
    return found, missing


async def keep_vectors(session: AsyncSession, made: Mapping[tuple[int, str], Halves], encoder_id: str) -> None:
    """Store vectors of phrasings, by id and text: an id may be another one's by now."""
    for (number, text), vector in made.items():
        values = {"embedding": _to_bytes(vector), "encoder": encoder_id}
        same = and_(KbPhrasing.id == number, KbPhrasing.text == text)
        await session.execute(update(KbPhrasing).where(same).values(**values))


def _checked(new: NewPhrasing) -> NewPhrasing:
    text = mask(" ".join(storable(new.text).split()))[0]
    if not text or len(text) > MOST_CHARS:
        raise KbError(f"问法要有 1 到 {MOST_CHARS} 个字。")
    return NewPhrasing(new.document_id, new.label or None, text, new.name)


async def _put(
    session: AsyncSession, new: NewPhrasing, vector: Halves, encoder_id: str, source: Source, by: str
) -> int | None:
    """The id of the new row; None where the place has the question already."""
    document = await session.get(KbDocument, new.document_id)
    if document is None:
        raise DocumentNotFound(f"没有编号为 {new.document_id} 的文件。")
    if new.label is not None:
        places = (await _places(session, new.document_id)).get(new.document_id, [])
        if new.label not in places:
            raise NoSuchPlace(document.title, new.label, places)
    here = KbPhrasing.label.is_(None) if new.label is None else KbPhrasing.label == new.label
    known = await session.scalar(
        select(KbPhrasing.id).where(KbPhrasing.document_id == new.document_id, here, KbPhrasing.text == new.text)
    )
    if known is not None:
        return None
    row = KbPhrasing(
        document_id=new.document_id,
        label=new.label,
        text=new.text,
        source=source,
        actor=by[:40],
        embedding=_to_bytes(vector),
        encoder=encoder_id,
    )
    session.add(row)
    await session.flush()
    return row.id


async def _places(session: AsyncSession, document_id: str | None) -> dict[str, list[str]]:
    """The labels of each document with phrasings, or of one, in reading order."""
    query = select(KbPassage.document_id, KbPassage.article).order_by(KbPassage.document_id, KbPassage.ordinal)
    if document_id is None:
        query = query.where(KbPassage.document_id.in_(select(KbPhrasing.document_id)))
    else:
        query = query.where(KbPassage.document_id == document_id)
    found: dict[str, dict[str, None]] = {}
    for row in await session.execute(query):
        label = label_of(row.article)
        if label is not None:
            found.setdefault(row.document_id, {})[label] = None
    return {id_: list(labels) for id_, labels in found.items()}


def _to_bytes(vector: Halves) -> bytes:
    return vector.astype("<f2").tobytes()
