"""Question–answer sheets (XLSX, CSV): each row becomes an entry of its own.

A row and not a sheet is the entry, because a row has its own validity, issuer and region: an answer that has run out
must not take the rest of the sheet with it, and feedback and hits belong to one question. The entry's id is made of
what it is asked about (title, question, region, audience), so that a corrected answer becomes a new version of it.

Nothing is calculated: a value that begins with = + - @ is text, and a cell with a formula is refused by its place.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import openpyxl
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from kb.documents import NewDocument
from kb.errors import FileRefused, KbError
from kb.formats import SECONDS_A_MEGABYTE_OF_XML, More, nothing_more

MAX_ROWS: Final = 10_000
TEMPLATE_NAME: Final = "问答模板.xlsx"

QUESTION, ANSWER = "问题", "答案"
# The columns of the template: name, field of a document, how wide, how to fill it in, an example.
_COLUMNS: Final = (
    (QUESTION, "", 36, "必填。像居民那样问，一行一个问题。", "居住证怎么办？"),
    (
        ANSWER,
        "",
        60,
        "必填。写全：条件、材料、地点、时限、电话。",
        "带身份证和居住证明到居住地派出所申请，15 个工作日内发证。",
    ),
    ("标题", "title", 24, "可不填，不填就用问题。几个问题属于同一件事，可以写同一个标题。", "居住证办理"),
    ("发文机关", "issuer", 20, "答复的出处，居民会看到。", "市公安局"),
    ("文号", "document_number", 20, "可不填。", "示例〔2026〕1号"),
    ("地区", "region", 14, "只在某个区适用时填，全市适用就空着。", "金水区"),
    ("对象", "audience", 14, "只适用于某些人时填。", "外地来本市居住的人"),
    ("分类", "category", 14, "可不填。", "公共安全"),
    ("生效日期", "valid_from", 14, "可不填，写成 2026-01-31。当天起有效。", "2026-01-01"),
    ("失效日期", "valid_to", 14, "到期的一定要填，写成 2026-12-31。当天还有效。", "2026-12-31"),
    ("来源", "source", 30, "可不填，原文的网址。", "https://www.example.gov.cn/"),
)
_OTHER_NAMES: Final = {
    "标准问题": QUESTION,
    "咨询问题": QUESTION,
    "问": QUESTION,
    "question": QUESTION,
    "标准答案": ANSWER,
    "回答": ANSWER,
    "答复": ANSWER,
    "答": ANSWER,
    "answer": ANSWER,
    "发文单位": "发文机关",
    "发布机关": "发文机关",
    "适用地区": "地区",
    "适用对象": "对象",
    "类别": "分类",
    "施行日期": "生效日期",
    "链接": "来源",
}
_FIELDS = {name: field for name, field, *_ in _COLUMNS}
_DAYS = ("生效日期", "失效日期")
_HEADER_WITHIN = 20
_MAX_COLUMNS = 60
_MAX_CELL_CHARS = 32_767  # what a cell of Excel can hold
_MAX_QUESTION_CHARS = 200
_EXCEL_EPOCH = date(1899, 12, 30)
_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T].*)?|(\d{4})(\d{2})(\d{2})")


@dataclass(frozen=True, slots=True)
class _Formula:
    """Stands for the value of a cell that would have to be calculated."""


def read_xlsx(
    name: str, data: bytes, more: More = nothing_more
) -> tuple[list[NewDocument], list[FileRefused], list[str]]:
    """Entries of all sheets that have the two columns, the rows that cannot be used, and notes on what was left out."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
    except MemoryError:
        raise
    except Exception as error:  # the library raises whatever the broken part of the file leads to
        raise FileRefused(name, "XLSX 文件损坏，无法读取。") from error
    more(SECONDS_A_MEGABYTE_OF_XML * sum(e.file_size for e in book._archive.infolist()) / 2**20)
    sheets = _Sheets(name)
    try:
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            many = len(book.worksheets) > 1
            sheets.add(f"工作表“{sheet.title}”" if many else "", _sheet_rows(sheet))
    except (FileRefused, MemoryError):
        raise
    except Exception as error:  # as above
        raise FileRefused(name, "XLSX 文件损坏，无法读取。") from error
    finally:
        book.close()
    return sheets.result()


def read_csv(name: str, text: str) -> tuple[list[NewDocument], list[FileRefused], list[str]]:
    """As `read_xlsx`, of text with commas, semicolons or tabs between the values."""
    first = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = max(",\t;", key=first.count)
    csv.field_size_limit(_MAX_CELL_CHARS)
    sheets = _Sheets(name)
    try:
        sheets.add("", csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise FileRefused(name, "CSV 写得不对：一格超过 32767 个字，或引号没有成对。") from error
    return sheets.result()


def template(suffix: str = ".xlsx") -> bytes:
    """An empty question–answer sheet to fill in: `.xlsx` with a sheet that explains the columns, or `.csv`."""
    if suffix == ".csv":
        # The mark lets Excel see that it is UTF-8.
        return ("\ufeff" + ",".join(name for name, *_ in _COLUMNS) + "\r\n").encode()
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "问答"
    sheet.append([name for name, *_ in _COLUMNS])
    sheet.freeze_panes = "A2"
    for number, (name, _, width, *_rest) in enumerate(_COLUMNS, start=1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = width
        # As text, dates stay as they are typed and "=…" is not calculated.
        sheet.column_dimensions[letter].number_format = "@"
        head = sheet.cell(1, number)
        head.font = Font(bold=True, color="FFFFFF")
        head.fill = PatternFill("solid", fgColor="1A4F8B" if name in (QUESTION, ANSWER) else "566370")
        head.alignment = Alignment(vertical="center")
    sheet.row_dimensions[1].height = 24
    about = book.create_sheet("填写说明")
    about.append(["列", "怎么填", "例子"])
    for name, _, _, how, example in _COLUMNS:
        about.append([name, how, example])
    for letter, width in (("A", 12), ("B", 64), ("C", 64)):
        about.column_dimensions[letter].width = width
    for cell in about[1]:
        cell.font = Font(bold=True)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet_rows(sheet: Any) -> Iterator[list[Any]]:
    for row in sheet.iter_rows(max_col=_MAX_COLUMNS):
        yield [_Formula() if cell.data_type == "f" else cell.value for cell in row]


class _Sheets:
    """Collects the entries of a file's sheets."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._documents: dict[str, NewDocument] = {}
        self._places: dict[str, str] = {}
        self._refused: list[FileRefused] = []
        self._without_header: list[str] = []
        self._with_header = 0
        self._rows = 0

    def add(self, sheet: str, rows: Iterable[Sequence[Any]]) -> None:
        """Raises FileRefused for more rows than may be."""
        columns: dict[str, int] = {}
        for number, row in enumerate(rows, start=1):
            if not any(value is not None and str(value).strip() for value in row):
                continue
            if not columns:
                columns = _columns(row)
                if not columns and number >= _HEADER_WITHIN:
                    break
                self._with_header += bool(columns)
                continue
            self._rows += 1
            if self._rows > MAX_ROWS:
                raise FileRefused(self._name, f"超过 {MAX_ROWS} 行，请分成几个文件。")
            self._add_row(f"{sheet}第 {number} 行", {name: row[i] for name, i in columns.items() if i < len(row)})
        if not columns:
            self._without_header.append(sheet)

    def result(self) -> tuple[list[NewDocument], list[FileRefused], list[str]]:
        if not self._with_header:
            raise FileRefused(
                self._name,
                f"没有找到“{QUESTION}”和“{ANSWER}”两列的表头；模板：minsheng kb template，或在上传页下载。",
            )
        if not self._documents and not self._refused:
            raise FileRefused(self._name, "表里还没有填写问答。")
        skipped = [sheet for sheet in self._without_header if sheet and "说明" not in sheet]
        notes = [f"{'、'.join(skipped)}没有“{QUESTION}”和“{ANSWER}”两列，没有导入。"] if skipped else []
        return list(self._documents.values()), self._refused, notes

    def _add_row(self, place: str, row: dict[str, Any]) -> None:
        where = f"{self._name} {place}"
        try:
            document = _entry(where, row)
        except FileRefused as error:
            self._refused.append(error)
            return
        if document.id in self._documents:
            reason = f"与{self._places[document.id]}是同一个问题（标题、问题、地区、对象都相同），请合并。"
            self._refused.append(FileRefused(where, reason))
            return
        self._documents[document.id] = document
        self._places[document.id] = place


def _columns(row: Sequence[Any]) -> dict[str, int]:
    """Position by column; empty where the row is not the header."""
    found: dict[str, int] = {}
    for position, value in enumerate(row):
        written = re.sub(r"[\s*＊（(].*$", "", str(value or "").strip()).casefold()
        name = _OTHER_NAMES.get(written, written)
        if name in _FIELDS:
            found.setdefault(name, position)
    return found if QUESTION in found and ANSWER in found else {}


def _entry(where: str, row: dict[str, Any]) -> NewDocument:
    for name, value in row.items():
        if isinstance(value, _Formula):
            raise FileRefused(where, f"“{name}”是公式，系统不会计算；请复制后“粘贴为数值”，或改成文字。")
    words = {name: _words(value) for name, value in row.items() if name not in _DAYS}
    question, answer = words.get(QUESTION), words.get(ANSWER)
    if not question or not answer:
        raise FileRefused(where, f"缺少“{ANSWER if question else QUESTION}”。")
    question = " ".join(question.split())
    if len(question) > _MAX_QUESTION_CHARS:
        raise FileRefused(where, f"问题超过 {_MAX_QUESTION_CHARS} 个字。")
    title = " ".join((words.get("标题") or question).split())
    key = "\n".join((title, question, words.get("地区") or "", words.get("对象") or ""))
    fields = {field: words.get(name) for name, field in _FIELDS.items() if field and name not in (*_DAYS, "标题")}
    try:
        return NewDocument(
            id="qa-" + hashlib.sha256(key.encode()).hexdigest()[:29],
            title=title,
            text=f"## {question}\n{answer}",
            valid_from=_day(where, "生效日期", row.get("生效日期")),
            valid_to=_day(where, "失效日期", row.get("失效日期")),
            **fields,  # type: ignore[arg-type]
        ).checked()
    except FileRefused:
        raise
    except KbError as error:
        raise FileRefused(where, error.detail) from error


def _words(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _day(where: str, name: str, value: Any) -> date | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 20_000 < value < 80_000:
        # A day that lost its format shows as its number.
        return _EXCEL_EPOCH + timedelta(days=int(value))
    found = _DAY.fullmatch(str(value).strip())
    if found:
        year, month, day = (int(part) for part in found.groups() if part is not None)
        try:
            return date(year, month, day)
        except ValueError:
            pass
    raise FileRefused(where, f"“{name}”不是日期，应写成 2026-01-31。")
