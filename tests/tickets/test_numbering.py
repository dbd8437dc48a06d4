import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.tickets.numbering import NUMBER_PATTERN, find_number, format_number

DAY = date(2026, 11, 22)


def test_number_names_city_day_district_and_place_in_line() -> None:
    assert format_number("ZZ", DAY, "05", 1) == "ZZ20261122050001"
    assert format_number("ZZ", DAY, "05", 9999) == "ZZ20261122059999"


def test_number_has_no_ceiling() -> None:
    assert format_number("ZZ", DAY, "00", 200_000) == "ZZ2026112200200000"
    with pytest.raises(ValueError, match="starts at 1"):
        format_number("ZZ", DAY, "00", 0)


@given(
    prefix=st.from_regex(r"[A-Z]{2}", fullmatch=True),
    day=st.dates(date(2020, 1, 1), date(2099, 12, 31)),
    district=st.from_regex(r"[0-9]{2}", fullmatch=True),
    sequence=st.integers(1, 999_999_999),
)
def test_every_number_is_found_again_in_a_sentence(prefix: str, day: date, district: str, sequence: int) -> None:
    number = format_number(prefix, day, district, sequence)
    assert re.fullmatch(NUMBER_PATTERN, number)
    assert find_number(f"我的工单{number.lower()}办到哪了") == number


@pytest.mark.parametrize("text", ["13812345678", "410105199001011234", "ZZ2026", "豫A12345", "ZZ20261322050001", "x"])
def test_other_numbers_are_not_ticket_numbers(text: str) -> None:
    assert find_number(text) is None
