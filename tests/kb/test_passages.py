"""Laws are cut by article, notices by heading, long ones into overlapping windows; no sentence gets lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kb.passages import OVERLAP_CHARS, WINDOW_CHARS, split, windows
from kb.text import clean, sentences

LAW = """某市供热条例
第一章 总则
第一条 为了规范供热，制定本条例。
第二条 本市行政区域内的供热适用本条例。
第二章 用热
第一节 室温
第三条 室温不得低于十八摄氏度。
低于标准的，供热单位应当退费：
（一）低于十八度的，退一半；
（二）低于十四度的，全退。
第四条之一 用户应当按时交费。
第三章 附则
第五条 本条例自公布之日起施行。
"""


def test_a_law_is_cut_by_article_with_its_chapter() -> None:
    pieces = split(LAW, "某市供热条例")
    assert [p.article for p in pieces] == [
        "第一章 总则 / 第一条",
        "第一章 总则 / 第二条",
        "第二章 用热 / 第一节 室温 / 第三条",
        "第二章 用热 / 第一节 室温 / 第四条之一",
        "第三章 附则 / 第五条",
    ]
    assert pieces[2].text.endswith("（二）低于十四度的，全退。")


def test_a_law_that_lost_its_line_breaks_is_cut_by_article_all_the_same() -> None:
    text = "第一条 为了规范供热，制定本条例。 第二条 本市供热适用本条例。 第三条 室温不低于十八度。"
    assert [p.article for p in split(text)] == ["第一条", "第二条", "第三条"]


def test_an_article_named_inside_a_sentence_does_not_start_one() -> None:
    text = "第一条 依照第三条 的规定办理。\n第二条 依照第一条办理。\n第三条 本办法自发布之日起施行。"
    assert [p.article for p in split(text)] == ["第一条", "第二条", "第三条"]


def test_what_stands_before_the_first_article_is_kept() -> None:
    pieces = split("2020年1月1日市人大通过\n" + LAW)
    assert pieces[0].article is None
    assert "市人大通过" in pieces[0].text


def test_a_guide_is_cut_by_its_headings() -> None:
    pieces = split("# 落户指南\n\n## 材料\n- 身份证\n- 户口簿\n\n## 时限\n五个工作日。\n### 加急\n不办。", "落户指南")
    assert [(p.article, p.text) for p in pieces] == [
        ("材料", "- 身份证\n- 户口簿"),
        ("时限", "五个工作日。"),
        ("时限 / 加急", "不办。"),
    ]


def test_a_notice_is_cut_by_its_numbered_headings() -> None:
    text = "各单位：\n一、适用对象\n全体市民。\n（一）老年人\n免费。\n二、每户补助500元。"
    places = [(p.article, p.text) for p in split(text)]
    assert places == [
        (None, "各单位："),
        ("一、适用对象", "全体市民。"),
        ("一、适用对象 / （一）老年人", "免费。"),
        ("二、每户补助500元", "二、每户补助500元。"),
    ]


def test_long_text_becomes_windows_that_overlap() -> None:
    numbered = [f"这是第{i:03d}句话，用来占一些地方的内容。" for i in range(40)]
    pieces = split("".join(numbered))
    assert len(pieces) > 3
    assert all(len(p.text) <= WINDOW_CHARS for p in pieces)
    for before, after in itertools.pairwise(pieces):
        first = sentences(after.text)[0]
        assert first in before.text
        assert len(first) <= OVERLAP_CHARS


def test_indentation_of_a_page_that_lost_its_breaks_separates_paragraphs() -> None:
    assert clean("甲。\u3000\u3000乙。\u2003\u2003丙\u200b。\r\n\r\n丁") == "甲。\n乙。\n丙。\n丁"


@given(st.lists(st.text("一二三。，；！a1 ", min_size=1, max_size=400), min_size=1, max_size=6))
def test_every_character_is_in_some_window_and_no_window_is_too_long(paragraphs: list[str]) -> None:
    paragraphs = [p for p in (p.strip() for p in paragraphs) if p]
    found = windows(paragraphs)
    assert all(0 < len(w) <= WINDOW_CHARS + 1 for w in found)
    joined = "".join("".join(found).split())
    for paragraph in paragraphs:
        for sentence in sentences(paragraph):
            if len(sentence) < WINDOW_CHARS // 2:
                assert "".join(sentence.split()) in joined
