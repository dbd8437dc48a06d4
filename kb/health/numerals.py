"""Numbers as they are written: `1,500`, `三十`, `一万二千`."""

_HAN_DIGITS = dict(zip("〇零一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_PLACES = {"十": 10, "百": 100, "千": 1000}
# A number without 万 or 亿.
NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|[〇零一二两三四五六七八九十百千]+)"


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
