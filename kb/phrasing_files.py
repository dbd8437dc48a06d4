"""Phrasings in files: JSON lines `{docid and/or title, document_number, label, question}`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rapidfuzz import fuzz

from kb.documents import Document
from kb.errors import KbError
from kb.phrasings import NewPhrasing
from kb.text import storable

Refused = tuple[str, str]
"""File and line, and why, in Chinese."""
_SAME_TITLE = 50  # rapidfuzz ratio
_KEYS = ("docid", "title", "label", "question", "document_number")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file. Of `docid` and `title` one at least is set; `label` None: the whole document."""

    file: str
    line: int
    docid: str | None
    title: str | None
    label: str | None
    question: str
    number: str | None = None

    @property
    def name(self) -> str:
        """File and line, in Chinese."""
        return f"{self.file} 第 {self.line} 行"

    def for_document(self, document_id: str) -> NewPhrasing:
        return NewPhrasing(document_id, self.label, self.question, self.name)


@dataclass(slots=True)
class Matched:
    """An id of another installation, and the document here that has the title of its rows."""

    docid: str
    title: str
    document_id: str
    rows: int = 0


@dataclass(slots=True)
class Placed:
    """Rows with their documents. `unknown`: rows whose document is not here; `refused`: those, and the ones of which it
    is not plain which document they mean."""

    found: list[NewPhrasing] = field(default_factory=list)
    matched: list[Matched] = field(default_factory=list)
    unknown: list[Row] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def read(files: Sequence[Path]) -> tuple[list[Row], list[Refused]]:
    """The rows of the files, and what cannot be read."""
    rows: list[Row] = []
    refused: list[Refused] = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            refused.append((file.name, "文件打不开，或者不是 UTF-8 文字。"))
            continue
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    rows.append(_row(file.name, number, line))
                except KbError as error:
                    refused.append((f"{file.name} 第 {number} 行", error.detail))
    return rows, refused


def read_folder(folder: Path) -> tuple[list[Row], list[Refused]]:
    """The rows of all JSON lines files in a folder; none where there is no such folder."""
    return read(sorted(folder.glob("*.jsonl")))


def placed(rows: Sequence[Row], documents: Sequence[Document]) -> Placed:
    """The rows with their documents: by id, or, where the id is none of here, by title and document number.

    An id that is here but belongs to a document of another title is refused, unless the titles are like each
    other or the document number is the same: ids of another installation may be the same by chance.
    """
    result = Placed()
    by_id = {document.id: document for document in documents}
    by_title: dict[str, list[Document]] = {}
    for document in documents:
        by_title.setdefault(document.title, []).append(document)
    matched: dict[tuple[str, str], Matched] = {}
    for row in rows:
        titled = _of_number(row.number, by_title.get(row.title or "", []))
        known = by_id.get(row.docid or "")
        if known is not None and _is_another(known, row):
            both = f"编号 {known.id} 在这里是《{known.title}》，不是《{row.title}》"
            result.refused.append((row.name, f"{both}，请改 docid 或 title。"))
        elif known is not None:
            result.found.append(row.for_document(known.id))
        elif len(titled) == 1:
            document = titled[0]
            result.found.append(row.for_document(document.id))
            if row.docid:
                key = row.docid, document.id
                matched.setdefault(key, Matched(row.docid, document.title, document.id)).rows += 1
        elif titled:
            ids = "、".join(document.id for document in titled)
            reason = f"标题是《{row.title}》的文件有 {len(titled)} 份，请改写 docid：{ids}。"
            result.refused.append((row.name, reason))
        else:
            result.unknown.append(row)
            result.refused.append((row.name, _not_here(row)))
    result.matched = list(matched.values())
    return result


def _is_another(document: Document, row: Row) -> bool:
    if row.number and document.document_number:
        return row.number != document.document_number
    # Titles are corrected now and then.
    return row.title is not None and fuzz.ratio(row.title, document.title) < _SAME_TITLE


def _of_number(number: str | None, titled: Sequence[Document]) -> Sequence[Document]:
    """Of documents with the same title those that have the number; all where none says its number or none is asked."""
    if number is None:
        return titled
    return [document for document in titled if document.document_number in (number, None)]


def _not_here(row: Row) -> str:
    by_number = f"、文号是“{row.number}”" if row.number else ""
    titled = f"标题是《{row.title}》{by_number}的文件" if row.title else ""
    if row.docid:
        return f"没有编号为 {row.docid} 的文件" + (f"，也没有{titled}。" if titled else "。")
    return f"没有{titled}。"


def _row(file: str, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        raise KbError("不是一行 JSON。") from None
    if not isinstance(row, Mapping):
        raise KbError("应写成 {docid 或 title, label, question}。")
    values = {key: row.get(key) for key in _KEYS}
    wrong = [key for key, value in values.items() if value is not None and not isinstance(value, str)]
    if wrong:
        raise KbError(f"“{'、'.join(wrong)}”应是文字。")
    docid, title, label, question, document_number = (storable(values[key] or "").strip() for key in _KEYS)
    if not docid and not title:
        raise KbError("缺少 docid 或 title。")
    if not question:
        raise KbError("缺少 question。")
    return Row(file, number, docid or None, title or None, label or None, question, document_number or None)
