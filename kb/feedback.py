"""What residents and agents say of answers, kept at the entry they came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbFeedback, now
from assistant.privacy import mask
from kb.errors import DocumentNotFound, KbError
from kb.health import tasks
from kb.health.finding import Finding, Quote

Verdict = Literal["helpful", "wrong", "outdated"]
Source = Literal["resident", "agent"]
VERDICTS: dict[str, str] = {"helpful": "有用", "wrong": "不对", "outdated": "过时"}
SOURCES: dict[str, str] = {"resident": "居民", "agent": "座席"}
_MAX_COMMENT = 500
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Feedback:
    """One verdict on an answer from an entry."""

    document_id: str
    article: str | None
    verdict: str
    comment: str | None
    source: str
    created_at: datetime


async def put(
    session: AsyncSession,
    key: str,
    document_id: str,
    article: str | None,
    verdict: str,
    comment: str | None,
    source: str,
) -> None:
    """Keep a verdict; the same key again replaces it. A comment's phone and identity numbers are masked.

    A wrong or outdated entry becomes a task at once. Raises DocumentNotFound, KbError.
    """
    if verdict not in get_args(Verdict) or source not in get_args(Source) or not 0 < len(key) <= 160:
        raise KbError("评价只能是有用、不对、过时。")
    if await session.get(KbDocument, document_id) is None:
        raise DocumentNotFound()
    said = mask(comment.strip())[0][:_MAX_COMMENT] if comment and comment.strip() else None
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    told = {
        "document_id": document_id,
        "article": article[:120] if article else None,
        "verdict": verdict,
        "comment": said,
        "source": source,
        "created_at": now(),
    }
    await session.execute(
        insert(KbFeedback).values(key=key, **told).on_conflict_do_update(index_elements=["key"], set_=told)
    )
    if verdict != "helpful":
        started = now()
        found = await findings(session, document_id)
        # Only this entry was looked at: nothing is closed.
        await tasks.take_in(session, found, ["feedback"], started=datetime.min.replace(tzinfo=started.tzinfo))


async def verdicts_of(session: AsyncSession, keys: Sequence[str]) -> dict[str, str]:
    """Verdicts by key, of those that were given."""
    rows = await session.execute(select(KbFeedback.key, KbFeedback.verdict).where(KbFeedback.key.in_(keys)))
    return {row.key: row.verdict for row in rows}


async def of_document(session: AsyncSession, document_id: str, *, limit: int) -> list[Feedback]:
    """What was said of an entry, the latest first."""
    rows = await session.scalars(
        select(KbFeedback)
        .where(KbFeedback.document_id == document_id)
        .order_by(KbFeedback.created_at.desc(), KbFeedback.id.desc())
        .limit(limit)
    )
    return [Feedback(r.document_id, r.article, r.verdict, r.comment, r.source, r.created_at) for r in rows]


async def counts(session: AsyncSession, document_id: str) -> dict[str, int]:
    """How often each verdict was given on an entry."""
    rows = await session.execute(
        select(KbFeedback.verdict, func.count())
        .where(KbFeedback.document_id == document_id)
        .group_by(KbFeedback.verdict)
    )
    return {row[0]: row[1] for row in rows}


async def findings(session: AsyncSession, document_id: str | None = None) -> list[Finding]:
    """What was called wrong or outdated since the entry was last changed, by document and article."""
    query = (
        select(KbFeedback, KbDocument)
        .join(KbDocument, KbDocument.id == KbFeedback.document_id)
        .where(KbFeedback.verdict != "helpful", KbFeedback.created_at > KbDocument.updated_at)
        .order_by(KbFeedback.created_at.desc())
    )
    if document_id is not None:
        query = query.where(KbFeedback.document_id == document_id)
    told: dict[tuple[str, str | None], list[tuple[KbFeedback, KbDocument]]] = {}
    for said, document in await session.execute(query):
        told.setdefault((said.document_id, said.article), []).append((said, document))
    return [_finding(rows) for rows in told.values()]


def _finding(rows: Sequence[tuple[KbFeedback, KbDocument]]) -> Finding:
    latest, document = rows[0]
    counted = {name: sum(said.verdict == verdict for said, _ in rows) for verdict, name in VERDICTS.items()}
    said_of_it = "，".join(f"{n} 次被指{name}" for name, n in counted.items() if n)
    owner = document.owner or document.issuer
    quotes = [Quote(document.id, document.title, said.article, said.comment) for said, _ in rows if said.comment]
    return Finding(
        "feedback",
        (document.id, latest.article or ""),
        (document.id,),
        f"《{document.title}》{latest.article or ''}：{said_of_it}",
        tuple(quotes[:_SHOWN]),
        owner[:80] if owner else None,
        since=latest.created_at,
        more={"count": len(rows)},
    )
