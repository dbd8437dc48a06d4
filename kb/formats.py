"""Text out of HTML, DOCX and PDF; headings become lines that start with "#"."""

import io
import re
import warnings
import zipfile
from html.parser import HTMLParser
from typing import Any

import docx
import pypdf
from docx.table import Table
from docx.text.paragraph import Paragraph

from kb.errors import FileRefused

MAX_PAGES = 200
MAX_ZIP_RATIO = 100
_MAX_UNPACKED = 200 * 1024 * 1024
_SILENT = frozenset(("script", "style", "head", "nav", "noscript", "template", "svg", "iframe"))
_BLOCKS = frozenset(
    (
        "p",
        "div",
        "br",
        "li",
        "tr",
        "table",
        "ul",
        "ol",
        "section",
        "article",
        "blockquote",
        "pre",
        "dl",
        "dt",
        "dd",
        "header",
        "footer",
        "main",
    )
)


def read_html(markup: str) -> tuple[dict[str, Any], str]:
    """Title and readable text of a page; scripts, styles and navigation are left out, a table row is one line."""
    reader = _HtmlText()
    reader.feed(markup)
    reader.close()
    text = re.sub(r"\n\s*\n+", "\n", "".join(reader.parts)).strip()
    title = " ".join("".join(reader.title).split())
    return ({"title": title} if title else {}), text


class _HtmlText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._silent = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._silent = 0
        elif tag in _SILENT:
            self._silent += 1
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif re.fullmatch("h[1-6]", tag):
            self.parts.append("\n" + "#" * int(tag[1]) + " ")
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS or re.fullmatch("h[1-6]", tag):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.parts.append(re.sub(r"\s+", " ", data))


def read_docx(name: str, data: bytes) -> tuple[dict[str, Any], str]:
    """Paragraphs, headings and tables (a row a line) of a Word document, in order."""
    _check_zip(name, data)
    try:
        document = docx.Document(io.BytesIO(data))
        lines = []
        for block in document.iter_inner_content():
            if isinstance(block, Paragraph):
                style = block.style.name if block.style is not None else ""
                level = re.match(r"(?:Heading|标题) ?([1-6])", style or "")
                text = block.text.strip()
                lines.append("#" * int(level[1]) + " " + text if level and text else text)
            elif isinstance(block, Table):
                lines += [" ".join(dict.fromkeys(c.text.strip() for c in row.cells)) for row in block.rows]
        title = (document.core_properties.title or "").strip()
    except Exception as error:  # the library raises whatever the broken part of the file leads to
        raise FileRefused(name, "DOCX 文件损坏，无法读取。") from error
    text = "\n".join(line for line in lines if line)
    if not text:
        raise FileRefused(name, "文件里没有文字。")
    # Word writes its own "Word Document" as a title where nobody gave one.
    return ({"title": title} if title and not title.isascii() else {}), text


def _check_zip(name: str, data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise FileRefused(name, "DOCX 文件损坏，无法读取。") from error
    names = {entry.filename for entry in entries}
    if any(n.lower().endswith("vbaproject.bin") for n in names):
        raise FileRefused(name, "文件带有宏，请另存为不带宏的 DOCX。")
    if "word/document.xml" not in names:
        raise FileRefused(name, "内容不是 Word 文档，可能改错了扩展名。")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _MAX_UNPACKED or unpacked > MAX_ZIP_RATIO * max(len(data), 1):
        raise FileRefused(name, "压缩比异常，拒绝打开。")


def read_pdf(name: str, data: bytes) -> tuple[dict[str, Any], str]:
    """The text layer of a PDF; a scan without one is refused, so that it is not silently empty."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = pypdf.PdfReader(io.BytesIO(data))
            if reader.is_encrypted:
                raise FileRefused(name, "PDF 有密码，请去掉密码后再导入。")
            if len(reader.pages) > MAX_PAGES:
                raise FileRefused(name, f"PDF 超过 {MAX_PAGES} 页，请拆分后再导入。")
            pages = [page.extract_text() or "" for page in reader.pages]
            title = str(getattr(reader.metadata, "title", None) or "").strip()
    except FileRefused:
        raise
    except Exception as error:  # as above
        raise FileRefused(name, "PDF 文件损坏，无法读取。") from error
    text = _joined("\n".join(pages))
    if len(re.sub(r"\s", "", text)) < 10 * len(pages):
        raise FileRefused(name, "PDF 里没有文字，可能是扫描件，请先做文字识别。")
    return ({"title": title} if title and not title.isascii() else {}), text


def _joined(text: str) -> str:
    """Lines that a page broke in the middle of a sentence, put together again; page numbers gone."""
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not re.fullmatch(r"[-—– ]*\d{1,4}[-—– ]*", line)]
    result: list[str] = []
    starts = re.compile(
        r"第[〇零一二三四五六七八九十百千\d]+[编章节条]|[一二三四五六七八九十]+、|[（(][一二三四五六七八九十]+[）)]|\d+[.．、]"
    )
    for line in lines:
        previous = result[-1] if result else ""
        if len(previous) > 20 and previous[-1] not in "。！？；：:;" and not starts.match(line):
            result[-1] = previous + line
        else:
            result.append(line)
    return "\n".join(result)
