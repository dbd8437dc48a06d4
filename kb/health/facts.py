"""Numbers with a unit in a sentence: amounts, percentages, ages, durations, phone numbers, measures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kb.text import folded

_HAN_DIGITS = dict(zip("〇零一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_PLACES = {"十": 10, "百": 100, "千": 1000}
_N = r"(?:\d[\d,]*(?:\.\d+)?|[〇零一二两三四五六七八九十百千]+)"
_PERIODS = {"日": 1.0, "天": 1.0, "周": 7.0, "月": 30.0, "季": 90.0, "季度": 90.0, "年": 360.0}
_DAYS = {"分钟": 1 / 1440, "小时": 1 / 24, "日": 1.0, "天": 1.0, "周": 7.0, "个月": 30.0, "年": 360.0}
_MEASURES = {
    "平方米": "平方米", "㎡": "平方米", "m2": "平方米", "平方公里": "平方公里", "立方米": "立方米", "公里": "公里",
    "千米": "公里", "米": "米", "分贝": "分贝", "摄氏度": "摄氏度", "°c": "摄氏度", "℃": "摄氏度", "度": "摄氏度",
    "公斤": "公斤", "千克": "公斤", "吨": "吨", "倍": "倍",
}  # fmt: skip
_COUNTED = "张|次|份|名|人|台|辆|套|只|户"
_LIMITED = re.compile("限|不超过|不得超过|最多|至多|至少|不少于|不得少于")

_PHONE = re.compile(r"(?<![\d-])(?:0\d{2,3}[- ]?\d{7,8}|400-?\d{3}-?\d{4}|1[3-9]\d{9})(?![\d-])")
# What is not a matter's own number: dates, articles, document numbers, ordinals.
_NO_FACT = re.compile(
    rf"[〔\[(（](?:19|20)\d\d[〕\])）]\s*\d*号?|{_N}月{_N}日|第{_N}[条款项章节批次类号届]|一次性|{_N}分之{_N}(?!\d)(?<!百)"
    rf"|{_N}月份?(?!内)|之一|统一|同一|唯一|一致|一律|一般|一并|一旦|一定"
)
_YEAR = re.compile(r"(?:19|20)\d\d(?=年)")
_AGES = re.compile(rf"({_N})(?:周岁|岁)?(?:至|到|-|~|—)({_N})周?岁")
_AGE = re.compile(rf"({_N})周?岁")
_FROM_TO_AGE = re.compile(rf"满({_N})周?岁[^，。；]{{0,4}}(?:不满|未满|以下至)({_N})周?岁")
_PERCENT = re.compile(rf"({_N})%|百分之({_N})")
_AMOUNT = re.compile(rf"({_N})\s*(万|亿)?元(?:人民币)?(?:/([^\s，。；、()]{{1,5}}))?")
_WORKDAYS = re.compile(rf"({_N})个?工作日")
_DURATION = re.compile(rf"({_N})(个月|小时|分钟|日|天|周|年)(?!龄|级|代|度)")
_MEASURE = re.compile(rf"({_N})({'|'.join(sorted(map(re.escape, _MEASURES), key=len, reverse=True))})")
_COUNT = re.compile(rf"({_N})({_COUNTED})")
_EVERY = re.compile(r"(?:每|按|/|／)(?:人|户|个)?(?:每|/)?(日|天|周|月|季度|季|年)")
_AT_LEAST = re.compile(r"不低于|不得低于|不少于|不得少于|至少|年满|以上|超过(?<!不超过)(?<!得超过)|高于|达到")
_AT_MOST = re.compile(
    r"不超过|不得超过|不高于|不得高于|至多|最多|最高|最长|以内|以下|低于(?<!不低于)(?<!得低于)|限额|上限"
)
_HEDGE_CHARS = 8


@dataclass(frozen=True, slots=True)
class Fact:
    """A number in its unit. `kind` holds what may be compared at all: the unit, for amounts the period, too.

    `bound`: "min", "max" or "". `span`: where it stands in the folded sentence.
    """

    kind: str
    value: str
    bound: str
    span: tuple[int, int]


def facts(sentence: str) -> list[Fact]:
    """The numbers of a sentence, in no particular order."""
    plain = folded(sentence)
    found: list[Fact] = []
    rest = list(plain)

    def take(kind: str, value: str, span: tuple[int, int], *, bound: bool = True) -> None:
        found.append(Fact(kind, value, _bound(plain, span) if bound else "", span))
        rest[span[0] : span[1]] = "\x00" * (span[1] - span[0])

    def each(pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        yield from pattern.finditer("".join(rest))

    for m in each(_PHONE):
        take("电话", re.sub(r"\D", "", m[0]), m.span(), bound=False)
    for m in each(_YEAR):
        take("年份", m[0], (m.start(), m.end() + 1), bound=False)
    for m in each(_PERCENT):
        take("百分比", _said(number(m[1] or m[2])), m.span())
    for m in each(_NO_FACT):
        rest[m.start() : m.end()] = "\x00" * (m.end() - m.start())
    for m in each(_AGES):
        take("年龄段", f"{_said(number(m[1]))}-{_said(number(m[2]) + 1)}", m.span(), bound=False)
    for m in each(_FROM_TO_AGE):
        take("年龄段", f"{_said(number(m[1]))}-{_said(number(m[2]))}", m.span(), bound=False)
    for m in each(_AGE):
        take("年龄", _said(number(m[1])), m.span())
    for m in each(_AMOUNT):
        value = number(m[1]) * {"万": 1e4, "亿": 1e8}.get(m[2] or "", 1.0)
        take(*_amount(plain, m, value), m.span())
    for m in each(_WORKDAYS):
        take("工作日", _said(number(m[1])), m.span())
    for m in each(_DURATION):
        take("时长", _said(number(m[1]) * _DAYS[m[2]]), m.span())
    for m in each(_MEASURE):
        take(_MEASURES[m[2]], _said(number(m[1])), m.span())
    if _LIMITED.search(plain):
        for m in each(_COUNT):
            take(m[2], _said(number(m[1])), m.span())
    return found


def without_facts(sentence: str, found: list[Fact]) -> str:
    """The folded sentence with a space for each number."""
    rest = list(folded(sentence))
    for fact in found:
        rest[fact.span[0] : fact.span[1]] = " " * (fact.span[1] - fact.span[0])
    return "".join(rest)


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


def _amount(plain: str, m: re.Match[str], value: float) -> tuple[str, str]:
    """Amounts by the month where a period is named, so that 100 a month and 300 a quarter are the same."""
    clause = re.split("[，。；]", plain[: m.start()])[-1] + m[0]
    every = _EVERY.search(clause)
    if every:
        return "元每月", _said(value / _PERIODS[every[1]] * 30)
    return "元", _said(value)


def _bound(plain: str, span: tuple[int, int]) -> str:
    before, after = plain[max(0, span[0] - _HEDGE_CHARS) : span[0]], plain[span[1] : span[1] + 3]
    if _AT_MOST.search(before) or re.match("以内|以下|内", after):
        return "max"
    if _AT_LEAST.search(before) or after.startswith("以上"):
        return "min"
    return ""


def _said(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
