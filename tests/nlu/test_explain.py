"""Which words decided: exactly on a model whose ways are known, and for any text on the shipped one."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nlu.cli import app
from nlu.explain import LONGEST, MOST_PARTS, explain
from nlu.runtime import Reader

COMPLAINT = "楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽，社区说他们也管不了"
SIGNS = {"油烟": 2.0, "咳嗽": 1.0, "路灯": 3.0, "社区": -1.0}


class KnownReader:
    """Knows 油烟 and 其他; the log-odds of 油烟 are the sum of the signs in the text. A piece is a character."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def probabilities(self, head: str, texts: Sequence[str]) -> tuple[tuple[str, ...], Any]:
        if head != "category1":
            raise KeyError(head)
        self.read += texts
        sure = [1 / (1 + math.exp(-sum(w for sign, w in SIGNS.items() if sign in text))) for text in texts]
        return ("其他", "油烟"), np.array([[1 - p, p] for p in sure], np.float32)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        return [SimpleNamespace(offsets=[(i, i + 1) for i in range(len(text))]) for text in texts]


@pytest.fixture
def known() -> KnownReader:
    return KnownReader()


def of(known: KnownReader) -> Reader:
    return cast(Reader, known)


def test_the_clauses_that_speak_for_a_label_come_strongest_first(known: KnownReader) -> None:
    first, second = explain(of(known), COMPLAINT, "category1", "油烟")
    assert (first.text, second.text) == ("楼下烧烤店每天晚上油烟很大", "我家孩子一直咳嗽")
    assert COMPLAINT[first.start : first.end] == first.text and COMPLAINT[second.start : second.end] == second.text
    assert first.weight == pytest.approx(2.0, abs=1e-3) and second.weight == pytest.approx(1.0, abs=1e-3)
    assert [reason.text for reason in explain(of(known), COMPLAINT, "category1", "油烟", most=1)] == [first.text]


def test_without_a_label_the_likeliest_one_is_explained(known: KnownReader) -> None:
    assert explain(of(known), COMPLAINT, "category1") == explain(of(known), COMPLAINT, "category1", "油烟")


def test_what_speaks_for_another_label_is_no_reason(known: KnownReader) -> None:
    (reason,) = explain(of(known), COMPLAINT, "category1", "其他")
    assert reason.text == "社区说他们也管不了"


def test_in_a_single_clause_pieces_side_by_side_are_one_word(known: KnownReader) -> None:
    (reason,) = explain(of(known), "门口的路灯不亮", "category1", "油烟")
    # Either piece alone takes the sign away.
    assert (reason.text, reason.start, reason.end) == ("路灯", 3, 5)
    assert reason.weight == pytest.approx(6.0, abs=1e-3)


def test_a_long_text_costs_no_more_than_a_short_one(known: KnownReader) -> None:
    explain(of(known), COMPLAINT * 500, "category1")
    assert len(known.read) == 1 + MOST_PARTS
    assert max(map(len, known.read)) <= LONGEST


def test_an_unknown_head_or_label_is_said_so(known: KnownReader) -> None:
    with pytest.raises(ValueError, match="no head 'mood'"):
        explain(of(known), COMPLAINT, "mood")
    with pytest.raises(ValueError, match="does not know '农业'"):
        explain(of(known), COMPLAINT, "category1", "农业")


# --- the shipped model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n", "。。。！？", "😀", "\ud800坏字符", "我" * 10_000, "A1，" * 3_000])
@pytest.mark.parametrize("head", ["category1", "urgency"])
def test_any_text_can_be_explained(reader: Reader, head: str, text: str) -> None:
    reasons = explain(reader, text, head)
    assert len(reasons) <= 3
    assert all(reason.weight > 0 and text[reason.start : reason.end] == reason.text for reason in reasons)


def test_nothing_explains_nothing(reader: Reader) -> None:
    assert explain(reader, "。。。", "intent") == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="路灯不亮，。 油烟a1\n我", max_size=60))
def test_reasons_are_words_of_the_text_in_order_of_weight(reader: Reader, text: str) -> None:
    reasons = explain(reader, text, "category1", "城乡建设", most=5)
    assert [r.weight for r in reasons] == sorted((r.weight for r in reasons), reverse=True)
    spans = sorted((r.start, r.end) for r in reasons)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    for reason in reasons:
        assert reason.weight > 0 and text[reason.start : reason.end] == reason.text == reason.text.strip("，。 \n")


def test_each_matter_is_explained_by_its_own_words(reader: Reader) -> None:
    text = "饭店的油烟整夜往我家窗户里灌，另外12路公交车早高峰四十分钟才来一趟"
    assert "油烟" in explain(reader, text, "category1", "环境保护")[0].text
    assert "公交车" in explain(reader, text, "category1", "交通运输")[0].text


def test_danger_is_explained_by_the_head_that_decides_about_it(reader: Reader) -> None:
    text = "厨房有很浓的煤气味，老人已经晕倒了，我们上个月刚搬来这个小区"
    reasons = explain(reader, text, "urgency", "特急")
    assert reasons == explain(reader, text, "danger", "危险")
    assert reasons[0].text in ("厨房有很浓的煤气味", "老人已经晕倒了")


def test_the_command_says_why() -> None:
    text = "楼下饭店油烟大，晚上睡不着"
    found = json.loads(CliRunner().invoke(app, ["predict", "--text", text, "--why", "--json"]).stdout)
    assert {"category1", "urgency", "request_type"} <= set(found["why"])
    assert any("油烟" in reason["text"] for reason in found["why"]["category1"])
    shown = CliRunner().invoke(app, ["predict", "--text", text, "--why"])
    assert shown.exit_code == 0 and "依据" in shown.stdout and "“" in shown.stdout
    plain = CliRunner().invoke(app, ["predict", "--text", text])
    assert plain.exit_code == 0 and "依据" not in plain.stdout
