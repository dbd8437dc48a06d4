"""The words of this room: a document as it comes in, as it is kept, and the passages it is cited by."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final, Literal, get_args

from kb.errors import InvalidDocument

Status = Literal["draft", "published", "suspended", "expired", "superseded"]
STATUSES: tuple[str, ...] = get_args(Status)
STATUS_NAMES: Final[dict[str, str]] = {
    "draft": "草稿",
    "published": "已发布",
    "suspended": "已停用",
    "expired": "已失效",
    "superseded": "已被替代",
}

# What a person may edit of a document besides its text, and what it is called.
FIELD_NAMES: Final[dict[str, str]] = {
    "title": "标题",
    "issuer": "发文单位",
    "document_number": "文号",
    "legal_basis": "依据",
    "region": "适用地区",
    "audience": "适用对象",
    "category": "类别",
    "valid_from": "生效日期",
    "valid_to": "失效日期",
    "source": "来源",
    "owner": "维护人",
}

_LIMITS = {
    "title": 300,
    "issuer": 120,
    "document_number": 120,
    "region": 80,
    "audience": 120,
    "category": 80,
    "source": 500,
    "owner": 80,
}
_ID = re.compile(r"[\w.\-]{1,64}")


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A policy document before it is stored.

    `status` is what the document says of itself; None leaves it to whoever imports. `valid_to` is the last day in
    force.
    """

    id: str
    title: str
    text: str
    issuer: str | None = None
    document_number: str | None = None
    legal_basis: str | None = None
    region: str | None = None
    audience: str | None = None
    category: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    status: Status | None = None
    source: str | None = None
    owner: str | None = None

    def checked(self) -> "NewDocument":
        """The same document, trimmed; raises InvalidDocument with the reason in Chinese."""
        document = replace(self, title=self.title.strip(), text=self.text.strip())
        if not _ID.fullmatch(document.id) or not document.id.strip("."):
            raise InvalidDocument("文件编号只能用字母、数字、汉字、点、横线和下划线，最多 64 个字符，不能只有点。")
        if not document.title:
            raise InvalidDocument("缺少标题。")
        if not document.text:
            raise InvalidDocument("没有正文。")
        for name, limit in _LIMITS.items():
            if len(getattr(document, name) or "") > limit:
                raise InvalidDocument(f"“{FIELD_NAMES[name]}”超过 {limit} 个字符。")
        if document.status is not None and document.status not in STATUSES:
            raise InvalidDocument(f"状态只能是 {'、'.join(STATUSES)}。")
        if document.valid_from and document.valid_to and document.valid_to < document.valid_from:
            raise InvalidDocument("失效日期早于生效日期。")
        return document

    def content_hash(self) -> str:
        """The same for the same content, whatever the status."""
        content = asdict(self) | {"status": None}
        return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document without its text.

    `superseded_by`: the document that takes its place. A published one that names another is in force until `valid_to`.
    """

    id: str
    title: str
    status: Status
    issuer: str | None = None
    document_number: str | None = None
    legal_basis: str | None = None
    region: str | None = None
    audience: str | None = None
    category: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    source: str | None = None
    owner: str | None = None
    version: int = 1
    updated_at: datetime | None = None
    superseded_by: str | None = None

    def status_on(self, today: date) -> Status:
        """The status as people see it: a published document that has run out is expired or superseded."""
        if self.status == "published" and self.valid_to is not None and self.valid_to < today:
            return "superseded" if self.superseded_by else "expired"
        return self.status

    def in_force(self, today: date, as_of: date | None = None) -> bool:
        """Whether the document may be answered from.

        Both boundary days are in force. A document that is expired or superseded may only be asked about as of a
        day that is past and lies before its end.
        """
        day = as_of or today
        if self.status in ("expired", "superseded"):
            if day >= today or self.valid_to is None:
                return False
        elif self.status != "published":
            return False
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    def as_dict(self) -> dict[str, Any]:
        return {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `article` is its place: headings and article, outermost first, joined by " / "."""

    id: int
    document_id: str
    ordinal: int
    article: str | None
    text: str

    @property
    def label(self) -> str | None:
        """The innermost part of the place, as it is cited: "第十二条", "办理材料"."""
        return label_of(self.article)


@dataclass(frozen=True, slots=True)
class DocumentWithPassages:
    document: Document
    passages: list[Passage] = field(default_factory=list)


def label_of(article: str | None) -> str | None:
    """The innermost part of a place: "第十二条" of "第二章 办理 / 第十二条"."""
    return article.rsplit(" / ", 1)[-1] if article else None


def today_in(zone: str) -> date:
    """The calendar day in a city's time zone."""
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo(zone)).date()
