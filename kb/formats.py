"""Text out of HTML, DOCX and PDF; headings become lines that start with "#", a row of a table one line.

What a file needs depends on more than its size (a page of a PDF, a megabyte of XML), so each reader asks for processor
time with `more(seconds)` once it knows; whoever guards the process may hold it to that.
"""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final

import docx
import pypdfium2 as pdfium
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph

from kb.errors import FileRefused
from kb.tables import row_lines

MAX_PAGES: Final = 200
# Processor time beyond the start, generous for healthy files: see docs/decisions/0005-knowledge-base.md.
SECONDS_A_PAGE: Final = 0.05
SECONDS_A_MEGABYTE_OF_XML: Final = 0.5
MAX_TAGS: Final = 100_000

More = Callable[[float], None]

_LEAST_CHARS_OF_A_PAGE = 10
_UNREADABLE_SHARE = 0.3
_MAX_SPAN = 100
_MAX_NESTED_TABLES = 8
_LONG_CELL_CHARS = 300
_SILENT = frozenset(("script", "style", "head", "nav", "noscript", "template", "svg", "iframe"))
_BLOCKS = frozenset(
    ("p", "div", "br", "li", "tr", "table", "ul", "ol", "section", "article", "blockquote", "pre", "dl", "dt", "dd")
) | {"header", "footer", "main", "caption"}
_HEADING = re.compile("h[1-6]")


def nothing_more(_seconds: float) -> None:
    """For files whose maker is trusted: take what time you need."""


@dataclass(frozen=True, slots=True)
class Text:
    """What was read of a file. `fields`: what it says of itself; `notes`: what was left out, in Chinese."""

    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_html(name: str, markup: str) -> Text:
    """Title and readable text of a page; scripts, styles and navigation are left out."""
    # What the parser needs grows with the tags, and with some broken ones faster than that.
    if markup.count("<") > MAX_TAGS:
        raise FileRefused(name, f"网页太复杂（超过 {MAX_TAGS // 10_000} 万个标签），请只保存正文再导入。")
    reader = _HtmlText()
    reader.feed(markup)
    reader.close()
    text = re.sub(r"\n\s*\n+", "\n", reader.text()).strip()
    title = " ".join("".join(reader.title).split())
    return Text(text, {"title": title} if title else {})


@dataclass(slots=True)
class _HtmlTable:
    """A table while it is read. `carried`: by column, text and number of rows still covered by a cell above."""

    rows: list[list[str]] = field(default_factory=list)
    heads: list[bool] = field(default_factory=list)
    carried: dict[int, tuple[str, int]] = field(default_factory=dict)
    cell: list[str] | None = None
    spans: tuple[int, int] = (1, 1)
    layout: bool = False

    def close_cell(self) -> None:
        if self.cell is None:
            return
        text, self.cell = "".join(self.cell).strip(), None
        self.layout = self.layout or len(text) > _LONG_CELL_CHARS
        if not self.rows:
            self.open_row()
        row = self.rows[-1]
        self._carry(row)
        columns, rows = self.spans
        for _ in range(columns):
            if rows > 1:
                self.carried[len(row)] = (text, rows - 1)
            row.append(text)

    def open_row(self) -> None:
        self.close_cell()
        self._finish_row()
        self.rows.append([])
        self.heads.append(True)

    def lines(self) -> list[str]:
        self.close_cell()
        self._finish_row()
        if self.layout:
            return [cell for row in self.rows for i, cell in enumerate(row) if cell and (i == 0 or cell != row[i - 1])]
        return row_lines(self.rows, header=True if self.heads and self.heads[0] and len(self.rows) > 1 else None)

    def _finish_row(self) -> None:
        if self.rows:
            self._carry(self.rows[-1])

    def _carry(self, row: list[str]) -> None:
        while len(row) in self.carried:
            text, left = self.carried.pop(len(row))
            if left > 1:
                self.carried[len(row)] = (text, left - 1)
            row.append(text)


class _HtmlText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._parts: list[str] = []
        self._tables: list[_HtmlTable] = []
        self._too_deep = 0
        self._silent = 0
        self._in_title = False

    def text(self) -> str:
        while self._tables:
            self._close_table()
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._silent = 0
        elif tag in _SILENT:
            self._silent += 1
        elif self._silent:
            return
        elif tag == "table":
            self._open_table()
        elif tag in ("tr", "td", "th") and self._tables and not self._too_deep:
            self._open_part_of_table(tag, dict(attrs))
        elif _HEADING.fullmatch(tag):
            if self._tables:
                self._tables[-1].layout = True
            self._out("\n" + "#" * int(tag[1]) + " ")
        elif tag in _BLOCKS:
            self._out("\n")
        elif tag in ("td", "th"):
            self._out(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._silent:
            return
        elif tag == "table":
            if self._too_deep:
                self._too_deep -= 1
                self._out("\n")
            elif self._tables:
                self._close_table()
        elif tag in ("td", "th", "tr") and self._tables and not self._too_deep:
            self._tables[-1].close_cell()
        elif tag in _BLOCKS or _HEADING.fullmatch(tag):
            self._out("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self._out(re.sub(r"\s+", " ", data))

    def _out(self, words: str) -> None:
        if self._tables and self._tables[-1].cell is not None:
            self._tables[-1].cell.append(words)
        elif not self._tables or words.strip():
            self._parts.append(words)

    def _open_table(self) -> None:
        if self._tables:
            # A table around a table arranges the page: it has no columns that mean something.
            self._tables[-1].layout = True
        if len(self._tables) >= _MAX_NESTED_TABLES:
            self._too_deep += 1
            return
        self._tables.append(_HtmlTable())

    def _open_part_of_table(self, tag: str, attrs: dict[str, str | None]) -> None:
        table = self._tables[-1]
        table.close_cell()
        if tag == "tr":
            table.open_row()
            return
        if not table.rows:
            table.open_row()
        table.heads[-1] = table.heads[-1] and tag == "th"
        table.cell = []
        table.spans = (_span(attrs.get("colspan")), _span(attrs.get("rowspan")))

    def _close_table(self) -> None:
        lines = self._tables.pop().lines()
        self._out("\n" + "\n".join(lines) + "\n")


def _span(given: str | None) -> int:
    return min(max(int(given), 1), _MAX_SPAN) if given and given.isdecimal() and len(given) < 6 else 1


def read_docx(name: str, data: bytes, more: More = nothing_more) -> Text:
    """Paragraphs, headings and tables of a Word document, in order."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(e.file_size for e in archive.infolist() if e.filename.lower().endswith((".xml", ".rels")))
        more(SECONDS_A_MEGABYTE_OF_XML * size / 2**20)
        document = docx.Document(io.BytesIO(data))
        levels = _heading_levels(document)
        lines = []
        for block in document.iter_inner_content():
            if isinstance(block, Paragraph):
                text = block.text.strip()
                level = levels.get(block._p.style or "")
                lines.append("#" * level + " " + text if level and text else text)
            elif isinstance(block, Table):
                lines += _word_table(block)
        body = document.element.body
        revised = any(next(body.iter(qn(tag)), None) is not None for tag in ("w:ins", "w:del", "w:moveTo"))
        title = (document.core_properties.title or "").strip()
    except MemoryError:
        raise
    except Exception as error:  # the library raises whatever the broken part of the file leads to
        raise FileRefused(name, "DOCX 文件损坏，无法读取。") from error
    text = "\n".join(line for line in lines if line)
    if not text:
        raise FileRefused(name, "文件里没有文字；如果页面是图片，请先做文字识别。")
    notes = (
        ("文件里有没有接受的修订，修订新增的文字没有导入；请在 Word 里接受全部修订后再导入一次。",) if revised else ()
    )
    # Word writes its own "Word Document" as a title where nobody gave one.
    return Text(text, {"title": title} if title and not title.isascii() else {}, notes)


def _heading_levels(document: Any) -> dict[str, int]:
    """Level of a heading by the id of its style."""
    levels = {}
    for style in document.styles:
        found = re.match(r"(?:heading|标题) ?([1-6])", style.name or "", re.I)
        if found:
            levels[style.style_id] = int(found[1])
    return levels


def _word_table(table: Any) -> list[str]:
    rows: list[list[str]] = []
    above: dict[int, str] = {}
    marked = False
    for number, row in enumerate(table._tbl.tr_lst):
        cells: list[str] = []
        if number == 0:
            marked = row.trPr is not None and row.trPr.find(qn("w:tblHeader")) is not None
        for cell in row.tc_lst:
            merged = cell.vMerge
            text = " ".join(Paragraph(p, table).text.strip() for p in cell.iter(qn("w:p"))).strip()
            text = above.get(len(cells), "") if merged == "continue" else text
            for _ in range(min(cell.grid_span, _MAX_SPAN)):
                if merged is None:
                    above.pop(len(cells), None)
                else:
                    above[len(cells)] = text
                cells.append(text)
        rows.append(cells)
    return row_lines(rows, header=True if marked and len(rows) > 1 else None)


def read_pdf(name: str, data: bytes, more: More = nothing_more) -> Text:
    """The text layer of a PDF. Pages without one are named in a note; FileRefused where no page has one."""
    try:
        with pdfium.PdfDocument(data) as document:
            if len(document) > MAX_PAGES:
                raise FileRefused(name, f"PDF 超过 {MAX_PAGES} 页，请拆分后再导入。")
            more(SECONDS_A_PAGE * len(document))
            pages, unread, garbled = _pages(document)
            title = document.get_metadata_value("Title").strip()
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium.raw.FPDF_ERR_PASSWORD:
            raise FileRefused(name, "PDF 有密码，请去掉密码后再导入。") from error
        if error.err_code == pdfium.raw.FPDF_ERR_SECURITY:
            raise FileRefused(name, "PDF 的加密方式打不开，请去掉密码后再导入。") from error
        raise FileRefused(name, "PDF 文件损坏，无法读取。") from error
    if not any(pages):
        if garbled:
            raise FileRefused(name, "PDF 里的文字没有编码信息，读出来是乱码；请换用原文件，或做文字识别后再导入。")
        raise FileRefused(name, f"PDF 共 {len(pages)} 页，都没有文字，可能是扫描件，请先做文字识别。")
    remedy = "请做文字识别后再导入一次。"
    notes = []
    if unread:
        notes.append(f"共 {len(pages)} 页，{pages_named(unread)}没有文字（像是扫描的），没有导入；{remedy}")
    if garbled:
        notes.append(f"共 {len(pages)} 页，{pages_named(garbled)}的文字是乱码，没有导入；{remedy}")
    return Text(_joined("\n".join(pages)), {"title": title} if title and not title.isascii() else {}, tuple(notes))


def pages_named(numbers: list[int]) -> str:
    """Page numbers (rising) as people write them: "第 3、5—7 页"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return "第 " + "、".join(str(a) if a == b else f"{a}—{b}" for a, b in runs) + " 页"


def _pages(document: Any) -> tuple[list[str], list[int], list[int]]:
    """Text of each page; numbers of the pages that show something but hold no text, and of those that hold garbage."""
    pages, unread, garbled = [], [], []
    for number in range(1, len(document) + 1):
        page = document[number - 1]
        words = page.get_textpage()
        text = words.get_text_range().replace("\r\n", "\n")
        ink = re.sub(r"\s", "", text)
        if len(ink) < _LEAST_CHARS_OF_A_PAGE and _shows_more_than_text(page):
            unread.append(number)
            text = ""
        elif sum(not _readable(c) for c in ink) > _UNREADABLE_SHARE * len(ink):
            garbled.append(number)
            text = ""
        pages.append(text if ink else "")
        words.close()
        page.close()
    return pages, unread, garbled


def _shows_more_than_text(page: Any) -> bool:
    """Whether a page without text shows an image, or text that was turned into outlines."""
    kinds = (pdfium.raw.FPDF_PAGEOBJ_IMAGE, pdfium.raw.FPDF_PAGEOBJ_PATH, pdfium.raw.FPDF_PAGEOBJ_SHADING)
    return next(iter(page.get_objects(filter=kinds, max_depth=3)), None) is not None


def _readable(character: str) -> bool:
    return character != "\ufffd" and not "\ue000" <= character <= "\uf8ff" and character >= " "


_PAGE_NUMBER = re.compile(r"[-—– ]{0,9}\d{1,4}[-—– ]{0,9}")
_NEW_PARAGRAPH = re.compile(
    r"第[〇零一二三四五六七八九十百千\d]+[编章节条]|[一二三四五六七八九十]+、|[（(][一二三四五六七八九十]+[）)]|\d+[.．、]"
)


def _joined(text: str) -> str:
    """Lines that a page broke in the middle of a sentence, put together again; page numbers gone."""
    lines = [line.strip() for line in text.split("\n")]
    paragraphs: list[list[str]] = []
    length = 0
    for line in lines:
        if not line or _PAGE_NUMBER.fullmatch(line):
            continue
        if length > 20 and paragraphs[-1][-1][-1] not in "。！？；：:;" and not _NEW_PARAGRAPH.match(line):
            paragraphs[-1].append(line)
            length += len(line)
        else:
            paragraphs.append([line])
            length = len(line)
    return "\n".join("".join(parts) for parts in paragraphs)
