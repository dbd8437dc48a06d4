"""Entries that have run out, that soon will, and that nobody was ever answered from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from kb.documents import Document
from kb.health.finding import Finding, owner_of

EXPIRING_DAYS = 30
NEVER_HIT_DAYS = 90
# So long hits must have been counted, and an entry must have been there, before silence says anything.
SETTLED_DAYS = 30


def run_out(documents: Sequence[Document], today: date) -> Iterator[Finding]:
    """Published documents whose last day is past, or lies within the next 30 days (today is one of them)."""
    for document in documents:
        end = document.valid_to
        if document.status != "published" or end is None or end > today + timedelta(days=EXPIRING_DAYS):
            continue
        # What another document takes the place of ends as planned.
        if document.superseded_by:
            continue
        about = (document.id, end.isoformat())
        if end < today:
            words = f"《{document.title}》{end} 已到期，仍是“已发布”。请换上新版，或标为已失效。"
            yield Finding("expired", about, (document.id,), words, owner=owner_of(document))
        else:
            left = (end - today).days
            when = "今天是最后一天" if left == 0 else f"还剩 {left} 天"
            words = f"《{document.title}》有效期到 {end}，{when}。"
            yield Finding("expiring", about, (document.id,), words, owner=owner_of(document))


def never_hit(
    documents: Sequence[Document],
    created: Mapping[str, date],
    last_hit: Mapping[str, date],
    counted_since: date | None,
    today: date,
) -> Iterator[Finding]:
    """Documents in force that no answer rested on in the last 90 days.

    `created`: when each document was stored; `last_hit`: the last day it was answered from; `counted_since`: the first
    day of which hits are known (None: none yet). Nothing is said of the first 30 days of either.
    """
    settled = today - timedelta(days=SETTLED_DAYS)
    if counted_since is None or counted_since > settled:
        return
    since = max(counted_since, today - timedelta(days=NEVER_HIT_DAYS))
    for document in documents:
        stored = created.get(document.id, today)
        if not document.in_force(today) or stored > settled or last_hit.get(document.id, date.min) >= since:
            continue
        words = f"《{document.title}》从 {max(since, stored)} 起没有一次答复引用过它。"
        yield Finding("never_hit", (document.id,), (document.id,), words, owner=owner_of(document))
