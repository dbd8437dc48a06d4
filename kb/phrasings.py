"""Phrasings (常见问法): questions in residents' words that staff attach to one place of a document.

Search uses them from the next question on (`kb.phrasing_index`). They belong to the document, not to a version: they
follow their article or section through new versions and to the document that supersedes theirs. One whose place is not
there any more is kept, not used, and a finding of the health check.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from assistant.db.models import KbDocument, KbPassage, KbPhrasing, now
from assistant.db.session import Database
from assistant.privacy import mask
from kb import places, store
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
_ACTOR_CHARS = 40
# What a file or a superseded document brought and somebody then deleted stays as a digest, so that neither brings it
# again.
_REMOVED = "removed"
KEPT = KbPhrasing.source != _REMOVED
"""Rows that are phrasings, and no mark of one that was removed."""
# What the database compares in one statement is limited.
_IDS_AT_ONCE = 200


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

    def __init__(self, title: str, label: str, known: Sequence[str]) -> None:
        named = "、".join(known[:_NAMED]) + (f"等 {len(known)} 处" if len(known) > _NAMED else "")
        has = f"它有：{named}。" if known else "它没有分条或分节，位置请留空。"
        super().__init__(f"《{title}》没有“{label}”。{has}")


class PlaceNotPlain(KbError):
    """The document has several sections of this name; the message tells them apart."""

    code = "place_not_plain"

    def __init__(self, title: str, label: str, several: Sequence[str]) -> None:
        super().__init__(f"《{title}》有 {len(several)} 处“{label}”，请写全：{'、'.join(several[:_NAMED])}。")


class NumberInPhrasing(KbError):
    """A question that is kept for good still holds somebody's number."""

    code = "number_in_phrasing"

    def __init__(self, masked: Sequence[str]) -> None:
        super().__init__(f"这句话里还有电话或证件、银行卡号码（{'、'.join(masked)}），请删去后再保存。")


@dataclass(frozen=True, slots=True)
class NewPhrasing:
    """A question and the place that answers it. `name`: what errors call it.

    `label`: the place, in full ("变更 / 申请材料") or its innermost part where that is plain; None: the whole document.
    """

    document_id: str
    label: str | None
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A stored phrasing.

    `label`: its place in full (`kb.places`). `used`: whether the document as it is now has this place; if not,
    `several` says that it has more than one of the name.
    """

    id: int
    document_id: str
    title: str
    label: str | None
    text: str
    source: str
    actor: str
    created_at: datetime
    used: bool
    several: bool = False
    document_number: str | None = None

    @property
    def place(self) -> str:
        return f"《{self.title}》{self.label or WHOLE}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `docid`, `title`, `document_number`, `label` and `question` are what an import reads."""
        return {
            "id": self.id,
            "docid": self.document_id,
            "title": self.title,
            "document_number": self.document_number,
            "label": self.label,
            "question": self.text,
            "source": self.source,
            "actor": self.actor,
            "created_at": self.created_at.isoformat(),
            "used": self.used,
            "several": self.several,
        }


@dataclass(frozen=True, slots=True)
class Attached:
    """What came of putting several to a place. `gone`: ids of those that were not there any more."""

    moved: int
    gone: list[int]


@dataclass(slots=True)
class PhrasingReport:
    """What came of storing several. `skipped`: removed here before; `refused`: name and reason, in Chinese."""

    added: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class Phrasings:
    """The stored phrasings. `encoder` makes the vectors of those that are added."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db, self._encoder = db, encoder

    async def add(self, document_id: str, label: str | None, text: str, *, source: Source, by: str) -> Phrasing:
        """Attach a question to a place; phone and identity numbers are masked.

        Raises DocumentNotFound, NoSuchPlace, PlaceNotPlain, PhrasingExists, KbError.
        """
        new = _checked(NewPhrasing(document_id, label, text), source)
        (vector,) = await self._embedded([new])
        async with self._db.begin() as session:
            await store.count_up(session)
            outcome, number = await _put(session, new, vector, self._encoder.encoder_id, source, by, again=True)
            await store.count_phrasings_up(session)
            found = await listed(session, document_id)
        if outcome == "unchanged":
            raise PhrasingExists
        return next(one for one in found if one.id == number)

    async def add_all(
        self, found: Sequence[NewPhrasing], *, source: Source, by: str, again: bool = False
    ) -> PhrasingReport:
        """Attach many; those that cannot be are reported, the others are stored.

        An import skips questions that the document had by import before and that were removed there, unless `again`.

        A question with somebody's number in it is masked; of the source "unanswered" it is refused: those were
        promised to be forgotten after 90 days, and what is made of them here is kept until it is removed.
        """
        report = PhrasingReport()
        for start in range(0, len(found), _AT_ONCE):
            good = []
            for new in found[start : start + _AT_ONCE]:
                try:
                    good.append(_checked(new, source))
                except KbError as error:
                    report.refused.append((new.name or new.text, error.detail))
            if not good:
                continue
            vectors = await self._embedded(good)
            async with self._db.begin() as session:
                await store.count_up(session)
                for new, vector in zip(good, vectors, strict=True):
                    try:
                        outcome, _ = await _put(session, new, vector, self._encoder.encoder_id, source, by, again=again)
                    except KbError as error:
                        report.refused.append((new.name or new.text, error.detail))
                        continue
                    report.added += outcome == "added"
                    report.unchanged += outcome == "unchanged"
                    report.skipped += outcome == "skipped"
                await store.count_phrasings_up(session)
        return report

    async def remove(self, phrasing_id: int) -> None:
        """Raises PhrasingNotFound."""
        async with self._db.begin() as session:
            await store.count_up(session)
            row = await _row(session, phrasing_id)
            if row is None:
                raise PhrasingNotFound
            await _take_away(session, row)
            await store.count_phrasings_up(session)

    async def attach(self, ids: Sequence[int], label: str | None, *, by: str) -> Attached:
        """Put phrasings to another place of their document. What the place has already goes; those that somebody
        removed meanwhile are told, and do not keep the others.

        Raises NoSuchPlace, PlaceNotPlain.
        """
        gone = []
        async with self._db.begin() as session:
            await store.count_up(session)
            for id_ in ids:
                row = await _row(session, id_)
                if row is None:
                    gone.append(id_)
                    continue
                place = await _place(session, row.document_id, label or None)
                known = await _known(session, row.document_id, place, row.text)
                if known is not None and known.id != id_:
                    known.touched = True
                    await _take_away(session, row)
                else:
                    row.label, row.actor, row.created_at = place, by[:_ACTOR_CHARS], now()
                    row.touched, row.lost_document, row.lost_version = True, None, None
                await session.flush()
            await store.count_phrasings_up(session)
        return Attached(len(ids) - len(gone), gone)

    async def left_behind(self, document_id: str) -> dict[str, int]:
        """What came from a document and stayed at another that supersedes it no longer, as somebody had changed it
        there: title → number of phrasings."""
        heir = select(KbDocument.superseded_by).where(KbDocument.id == document_id).scalar_subquery()
        query = (
            select(KbDocument.title, func.count())
            .join(KbPhrasing, KbPhrasing.document_id == KbDocument.id)
            .where(KbPhrasing.copied_from == document_id, KEPT, func.coalesce(heir, "") != KbDocument.id)
            .group_by(KbDocument.title)
            .order_by(KbDocument.title)
        )
        async with self._db.read() as session:
            return {row[0]: row[1] for row in await session.execute(query)}

    async def listed(self, document_id: str | None = None) -> list[Phrasing]:
        """Of one document, or all, by document and in the order of its places."""
        async with self._db.read() as session:
            return await listed(session, document_id)

    async def places(self, document_id: str) -> list[str]:
        """The places of a document that a phrasing can be attached to, in reading order."""
        async with self._db.read() as session:
            return (await _places(session, document_id)).get(document_id, [])

    async def had(self, document_ids: Sequence[str]) -> tuple[Counter[tuple[str, str]], set[tuple[str, str]]]:
        """How often each document has a question, and what it had by import before that was removed: (id, `digest`)."""
        kept: Counter[tuple[str, str]] = Counter()
        removed: set[tuple[str, str]] = set()
        async with self._db.read() as session:
            for start in range(0, len(document_ids), _IDS_AT_ONCE):
                some = document_ids[start : start + _IDS_AT_ONCE]
                query = select(KbPhrasing.document_id, KbPhrasing.source, KbPhrasing.text)
                for row in await session.execute(query.where(KbPhrasing.document_id.in_(some))):
                    if row.source == _REMOVED:
                        removed.add((row.document_id, row.text))
                    else:
                        kept[row.document_id, digest(row.text)] += 1
        return kept, removed

    async def _embedded(self, found: Sequence[NewPhrasing]) -> Halves:
        vectors = await asyncio.to_thread(self._encoder.embed, [new.text for new in found], "query")
        return vectors.astype(np.float16)


async def removed_here(session: AsyncSession, document_id: str) -> set[str]:
    """`digest` of questions that were brought to a document, and removed there."""
    query = select(KbPhrasing.text).where(KbPhrasing.document_id == document_id, KbPhrasing.source == _REMOVED)
    return set(await session.scalars(query))


async def _take_away(session: AsyncSession, row: KbPhrasing) -> None:
    """Of one that was brought a mark is left, so that it is not brought again."""
    if row.source == "import" or row.copied_from is not None:
        row.source, row.text, row.embedding = _REMOVED, digest(row.text), b""
    else:
        await session.delete(row)


def numbers_in(text: str) -> list[str]:
    """Phone, identity and bank card numbers in a question, masked; what was masked before is none."""
    return [value.masked for value in mask(text)[1]]


def digest(text: str) -> str:
    """Another one for another question, as it is stored: spaces do not count, and numbers of people are masked."""
    return hashlib.sha256(mask(_plain(text))[0].encode()).hexdigest()


def told_of_left_behind(left: Mapping[str, int]) -> str:
    """One line in Chinese about what `Phrasings.left_behind` found."""
    named = "、".join(f"《{title}》{number} 个" for title, number in left.items())
    return f"带到新文件的问法已经收回，有人改动过的还留在那里，请核对：{named}。"


async def listed(session: AsyncSession, document_id: str | None = None) -> list[Phrasing]:
    """Stored phrasings, of one document or of all, by document and in the order of its places."""
    query = (
        select(KbPhrasing, KbDocument.title, KbDocument.document_number)
        .join(KbDocument, KbDocument.id == KbPhrasing.document_id)
        .options(defer(KbPhrasing.embedding))
        .where(KEPT)
    )
    if document_id is not None:
        query = query.where(KbPhrasing.document_id == document_id)
    rows = list(await session.execute(query.order_by(KbDocument.title, KbPhrasing.document_id, KbPhrasing.id)))
    known = await _places(session, document_id) if rows else {}
    order = {id_: {label: n for n, label in enumerate(labels)} for id_, labels in known.items()}
    named: dict[tuple[str, str | None], list[str]] = {
        (id_, label): places.find(label, order.get(id_, {}))
        for id_, label in {(row.document_id, row.label) for row, _, _ in rows}
        if label is not None
    }
    found = []
    for row, title, number in rows:
        here = named.get((row.document_id, row.label), [])
        used = row.label is None or len(here) == 1
        label = here[0] if used and row.label is not None else row.label
        found.append(
            Phrasing(
                row.id, row.document_id, title, label, row.text, row.source, row.actor, row.created_at,
                used, len(here) > 1, number,
            )
        )  # fmt: skip

    def place(one: Phrasing) -> int:
        return -1 if one.label is None else order.get(one.document_id, {}).get(one.label, len(order))

    found.sort(key=lambda one: (one.title, one.document_id, not one.used, place(one)))
    return found


async def stamp(session: AsyncSession) -> tuple[object, ...]:
    """Another one whenever the phrasings are others, wherever they stand."""
    # Those that went with their document are counted by nobody.
    there = await session.execute(select(func.count(), func.sum(KbPhrasing.id)).where(KEPT))
    return (await store.phrasings_revision(session), *there.one())


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
        )
        .where(KEPT)
        .order_by(KbPhrasing.id)
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


def _checked(new: NewPhrasing, source: Source) -> NewPhrasing:
    text, numbers = mask(_plain(new.text))
    if not text or len(text) > MOST_CHARS:
        raise KbError(f"问法要有 1 到 {MOST_CHARS} 个字。")
    if numbers and source == "unanswered":
        raise NumberInPhrasing([number.masked for number in numbers])
    return NewPhrasing(new.document_id, new.label or None, text, new.name)


def _plain(text: str) -> str:
    return " ".join(storable(text).split())


_Outcome = Literal["added", "unchanged", "skipped"]


async def _put(
    session: AsyncSession,
    new: NewPhrasing,
    vector: Halves,
    encoder_id: str,
    source: Source,
    by: str,
    *,
    again: bool,
) -> tuple[_Outcome, int | None]:
    """What came of it, and the id of the row. `again`: though it was brought here before and removed."""
    place = await _place(session, new.document_id, new.label)
    known = await _known(session, new.document_id, place, new.text)
    if known is not None:
        known.touched = True
        return "unchanged", known.id
    if source == "import":
        mark = and_(
            KbPhrasing.document_id == new.document_id,
            KbPhrasing.source == _REMOVED,
            KbPhrasing.text == digest(new.text),
        )
        if again:
            await session.execute(delete(KbPhrasing).where(mark))
        elif await session.scalar(select(KbPhrasing.id).where(mark).limit(1)) is not None:
            return "skipped", None
    row = KbPhrasing(
        document_id=new.document_id,
        label=place,
        text=new.text,
        source=source,
        actor=by[:_ACTOR_CHARS],
        embedding=_to_bytes(vector),
        encoder=encoder_id,
    )
    session.add(row)
    await session.flush()
    return "added", row.id


async def _row(session: AsyncSession, phrasing_id: int) -> KbPhrasing | None:
    row = await session.get(KbPhrasing, phrasing_id)
    return None if row is None or row.source == _REMOVED else row


async def _place(session: AsyncSession, document_id: str, label: str | None) -> str | None:
    """The full name of a place. Raises DocumentNotFound, NoSuchPlace, PlaceNotPlain."""
    document = await session.get(KbDocument, document_id)
    if document is None:
        raise DocumentNotFound(f"没有编号为 {document_id} 的文件。")
    if label is None:
        return None
    known = (await _places(session, document_id)).get(document_id, [])
    named = places.find(label, known)
    if not named:
        raise NoSuchPlace(document.title, label, known)
    if len(named) > 1:
        raise PlaceNotPlain(document.title, label, named)
    return named[0]


async def _known(session: AsyncSession, document_id: str, place: str | None, text: str) -> KbPhrasing | None:
    """The phrasing of this text at a place; None where it has none."""
    here = KbPhrasing.label.is_(None) if place is None else KbPhrasing.label == place
    known: KbPhrasing | None = await session.scalar(
        select(KbPhrasing).where(KbPhrasing.document_id == document_id, here, KbPhrasing.text == text, KEPT)
    )
    return known


async def _places(session: AsyncSession, document_id: str | None) -> dict[str, list[str]]:
    """The places of each document with phrasings, or of one, in reading order."""
    query = select(KbPassage.document_id, KbPassage.article).order_by(KbPassage.document_id, KbPassage.ordinal)
    if document_id is None:
        query = query.where(KbPassage.document_id.in_(select(KbPhrasing.document_id)))
    else:
        query = query.where(KbPassage.document_id == document_id)
    articles: dict[str, list[str | None]] = {}
    for row in await session.execute(query):
        articles.setdefault(row.document_id, []).append(row.article)
    return {
        id_: list(dict.fromkeys(name for name in places.names(found) if name is not None))
        for id_, found in articles.items()
    }


def _to_bytes(vector: Halves) -> bytes:
    return vector.astype("<f2").tobytes()
