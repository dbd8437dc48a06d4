"""The input guard."""

import pytest

from assistant.conversations.guard import clean, unreadable
from assistant.errors import BadInput


def test_control_and_invisible_characters_go() -> None:
    assert clean("路灯\x00\u200b坏了\ud800\r\n三天", max_chars=100) == "路灯坏了\n三天"


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u200d", "\x00\x01", "\n\n"])
def test_nothing_left_is_said(text: str) -> None:
    with pytest.raises(BadInput, match="还没有写内容"):
        clean(text, max_chars=100)


def test_too_long_says_both_lengths() -> None:
    with pytest.raises(BadInput, match="10000个字，一次最多8000个字"):
        clean("水" * 10_000, max_chars=8_000)


@pytest.mark.parametrize(
    "text", ["/restart", "／restart", '/inform{"place":"x"}', "/ deny", "😀😀", "……？？", "<script>alert(1)</script>"]
)
def test_what_is_no_sentence_gets_an_answer_of_its_own(text: str) -> None:
    assert unreadable(text)


@pytest.mark.parametrize("text", ["ok", "85", "路灯坏了", "1/2的路灯坏了", "<b>路灯</b>坏了", "/路灯坏了"])
def test_sentences_pass(text: str) -> None:
    assert unreadable(text) is None
