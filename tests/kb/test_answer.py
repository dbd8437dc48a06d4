"""An answer is sentences of one passage as they stand, with where they stand; steps are named and timed."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.answer import NOT_FOUND, SIGNALS, Answer, Calibration, Signals, answer, validity
from kb.documents import Document, NewDocument
from kb.evaluate import build
from kb.phrasing_index import Phrased
from kb.search import Query, Snapshot
from tests.kb.conftest import BY_WORDS, TODAY, HashEncoder, dogs, heating


@pytest.fixture
def snapshot(encoder: HashEncoder) -> Snapshot:
    notice = "市政府决定调整补贴。" * 30 + "每户最高补贴五千元，即5000元。" + "各区要抓紧落实。" * 30
    return build([heating(), dogs(), NewDocument(id="notice", title="煤改电通知", text=notice)], encoder)


def _ask(question: str, snapshot: Snapshot, encoder: HashEncoder, calibration: Calibration = BY_WORDS) -> Answer:
    return answer(question, snapshot, encoder, calibration, today=TODAY)


def test_a_short_section_is_quoted_whole(snapshot: Snapshot, encoder: HashEncoder) -> None:
    result = _ask("养犬怎么办理登记", snapshot, encoder)
    assert result.quotes == ["养犬人带狂犬病免疫证明到派出所办理犬只登记，领取犬牌。"]
    assert result.text.startswith(result.quotes[0])
    assert "依据：《养犬登记办法》“办理登记”（公安局，未注明有效期）。" in result.text
    names = ["prepare", "place", "search", "decide", "extract", "compose", "suggest"]
    assert [s.name for s in result.steps] == names
    assert all(s.ms >= 0 for s in result.steps)


def test_from_a_long_text_the_sentence_that_answers_is_taken(snapshot: Snapshot, encoder: HashEncoder) -> None:
    result = _ask("煤改电每户最高补贴多少", snapshot, encoder)
    assert "".join(result.quotes) == "每户最高补贴五千元，即5000元。"


def test_every_quote_stands_in_the_passage_it_is_cited_from(snapshot: Snapshot, encoder: HashEncoder) -> None:
    for question in ("室温标准", "家里不热打哪里报修", "煤改电补贴有哪些", "养犬登记要什么证明"):
        result = _ask(question, snapshot, encoder)
        assert result.outcome == "answered"
        passages = ["".join(p.text.split()) for c in result.citations for p in snapshot.passages_of(c.document)]
        assert all(any("".join(q.split()) in p for p in passages) for q in result.quotes)


@pytest.mark.parametrize(
    ("question", "step"),
    [("", "nothing_asked"), ("   ", "nothing_asked"), ("？！。", "nothing_asked"), ("火星移民签证", "below_threshold")],
)
def test_what_it_cannot_answer_it_says(snapshot: Snapshot, encoder: HashEncoder, question: str, step: str) -> None:
    result = _ask(question, snapshot, encoder)
    assert (result.outcome, result.text, result.citations) == ("not_found", NOT_FOUND, [])
    assert result.steps[-1].outcome == step


def test_of_a_law_the_article_found_first_is_quoted(encoder: HashEncoder) -> None:
    law = (
        "第一条 夜里装修扰民的，由城市管理部门处罚。\n第二条 罚款二百元以上一千元以下，罚款多少由部门决定。\n"
        "第三条 本条例自公布之日起施行。\n第四条 以前的办法同时废止。"
    )
    snapshot = build([NewDocument(id="law", title="噪声条例", text=law)], encoder)
    for question in ("夜里装修扰民罚款多少", "扰民罚款多少元"):
        own = encoder.embed([question], "query")[0]
        aside = np.eye(1, encoder.width, int(np.abs(own).argmin()), dtype=np.float32)[0]
        vector = (0.94 * own + np.sqrt(1 - 0.94**2) * aside).astype(np.float16)  # alike, not the same question
        for label in ("第一条", "第二条"):
            told = snapshot.with_phrasings([Phrased("law", label, f"{question}呀", vector)])
            result = _ask(question, told, encoder, Calibration({}, 9.0, 0.5))
            assert result.hits[0].article == label
            assert [c.article for c in result.citations] == [label]


def test_what_is_asked_and_missing_counts_for_the_confidence(snapshot: Snapshot, encoder: HashEncoder) -> None:
    def signals(question: str) -> dict[str, float]:
        query = Query.of(question, encoder)
        return Signals.of(query, snapshot.search(query, top_k=30, today=TODAY), snapshot).values()

    there, lacking = signals("养犬登记带什么证明"), signals("养犬登记带什么证明去龙子湖宠物窗口")
    assert tuple(there) == SIGNALS
    assert there["missing"] == 0 < lacking["missing"]
    assert lacking["rarest"] > 0 and lacking["own_words"] > there["own_words"]
    assert not any(there[name] for name in SIGNALS if name.startswith("asks "))  # no entry of sections


def test_a_very_long_question_is_survived(snapshot: Snapshot, encoder: HashEncoder) -> None:
    assert _ask("室温标准是多少" * 2000, snapshot, encoder).steps


def test_sample_entries_are_marked(encoder: HashEncoder) -> None:
    snapshot = build([heating()], encoder)
    marked = snapshot.with_documents(
        {k: Document(d.id, d.title, "published", source="示例条目") for k, d in snapshot.documents.items()}
    )
    assert "示例条目" in _ask("室温标准", marked, encoder).text
    assert "示例条目" not in _ask("室温标准", snapshot, encoder).text


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (None, None, "未注明有效期"),
        (date(2025, 1, 2), None, "自2025年1月2日起有效"),
        (None, date(2025, 1, 2), "有效期至2025年1月2日"),
        (date(2025, 1, 2), date(2026, 1, 2), "2025年1月2日至2026年1月2日有效"),
    ],
)
def test_the_validity_is_put_into_words(start: date | None, end: date | None, words: str) -> None:
    assert validity(Document("a", "b", "published", valid_from=start, valid_to=end)) == words


def test_the_shipped_calibration_weighs_known_signals() -> None:
    calibration = Calibration.load()
    assert set(calibration.weights) <= set(SIGNALS)
    assert 0 < calibration.threshold < 1
    strong = Signals(0.93, 0.06, 1.5, 1.0, 1.0, value=8.0, margin=0.8, says=1.0)
    weak = Signals(0.84, 0.0, 0.1, 0.0, 0.0, value=6.0, margin=0.0, says=0.0)
    assert calibration.confidence(strong) > calibration.threshold > calibration.confidence(weak)


def test_with_another_encoder_the_words_decide_alone() -> None:
    calibration = Calibration.load()
    assert calibration.of(calibration.encoder) is calibration
    other = calibration.of("another")
    assert other is not calibration
    assert not {"dense", "lead", "value", "margin"} & set(other.weights)


_GUIDE = (
    "## 申请条件\n年满{age}周岁可以领取高龄津贴。\n## 需要的材料\n领取高龄津贴带身份证。\n"
    "## 多久办好\n高龄津贴十五个工作日发放。"
)


def _allowance(name: str, region: str | None = None, audience: str | None = None, age: int = 80) -> NewDocument:
    title = f"{region or ''}{audience or ''}高龄津贴指南"
    return NewDocument(id=name, title=title, text=_GUIDE.format(age=age), region=region, audience=audience)


def _stored(documents: list[NewDocument], encoder: HashEncoder) -> Snapshot:
    built = build(documents, encoder)
    return built.with_documents(
        {d.id: Document(d.id, d.title, "published", region=d.region, audience=d.audience) for d in documents}
    )


def test_two_regions_are_asked_back_and_a_named_one_is_not(encoder: HashEncoder) -> None:
    snapshot = _stored([_allowance("a", "金水区"), _allowance("b", "中原区", age=70)], encoder)
    result = _ask("高龄津贴需要的材料", snapshot, encoder)
    assert (result.outcome, result.citations, result.quotes) == ("ask", [], [])
    assert {c.label for c in result.choices} == {"金水区", "中原区"}
    assert all(choice.label in result.text for choice in result.choices)
    for choice in result.choices:
        chosen = _ask(choice.question, snapshot, encoder)
        assert [c.document for c in chosen.citations] == [choice.document]
    assert _ask("中原区高龄津贴需要的材料", snapshot, encoder).citations[0].document == "b"


def test_two_audiences_are_asked_back(encoder: HashEncoder) -> None:
    snapshot = _stored([_allowance("a", None, "退役军人"), _allowance("b", None, "失独家庭")], encoder)
    assert {c.label for c in _ask("高龄津贴需要的材料", snapshot, encoder).choices} == {"退役军人", "失独家庭"}
    assert _ask("退役军人高龄津贴需要的材料", snapshot, encoder).outcome == "answered"


def test_one_entry_is_not_asked_back(encoder: HashEncoder) -> None:
    snapshot = _stored([_allowance("a", "金水区")], encoder)
    assert _ask("高龄津贴需要的材料", snapshot, encoder).outcome == "answered"


def test_what_is_suggested_next_is_answered_from_another_section(encoder: HashEncoder) -> None:
    snapshot = _stored([_allowance("a", "金水区"), dogs()], encoder)
    result = _ask("高龄津贴需要的材料", snapshot, encoder)
    assert 1 <= len(result.next_questions) <= 3
    cited = {(c.document, c.article) for c in result.citations}
    for question in result.next_questions:
        after = _ask(question, snapshot, encoder)
        assert after.outcome == "answered"
        assert {(c.document, c.article) for c in after.citations} - cited


@given(
    st.lists(
        st.text("供热温度补贴标准养犬登记元0123456789，。；：\n 第条一二", min_size=1, max_size=400),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
def test_no_answer_holds_a_sentence_that_is_in_no_valid_entry(texts: list[str]) -> None:
    encoder = HashEncoder()
    documents = [NewDocument(f"d{i}", f"文件{i}", text) for i, text in enumerate(texts) if text.strip()]
    whole = build(documents, encoder)
    dead = {d.id for i, d in enumerate(documents) if i % 2}
    snapshot = whole.with_documents(
        {id_: Document(id_, d.title, "suspended" if id_ in dead else "published") for id_, d in whole.documents.items()}
    )
    valid = ["".join(p.text.split()) for d in documents if d.id not in dead for p in snapshot.passages_of(d.id)]
    for question in ("供热补贴标准", "养犬登记多少元", "第一条温度"):
        result = _ask(question, snapshot, encoder, Calibration({"coverage": 1.0}, 0.0, 0.1))
        assert all(any("".join(quote.split()) in text for text in valid) for quote in result.quotes)
        assert not dead & {c.document for c in result.citations}
