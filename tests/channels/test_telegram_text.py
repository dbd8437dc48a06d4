"""Splitting and writing for Telegram, without a network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.telegram_text import MAX_CALLBACK_BYTES, keyboard, split, written


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300), st.integers(2, 60))
def test_parts_fit_and_lose_nothing_but_white_space(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert parts
    assert all(1 <= units(part) <= limit or text.strip() == "" for part in parts if part.strip())
    joined, whole = "".join("".join(parts).split()), "".join(text.split())
    assert joined == (whole or "……")


def test_a_cut_falls_between_sentences() -> None:
    text = "第一句话在这里。第二句话也在这里。第三句话在这里结束。"
    assert split(text, 20) == ["第一句话在这里。第二句话也在这里。", "第三句话在这里结束。"]


def test_an_emoji_is_not_cut_in_two() -> None:
    assert split("😀" * 5, 4) == ["😀😀", "😀😀", "😀"]


def test_sources_and_ticket_are_written_out() -> None:
    message = {
        "sender": "assistant",
        "text": "可以提取。",
        "citations": [
            {
                "document": "d",
                "title": "住房公积金管理条例",
                "article": "第二十四条",
                "issuer": "国务院",
                "valid_from": "2019-03-24",
                "valid_to": None,
            }
        ],
        "ticket": {"number": "ZZ-1", "state": "处置中", "unit": None, "due_at": None},
    }
    assert written(message) == [
        "可以提取。\n\n依据：《住房公积金管理条例》第二十四条（国务院，2019-03-24 起施行）\n工单 ZZ-1：处置中"
    ]


def test_what_the_text_names_is_not_repeated() -> None:
    ticket, citation = {"number": "ZZ-1", "state": "处置中"}, {"title": "城市照明管理规定", "article": "第三条"}
    text = "工单号：ZZ-1，依据《城市照明管理规定》第三条。"
    assert written({"sender": "assistant", "text": text, "ticket": ticket, "citations": [citation]}) == [text]


@pytest.mark.parametrize("length", [1, 21, 22, 40])
def test_button_data_keeps_within_the_limit(length: int) -> None:
    markup = keyboard([{"title": "短", "payload": "字" * length}])
    assert markup is not None
    button = markup.inline_keyboard[0][0]
    assert isinstance(button.callback_data, str)
    assert len(button.callback_data.encode()) <= MAX_CALLBACK_BYTES
    # What the button sends can be told from its data, or from its words.
    assert "字" * length in (button.callback_data, button.text)


def test_short_buttons_share_a_row() -> None:
    markup = keyboard(
        [{"title": title, "payload": title} for title in ("确认提交", "修改", "取消", "我想换一个更长的说法")]
    )
    assert markup is not None
    assert [[button.text for button in row] for row in markup.inline_keyboard] == [
        ["确认提交", "修改", "取消"],
        ["我想换一个更长的说法"],
    ]
