"""An answer is sentences of one passage as they stand, with where they stand; steps are named and timed."""

from datetime import date

import pytest

from kb.answer import NOT_FOUND, Answer, Calibration, answer, validity
from kb.documents import Document, NewDocument
from kb.evaluate import build
from kb.search import Snapshot
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
    assert [s.name for s in result.steps] == ["prepare", "search", "decide", "extract", "compose"]
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


def test_a_very_long_question_is_survived(snapshot: Snapshot, encoder: HashEncoder) -> None:
    assert _ask("室温标准是多少" * 2000, snapshot, encoder).steps


def test_sample_entries_are_marked(encoder: HashEncoder) -> None:
    snapshot = build([heating()], encoder)
    marked = Snapshot(
        {k: Document(d.id, d.title, "published", source="示例条目") for k, d in snapshot.documents.items()},
        snapshot.passages,
        snapshot.prepared,
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
    from dataclasses import fields

    from kb.answer import Signals

    calibration = Calibration.load()
    assert set(calibration.weights) <= {f.name for f in fields(Signals)}
    assert 0 < calibration.threshold < 1
    strong = Signals(dense=0.93, lead=0.06, sparse=1.5, coverage=1.0, passage_coverage=1.0)
    weak = Signals(dense=0.84, lead=0.0, sparse=0.1, coverage=0.0, passage_coverage=0.0)
    assert calibration.confidence(strong) > calibration.threshold > calibration.confidence(weak)


def test_with_another_encoder_the_words_decide_alone() -> None:
    calibration = Calibration.load()
    assert calibration.of(calibration.encoder) is calibration
    other = calibration.of("another")
    assert other is not calibration
    assert not {"dense", "lead"} & set(other.weights)
