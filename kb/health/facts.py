"""Numbers with a unit in a sentence: amounts, percentages, ages, durations, phone numbers, measures, hours, days.

Values are brought to one unit (元, 米, days, times a year), so that 半年 is 6 个月 and 1.2万元 is 12000元.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.health.hours import days, hours
from kb.health.numerals import AMOUNT, NUMBER, amount, number
from kb.text import folded

__all__ = ["Fact", "facts", "number", "without_facts"]

_N = NUMBER
_TO = r"(?:至|到|-|~|—+|–)"
_PERIODS = {"日": 1.0, "天": 1.0, "周": 7.0, "月": 30.0, "季": 90.0, "季度": 90.0, "半年": 180.0, "年": 360.0}
_DAYS = {
    "分钟": 1 / 1440, "小时": 1 / 24, "钟头": 1 / 24, "日": 1.0, "天": 1.0, "周": 7.0, "星期": 7.0, "月": 30.0,
    "季度": 90.0, "年": 360.0,
}  # fmt: skip
_MEASURES = {
    "平方米": ("平方米", 1.0), "平米": ("平方米", 1.0), "㎡": ("平方米", 1.0), "m2": ("平方米", 1.0), "亩": ("亩", 1.0),
    "平方公里": ("平方公里", 1.0), "立方米": ("立方米", 1.0), "立方": ("立方米", 1.0), "m3": ("立方米", 1.0),
    "公里": ("米", 1000.0), "千米": ("米", 1000.0), "km": ("米", 1000.0), "米": ("米", 1.0), "m": ("米", 1.0),
    "厘米": ("米", 0.01), "公分": ("米", 0.01), "cm": ("米", 0.01), "毫米": ("米", 0.001), "mm": ("米", 0.001),
    "分贝": ("分贝", 1.0), "db": ("分贝", 1.0), "摄氏度": ("摄氏度", 1.0), "°c": ("摄氏度", 1.0), "℃": ("摄氏度", 1.0),
    "千瓦时": ("千瓦时", 1.0), "度电": ("千瓦时", 1.0), "度": ("摄氏度", 1.0),
    "公斤": ("公斤", 1.0), "千克": ("公斤", 1.0), "kg": ("公斤", 1.0), "克": ("公斤", 0.001), "吨": ("公斤", 1000.0),
    "倍": ("倍", 1.0),
}  # fmt: skip
_UNITS = "|".join(sorted(map(re.escape, _MEASURES), key=len, reverse=True))
# What is used up is told by the month or by the year.
_USED = frozenset(("立方米", "千瓦时"))
_COUNTED = "张|次|份|名|人|台|辆|套|只|户|件|瓶|条|支|枚|遍"
_LIMITED = re.compile("限|不超过|不得超过|不能超过|最多|至多|至少|不少于|不得少于|最少|复印件|原件|照片|相片|一式")
_OF_WHAT = (
    "平方米|平米|㎡|立方米|立方|公里|千米|千瓦时|小时|人|户|只|本|张|辆|件|次|份|套|台|吨|度|棵|亩|袋|桶|具|证|车|"
)
_OF_WHAT += "学年|学期|15分钟|半小时|分钟"

_SAME_COUNTED = {
    "平米": "平方米", "㎡": "平方米", "立方": "立方米", "千米": "公里", "张": "本", "证": "本", "件": "本", "份": "本",
    "台": "辆", "车": "辆",
}  # fmt: skip

_PHONE = re.compile(r"(?<![\d-])(?:0\d{2,3}[- ]?\d{7,8}|400-?\d{3}-?\d{4}|1[3-9]\d{9}|9[56]\d{3,6})(?![\d%-])")
_DATE = re.compile(rf"(?:(?:19|20)\d\d|[〇零一二三四五六七八九]{{4}})年(?:{_N}月(?:{_N}[日号]|份|底|末|初)?)?")
# What is not a matter's own number: document numbers, articles, ordinals.
_NO_FACT = re.compile(
    rf"[〔\[(（](?:19|20)\d\d[〕\])）]\s*\d*号?|第{_N}[条款项章节批次类号届档阶步级]|一次性"
    rf"|{_N}月份?(?!内)|之一|统一|同一|唯一|一致|一律|一般|一并|一旦|一定|一起|{_N}号(?!线)"
)
_AGES = re.compile(rf"({_N})(?:周岁|岁)?{_TO}({_N})周?岁")
_AGE = re.compile(rf"({_N})周?岁")
_FROM_TO_AGE = re.compile(rf"满({_N})周?岁[^，。；,;]{{0,4}}(?:不满|未满|以下至)({_N})周?岁")
_PERCENT = re.compile(rf"({_N})%|百分之({_N}(?:点{_N})?)|({_N})分之({_N})|千分之({_N})|({_N})‰")
_DISCOUNT = re.compile(r"(\d(?:\.\d)?|[一二三四五六七八九]五?)折")
_MONEY = r"(?:元|块钱|块|圆)"
_AMOUNT = re.compile(rf"({AMOUNT})\s*{_MONEY}(?:人民币)?(?:({_N})[角毛])?(?:/([^\s，。；、(),.;]{{1,5}}))?")
_TENTHS = re.compile(rf"({_N})[角毛](?:钱)?(?!度|色|落|形)")
_WORKDAYS = re.compile(rf"(?:({_N})个?|(半)个?)(?:工作日|工作天)(?!早|上午|下午|中午|晚|\d)")
_DURATION = re.compile(
    rf"({_N})(?:个(半)?(月|小时|钟头|星期|季度)|(小时|分钟|日|天|周|年)(半)?)(?!龄|级|代|度(?!内)|岁)"
    r"|(?<![上下])半个?(年|月|天|小时|钟头)(?!度)"
)
_TIMES = re.compile(
    rf"(?:每|(?<![\d一二三四五六七八九十])一)({_N})?个?(半年|季度|季|月|周|星期|天|日|年)度?[^，。；、,;\d]{{0,12}}?({_N})[次遍]"
)
_SPEED = re.compile(
    rf"时速[^，。；,;\d]{{0,8}}?({_N})(?:公里|千米)|({_N})(?:公里|千米|km)(?:/|每)(?:小?时|h)"
    rf"|每小时[^，。；,;\d元块]{{0,6}}?({_N})(?:公里|千米)"
)
_POINTS = re.compile(rf"[记扣][^，。；,;]{{0,3}}?({_N})分(?!钟)")
_MEASURE = re.compile(rf"({_N})\s*(万)?({_UNITS})(?![a-z])")
_MEASURE_RANGE = re.compile(rf"({_N})(?:{_UNITS})?{_TO}({_N})({_UNITS})")
_COUNT = re.compile(rf"({_N})({_COUNTED})")
_EVERY = re.compile(
    r"(?:每|按)(?:人|户|个)?(?:每|/)?(日|天|周|月|季度|季|半年|年)|[/／](日|天|周|月|季度|季|年)|(?:^|[^\d一二三四五六七八九十半])(?:一|全)(个月|年|天)"
    r"|(?<![\d一二三四五六七八九十今去明当半两几本上前满个下次])(年|月)(?=用[水电气]量|最低|最高|工资|租金|补贴|津贴|标准|收入|支取|提取|定额)"
)
_CLAUSE_END = re.compile("[，。；、,;]")
# What bounds the number before: not that which follows.
_BOUND_BEFORE = re.compile("以内|以下|以上")
_NOT = "[不得能要应可别会没未]"
_AT_LEAST = re.compile(
    rf"{_NOT}(?:低|少|小|短)于|至少|最少|最低|最短|年满|满$|以上|(?<!{_NOT})(?<!没有)超过|(?<!{_NOT})[高大多]于|达到|达$|起码"
)
_AT_MOST = re.compile(
    rf"{_NOT}(?:高|大|多|长)于|{_NOT}超过|没有超过|至多|最多|最高|最长|最大|最晚|最迟|以内|以下|限额|上限|封顶|顶多"
    rf"|(?<!{_NOT})[低少小短]于|不满|未满|不足|不到|没到|未达"
)
_HEDGE_CHARS = 9


@dataclass(frozen=True, slots=True)
class Fact:
    """A number in its unit. `kind` holds what may be compared at all: the unit, for amounts the period, too.

    `bound`: "min", "max" or "". `span`: where it stands in the folded sentence. `of`: what it is counted by ("每只"),
    "" where that is not said.
    """

    kind: str
    value: str
    bound: str
    span: tuple[int, int]
    of: str = ""


def facts(sentence: str) -> list[Fact]:
    """The numbers of a sentence, in reading order."""
    return sorted(_Reading(folded(sentence)).all(), key=lambda fact: fact.span)


class _Reading:
    """What has been read is blanked, so that no number is read twice; what is particular comes first."""

    def __init__(self, plain: str) -> None:
        self.plain, self.rest, self.found = plain, plain, list[Fact]()

    def all(self) -> list[Fact]:
        self._names()
        self._times()
        self._shares_and_ages()
        self._amounts()
        self._lengths()
        return self.found

    def _names(self) -> None:
        for m in self._each(_PHONE):
            self._take("电话", re.sub(r"\D", "", m[0]), m.span(), bound=False)
        for m in self._each(_DATE):
            self._take("年份", m[0], m.span(), bound=False)

    def _times(self) -> None:
        for m in self._each(_SPEED):
            self._take("时速", _said(number(m[1] or m[2] or m[3])), m.span())
        for kind, value, span in [*hours(self.rest)]:
            self._take(kind, value, span, bound=False)
        for kind, value, span in [*days(self.rest)]:
            self._take(kind, value, span, bound=False)
        for m in self._each(_TIMES):
            every = {"星期": 7.0, **_PERIODS}[m[2]] * (number(m[1]) if m[1] else 1.0)
            if every:
                self._take("次每年", _said(360.0 / every * number(m[3])), m.span())

    def _shares_and_ages(self) -> None:
        for m in self._each(_PERCENT):
            self._take("百分比", _said(_percent(m)), m.span())
        for m in self._each(_DISCOUNT):
            digits = "".join(_said(number(c)) for c in m[1]) if not m[1][0].isdigit() else m[1].replace(".", "")
            self._take("折", digits.ljust(2, "0"), m.span())
        for m in self._each(_NO_FACT):
            self._blank(m.span())
        for m in self._each(_AGES):
            self._take("年龄段", f"{_said(number(m[1]))}-{_said(number(m[2]) + 1)}", m.span(), bound=False)
        for m in self._each(_FROM_TO_AGE):
            self._take("年龄段", f"{_said(number(m[1]))}-{_said(number(m[2]))}", m.span(), bound=False)
        for m in self._each(_AGE):
            self._take("年龄", _said(number(m[1])), m.span())

    def _amounts(self) -> None:
        for m in self._each(_AMOUNT):
            value = amount(m[1]) + (number(m[2]) / 10 if m[2] else 0.0)
            self._amount(m.span(), value, m[3] or "")
        for m in self._each(_TENTHS):
            self._amount(m.span(), number(m[1]) / 10, "")

    def _amount(self, span: tuple[int, int], value: float, of: str) -> None:
        every = self._every(span)
        kind, value = ("元每月", value / _PERIODS[every] * 30) if every else ("元", value)
        self._take(kind, _said(value), span, of=of if of and of not in _PERIODS else self._of_what(span))

    def _lengths(self) -> None:
        for m in self._each(_WORKDAYS):
            self._take("工作日", _said(number(m[1]) if m[1] else 0.5), m.span())
        for m in self._each(_DURATION):
            one = _DAYS[m[3] or m[4] or m[6]]
            self._take(
                "时长",
                _said(one * ((number(m[1]) if m[1] else 0.0) + (not m[1] or bool(m[2] or m[5])) * 0.5)),
                m.span(),
            )
        for m in self._each(_POINTS):
            self._take("记分", _said(number(m[1])), m.span())
        for m in self._each(_MEASURE_RANGE):
            unit, one = _MEASURES[m[3]]
            self._take(f"{unit}段", f"{_said(number(m[1]) * one)}-{_said(number(m[2]) * one)}", m.span(), bound=False)
        for m in self._each(_MEASURE):
            unit, one = _MEASURES[m[3]]
            value = number(m[1]) * one * (1e4 if m[2] else 1.0)
            every = self._every(m.span()) if unit in _USED else ""
            self._take(
                *((f"{unit}每月", _said(value / _PERIODS[every] * 30)) if every else (unit, _said(value))), m.span()
            )
        if _LIMITED.search(self.plain):
            for m in self._each(_COUNT):
                self._take(m[2], _said(number(m[1])), m.span())

    def _each(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        yield from [*pattern.finditer(self.rest)]

    def _take(self, kind: str, value: str, span: tuple[int, int], *, bound: bool = True, of: str = "") -> None:
        self.found.append(Fact(kind, value, self._bound(span) if bound else "", span, of))
        self._blank(span)

    def _blank(self, span: tuple[int, int]) -> None:
        self.rest = self.rest[: span[0]] + "\x00" * (span[1] - span[0]) + self.rest[span[1] :]

    def _clause(self, span: tuple[int, int]) -> tuple[int, int]:
        """Where the clause of a number begins and ends."""
        start = max((m.end() for m in _CLAUSE_END.finditer(self.plain, 0, span[0])), default=0)
        end = _CLAUSE_END.search(self.plain, span[1])
        return start, end.start() if end else len(self.plain)

    def _every(self, span: tuple[int, int]) -> str:
        """The period that a number is told by, so that 100 a month and 300 a quarter are the same."""
        start, end = self._clause(span)
        m = _EVERY.search(self.plain[start : span[0]]) or _EVERY.match(
            self.plain[span[1] - 1 : min(end, span[1] + 5)], 1
        )
        if m is None and self.plain[span[1] - 3 : span[1]].find("/") >= 0:
            m = re.search("/(日|天|周|月|季度|季|年)$", self.plain[span[0] : span[1]])
        return next((g for g in m.groups() if g), "").removeprefix("个") if m else ""

    def _of_what(self, span: tuple[int, int]) -> str:
        """What an amount is counted by: 每只, 一本."""
        start, end = self._clause(span)
        before = re.findall(f"(?:每|一)({_OF_WHAT})", self.plain[start : span[0]])
        after = re.match(rf"\s*(?:每|一|/)({_OF_WHAT})", self.plain[span[1] : end])
        of = after[1] if after else before[-1] if before else ""
        return _SAME_COUNTED.get(of, of)

    def _bound(self, span: tuple[int, int]) -> str:
        before = _CLAUSE_END.split(self.plain[max(0, span[0] - _HEDGE_CHARS) : span[0]])[-1]
        before = _BOUND_BEFORE.split(before)[-1]
        after = self.plain[span[1] :].removeprefix("(含)").removeprefix("含")[:3]
        if _AT_MOST.search(before) or re.match("以内|以下|之内|内|封顶|为限|止|及以下", after):
            return "max"
        if _AT_LEAST.search(before) or re.match("以上|起|及以上", after):
            return "min"
        return ""


def without_facts(sentence: str, found: Sequence[Fact]) -> str:
    """The folded sentence with a space for each number."""
    rest = list(folded(sentence))
    for fact in found:
        rest[fact.span[0] : fact.span[1]] = " " * (fact.span[1] - fact.span[0])
    return "".join(rest)


def _percent(m: re.Match[str]) -> float:
    if m[2]:
        whole, _, tenths = m[2].partition("点")
        return number(whole) + (float("0." + "".join(_said(number(c)) for c in tenths)) if tenths else 0.0)
    if m[3]:
        return 100 * number(m[4]) / (number(m[3]) or 1.0)
    return number(m[5] or m[6]) / 10 if m[5] or m[6] else number(m[1])


def _said(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
