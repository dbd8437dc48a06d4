"""Times of the day and days of the year in a folded sentence: `12:00—14:30`, `晚上十点到第二天早上六点`, `11月15日`."""

import re
from collections.abc import Iterator

from kb.health.numerals import NUMBER, number

_N = NUMBER
_TO = r"\s*(?:开门|开放|开)?(?:至|到|起至|-|~|—+|–)\s*"
_NEXT = r"(?:次日|翌日|第二天|第二日|当日|当天)?(?:的)?"
_PART = "凌晨|清晨|早上|早晨|上午|中午|午间|下午|傍晚|晚上|晚间|夜里|夜间|夜晚|晚|早"
_HOUR = rf"(?:\d{{1,2}}:\d{{2}}|{_N}[时点](?!间|候|速|击|名|评|差)(?:半|一刻|三刻|整|钟|{_N}分)?)"
_CLOCK = rf"((?:{_PART})?)\s*({_HOUR})"
_HOURS = re.compile(rf"{_CLOCK}{_TO}({_NEXT}){_CLOCK}")
_ONE_HOUR = re.compile(rf"(?:({_PART})\s*({_HOUR})|()(\d{{1,2}}:\d{{2}}|{_N}时(?!间|候|速)(?:{_N}分)?))")
_READ = re.compile(rf"(?:(\d{{1,2}}):(\d{{2}})|({_N})[时点](?:(半)|(一刻)|(三刻)|({_N})分)?)")
_DAY = re.compile(rf"({_N})月({_N})[日号]|({_N})月(底|末)")
_MONTHS = re.compile(rf"({_N})月份?{_TO}(?:次年|第二年)?({_N})月份?(?!\d|[一二三四五六七八九十])")
_DAY_MINUTES = 24 * 60


def hours(text: str) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Spans and single times of the day in minutes: ("时段", "720-870", span), ("时刻", "540", span)."""
    taken: list[tuple[int, int]] = []
    for m in _HOURS.finditer(text):
        start, end = _minutes(m[2], m[1]), _minutes(m[5], m[4])
        if start is None or end is None:
            continue
        if end <= start and not m[3] and not m[4] and not m[5].startswith("24"):
            # 晚上7点到9点, 9:00-5:30: the part of the day holds for both, or the second counts from noon.
            later = _minutes(m[5], m[1]) if m[1] else end + _DAY_MINUTES // 2
            if later is not None and start < later < _DAY_MINUTES:
                end = later
        taken.append(m.span())
        yield "时段", f"{start}-{end % _DAY_MINUTES}", m.span()
    for m in _ONE_HOUR.finditer(text):
        if any(low < m.end() and m.start() < high for low, high in taken):
            continue
        minutes = _minutes(m[2] or m[4], m[1] or "")
        if minutes is not None:
            yield "时刻", str(minutes), m.span()


def days(text: str) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Days of the year and spans of months: ("日期", "11-15", span), ("月份", "3-5", span)."""
    for m in _DAY.finditer(text):
        month = number(m[1] or m[3])
        day = number(m[2]) if m[2] else 31
        if 1 <= month <= 12 and 1 <= day <= 31:
            yield "日期", f"{month:.0f}-{day:.0f}", m.span()
    for m in _MONTHS.finditer(text):
        if number(m[1]) <= 12 and number(m[2]) <= 12:
            yield "月份", f"{number(m[1]):.0f}-{number(m[2]):.0f}", m.span()


def _minutes(written: str, part: str) -> int | None:
    """Minutes after midnight; None for what is no time. `part`: 下午, 晚上."""
    m = _READ.fullmatch(written.rstrip("整钟"))
    if m is None:
        return None
    hour = int(m[1]) if m[1] else int(number(m[3]))
    minute = int(m[2]) if m[2] else 30 if m[4] else 15 if m[5] else 45 if m[6] else int(number(m[7])) if m[7] else 0
    if hour > 24 or minute > 59:
        return None
    evening = part[:1] in ("晚", "夜")
    if (
        (part in ("下午", "傍晚") and hour < 12)
        or (part in ("中午", "午间") and hour < 4)
        or (evening and 5 <= hour < 12)
    ):
        hour += 12
    elif evening and hour == 12:
        hour = 24
    return (hour * 60 + minute) % _DAY_MINUTES
