"""What becomes of phrasings when their document is rewritten, when another takes its place, and when that is undone."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage, KbPhrasing
from kb import places, store, versions
from kb.errors import DocumentNotFound, VersionNotFound
from kb.passages import split
from kb.phrasings import KEPT, digest, removed_here


@dataclass(frozen=True, slots=True)
class Before:
    """A document as it stands before it is rewritten. `texts`: place → what stands there (`kb.places.texts`)."""

    document_id: str
    version: int
    texts: Mapping[str, str]


async def before(session: AsyncSession, document_id: str) -> Before | None:
    """Call it before a document is rewritten; None where no phrasing is attached to a place of it."""
    if await session.scalar(_labelled(document_id).with_only_columns(KbPhrasing.id).limit(1)) is None:
        return None
    return await _as_it_stands(session, document_id)


async def follow(session: AsyncSession, was: Before | None) -> None:
    """Let the phrasings of a document that was rewritten in this transaction follow their places.

    One whose place is nowhere keeps its name, marked where it may be another's, and has its place again
    once that is there again.
    """
    if was is None:
        return
    rows = list(await session.scalars(_labelled(was.document_id)))
    found = await _found(session, rows, was, await _texts(session, was.document_id))
    moved = [row for row in rows if row.id in found and _place_of(row) != found[row.id]]
    for row in moved:
        row.label, row.lost_document, row.lost_version = found[row.id]
    await session.flush()
    if moved:
        await store.count_phrasings_up(session)


async def carry(session: AsyncSession, document_id: str, successor_id: str) -> None:
    """Give the document that supersedes another the other's phrasings, too; those it has already stay, those that
    somebody removed there do not come.

    The other keeps its own: it may be asked about for a day before its end. One whose article or section the successor
    lacks is not used there, until staff attach it or remove it.
    """
    rows = list(await session.scalars(select(KbPhrasing).where(KbPhrasing.document_id == document_id, KEPT)))
    if not rows:
        return
    was = await _as_it_stands(session, document_id)
    found = await _found(session, rows, was, await _texts(session, successor_id))
    has = set(await session.scalars(select(KbPhrasing.text).where(KbPhrasing.document_id == successor_id, KEPT)))
    removed = await removed_here(session, successor_id)
    for row in rows:
        if row.text in has or digest(row.text) in removed or (row.label is not None and row.id not in found):
            continue
        label, lost_document, lost_version = found.get(row.id, _WHOLE)
        session.add(
            KbPhrasing(
                document_id=successor_id,
                label=label,
                text=row.text,
                source=row.source,
                actor=row.actor,
                embedding=row.embedding,
                encoder=row.encoder,
                copied_from=document_id,
                lost_document=lost_document,
                lost_version=lost_version,
            )
        )
    await session.flush()
    await store.count_phrasings_up(session)


async def take_back(session: AsyncSession, document_id: str, successor_id: str) -> None:
    """Remove what `carry` brought to a document that does not supersede the other after all, and on from there.

    Copies that somebody has put elsewhere since, or wanted there, stay (`Phrasings.left_behind`).
    """
    if await _remove_copies(session, document_id, successor_id, None):
        await store.count_phrasings_up(session)


async def _remove_copies(session: AsyncSession, from_id: str, at_id: str, texts: Collection[str] | None) -> bool:
    """Whether there were any. `texts`: only copies of these; None: of all."""
    copies = select(KbPhrasing).where(
        KbPhrasing.document_id == at_id, KbPhrasing.copied_from == from_id, KbPhrasing.touched.is_(False), KEPT
    )
    rows = [row for row in await session.scalars(copies) if texts is None or row.text in texts]
    gone = {row.text for row in rows}
    for row in rows:
        await session.delete(row)
    await session.flush()
    further = await session.scalar(select(KbDocument.superseded_by).where(KbDocument.id == at_id))
    if gone and further:
        await _remove_copies(session, at_id, further, gone)
    return bool(gone)


_Place = tuple[str | None, str | None, int | None]
"""Label, then the document and the version that had the place last, where it is gone."""
_WHOLE: _Place = None, None, None


def _place_of(row: KbPhrasing) -> _Place:
    return row.label, row.lost_document, row.lost_version


async def _found(
    session: AsyncSession, rows: Sequence[KbPhrasing], was: Before, now_there: Mapping[str, str]
) -> dict[int, _Place]:
    """Where phrasings of one text belong in another, by id, less those of which nobody can tell what they meant.

    Those whose place was gone already come back only to what is new in the text, or has the very words that were lost.
    """
    living, lost = _sorted(rows, was)
    wanted = list(dict.fromkeys(living.values()))
    moved = await asyncio.to_thread(places.moved, was.texts, now_there, wanted)
    found: dict[int, _Place] = {}
    for id_, place in living.items():
        heir = moved[place]
        gone = places.former(place, now_there), was.document_id, was.version
        found[id_] = (heir, None, None) if heir is not None else gone
    if not lost:
        return found
    heirs = set((await asyncio.to_thread(places.moved, was.texts, now_there, list(was.texts))).values())
    for (document_id, version), labels in lost.items():
        texts = await _texts_of_version(session, document_id, version)
        meant = {id_: named[0] for id_, label in labels.items() if len(named := places.find(label, texts)) == 1}
        words = {texts[place] for place in meant.values()}
        free = {place: text for place, text in now_there.items() if place not in heirs or text in words}
        again = await asyncio.to_thread(places.moved, texts, free, list(dict.fromkeys(meant.values())))
        for id_, place in meant.items():
            heir = again[place]
            gone = places.former(place, now_there), document_id, version
            found[id_] = (heir, None, None) if heir is not None else gone
    return found


def _sorted(rows: Sequence[KbPhrasing], was: Before) -> tuple[dict[int, str], dict[tuple[str, int], dict[int, str]]]:
    """Ids of phrasings with their place in a text; then those that have none there, by the text that had it last."""
    living: dict[int, str] = {}
    lost: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for row in rows:
        if row.label is None:
            continue
        named = places.find(row.label, was.texts)
        if len(named) == 1:
            living[row.id] = named[0]
        elif row.lost_document is not None and row.lost_version is not None:
            lost[row.lost_document, row.lost_version][row.id] = row.label.removesuffix(places.FORMER)
    return living, lost


async def _as_it_stands(session: AsyncSession, document_id: str) -> Before:
    version = await session.scalar(select(KbDocument.version).where(KbDocument.id == document_id))
    return Before(document_id, version or 0, await _texts(session, document_id))


async def _texts(session: AsyncSession, document_id: str) -> dict[str, str]:
    rows = await session.execute(
        select(KbPassage.article, KbPassage.text)
        .where(KbPassage.document_id == document_id)
        .order_by(KbPassage.ordinal)
    )
    return places.texts([(row.article, row.text) for row in rows])


async def _texts_of_version(session: AsyncSession, document_id: str, number: int) -> dict[str, str]:
    """As `_texts`, of a version that is kept; empty where it is not."""
    try:
        kept = await versions.version(session, document_id, number)
    except (DocumentNotFound, VersionNotFound):
        return {}
    pieces = await asyncio.to_thread(split, kept.text, kept.fields["title"])
    return places.texts([(piece.article, piece.text) for piece in pieces])


def _labelled(document_id: str) -> Select[KbPhrasing]:
    return select(KbPhrasing).where(KbPhrasing.document_id == document_id, KbPhrasing.label.is_not(None), KEPT)
