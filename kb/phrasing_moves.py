"""What becomes of phrasings when their document is rewritten, or another takes its place."""

import asyncio
from collections.abc import Mapping, Sequence

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbPassage, KbPhrasing, now
from kb import places
from kb.phrasings import KEPT

# Behind the name of a place that is gone, where another has that name or may have it one day.
_FORMER = "（原）"


async def texts_of_places(session: AsyncSession, document_id: str) -> dict[str, str]:
    """Place → what stands there now (`kb.places.texts`); empty where the document has no phrasings."""
    if await session.scalar(_labelled(document_id).with_only_columns(KbPhrasing.id).limit(1)) is not None:
        return await _texts(session, document_id)
    return {}


async def follow(session: AsyncSession, document_id: str, was: Mapping[str, str]) -> None:
    """Let the phrasings of a document that was rewritten in this transaction follow their places.

    `was`: `texts_of_places` before. One whose place is nowhere keeps its name, marked where it
    may be another's.
    """
    rows = list(await session.scalars(_labelled(document_id))) if was else []
    targets = await _targets(session, rows, was, document_id)
    for row in rows:
        if row.label in targets and targets[row.label] != row.label:
            row.label, row.created_at = targets[row.label], now()
    await session.flush()


async def carry(session: AsyncSession, document_id: str, successor_id: str) -> None:
    """Give the document that supersedes another the other's phrasings, too; those it has already stay.

    The other keeps its own: it may be asked about for a day before its end. One whose article or section the successor
    lacks is not used there, until staff attach it or remove it.
    """
    rows = list(await session.scalars(select(KbPhrasing).where(KbPhrasing.document_id == document_id, KEPT)))
    was = await _texts(session, document_id) if rows else {}
    targets = await _targets(session, rows, was, successor_id)
    has = set(await session.scalars(select(KbPhrasing.text).where(KbPhrasing.document_id == successor_id, KEPT)))
    for row in rows:
        if row.text in has or (row.label is not None and row.label not in targets):
            continue
        session.add(
            KbPhrasing(
                document_id=successor_id,
                label=targets[row.label] if row.label is not None else None,
                text=row.text,
                source=row.source,
                actor=row.actor,
                embedding=row.embedding,
                encoder=row.encoder,
            )
        )
    await session.flush()


async def _targets(
    session: AsyncSession, rows: Sequence[KbPhrasing], was: Mapping[str, str], document_id: str
) -> dict[str | None, str]:
    """Label → its place in the text that a document has now, or a name that no place there has. Left out are labels
    that meant no one place before."""
    places_of = {label: places.find(label, was) for label in {row.label for row in rows if row.label is not None}}
    plain = {label: named[0] for label, named in places_of.items() if len(named) == 1}
    if not plain:
        return {}
    texts = await _texts(session, document_id)
    moved = await asyncio.to_thread(places.moved, was, texts, list(dict.fromkeys(plain.values())))
    return {label: moved[place] or _former(place, texts) for label, place in plain.items()}


def _former(place: str, now_there: Mapping[str, str]) -> str:
    """A name for what is gone: a heading that comes back is the same, a number may be another article's one day."""
    if not places.is_article(place) and not places.find(place, now_there):
        return place
    return f"{place[-(places.MAX_CHARS - len(_FORMER)) :]}{_FORMER}"


async def _texts(session: AsyncSession, document_id: str) -> dict[str, str]:
    rows = await session.execute(
        select(KbPassage.article, KbPassage.text)
        .where(KbPassage.document_id == document_id)
        .order_by(KbPassage.ordinal)
    )
    return places.texts([(row.article, row.text) for row in rows])


def _labelled(document_id: str) -> Select[KbPhrasing]:
    return select(KbPhrasing).where(KbPhrasing.document_id == document_id, KbPhrasing.label.is_not(None), KEPT)
