"""Masking of personal data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.privacy import mask, mask_name


@pytest.mark.parametrize(
    ("text", "masked", "kind", "raw"),
    [
        ("电话13812345678谢谢", "电话138****5678谢谢", "phone", "13812345678"),
        ("我手机是138 1234 5678", "我手机是138****5678", "phone", "13812345678"),
        ("+86-138-1234-5678", "+86-138****5678", "phone", "13812345678"),
        ("１３８１２３４５６７８", "138****5678", "phone", "13812345678"),
        ("幺三八一二三四五六七八找我", "138****5678找我", "phone", "13812345678"),
        ("0371-67181234", "037****1234", "phone", "037167181234"),
        ("身份证41010519900101123x", "身份证410105********123X", "id_card", "41010519900101123X"),
        ("卡号6222021234567890128", "卡号***************0128", "bank_card", "6222021234567890128"),
    ],
)
def test_personal_numbers_are_masked(text: str, masked: str, kind: str, raw: str) -> None:
    result, values = mask(text)
    assert result == masked
    assert [(v.kind, v.raw) for v in values] == [(kind, raw)]
    assert values[0].masked in result


@pytest.mark.parametrize(
    "text",
    [
        "花园路85号",
        "12345",
        "工单ZZ202611220100001",
        "2026年11月22日上午10点",
        "96322",
        "赔偿13812345678901元",
        "一三五单号限行",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == (text, [])


def test_several_values_in_one_text() -> None:
    text, values = mask("我13800138000，邻居13900139000，身份证410105199001011234")
    assert text == "我138****8000，邻居139****9000，身份证410105********1234"
    assert {v.raw for v in values} == {"13800138000", "13900139000", "410105199001011234"}


@given(st.text(alphabet="0123456789１３８ -一三八幺电话Xx+*", max_size=60))
def test_masking_twice_changes_nothing(text: str) -> None:
    once, _ = mask(text)
    assert mask(once) == (once, [])


def test_a_name_keeps_its_first_character() -> None:
    assert mask_name("王小明") == "王**"
