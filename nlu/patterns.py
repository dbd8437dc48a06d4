"""Entities that have a form: telephone, identity card, plate, ticket number, e-mail, name after a cue, time.

A masked telephone (`138****5678`) or identity card (`410101********1234`) is found like a plain one, because the
dialogue engine sees the masked text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nlu import names, times

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_BREAK = r"[-－—\s,，、.·]{0,2}"
_HAN = "[幺零〇洞一二两三四五六七八九拐勾]"
_SPOKEN = "[0-9幺零〇洞一二两三四五六七八九拐勾]"
_PHONE = re.compile(
    rf"(?<![\d*])(?:\+?86[- ]?)?1[3-9]\d(?:{_BREAK}\d{{4}}{_BREAK}\d{{4}}|{_BREAK}[*xX]{{4}}{_BREAK}\d{{4}})(?![\d*])"
    rf"|(?<![\d*])1[3-9]\d{{2}}{_BREAK}\d{{3}}{_BREAK}\d{{4}}(?![\d*])"
    r"|(?<![\d*])[（(]?0\d{2,3}[)）]?[-－— ]{0,2}[2-9]\d{2,3}[- ]?\d{4}(?![\d*])"
    r"|(?<![\d*])[48]00[- ]?(?:\d{3}[- ]?\d{4}|\d{4}[- ]?\d{3})(?![\d*])"
    rf"|(?<!{_SPOKEN})[幺一1]{_BREAK}[三四五六七八九3-9](?:{_BREAK}{_SPOKEN}){{9}}(?!{_SPOKEN})"
)
_LOCAL_PHONE = re.compile(r"(?:电话|座机|热线|号码)(?:号码)?[是为:： ]{0,2}([2-9]\d{6,7})(?!\d)")
_ID_CARD = re.compile(
    r"(?<![\dA-Za-z*])[1-8]\d{5}(?:(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    r"|[- ](?:18|19|20)\d{2}[- ]?(?:0[1-9]|1[0-2])[- ]?(?:0[1-9]|[12]\d|3[01])[- ]?\d{3}[\dXx]"
    r"|\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}|\*{6,8}\d{2,3}[\dXx])(?![\dA-Za-z*])"
    r"|(?<![\d*])[1-8]\d{2}[- ]\d{3}[- ]?(?:18|19|20)\d{2}[- ]?\d{4}[- ]?\d{3}[\dXx](?![\dA-Za-z*])"
    rf"|(?<!{_HAN})四{_BREAK}[一幺](?:{_BREAK}{_HAN}){{15}}{_BREAK}(?:{_HAN}|[Xx]|叉)(?!{_HAN})"
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼] ?[A-Za-z][·•. -]?"
    r"(?:[A-HJ-NP-Za-hj-np-z0-9]{4}[挂学警港澳]|(?=[A-Za-z]{0,3}\d)[A-HJ-NP-Za-hj-np-z0-9]{5,6})(?![A-Za-z0-9])"
)
_DAY = r"20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TICKET = re.compile(
    rf"(?<![A-Za-z0-9])(?:[A-Za-z]{{1,4}}[- ]?\d{{8}}[- ]?\d{{3,8}}|[A-Za-z]{{2,4}}-?\d{{6,16}}"
    rf"|{_DAY}(?:[-－ ]\d{{3,8}}|\d{{4,8}}))(?![A-Za-z0-9])"
)
_CUED_TICKET = re.compile(
    r"(?:(?:工单|受理|查询|投诉|单子|诉求)(?:编号|单号|号码|号)|编号|单号)(?:是|为)?[:： ]{0,2}"
    r"([A-Za-z]{0,4}-?\d{6,18}(?:-\d{2,8})?)(?![\dA-Za-z*])"
)
_OTHER_NUMBERS = re.compile(r"(?:快递|运单|物流|订单|发票|户号|账号|卡号|车票|发货)[^，。,.；;]{0,4}$")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,10}(?![A-Za-z0-9-])"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of the text with its type; `text[start:end]` is what was found."""

    type: str
    start: int
    end: int


def narrow(text: str) -> str:
    """Full-width digits, letters and signs as half-width ones; every character keeps its position."""
    return text.translate(_FULL_WIDTH)


def find(text: str) -> list[Found]:
    """Everything with a form in the text, in order, without overlaps; earlier kinds win (a card is no telephone)."""
    plain = narrow(text)
    taken: list[Found] = []
    for candidate in _candidates(text, plain):
        if all(candidate.end <= other.start or candidate.start >= other.end for other in taken):
            taken.append(candidate)
    return sorted(taken, key=lambda found: found.start)


def _candidates(text: str, plain: str) -> Iterator[Found]:
    for kind, pattern in (("email", _EMAIL), ("id_card", _ID_CARD), ("phone", _PHONE), ("phone", _LOCAL_PHONE)):
        yield from _matches(kind, pattern, plain)
    yield from _matches("plate", _PLATE, plain)
    for pattern in (_CUED_TICKET, _TICKET):
        for found in _matches("ticket_number", pattern, plain):
            if not _OTHER_NUMBERS.search(plain[max(found.start - 8, 0) : found.start]):
                yield found
    for start, end in names.find(text):
        yield Found("name", start, end)
    for start, end in times.find(plain):
        yield Found("time", start, end)


def _matches(kind: str, pattern: re.Pattern[str], text: str) -> Iterator[Found]:
    for match in pattern.finditer(text):
        group = next((i for i in range(1, (pattern.groups or 0) + 1) if match.group(i)), 0)
        yield Found(kind, match.start(group), match.end(group))
