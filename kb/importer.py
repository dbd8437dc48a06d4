"""Read files into documents: Markdown with YAML front matter, text, HTML, DOCX, PDF with text, and JSON lines.

A file that cannot be read as what its name says is refused with the reason in Chinese (FileRefused) before anything is
stored; whoever imports several goes on with the rest.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import charset_normalizer
import yaml

from kb import formats
from kb.documents import NewDocument
from kb.errors import FileRefused, KbError

MAX_BYTES = 20 * 1024 * 1024
SUFFIXES = (".md", ".markdown", ".txt", ".html", ".htm", ".docx", ".pdf", ".jsonl")
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", re.S)
_FIELDS = ("issuer", "document_number", "legal_basis", "region", "audience", "category", "status", "source", "owner")
_STARTS = {
    ".pdf": (b"%PDF-",),
    ".docx": (b"PK\x03\x04",),
}


def read_folder(folder: Path) -> tuple[list[NewDocument], list[FileRefused]]:
    """Every file of a folder and its subfolders that looks like a document, by name; and what had to be refused."""
    return read_paths(sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES))


def read_paths(paths: Iterable[Path]) -> tuple[list[NewDocument], list[FileRefused]]:
    """Files and folders; a file that cannot be read is among the refused and the rest goes on."""
    documents: list[NewDocument] = []
    refused: list[FileRefused] = []
    for path in paths:
        if path.is_dir():
            more, bad = read_folder(path)
            documents += more
            refused += bad
            continue
        try:
            if path.stat().st_size > MAX_BYTES:
                raise FileRefused(path.name, "文件超过 20 MB。")
            good, bad = read_file(path.name, path.read_bytes())
        except FileRefused as error:
            refused.append(error)
        except OSError as error:
            refused.append(FileRefused(path.name, f"文件打不开（{error.strerror or type(error).__name__}）。"))
        else:
            documents += good
            refused += bad
    return documents, refused


def read_file(name: str, data: bytes) -> tuple[list[NewDocument], list[FileRefused]]:
    """The documents of one file: one, or one a line for `.jsonl`, whose bad lines are refused one by one.

    Raises FileRefused when the whole file is unusable.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise FileRefused(name, f"不支持的文件类型；可以导入 {'、'.join(SUFFIXES)}。")
    if len(data) > MAX_BYTES:
        raise FileRefused(name, "文件超过 20 MB。")
    if not data.strip():
        raise FileRefused(name, "文件是空的。")
    starts = _STARTS.get(suffix)
    if starts and not data.startswith(starts):
        raise FileRefused(name, f"内容不是 {suffix[1:].upper()} 文件，可能改错了扩展名。")
    if suffix == ".jsonl":
        return _read_lines(name, decode(name, data))
    if suffix == ".pdf":
        fields, text = formats.read_pdf(name, data)
    elif suffix == ".docx":
        fields, text = formats.read_docx(name, data)
    elif suffix in (".html", ".htm"):
        fields, text = formats.read_html(decode(name, data))
    elif suffix in (".md", ".markdown"):
        fields, text = _read_markdown(name, decode(name, data))
    else:
        fields, text = {}, decode(name, data)
    return [_document(name, fields, text)], []


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
    best = charset_normalizer.from_bytes(data[:200_000]).best()
    if best is None:
        raise FileRefused(name, "认不出文字编码，请另存为 UTF-8 后再导入。")
    try:
        return data.decode(best.encoding)
    except UnicodeDecodeError as error:
        raise FileRefused(name, "文字编码损坏，无法读取。") from error


def _looks_chinese(text: str) -> bool:
    """Whether most characters beyond ASCII are common Han or punctuation: random bytes decode to rare ones."""
    beyond = [c for c in text if ord(c) > 127]
    usual = sum(
        1 for c in beyond if "\u4e00" <= c <= "\u9fa5" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef"
    )
    return bool(beyond) and usual / len(beyond) > 0.8


def _read_markdown(name: str, text: str) -> tuple[dict[str, Any], str]:
    text = text.replace("\r\n", "\n")
    found = _FRONT_MATTER.match(text)
    if not found:
        return {}, text
    try:
        fields = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
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
        except json.JSONDecodeError:
            refused.append(FileRefused(where, "不是有效的 JSON。"))
        except FileRefused as error:
            refused.append(error)
    return documents, refused


def _document(name: str, fields: Mapping[str, Any], text: str) -> NewDocument:
    """A checked document from the fields a file gives and its text."""
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
        return "；".join(str(item).strip() for item in value) or None
    return str(value).strip() or None


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
