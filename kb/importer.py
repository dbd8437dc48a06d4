"""Read files into documents: Markdown with YAML front matter, text, HTML, DOCX, PDF with text, JSON lines, sheets of
questions and answers, and ZIP archives of these.

A file that cannot be read as what its name says is refused with the reason in Chinese (FileRefused) before anything is
stored; whoever imports several goes on with the rest. Here files are read in this process: right for those of the
project and of whoever runs it. Files of unknown origin are read through `kb.untrusted`.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import charset_normalizer
import yaml

from kb import archive, formats, kinds, sheets
from kb.documents import NewDocument
from kb.errors import FileRefused, KbError
from kb.formats import More, Text, nothing_more
from kb.kinds import MAX_BYTES, SUFFIXES
from kb.tables import markdown_tables
from kb.text import storable

__all__ = ["MAX_BYTES", "MAX_CHARS", "SUFFIXES", "FileReading", "Note", "Source", "decode", "found_in", "parts_of"]
__all__ += ["read_file", "read_folder", "read_one", "read_paths"]

MAX_CHARS: Final = 1_000_000
SECONDS_A_MEGABYTE_OF_ROWS: Final = 0.2
_MAX_FRONT_MATTER_CHARS = 20_000
_MAX_BAD_LINES = 1000
_SAMPLE_CHARS = 200_000
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", re.S)
_FIELDS = ("issuer", "document_number", "legal_basis", "region", "audience", "category", "status", "source", "owner")


@dataclass(frozen=True, slots=True)
class Note:
    """What an editor must know of a file that was imported: pages without text, for instance. In Chinese."""

    name: str
    text: str


@dataclass(slots=True)
class FileReading:
    """What came of files: documents, what had to be refused, and notes on what was left out."""

    documents: list[NewDocument] = field(default_factory=list)
    refused: list[FileRefused] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def add(self, other: "FileReading") -> None:
        self.documents += other.documents
        self.refused += other.refused
        self.notes += other.notes


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read and the name it is spoken of by. `load` raises FileRefused."""

    name: str
    path: Path

    def load(self) -> bytes:
        try:
            if not self.path.is_file():
                raise FileRefused(self.name, "没有这个文件，或不是普通文件。")
            kinds.check_size(self.name, self.path.stat().st_size)
            return self.path.read_bytes()
        except OSError as error:
            raise FileRefused(self.name, f"文件打不开（{error.strerror or type(error).__name__}）。") from error


def found_in(paths: Iterable[Path]) -> tuple[list[Source], list[Note]]:
    """The files to read: those named, and of folders and their subfolders those that are documents, by name.

    The notes name what else lies in the folders, so that nothing is passed over in silence.
    """
    sources: list[Source] = []
    notes: list[Note] = []
    for path in paths:
        if not path.is_dir():
            sources.append(Source(_readable(path.name), path))
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        files = [Source("/".join(map(_readable, p.relative_to(path).parts)), p) for p in inside]
        files = [source for source in files if not archive.is_junk(source.name)]
        sources += [source for source in files if kinds.known(source.name)]
        others = [source.name for source in files if not kinds.known(source.name)]
        if others:
            shown = "、".join(others[:5]) + ("等" if len(others) > 5 else "")
            notes.append(Note(_readable(path.name), f"有 {len(others)} 个文件不是可以导入的类型，已跳过：{shown}。"))
    return sources, notes


def _readable(name: str) -> str:
    """The name of a file as people read it: what is not UTF-8 comes from a Chinese Windows."""
    raw = os.fsencode(name)
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


def read_folder(folder: Path) -> tuple[list[NewDocument], list[FileRefused]]:
    """Every file of a folder and its subfolders that is a document, by name; and what had to be refused."""
    return read_paths([folder])


def read_paths(paths: Iterable[Path]) -> tuple[list[NewDocument], list[FileRefused]]:
    """Files, folders and archives; a file that cannot be read is among the refused and the rest goes on."""
    whole = FileReading()
    for source in found_in(paths)[0]:
        try:
            for part in parts_of(source.name, source.load()):
                try:
                    whole.add(read_one(part.name, part.load()))
                except FileRefused as error:
                    whole.refused.append(error)
        except FileRefused as error:
            whole.refused.append(error)
    return whole.documents, whole.refused


def read_file(name: str, data: bytes) -> tuple[list[NewDocument], list[FileRefused]]:
    """The documents of one file: one, or one a line or row, whose bad lines and rows are refused one by one.

    Raises FileRefused when the whole file is unusable.
    """
    reading = read_one(name, data)
    return reading.documents, reading.refused


def parts_of(name: str, data: bytes) -> Iterator[archive.Member]:
    """The files of an archive, or the file itself. Raises FileRefused for an archive that must not be opened."""
    if Path(name).suffix.lower() == kinds.ARCHIVE:
        kinds.check(name, data)
        yield from archive.members(name, data)
    else:
        yield archive.Member(name, lambda: data)


def read_one(name: str, data: bytes, more: More = nothing_more) -> FileReading:
    """One file that is no archive. `more`: see `kb.formats`. Raises FileRefused when the whole file is unusable."""
    suffix = kinds.check(name, data)
    if suffix == kinds.ARCHIVE:
        raise FileRefused(name, "压缩包里的压缩包不会再解开，请单独导入。")
    if suffix == ".xlsx":
        return _of_sheet(name, sheets.read_xlsx(name, data, more))
    if suffix in (".pdf", ".docx"):
        read = formats.read_pdf if suffix == ".pdf" else formats.read_docx
        return _of_text(name, read(name, data, more))
    text = decode(name, data)
    if suffix in (".jsonl", ".csv"):
        more(SECONDS_A_MEGABYTE_OF_ROWS * len(data) / 2**20)
    if suffix == ".jsonl":
        return FileReading(*_read_lines(name, text))
    if suffix == ".csv":
        return _of_sheet(name, sheets.read_csv(name, text))
    if suffix in (".html", ".htm"):
        return _of_text(name, formats.read_html(name, text))
    if suffix in (".md", ".markdown"):
        fields, text = _read_markdown(name, text)
        return _of_text(name, Text(markdown_tables(text), fields))
    return _of_text(name, Text(text))


def _of_text(name: str, read: Text) -> FileReading:
    return FileReading([_document(name, read.fields, read.text)], [], [Note(name, note) for note in read.notes])


def _of_sheet(name: str, read: tuple[list[NewDocument], list[FileRefused], list[str]]) -> FileReading:
    documents, refused, notes = read
    return FileReading(documents, refused, [Note(name, note) for note in notes])


def decode(name: str, data: bytes) -> str:
    """Text of a file in UTF-8, UTF-16 with a mark, or GB18030 (GBK, GB2312)."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise FileRefused(name, "文字编码损坏，无法读取。") from error
    if b"\x00" in data[:4096]:
        raise FileRefused(name, "是二进制文件，不是文字。")
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _looks_chinese(text):
            return text
    best = charset_normalizer.from_bytes(data[:_SAMPLE_CHARS]).best()
    if best is None:
        raise FileRefused(name, "认不出文字编码，请另存为 UTF-8 后再导入。")
    try:
        return data.decode(best.encoding)
    except UnicodeDecodeError as error:
        raise FileRefused(name, "文字编码损坏，无法读取。") from error


def _looks_chinese(text: str) -> bool:
    """Whether most characters beyond ASCII are common Han or punctuation: random bytes decode to rare ones."""
    beyond = [c for c in text[:_SAMPLE_CHARS] if ord(c) > 127]
    usual = sum(
        1 for c in beyond if "\u4e00" <= c <= "\u9fa5" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef"
    )
    return bool(beyond) and usual / len(beyond) > 0.8


def _read_markdown(name: str, text: str) -> tuple[dict[str, Any], str]:
    text = text.replace("\r\n", "\n")
    found = _FRONT_MATTER.match(text)
    if not found:
        return {}, text
    if len(found[1]) > _MAX_FRONT_MATTER_CHARS:
        raise FileRefused(name, f"文件头（YAML）超过 {_MAX_FRONT_MATTER_CHARS} 个字符。")
    try:
        fields = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"第 {mark.line + 2} 行" if mark is not None else ""
        raise FileRefused(name, f"文件头（YAML）{where}写错了。") from error
    if not isinstance(fields, dict):
        raise FileRefused(name, "文件头（YAML）应当是“字段: 值”。")
    return fields, text[found.end() :]


def _read_lines(name: str, text: str) -> tuple[list[NewDocument], list[FileRefused]]:
    documents, refused = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name} 第 {number} 行"
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise FileRefused(where, "不是一个 JSON 对象。")
            documents.append(_document(where, row, str(row.get("text") or "")))
        except (ValueError, RecursionError):
            refused.append(FileRefused(where, "不是有效的 JSON。"))
        except FileRefused as error:
            refused.append(error)
        if len(refused) > _MAX_BAD_LINES:
            raise FileRefused(name, f"超过 {_MAX_BAD_LINES} 行读不了，可能不是 JSONL 文件。")
    return documents, refused


def _document(name: str, fields: Mapping[str, Any], text: str) -> NewDocument:
    """A checked document from the fields a file gives and its text."""
    if len(text) > MAX_CHARS:
        raise FileRefused(name, f"正文超过 {MAX_CHARS // 10_000} 万字，请拆分后再导入。")
    text = storable(text)
    given = {key: _words(fields.get(key)) for key in _FIELDS}
    title = _words(fields.get("title")) or _first_heading(text) or Path(name).stem
    digest = hashlib.sha256((title + "\n" + text).encode()).hexdigest()[:32]
    try:
        return NewDocument(
            id=_words(fields.get("docid") or fields.get("id")) or digest,
            title=title,
            text=text,
            valid_from=_day(name, "valid_from", fields.get("valid_from")),
            valid_to=_day(name, "valid_to", fields.get("valid_to")),
            **given,  # type: ignore[arg-type]
        ).checked()
    except FileRefused:
        raise
    except KbError as error:
        raise FileRefused(name, error.detail) from error


def _words(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        value = "；".join(str(item).strip() for item in value)
    return storable(str(value)).strip() or None


def _day(name: str, field: str, value: Any) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError as error:
        raise FileRefused(name, f"字段 {field} 不是日期，应写成 2025-01-31。") from error


def _first_heading(text: str) -> str | None:
    for line in text.split("\n"):
        stripped = line.strip().lstrip("\ufeff")
        if stripped:
            heading = re.sub(r"^#+ *", "", stripped)
            return heading if len(heading) <= 60 else None
    return None
