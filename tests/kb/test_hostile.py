"""Files made to do harm are refused in a child process within its limits, and the batch goes on."""

import io
import os
import resource
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import docx
import pytest

from kb import untrusted
from kb.documents import NewDocument
from kb.untrusted import MEMORY_BYTES, UntrustedReader, read_untrusted_paths
from tests.kb.files import book, packed, pdf_from, pdf_of, stream

_LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{_LAUGHS}]><x>&a9;</x>'
_WORD = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
_SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_SHEET_PART = "xl/worksheets/sheet1.xml"


def _word() -> bytes:
    document = docx.Document()
    document.add_paragraph("正文。")
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


def _book() -> bytes:
    return book([["问题", "答案"], ["甲", "乙"]])


def _noise(size: int) -> str:
    return os.urandom(size // 2).hex()


def _many_objects() -> bytes:
    head = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
    table = b"xref\n0 1000000\n" + b"0000000009 00000 n \n" * 1_000_000
    end = b"trailer\n<</Size 1000000/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(head)
    return (head + table)[: 20 * 1024 * 1024 - len(end)] + end


def _endless_page(content: bytes) -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<<>>>>"
    packed_content = stream(zlib.compress(content, 9), b"/Filter/FlateDecode")
    return pdf_from([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, packed_content])


def _pages_of_pages() -> bytes:
    return pdf_from([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"])


def _one_gigabyte_line() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("line.txt", "w") as file:
        for _ in range(1024):
            file.write(b"a" * 2**20)
    return data.getvalue()


def _overlapping() -> bytes:
    """Many entries that share the data of one."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 1_000_000)
        first = archive.infolist()[0]
        for i in range(400):
            entry = zipfile.ZipInfo(f"{i}.txt")
            for name in ("CRC", "compress_size", "file_size", "header_offset", "compress_type"):
                setattr(entry, name, getattr(first, name))
            archive.filelist.append(entry)
    return data.getvalue()


HOSTILE: dict[str, tuple[str, Any, str]] = {
    "laughs in Word": ("a.docx", lambda: packed({"word/document.xml": LAUGHS}, _word()), "DTD"),
    "laughs in UTF-16": (
        "a.docx",
        lambda: packed({"word/document.xml": LAUGHS.replace("?>", ' encoding="utf-16"?>').encode("utf-16")}, _word()),
        "DTD",
    ),
    "laughs in Excel": ("a.xlsx", lambda: packed({"xl/sharedStrings.xml": LAUGHS}, _book()), "DTD"),
    "laughs in YAML": (
        "a.md",
        lambda: (
            "---\na0: &a0 [x,x]\n"
            + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
            + "issuer: *a9\n---\n正文"
        ).encode(),
        "中止",
    ),
    "bomb in Word": ("a.docx", lambda: packed({"word/document.xml": b"0" * 50_000_000}, _word()), "压缩比"),
    "bomb in Excel": ("a.xlsx", lambda: packed({_SHEET_PART: b"0" * 50_000_000}, _book()), "压缩比"),
    "deep Word": (
        "a.docx",
        lambda: packed(
            {"word/document.xml": _WORD + "".join(f'<w:p w:a="{_noise(16)}">' for _ in range(100_000))}, _word()
        ),
        "损坏",
    ),
    "wide Word": (
        "a.docx",
        lambda: packed({"word/document.xml": _WORD + "".join(f"<w:a{_noise(4)}/>" for _ in range(1_500_000))}, _word()),
        "",
    ),
    "row without end": (
        "a.xlsx",
        lambda: packed(
            {_SHEET_PART: _SHEET + '<row r="99999999999"><c r="A99999999999"/></row></sheetData></worksheet>'}, _book()
        ),
        "中止",
    ),
    "a million objects": ("a.pdf", _many_objects, ""),
    "bomb in PDF": ("a.pdf", lambda: _endless_page(bytes(300_000_000)), ""),
    "page of operators": ("a.pdf", lambda: _endless_page(b"q 1 0 0 1 0 0 cm BT (a) Tj ET Q " * 3_000_000), ""),
    "pages of pages": ("a.pdf", _pages_of_pages, ""),
    "nested HTML": ("a.html", lambda: b"<div>" * 3_000_000, "标签"),
    "nested tables": ("a.html", lambda: b"<table><tr><td>a" * 33_000 + b"</table>" * 33_000, ""),
    "attributes without end": ("a.html", lambda: b"<a " + b"b " * 4_000_000, ""),
    "20 MB on a line": ("a.txt", lambda: ("办" * 6_900_000).encode(), "100 万字"),
    "JSON nested": ("a.jsonl", lambda: b"[" * 10_000_000, "JSON"),
    "JSON of lines": ("a.jsonl", lambda: b"1\n" * 10_000_000, "1000 行"),
    "CSV on a line": ("a.csv", lambda: "问题,答案\n甲,".encode() + b"x" * 20_000_000, "CSV"),
    "CSV of columns": ("a.csv", lambda: "问题,答案\n".encode() + b"," * 20_000_000, ""),
    "zip of a 1-GB line": ("a.zip", _one_gigabyte_line, "压缩比"),
    "zip of shared data": ("a.zip", _overlapping, "压缩比"),
    "zip of 6,000 files": ("a.zip", lambda: packed({f"{i}.txt": "" for i in range(6000)}), "5000"),
}
# Documents that may be read or refused, as long as it ends within the limits.
_HARMLESS = {"nested tables"}


@pytest.fixture(scope="module")
def reader() -> Iterator[UntrustedReader]:
    with UntrustedReader() as reader:
        yield reader


def _peak_bytes(reader: UntrustedReader) -> int:
    assert reader._child is not None
    status = Path(f"/proc/{reader._child.pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_within_the_limits(reader: UntrustedReader, kind: str) -> None:
    name, make, reason = HOSTILE[kind]
    data = make()
    assert len(data) <= 20 * 1024 * 1024
    found = reader.read(name, data)
    if kind not in _HARMLESS:
        assert [r.name for r in found.refused] in ([name], [f"{name} 第 1 行"])
        assert reason in found.refused[0].reason
        assert found.documents == []
    if reader._child is not None:
        assert _peak_bytes(reader) < MEMORY_BYTES
    # The next file finds a reader that works.
    assert [d.title for d in reader.read("b.txt", "供水办法\n停水要通知。".encode()).documents] == ["供水办法"]


def test_the_batch_goes_on_after_a_child_died(reader: UntrustedReader) -> None:
    _, laughs, _ = HOSTILE["laughs in YAML"]
    data = packed(
        {"a.txt": "甲办法\n正文。", "b.md": laughs(), "子/c.txt": "丙办法\n正文。", "d.md": laughs(), "e.txt": "戊。"}
    )
    found = reader.read("包.zip", data)
    assert [d.title for d in found.documents] == ["甲办法", "丙办法", "戊。"]
    assert [r.name for r in found.refused] == ["包.zip/b.md", "包.zip/d.md"]


def test_nothing_remains_of_a_file_that_ended_its_reader_half_way(
    reader: UntrustedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asdict(NewDocument("half", "甲办法", "正文。"))
    said: list[dict[str, Any] | None] = [{"file": "a.zip/a.csv"}, {"document": row}, None]
    said += [{"file": "a.zip/b.csv"}, {"document": row | {"id": "whole"}}, {"end": True}]
    monkeypatch.setattr(UntrustedReader, "_message", lambda *_: said.pop(0))
    found = reader.read("a.zip", b"x")
    reader.close()
    assert [d.id for d in found.documents] == ["whole"]
    assert [r.name for r in found.refused] == ["a.zip/a.csv"]


def test_an_archive_of_nothing_but_killers_is_given_up(
    reader: UntrustedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted, "_MOST_DEATHS", 2)
    _, laughs, _ = HOSTILE["laughs in YAML"]
    found = reader.read("a.zip", packed({f"{i}.md": laughs() for i in range(5)}))
    assert [r.name for r in found.refused] == ["a.zip/0.md", "a.zip/1.md", "a.zip"]


def test_folders_and_archives_are_read_with_names_that_lead_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.txt").write_text("甲办法\n正文。", encoding="utf-8")
    (tmp_path / "in" / "b.zip").write_bytes(packed({"c.txt": "丙办法\n正文。", "d.exe": "x", "e.pdf": pdf_of(None)}))
    with (tmp_path / "in" / "huge.txt").open("wb") as file:
        file.truncate(2**30)
    steps: list[tuple[int, int]] = []
    found = read_untrusted_paths([tmp_path / "in"], lambda *step: steps.append(step))
    assert [d.title for d in found.documents] == ["丙办法", "甲办法"]
    assert [r.name for r in found.refused] == ["b.zip/d.exe", "b.zip/e.pdf", "huge.txt"]
    assert steps == [(1, 3), (2, 3), (3, 3)]


def _entry(name: str, *, mode: int = 0o644, flags: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    entry.flag_bits |= flags
    return entry


def test_names_that_lead_out_of_the_archive_are_refused(reader: UntrustedReader) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("../a.txt", "/etc/b.txt", "C:\\c.txt", "x/../../d.txt", "好/e.txt"):
            archive.writestr(name, "办法\n正文。")
        archive.writestr(_entry("link.txt", mode=stat.S_IFLNK | 0o777), "/etc/passwd")
        archive.writestr("inner.zip", packed({"f.txt": "x"}))
        archive.writestr("__MACOSX/._e.txt", "x")
    found = reader.read("a.zip", data.getvalue())
    assert len(found.documents) == 1
    assert [r.reason[:8] for r in found.refused] == ["压缩包里的路径不"] * 4 + ["是指向别处的链接", "压缩包里的压缩包"]


def test_an_encrypted_archive_is_named_as_such(reader: UntrustedReader) -> None:
    data = bytearray(packed({"a.txt": "正文"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    assert "密码" in reader.read("a.zip", bytes(data)).refused[0].reason


def test_chinese_names_of_windows_are_read(reader: UntrustedReader) -> None:
    raw = "通知/供热办法.txt".encode("gb18030")
    placeholder = "x" * len(raw)
    data = packed({placeholder: "正文一段，没有标题的话就用文件名作为标题；" * 3})
    found = reader.read("a.zip", data.replace(placeholder.encode(), raw))
    assert [d.title for d in found.documents] == ["供热办法"]


def test_the_child_has_none_of_our_secrets_and_stays_within_its_memory(
    reader: UntrustedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.close()
    monkeypatch.setenv("MINSHENG_SECRET", "not for children")
    reader.read("a.txt", b"x")
    assert reader._child is not None
    assert b"not for children" not in Path(f"/proc/{reader._child.pid}/environ").read_bytes()
    limits = resource.prlimit(reader._child.pid, resource.RLIMIT_AS)
    assert limits == (MEMORY_BYTES, MEMORY_BYTES)


def test_importing_the_reader_takes_no_database_along() -> None:
    program = "import sys, kb.untrusted_child; print('sqlalchemy' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
