"""Every kind of file is read; what cannot be read is refused with a reason, and the rest goes on."""

import io
import json
import os
import zipfile
from datetime import date
from pathlib import Path

import docx
import pypdf
import pytest
from docx.oxml import OxmlElement

from kb.errors import FileRefused
from kb.importer import found_in, read_file, read_one, read_paths
from tests.kb.files import book, macro_type, ole, pdf_of

MARKDOWN = """---
id: juzhu
title: 居住证办理
issuer: 市公安局
legal_basis:
  - 居住证暂行条例第二条
  - 居住证暂行条例第九条
valid_from: 2025-01-01
valid_to: 2026-12-31
status: published
source: 示例
---
# 居住证办理

带身份证。
"""


def _word(*lines: str) -> bytes:
    document = docx.Document()
    document.add_heading("物业费说明", level=1)
    for line in lines:
        document.add_paragraph(line)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "电话", "12345"
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


def _blank_pdf(password: str | None = None) -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(width=200, height=200)
    if password:
        writer.encrypt(password)
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()


def test_markdown_carries_its_fields() -> None:
    (document,), refused = read_file("a.md", MARKDOWN.encode())
    assert not refused
    assert (document.id, document.title, document.issuer) == ("juzhu", "居住证办理", "市公安局")
    assert document.legal_basis == "居住证暂行条例第二条；居住证暂行条例第九条"
    assert (document.valid_from, document.valid_to) == (date(2025, 1, 1), date(2026, 12, 31))
    assert (document.status, document.source) == ("published", "示例")
    assert "带身份证" in document.text
    assert "issuer" not in document.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
def test_the_encoding_of_a_text_is_recognised(encoding: str) -> None:
    text = "垃圾分类办法\n居民应当把生活垃圾分开投放，不得随意倾倒。"
    (document,), _ = read_file("a.txt", text.encode(encoding))
    assert document.title == "垃圾分类办法"
    assert document.text == text


def test_the_same_file_gets_the_same_id() -> None:
    data = "供水办法\n停水要提前通知。".encode()
    assert read_file("a.txt", data)[0][0].id == read_file("b.txt", data)[0][0].id


def test_html_gives_readable_text() -> None:
    page = (
        "<html><head><title>供热办法</title><style>p{}</style></head><body><nav>首页</nav><h2>时间</h2><p>十一月&nbsp;开始"
        "</p><script>alert(1)</script><table><tr><td>甲</td><td>乙</td></tr></table></body></html>"
    )
    (document,), _ = read_file("a.html", page.encode())
    assert document.title == "供热办法"
    assert [line.strip() for line in document.text.split("\n")] == ["## 时间", "十一月 开始", "甲：乙"]


def test_word_documents_are_read_with_headings_and_tables() -> None:
    (document,), _ = read_file("a.docx", _word("物业不得停水停电。"))
    assert document.text == "# 物业费说明\n物业不得停水停电。\n电话：12345"
    assert document.title == "物业费说明"


def test_the_text_of_a_pdf_is_read() -> None:
    (document,), _ = read_file("heating.pdf", pdf_of("Heating starts on 15 November."))
    assert document.text == "Heating starts on 15 November."


def test_pages_without_text_are_named() -> None:
    reading = read_one("half.pdf", pdf_of("The first page has text.", None, None, "The fourth page has text.", None))
    (document,) = reading.documents
    assert "The fourth page" in document.text
    (note,) = reading.notes
    assert "共 5 页，第 2—3、5 页没有文字" in note.text


def test_a_blank_page_is_no_scan() -> None:
    reading = read_one("blank.pdf", pdf_of("The first page has text.", ""))
    assert len(reading.documents) == 1
    assert reading.notes == []


def test_tables_are_read_row_by_row_with_their_header() -> None:
    document = docx.Document()
    table = document.add_table(rows=3, cols=3)
    for row, cells in zip(
        table.rows, (("项目", "对象", "金额"), ("护照", "成人", "120 元"), ("", "儿童", "60 元")), strict=True
    ):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    data = io.BytesIO()
    document.save(data)
    (word,), _ = read_file("a.docx", data.getvalue())
    expected = ["项目：护照；对象：成人；金额：120 元", "项目：护照；对象：儿童；金额：60 元"]
    assert word.text.split("\n") == expected
    page = "<table><tr><th>项目<th>对象<th>金额<tr><td rowspan=2>护照<td>成人<td>120 元<tr><td>儿童<td>60 元</table>"
    (html,), _ = read_file("a.html", page.encode())
    assert html.text.split("\n") == expected
    markdown = "| 项目 | 对象 | 金额 |\n|---|:-:|--:|\n| 护照 | 成人 | 120 元 |\n| 护照 | 儿童 | 60 元 |"
    (md,), _ = read_file("a.md", markdown.encode())
    assert md.text.split("\n") == expected


def test_a_table_that_arranges_the_page_is_no_table_of_values() -> None:
    inner = "<table><tr><td>电话<td>12345</table>"
    page = f"<table><tr><td>菜单</td><td><h2>标题</h2><p>正文第一段。</p>{inner}</td></tr></table>"
    (document,), _ = read_file("a.html", page.encode())
    assert [line for line in document.text.split("\n") if line.strip()] == [
        "菜单",
        "## 标题",
        "正文第一段。",
        "电话：12345",
    ]


def test_a_revision_that_is_not_accepted_is_told() -> None:
    document = docx.Document()
    document.add_paragraph("正文。")._p.append(OxmlElement("w:ins"))
    data = io.BytesIO()
    document.save(data)
    assert "修订" in read_one("a.docx", data.getvalue()).notes[0].text


def test_what_a_folder_holds_besides_is_told(tmp_path: Path) -> None:
    for name in ("a.md", "b.doc", "c.png", ".hidden.md", "~$a.docx"):
        (tmp_path / name).write_bytes(b"x")
    sources, notes = found_in([tmp_path])
    assert [source.name for source in sources] == ["a.md", "b.doc"]
    assert "1 个文件" in notes[0].text and "c.png" in notes[0].text


def test_names_that_a_chinese_windows_wrote_are_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("政策".encode("gb18030"))
    folder.mkdir()
    for name in ("供热办法.txt", "坏.png"):
        (folder / os.fsdecode(name.encode("gb18030"))).write_bytes(b"x")
    (source,), (note,) = found_in([tmp_path])
    assert source.name == "政策/供热办法.txt"
    assert source.load() == b"x"
    assert "政策/坏.png" in note.text


def test_what_no_database_takes_is_left_out() -> None:
    line = json.dumps({"title": "甲\x00乙", "text": "正文\x00。\ud800"})
    (document,), _ = read_file("a.jsonl", line.encode())
    assert (document.title, document.text) == ("甲乙", "正文。?")


def test_json_lines_keep_the_good_ones() -> None:
    lines = [
        json.dumps({"docid": "a", "title": "甲", "text": "正文。", "issuer": "市政府", "valid_from": "2025-01-01"}),
        "{broken",
        json.dumps({"docid": "b", "title": "乙", "text": "  "}),
        json.dumps({"docid": "c", "title": "丙", "text": "正文。", "valid_to": "明年"}),
        "[1]",
        json.dumps({"docid": "d", "title": "丁", "text": "正文。"}),
    ]
    documents, refused = read_file("x.jsonl", "\n".join(lines).encode())
    assert [d.id for d in documents] == ["a", "d"]
    assert documents[0].valid_from == date(2025, 1, 1)
    assert [(r.name, r.reason) for r in refused] == [
        ("x.jsonl 第 2 行", "不是有效的 JSON。"),
        ("x.jsonl 第 3 行", "没有正文。"),
        ("x.jsonl 第 4 行", "字段 valid_to 不是日期，应写成 2025-01-31。"),
        ("x.jsonl 第 5 行", "不是一个 JSON 对象。"),
    ]


def _macro() -> bytes:
    data = io.BytesIO(_word("正文"))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("word/vbaProject.bin", b"x")
    return data.getvalue()


def _bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * 50_000_000)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.docx", pdf_of("a page of text"), "改成 .pdf"),
        ("a.pdf", _word(), "改成 .docx"),
        ("a.xlsx", _word(), "改成 .docx"),
        ("a.zip", _word(), "改成 .docx"),
        ("a.txt", _word(), "改成 .docx"),
        ("a.md", b"\x89PNG\r\n\x1a\n00", "图片"),
        ("a.docx", ole("EncryptedPackage"), "打开密码"),
        ("a.xlsx", ole("EncryptedPackage"), "打开密码"),
        ("a.docx", ole("WordDocument"), "另存为 .docx"),
        ("a.xlsx", ole("Workbook"), "另存为 .xlsx"),
        ("a.doc", ole("WordDocument"), "另存为 .docx"),
        ("a.wps", b"x", "另存为 .docx"),
        ("a.pptx", b"x", "另存为 PDF"),
        ("a.ofd", b"x", "另存为 PDF"),
        ("a.rar", b"Rar!", "解压"),
        ("a.docx", macro_type(_word()), "宏"),
        ("a.xlsx", macro_type(book([["问题", "答案"], ["甲", "乙"]])), "宏"),
        ("a.pdf", pdf_of(*["text of a page"] * 201), "200 页"),
        ("a.txt", b"", "空"),
        ("a.md", b"  \n \n", "空"),
        ("a.exe", b"MZ", "不支持"),
        ("a.txt", b"\x00\x01\x02\x03", "二进制"),
        ("a.txt", b"\xff\xfe\x00", "编码"),
        ("a.md", b"---\ntitle: [\n---\ntext", "YAML"),
        ("a.md", b"---\n- a\n---\ntext", "YAML"),
        ("a.md", "---\ntitle: 甲\nstatus: 有效\n---\n正文".encode(), "状态"),
        ("a.md", "---\ntitle: 甲\nvalid_from: 2025-02-01\nvalid_to: 2025-01-01\n---\n正文".encode(), "早于"),
        ("a.md", "---\ntitle: 甲\n---\n".encode(), "没有正文"),
        ("a.pdf", b"hello", "扩展名"),
        ("a.pdf", b"%PDF-1.7 broken", "损坏"),
        ("a.pdf", _blank_pdf(), "扫描件"),
        ("a.pdf", _blank_pdf("secret"), "密码"),
        ("a.docx", b"PK\x03\x04broken", "损坏"),
        ("a.docx", _word()[:2000], "损坏"),
        ("a.docx", _macro(), "宏"),
        ("a.docx", _bomb(), "压缩比"),
        ("a.txt", b"x" * (20 * 1024 * 1024 + 1), "20 MB"),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(FileRefused) as caught:
        read_file(name, data)
    assert reason in caught.value.reason
    assert caught.value.name == name


def test_a_batch_goes_on_after_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(MARKDOWN, encoding="utf-8")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.txt").write_bytes("停水办法\n提前一天通知。".encode("gb18030"))
    (tmp_path / "picture.png").write_bytes(b"x")
    documents, refused = read_paths([tmp_path, tmp_path / "missing.txt"])
    assert [d.title for d in documents] == ["居住证办理", "停水办法"]
    assert [r.name for r in refused] == ["b.pdf", "missing.txt"]
