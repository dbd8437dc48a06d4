"""What a check finds, and the entries it looks at."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from kb.documents import Document, Passage
from kb.index import Floats

Kind = Literal[
    "expired",
    "expiring",
    "duplicate",
    "contradiction",
    "dead_reference",
    "dead_phrasing",
    "never_hit",
    "unanswered",
    "feedback",
]
KINDS: tuple[str, ...] = get_args(Kind)
KIND_NAMES: dict[str, str] = {
    "expired": "已过期仍在发布",
    "expiring": "30 天内到期",
    "duplicate": "内容重复",
    "contradiction": "说法矛盾",
    "dead_reference": "引用失效",
    "dead_phrasing": "问法失效",
    "never_hit": "从未被引用",
    "unanswered": "答不出的问题",
    "feedback": "被指有误",
}
# Not 城市, 小区, 全市: words that name no place.
_PLACE = re.compile(r"[\u4e00-\u9fff]{2,3}?(?<![城小社园校景厂片辖地矿林全本我各都超上夜集])[省市区县]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A document in force with its passages in reading order; `vectors` (number of passages, width), unit length."""

    document: Document
    passages: Sequence[Passage]
    vectors: Floats


@dataclass(frozen=True, slots=True)
class Quote:
    """Where something stands. `document` is the id."""

    document: str
    title: str
    article: str | None
    text: str

    @classmethod
    def of(cls, document: Document, passage: Passage, text: str) -> "Quote":
        return cls(document.id, document.title, passage.label, text)

    def as_dict(self) -> dict[str, Any]:
        return {"document": self.document, "title": self.title, "article": self.article, "text": self.text}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should look at. `about` names it: the same finding, the same words.

    `summary` is one line in Chinese. `since`: when what it rests on was last said; a task that was finished after that
    stays finished (None: it is as true today as ever).
    """

    kind: Kind
    about: tuple[str, ...]
    documents: tuple[str, ...]
    summary: str
    quotes: tuple[Quote, ...] = ()
    owner: str | None = None
    since: datetime | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        digest = hashlib.sha256("\x1f".join(self.about).encode()).hexdigest()
        return f"{self.kind}:{digest[:32]}"

    def detail(self) -> dict[str, Any]:
        return {"summary": self.summary, "quotes": [quote.as_dict() for quote in self.quotes], **self.more}


def owner_of(document: Document) -> str | None:
    """Who looks after a document."""
    name = document.owner or document.issuer
    return name[:80] if name else None


def for_the_same_people(a: Document, b: Document) -> bool:
    """Whether two documents may hold for the same person: their regions and audiences overlap."""
    return (
        _regions_overlap(a.region, b.region)
        and _regions_overlap(" ".join(_PLACE.findall(a.title)), " ".join(_PLACE.findall(b.title)))
        and _audiences_overlap(a.audience, b.audience)
    )


def _regions_overlap(a: str | None, b: str | None) -> bool:
    return not a or not b or a in b or b in a


def _audiences_overlap(a: str | None, b: str | None) -> bool:
    """Audiences are free text: two that share no pair of characters are taken for different people."""
    if not a or not b:
        return True
    return bool({a[i : i + 2] for i in range(len(a) - 1)} & {b[i : i + 2] for i in range(len(b) - 1)})
