"""Question–answer sheets: each row an entry, nothing calculated, bad rows refused one by one."""

import io
from datetime import date, datetime

import openpyxl
import pytest

from kb.errors import FileRefused
from kb.importer import read_file, read_one
from kb.passages import split
from kb.sheets import MAX_ROWS, template
from tests.kb.files import book

HEADER = ["问题", "答案", "标题", "发文机关", "文号", "地区", "对象", "分类", "生效日期", "失效日期", "来源"]


def test_each_row_is_an_entry_with_its_own_fields() -> None:
    rows = [
        ["办事问答", None],
        HEADER,
        [
            "居住证怎么办？",
            "到派出所办。",
            "居住证",
            "市公安局",
            "1 号",
            "金水区",
            "外来人口",
            "公安",
            date(2026, 1, 1),
        ],
        [],
        ["几天能办好？", "15 个工作日。", "居住证", None, None, None, None, None, "2026年1月1日", 46387],
    ]
    documents, refused = read_file("a.xlsx", book(rows))
    assert refused == []
    first, second = documents
    assert (first.title, first.issuer, first.document_number) == ("居住证", "市公安局", "1 号")
    assert (first.region, first.audience, first.category) == ("金水区", "外来人口", "公安")
    assert first.valid_from == second.valid_from == date(2026, 1, 1)
    assert (first.valid_to, second.valid_to) == (None, date(2026, 12, 31))
    (piece,) = split(second.text, second.title)
    assert (piece.article, piece.text) == ("几天能办好？", "15 个工作日。")


def test_without_a_title_the_question_is_the_title() -> None:
    (document,), _ = read_file("a.csv", "问题,答案\n养犬要办证吗,要。".encode())
    assert document.title == "养犬要办证吗"
    (piece,) = split(document.text, document.title)
    assert (piece.article, piece.text) == (None, "要。")


def test_a_corrected_answer_is_the_same_entry_and_another_region_another() -> None:
    def entry(answer: str, region: str) -> str:
        (document,), _ = read_file("a.csv", f"问题,答案,地区\n停车费多少,{answer},{region}".encode())
        return document.id

    assert entry("3 元。", "") == entry("5 元。", "")
    assert entry("3 元。", "") != entry("3 元。", "金水区")


@pytest.mark.parametrize("value", ["=1+1", "+861234", "-5 度", "@某人", '=HYPERLINK("http://x","y")'])
def test_what_looks_like_a_formula_is_text_in_csv_and_in_a_text_cell(value: str) -> None:
    written = '"' + value.replace('"', '""') + '"'
    (document,), _ = read_file("a.csv", f"问题,答案\n甲,{written}".encode())
    assert document.text == f"## 甲\n{value}"
    made = openpyxl.Workbook()
    made.active.append(["问题", "答案"])
    made.active["A2"], made.active["B2"] = "甲", value
    made.active["B2"].data_type = "s"
    data = io.BytesIO()
    made.save(data)
    (document,), _ = read_file("a.xlsx", data.getvalue())
    assert document.text == f"## 甲\n{value}"


def test_a_formula_is_refused_by_its_place_and_the_rest_goes_on() -> None:
    documents, refused = read_file("a.xlsx", book([["问题", "答案"], ["甲", "=1+1"], ["乙", "二"]]))
    assert [d.title for d in documents] == ["乙"]
    assert refused[0].name == "a.xlsx 第 2 行"
    assert "公式" in refused[0].reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_csv_in_the_ways_that_programs_write_it(encoding: str, comma: str) -> None:
    text = comma.join(("问题", "答案")) + "\r\n" + comma.join(("停水了怎么办", '"先看公告，\n再打电话。"')) + "\r\n"
    (document,), _ = read_file("a.csv", text.encode(encoding))
    assert document.text == "## 停水了怎么办\n先看公告，\n再打电话。"


def test_bad_rows_are_refused_by_their_number() -> None:
    rows = "问题,答案,生效日期,失效日期\n甲,,,\n,乙,,\n丙,三,明天,\n丁,四,2026-02-01,2026-01-01\n戊,五,,\n戊,六,,\n"
    documents, refused = read_file("a.csv", rows.encode())
    assert [d.title for d in documents] == ["戊"]
    assert [(r.name.rsplit(" ", 2)[-2], r.reason[:7]) for r in refused] == [
        ("2", "缺少“答案”。"),
        ("3", "缺少“问题”。"),
        ("4", "“生效日期”不"),
        ("5", "失效日期早于生"),
        ("7", "与第 6 行是"),
    ]


def test_sheets_without_the_two_columns_are_told() -> None:
    reading = read_one("a.xlsx", book([["姓名", "电话"], ["甲", "1"]], [["问题", "答案"], ["甲", "乙"]]))
    assert len(reading.documents) == 1
    assert "“表1”没有“问题”和“答案”两列" in reading.notes[0].text
    with pytest.raises(FileRefused, match="minsheng kb template"):
        read_file("a.xlsx", book([["姓名", "电话"], ["甲", "1"]]))


def test_too_many_rows_are_refused() -> None:
    rows = "问题,答案\n" + "".join(f"问{i},答\n" for i in range(MAX_ROWS + 1))
    with pytest.raises(FileRefused, match="10000 行"):
        read_file("a.csv", rows.encode())


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_the_template_is_read_once_it_is_filled_in(suffix: str) -> None:
    with pytest.raises(FileRefused, match="还没有填写"):
        read_file("a" + suffix, template(suffix))
    if suffix == ".csv":
        data = template(suffix) + "甲,乙,,,,,,,2026-01-01,,".encode()
    else:
        made = openpyxl.load_workbook(io.BytesIO(template(suffix)))
        made["问答"].append(["甲", "乙", *[None] * 6, datetime(2026, 1, 1)])
        out = io.BytesIO()
        made.save(out)
        data = out.getvalue()
    reading = read_one("a" + suffix, data)
    assert [d.valid_from for d in reading.documents] == [date(2026, 1, 1)]
    assert (reading.refused, reading.notes) == ([], [])
