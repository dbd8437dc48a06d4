"""Two readings of one question: documents that fit alike and differ in region, in whom they are for, or in the matter.

Answering from the first would be a guess; a resident is asked which one is meant. A question that names what the
documents differ in is not asked back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kb.documents import Document
from kb.extract import covered_share
from kb.search import Hit, Query, Snapshot
from kb.text import folded
from kb.words import content_words, words

MOST = 3
_DOCUMENTS = 4
_TIE = 0.1
_FEW_WORDS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """One reading: `label` for a button, and the question that has this reading alone."""

    label: str
    question: str
    document: str


def readings(query: Query, hits: Sequence[Hit], snapshot: Snapshot) -> list[Choice]:
    """Two or three readings, the likeliest first; none where the question has one only."""
    best_of: dict[str, Hit] = {}
    for hit in hits:
        best_of.setdefault(hit.document.id, hit)
    first, *others = list(best_of.values())[:_DOCUMENTS]
    covered = _covered(query, first, snapshot)
    tied = [
        hit for hit in others if first.score - hit.score <= _TIE and _covered(query, hit, snapshot) >= covered - 0.02
    ]
    if not tied:
        return []
    documents = [first.document, *(hit.document for hit in tied)]
    return (
        _by(query, documents, [d.region for d in documents])
        or _by(query, documents, [d.audience for d in documents])
        or _by_matter(query, documents, snapshot)
    )


def _covered(query: Query, hit: Hit, snapshot: Snapshot) -> float:
    return covered_share(query.content, [hit.passage], hit.document.title, snapshot.index.idf)


def _by(query: Query, documents: Sequence[Document], values: Sequence[str | None]) -> list[Choice]:
    """By region or audience: only documents on the same matter that name different ones, of which none is asked for."""
    asked = folded(query.text)
    chosen: dict[str, Document] = {}
    for document, value in zip(documents, values, strict=True):
        if not value or not _same_matter(documents[0], document, values[0], value):
            continue
        if _named(folded(value), asked):
            return []
        if not any(value in other or other in value for other in chosen):
            chosen[value] = document
    if len(chosen) < 2 or documents[0] not in chosen.values():
        return []
    return [Choice(value, f"{value}{query.asked}", d.id) for value, d in list(chosen.items())[:MOST]]


def _same_matter(one: Document, other: Document, value: str | None, other_value: str) -> bool:
    """Whether two titles are the same but for what they differ in."""
    mine = set(content_words(words(one.title.replace(value or "", "")))) - set(words(value or ""))
    theirs = set(content_words(words(other.title.replace(other_value, "")))) - set(words(other_value))
    return bool(mine) and len(mine & theirs) >= 0.6 * max(len(mine), len(theirs))


def _named(value: str, asked: str) -> bool:
    """Whether a question names a region or audience: two characters of it beside each other, the city's name aside."""
    own = value.rpartition("市")[2] or value
    return any(a + b in asked for a, b in pairwise(own))


def _by_matter(query: Query, documents: Sequence[Document], snapshot: Snapshot) -> list[Choice]:
    """By matter: a question of one or two words that stand in several titles, and nothing that tells these apart."""
    if not query.content or len(query.content) > _FEW_WORDS:
        return []
    shares = [covered_share(query.content, [], document.title, snapshot.index.idf) for document in documents]
    if shares[0] <= 0:
        return []
    chosen = [d for d, share in zip(documents, shares, strict=True) if abs(share - shares[0]) < 0.02]
    titles = {d.title: d for d in chosen}
    if len(titles) < 2:
        return []
    return [Choice(d.title, f"{d.title}：{query.asked}", d.id) for d in list(titles.values())[:MOST]]
