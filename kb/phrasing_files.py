"""Phrasings in files: JSON lines `{docid or title, label, question}`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.documents import Document
from kb.errors import KbError
from kb.phrasings import NewPhrasing
from kb.text import storable

Refused = tuple[str, str]
"""File and line, and why, in Chinese."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file. `name`: file and line. One of `docid` and `title` is set; `label` None: the whole document."""

    name: str
    docid: str | None
    title: str | None
    label: str | None
    question: str

    def for_document(self, document_id: str) -> NewPhrasing:
        return NewPhrasing(document_id, self.label, self.question, self.name)


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
                name = f"{file.name} 第 {number} 行"
                try:
                    rows.append(_row(name, line))
                except KbError as error:
                    refused.append((name, error.detail))
    return rows, refused


def read_folder(folder: Path) -> tuple[list[Row], list[Refused]]:
    """The rows of all JSON lines files in a folder; none where there is no such folder."""
    return read(sorted(folder.glob("*.jsonl")))


def placed(rows: Sequence[Row], documents: Sequence[Document]) -> tuple[list[NewPhrasing], list[Refused]]:
    """The rows with their documents, and those whose document is not there or not plain from the title."""
    of_title: dict[str, list[str]] = {}
    for document in documents:
        of_title.setdefault(document.title, []).append(document.id)
    found: list[NewPhrasing] = []
    refused: list[Refused] = []
    for row in rows:
        ids = [row.docid] if row.docid else of_title.get(row.title or "", [])
        if len(ids) == 1:
            found.append(row.for_document(ids[0]))
        elif ids:
            refused.append((row.name, f"标题是《{row.title}》的文件有 {len(ids)} 份，请改写 docid：{'、'.join(ids)}。"))
        else:
            refused.append((row.name, f"没有标题是《{row.title}》的文件。"))
    return found, refused


def _row(name: str, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        raise KbError("不是一行 JSON。") from None
    if not isinstance(row, Mapping):
        raise KbError("应写成 {docid 或 title, label, question}。")
    values = {key: row.get(key) for key in ("docid", "title", "label", "question")}
    wrong = [key for key, value in values.items() if value is not None and not isinstance(value, str)]
    if wrong:
        raise KbError(f"“{'、'.join(wrong)}”应是文字。")
    docid, title, label, question = (
        storable(values[key] or "").strip() for key in ("docid", "title", "label", "question")
    )
    if not docid and not title:
        raise KbError("缺少 docid 或 title。")
    if not question:
        raise KbError("缺少 question。")
    return Row(name, docid or None, title or None, label or None, question)
