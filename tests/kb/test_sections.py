"""Of an entry in sections, those are quoted that the question asks for."""

import json
from datetime import date
from pathlib import Path

import pytest

from assistant.settings import PROJECT_ROOT
from kb.answer import Answer, Calibration, answer
from kb.documents import NewDocument, Passage
from kb.evaluate import build
from kb.importer import read_folder
from kb.sections import is_in_sections
from nlu.runtime import Reader
from tests.kb.conftest import TODAY, HashEncoder

SURE = Calibration({}, 5.0, 0.5)
ENTRY = NewDocument(
    id="card",
    title="老年卡办理指南",
    text="""# 老年卡办理指南

## 谁能办

年满六十五周岁的本市居民。

## 需要的材料

身份证和一张照片。

## 在哪里办

街道便民服务中心的窗口。

## 办理时限

十个工作日。

## 年审

每年刷一次脸，不刷的卡会停用。
""",
)


def _ask(question: str, encoder: HashEncoder, *, after: str = "") -> Answer:
    return answer(question, build([ENTRY], encoder), encoder, SURE, today=TODAY, after=after)


@pytest.mark.parametrize(
    ("question", "articles"),
    [
        ("老年卡要带啥东西", ["需要的材料"]),
        ("办老年卡去哪个窗口", ["在哪里办"]),
        ("老年卡几天能下来", ["办理时限"]),
        ("老年卡什么条件", ["谁能办"]),
        ("老年卡不刷脸会停用吗", ["年审"]),
        ("老年卡咋办", ["需要的材料", "在哪里办", "办理时限"]),
    ],
)
def test_the_section_asked_for_is_quoted(question: str, articles: list[str], encoder: HashEncoder) -> None:
    result = _ask(question, encoder)
    assert [citation.article for citation in result.citations] == articles
    if len(articles) > 1:
        assert "需要的材料：身份证和一张照片。" in result.text


def test_a_question_that_goes_on_asks_for_another_section_of_the_same_entry(encoder: HashEncoder) -> None:
    result = _ask("那要多久", encoder, after="老年卡要带啥材料")
    assert [citation.article for citation in result.citations] == ["办理时限"]


def test_an_amount_of_money_may_stand_under_another_heading_than_a_fee(encoder: HashEncoder) -> None:
    text = "# 贷款指南\n\n## 能贷多少\n\n最高八十万。\n\n## 条件\n\n连续缴存六个月。\n\n## 材料\n\n身份证。\n"
    snapshot = build([NewDocument(id="loan", title="贷款指南", text=text)], encoder)
    result = answer("贷款能贷多少钱", snapshot, encoder, SURE, today=TODAY)
    assert [citation.article for citation in result.citations] == ["能贷多少"]


@pytest.mark.parametrize("question", ["办老年卡要多少钱", "老年卡的咨询电话是多少"])
def test_a_fee_or_number_that_no_section_names_is_not_answered(question: str, encoder: HashEncoder) -> None:
    result = _ask(question, encoder)
    assert (result.outcome, result.steps[-1].outcome) == ("not_found", "not_said")


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [
        (["谁能办", "材料", "时限"], "短", True),
        (["谁能办", "材料"], "短", False),
        (["第一条", "第二条", "第三条"], "短", False),
        ([None, None, None], "短", False),
        (["谁能办", "材料", "时限"], "长" * 300, False),
    ],
)
def test_what_counts_as_an_entry_in_sections(labels: list[str | None], text: str, expected: bool) -> None:
    passages = [Passage(n, "d", n, label, text) for n, label in enumerate(labels)]
    assert is_in_sections(passages, max_chars=220) is expected


def test_residents_get_the_section_they_asked_for() -> None:
    """160 questions, written by somebody who had not seen how sections are chosen. Floor: docs/benchmarks.md."""
    reader = Reader.load(PROJECT_ROOT / "models" / "nlu")
    documents, _ = read_folder(PROJECT_ROOT / "city" / "demo" / "policies")
    snapshot, calibration = build(documents, reader), Calibration.load()
    rows = Path(__file__).with_name("resident_sections.jsonl").read_text(encoding="utf-8").splitlines()
    entry, section, wrong = 0, 0, []
    for row in map(json.loads, rows):
        result = answer(row["question"], snapshot, reader, calibration, today=date(2026, 11, 22))
        if row["docid"] not in [citation.document for citation in result.citations]:
            continue
        entry += 1
        found = {citation.article for citation in result.citations} & set(row["articles"])
        section += bool(found)
        if not found:
            wrong.append((row["question"], row["articles"], [c.article for c in result.citations]))
    print(f"right entry {entry} of {len(rows)}; right section in {section} of these = {section / entry:.3f}")
    print(*wrong, sep="\n")
    assert len(rows) >= 150
    assert section / entry >= 0.75
