"""The place told now and the place told before: whether they are one, and which of them says more.

The same words differ in how they are written (8号院, 八号院), and the same place in how exactly it is told.
"""

import re
import unicodedata

from actions import reading
from actions.reading import NO_PLACE, UNKNOWN_PLACE
from assistant.city import City
from assistant.tickets.place_keys import Relation, Spot, compare, spot_of

_NUMERAL = re.compile(r"[零〇一二三四五六七八九两十][零〇一二三四五六七八九两十百千]*")
_NUMBER = re.compile(r"\d+(?![\d区县])")  # 二七区 has none
_TELLS_APART = re.compile(r"[东西南北前后左右内外负甲乙丙丁A-Za-z]|-(?=\d)|对面|门口|楼顶|附近|旁")
_BLANKS = re.compile(r"[\s，,、。.“”\"'《》]+")


def settled(known: str | None, told: str, city: City) -> str:
    """The place of a draft after `told` was said in passing: what is known, unless `told` says more or is elsewhere.

    A house alone is a part of the known place, and a district that was missing is added to it.
    """
    if known in (None, NO_PLACE, UNKNOWN_PLACE):
        return told
    if says_no_more(told, known, city):
        return _with_district(known, told, city)
    return reading.with_house(known, told) if reading.is_only_a_house(told) else told


def corrected(known: str | None, told: str, city: City) -> str:
    """As `settled`, where `told` is to replace the place: also by one that says less."""
    if known is None or not told or _plain(told) == _plain(known):
        return known or told
    return reading.with_house(known, told) if reading.is_only_a_house(told) else told


def are_one(one: str, other: str, city: City) -> bool:
    """Whether both say the same, however they are written."""
    return says_no_more(one, other, city) and says_no_more(other, one, city)


def is_elsewhere(told: str, known: str, city: City) -> bool:
    """Whether neither place is the other one or a part of it."""
    one, other = _plain(told), _plain(known)
    if _holds(one, other) or _holds(other, one):
        return False
    numbered = _numbers(one) <= _numbers(other) or _numbers(other) <= _numbers(one)
    return not numbered or not _related(_spot(told, city), _spot(known, city))


def says_no_more(told: str, known: str, city: City) -> bool:
    """Whether `told` is the known place or a vaguer word for it: 花园路那儿, after 花园路85号院3号楼."""
    said, before = _plain(told), _plain(known)
    if _holds(before, said):
        return True
    if _holds(said, before) or not _numbers(said) <= _numbers(before):
        return False
    if not set(_TELLS_APART.findall(said)) <= set(_TELLS_APART.findall(before)):
        return False
    mine, hers = _spot(told, city), _spot(known, city)
    named = all(name in hers.names or name in hers.written for name in mine.names)
    return named and mine.yards <= hers.yards and _related(mine, hers)


def _with_district(known: str, told: str, city: City) -> str:
    if reading.names_city_or_district(known) or not reading.names_city_or_district(told):
        return known
    district = city.resolve_place(told).district
    return f"{district}{known}" if district and city.resolve_place(known).district is None else known


def _related(one: Spot, other: Spot) -> bool:
    return compare(one, other, narrow=True).relation in (Relation.SAME, Relation.CONTAINS)


def _spot(place: str, city: City) -> Spot:
    return spot_of(reading.without_lead(place), "", city.resolve_place, districts=city.district_words)


def _numbers(plain: str) -> set[str]:
    return set(_NUMBER.findall(plain))


def _holds(whole: str, part: str) -> bool:
    """Whether one stands in the other, 8号院 not in 18号院."""
    begin, end = (r"(?<!\d)" if part[:1].isdigit() else ""), (r"(?!\d)" if part[-1:].isdigit() else "")
    return re.search(f"{begin}{re.escape(part)}{end}", whole) is not None


def _plain(place: str) -> str:
    """One way of writing: no blanks, every number as digits."""
    text = _BLANKS.sub("", unicodedata.normalize("NFKC", reading.without_lead(place)))
    return _NUMERAL.sub(lambda match: _digits(match[0]), text)


def _digits(numeral: str) -> str:
    """八十五 → 85, 一百零五 → 105, 一二三 → 123."""
    values = [2 if char == "两" else int(unicodedata.numeric(char)) for char in numeral]
    if max(values) < 10:
        return "".join(map(str, values))
    total = last = 0
    for value in values:
        total, last = (total + (last or 1) * value, 0) if value >= 10 else (total, value)
    return str(total + last)
