"""The figures of `minsheng kb eval` are what their names say."""

import json
from pathlib import Path

import pytest

from kb.errors import InvalidDocument, KbError
from kb.evaluate import Question, build, evaluate, read_corpus, read_questions, rouge_l
from tests.kb.conftest import BY_WORDS, HashEncoder, dogs, heating


@pytest.mark.parametrize(
    ("candidate", "reference", "score"),
    [("abcd", "abcd", 1.0), ("abcd", "xyz", 0.0), ("", "abc", 0.0), ("abc", "axbxc", 0.75), ("a b\nc", "abc", 1.0)],
)
def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence(
    candidate: str, reference: str, score: float
) -> None:
    assert rouge_l(candidate, reference) == pytest.approx(score)


def test_eval_counts_documents(encoder: HashEncoder) -> None:
    snapshot = build([heating(), dogs()], encoder)
    asked = [
        Question("室温标准是多少摄氏度", "heating", "卧室和客厅的室内温度不低于18摄氏度。"),
        Question("养犬登记", "dogs"),
        Question("养犬登记", "heating"),
        Question("养犬登记", "absent"),
    ]
    result = evaluate(asked, snapshot, encoder, BY_WORDS)
    assert result["n"] == 4
    assert result["recall@1"] == 0.5
    assert result["recall@5"] == result["recall@10"] == 0.75
    assert result["mrr@10"] == pytest.approx((1 + 1 + 0.5) / 4)
    assert result["rouge_l"] == 1.0
    assert result["ms_p95"] >= result["ms_p50"] > 0


def test_questions_and_corpus_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    questions, corpus = tmp_path / "q.jsonl", tmp_path / "d.jsonl"
    questions.write_text(json.dumps({"question": "问", "docid": "a", "answer": "答"}) + "\n\n", encoding="utf-8")
    corpus.write_text(json.dumps({"docid": "a", "title": "甲", "text": "正文。"}), encoding="utf-8")
    assert read_questions(questions) == [Question("问", "a", "答")]
    assert [d.id for d in read_corpus(corpus)] == ["a"]
    questions.write_text('{"docid": "a"}', encoding="utf-8")
    with pytest.raises(InvalidDocument, match="第 1 行"):
        read_questions(questions)
    corpus.write_text("{}", encoding="utf-8")
    with pytest.raises(KbError):
        read_corpus(corpus)
