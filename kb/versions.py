"""What a document was in each of its versions: the fields and the whole text, who made it and when.

A version is written in the transaction that makes it and never changed. Documents stored before versions were kept get
theirs when they are changed for the first time, their text put together from their passages.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbDocument, KbPassage, KbVersion, now
from kb.documents import FIELD_NAMES
from kb.errors import DocumentNotFound, VersionNotFound

# Who made the versions that no person made at the workbench.
IMPORTED, SEEDED = "import", "seed"
_DAYS = ("valid_from", "valid_to")
_BY_CHARS = 40
# What parameters of one statement SQLite takes is limited.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version in the list. `changed_by`: an account, "import", or None where it was not known."""

    number: int
    changed_by: str | None
    changed_at: datetime
    chars: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"changed_at": self.changed_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Version:
    """`fields`: those of FIELD_NAMES and `superseded_by`."""

    number: int
    fields: dict[str, Any]
    text: str
    changed_by: str | None
    changed_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """For JSON, the fields beside the rest."""
        found = asdict(self)
        both = found.pop("fields") | found
        return {k: v.isoformat() if isinstance(v, date) else v for k, v in both.items()}


def author(changed_by: str | None) -> str:
    """Who made a version or added a phrasing, as people read it."""
    return {None: "未记录", IMPORTED: "批量导入", SEEDED: "系统自带"}.get(changed_by) or str(changed_by)


async def keep(session: AsyncSession, texts: Mapping[str, str], by: str | None) -> None:
    """Keep the documents as they stand in this transaction, with their texts by id; a version that is kept stays."""
    await session.flush()
    ids = list(texts)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(ids), _AT_ONCE):
        found = await session.scalars(select(KbDocument).where(KbDocument.id.in_(ids[start : start + _AT_ONCE])))
        rows = [
            {
                "document_id": row.id,
                "version": row.version,
                "fields": _fields(row),
                "text": texts[row.id],
                "changed_by": by[:_BY_CHARS] if by else None,
                "changed_at": now(),
            }
            for row in found
        ]
        if rows:
            await session.execute(insert(KbVersion).on_conflict_do_nothing(), rows)


async def keep_what_was(session: AsyncSession, row: KbDocument) -> str:
    """The text of a document before it is changed; its version is kept now if it was not yet."""
    text: str | None = await session.scalar(_of(row.id, row.version).with_only_columns(KbVersion.text))
    if text is None:
        text = await _from_passages(session, row.id)
        await keep(session, {row.id: text}, None)
    return text


async def listed(session: AsyncSession, document_id: str) -> list[VersionInfo]:
    """All versions, the newest first. Raises DocumentNotFound."""
    if await session.get(KbDocument, document_id) is None:
        raise DocumentNotFound()
    query = (
        select(KbVersion.version, KbVersion.changed_by, KbVersion.changed_at, func.length(KbVersion.text))
        .where(KbVersion.document_id == document_id)
        .order_by(KbVersion.version.desc())
    )
    return [VersionInfo(*row) for row in await session.execute(query)]


async def version(session: AsyncSession, document_id: str, number: int | None = None) -> Version:
    """One version, or how the document is now. Raises DocumentNotFound, VersionNotFound."""
    row = await session.get(KbDocument, document_id)
    if row is None:
        raise DocumentNotFound()
    kept = await session.scalar(_of(document_id, row.version if number is None else number))
    if kept is not None:
        return Version(kept.version, _read(kept.fields), kept.text, kept.changed_by, kept.changed_at)
    if number not in (None, row.version):
        raise VersionNotFound()
    text = await _from_passages(session, document_id)
    return Version(row.version, _read(_fields(row)), text, None, row.updated_at)


async def before_superseding(session: AsyncSession, row: KbDocument) -> tuple[date | None, bool]:
    """The last day that a document had before another took its place (the present one where no version says so), and
    whether it was suspended when one did.
    """
    suspended = False
    query = select(KbVersion).where(KbVersion.document_id == row.id).order_by(KbVersion.version.desc())
    for kept in await session.scalars(query):
        if not kept.fields.get("superseded_by"):
            return _read(kept.fields)["valid_to"], suspended
        suspended = suspended or kept.fields.get("status") == "suspended"
    return row.valid_to, suspended


def joined(pieces: list[tuple[str | None, str]]) -> str:
    """A text from which the same passages are cut: headings where they begin, windows without their overlap."""
    lines: list[str] = []
    place: list[str] = []
    for article, text in pieces:
        parts = article.split(" / ") if article else []
        if parts == place and lines:
            lines[-1] = _overlapped(lines[-1], text)
            continue
        same = 0
        while same < min(len(place), len(parts)) and place[same] == parts[same]:
            same += 1
        for level, part in enumerate(parts[same:], start=same + 1):
            if not text.startswith(part):
                lines.append(f"{'#' * min(level, 6)} {part}")
        place = parts
        lines.append(text)
    return "\n".join(lines)


def _overlapped(before: str, after: str) -> str:
    for size in range(min(len(before), len(after)), 1, -1):
        if before.endswith(after[:size]):
            return before + after[size:]
    return f"{before}\n{after}"


async def _from_passages(session: AsyncSession, document_id: str) -> str:
    rows = await session.execute(
        select(KbPassage.article, KbPassage.text)
        .where(KbPassage.document_id == document_id)
        .order_by(KbPassage.ordinal)
    )
    return joined([(row.article, row.text) for row in rows])


def _of(document_id: str, number: int) -> Any:
    return select(KbVersion).where(KbVersion.document_id == document_id, KbVersion.version == number)


def _fields(row: KbDocument) -> dict[str, Any]:
    fields = {name: getattr(row, "source_url" if name == "source" else name) for name in FIELD_NAMES}
    # The status is only told for `before_superseding`: most steps that change it make no version.
    fields |= {"superseded_by": row.superseded_by, "status": row.status}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in fields.items()}


def _read(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: fields.get(name) for name in (*FIELD_NAMES, "superseded_by")}
    return {n: date.fromisoformat(v) if n in _DAYS and isinstance(v, str) else v for n, v in found.items()}
