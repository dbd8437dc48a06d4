"""Numbers as they are written: `1,500`, `三十`, `一万二千`, `1万5千`, `3万2`."""

import re

_HAN_DIGITS = dict(zip("〇零一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10_000, "亿": 100_000_000}
_FIGURES = r"\d[\d,]*(?:\.\d+)?"
_HAN = "〇零一二两三四五六七八九十百千"
# A number without 万 or 亿.
NUMBER = rf"(?:{_FIGURES}|[{_HAN}]+)"
# With them, and figures and characters mixed. Runs of characters are possessive: nothing is tried twice.
AMOUNT = (
    rf"(?:{_FIGURES}(?:\s*[百千万亿](?:\s*零?{_FIGURES}|\s*[〇零一二两三四五六七八九十][{_HAN}万亿]*+)?)*"
    rf"|[{_HAN}][{_HAN}万亿]*+)"
)
_TOKEN = re.compile(rf"{_FIGURES}|[{_HAN}万亿]")


def number(written: str) -> float:
    """`1,500` → 1500, `三十` → 30, `十五` → 15."""
    if written[0].isdigit():
        return float(written.replace(",", "").rstrip("."))
    total, digit = 0, 0
    for sign in written:
        if sign in _HAN_PLACES:
            total += (digit or 1) * _HAN_PLACES[sign]
            digit = 0
        else:
            digit = _HAN_DIGITS[sign]
    return float(total + digit)


def amount(written: str) -> float:
    """What `AMOUNT` matches: `1万5千` → 15000, `1亿2千万` → 120000000; a last digit counts tenths: `3万2` → 32000."""
    total, section = 0.0, 0.0
    digit: float | None = None
    place, short = 1, False
    for part in _TOKEN.findall(written):
        if part in _HAN_PLACES:
            place = _HAN_PLACES[part]
            section += (1.0 if digit is None else digit) * place
            digit = None
        elif part in _MYRIADS:
            place = _MYRIADS[part]
            section += digit or 0.0
            total = (total + section) * place if part == "亿" else total + section * place
            section, digit = 0.0, None
        else:
            # After a zero (一百零五) a digit is what it says.
            short = digit is None and len(part) == 1
            digit = number(part)
            if part in "〇零":
                place = 1
    if digit is not None:
        section += digit * place / 10 if short and place >= 100 else digit
    return total + section
