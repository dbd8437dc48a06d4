"""What a place is made of, as residents write it: names, house numbers, buildings; and how two places relate.

Names are compared by how they sound, because people type, and speech recognition writes, the wrong character of the
right sound (花园 and 华园). Numbers, compass directions and the like are never blurred: they tell neighbours apart.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import product

from rapidfuzz import fuzz

from assistant.gazetteer import Place
from assistant.sounds import COUNTS, TELLS_APART, heard, sound
from assistant.tickets.titles import differ, title_of

__all__ = ["Compared", "Relation", "Spot", "compare", "place_keys", "spot_of", "without_names"]

_MAX_CHARS = 200
_KEY_CHARS = 40


class Relation(StrEnum):
    """Of two places. SAME: said as exactly, with the same numbers. CONTAINS: one is said more exactly than the other,
    or both are parts of one estate, where that does not matter. CONFLICTING: they cannot be the same.
    """

    SAME = "same"
    CONTAINS = "contains"
    UNKNOWN = "unknown"
    CONFLICTING = "conflicting"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place taken apart; names are sounds.

    `names`: estates, villages, roads, sights. `roads`: those of them that are roads. `streets`: street offices, towns.
    `numbers`: house numbers. `yards`: (期, 2) of 二期, (院, 4) of 4号院, (院, 南) of 南院, (门, 东) of 东门. `written`:
    place and description, to look for a name in. `titles`: names that may be of an estate, as `titles.heard`;
    `estates`: those that surely are.
    """

    district: str | None = None
    district_said: bool = False
    community: str | None = None
    names: frozenset[str] = frozenset()
    roads: frozenset[str] = frozenset()
    streets: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    numbered: frozenset[str] = frozenset()
    yards: frozenset[tuple[str, str]] = frozenset()
    buildings: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    written: str = ""
    titles: frozenset[str] = frozenset()
    estates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Compared:
    """`likeness` of the names: 1 the same name, 0 nothing alike."""

    relation: Relation
    likeness: float
    same_number: bool
    same_community: bool
    other_district: bool


def spot_of(place: str | None, text: str, resolve: Callable[[str], Place], *, districts: Mapping[str, str]) -> Spot:
    """Take a place apart. `text`: the description, asked where `place` is silent. `resolve`: the city's gazetteer.

    `districts`: every name by which a district is called → the district.
    """
    given, told = _plain(place or ""), _plain(text)
    found = resolve(place or text)
    rest, said = _without_district(given or told, districts)
    if not given:
        rest = ""
    mine, hers = _Parts(), _Parts()
    mine.read(rest)
    hers.read_numbers(told)
    path = found.grid_path
    community = sound(_stem(path[3])) if len(path) > 3 else None
    if not mine.names and community:
        mine.names.add(community)
    if not mine.streets and len(path) > 2:
        mine.streets.add(sound(_stem(path[2])))
    if not mine.names:
        mine.names |= hers.roads
        mine.roads |= hers.roads
    titles = [title for title in map(title_of, mine.written) if title is not None]
    return Spot(
        district=said or found.district,
        district_said=said is not None,
        community=community,
        names=frozenset(mine.names),
        roads=frozenset(mine.roads),
        streets=frozenset(mine.streets),
        numbers=frozenset(mine.numbers or hers.numbers),
        numbered=frozenset(mine.numbered or hers.numbered),
        yards=frozenset(_yards(mine.yards, hers.yards)),
        buildings=frozenset(mine.buildings or hers.buildings),
        units=frozenset(mine.units or hers.units),
        written=sound(f"{given}|{told}"),
        titles=frozenset(name for name, _ in titles),
        estates=frozenset(name for name, marked in titles if marked),
    )


def _yards(given: set[tuple[str, str]], told: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Who tells of several (一号院二号院都停电) tells of more than the one that was given as the place."""
    kinds = Counter(kind for kind, _ in told)
    return {*given, *((kind, value) for kind, value in told if kinds[kind] > 1 or not given)}


def without_names(text: str, *spots: Spot) -> str:
    """The text without the names of these places, so that what is told of is compared and not where."""
    names = {name for spot in spots for name in (*spot.names, *spot.streets, spot.community or "")}
    heard = sound(text)
    for name in sorted((name for name in names if len(name) >= 2), key=len, reverse=True):
        while (at := heard.find(name)) >= 0:
            heard = heard[:at] + heard[at + len(name) :]
            text = text[:at] + text[at + len(name) :]
    return text


def place_keys(spot: Spot) -> tuple[str, ...]:
    """By which tickets of the same place are found, the most telling first; none for a place without a name."""
    numbered = [f"号:{name}" for name in sorted(spot.numbered)]
    names = [f"名:{name}" for name in sorted(spot.names - spot.roads)]
    community = [f"名:{spot.community}"] if spot.community else []
    roads = [f"路:{name}" for name in sorted(spot.roads)]
    streets = [f"街:{name}" for name in sorted(spot.streets)]
    keys = (key[:_KEY_CHARS] for key in (*numbered, *names, *community, *roads, *streets))
    return tuple(dict.fromkeys(keys))


def compare(one: Spot, other: Spot, *, narrow: bool) -> Compared:
    """How two places relate. `narrow`: the matter concerns one building, so that another building is another place."""
    likeness = _likeness(one, other)
    return Compared(
        relation=_relation(one, other, likeness, narrow),
        likeness=likeness,
        same_number=bool(one.numbers & other.numbers),
        same_community=one.community is not None and one.community == other.community,
        other_district=None not in (one.district, other.district) and one.district != other.district,
    )


# --- relating --------------------------------------------------------------------------------------------------------

_ALIKE = 0.75
_BRAND = 2  # characters of a builder's name: 建业春天里 and 建业壹号城邦


def _relation(one: Spot, other: Spot, likeness: float, narrow: bool) -> Relation:
    if _conflicting(one, other, likeness, narrow):
        return Relation.CONFLICTING
    if likeness < _ALIKE:
        return Relation.UNKNOWN
    exactness = [(spot.numbers, spot.yards, spot.buildings) for spot in (one, other)]
    only_roads = not (one.names - one.roads) or not (other.names - other.roads)
    if exactness[0] != exactness[1] or (only_roads and not one.numbers):
        return Relation.CONTAINS
    return Relation.SAME


def _conflicting(one: Spot, other: Spot, likeness: float, narrow: bool) -> bool:
    if _disjoint(one.numbers, other.numbers):
        return True
    if one.district_said and other.district_said and one.district != other.district:
        return True
    for kind in {kind for kind, _ in one.yards} & {kind for kind, _ in other.yards}:
        if kind == "门" and not narrow:
            continue
        if _disjoint({value for k, value in one.yards if k == kind}, {v for k, v in other.yards if k == kind}):
            return True
    if narrow and (_disjoint(one.buildings, other.buildings) or _disjoint(one.units, other.units)):
        return True
    if likeness < _ALIKE and (_disjoint(one.roads, other.roads) or _other_community(one, other)):
        return True
    shared = (one.names & other.names) - one.roads
    if not shared and any(_neighbours(a, b) for a, b in product(one.names, other.names)):
        return True
    return _other_road(one, other) or _other_estate(one, other)


def _other_community(one: Spot, other: Spot) -> bool:
    return None not in (one.community, other.community) and one.community != other.community


def _disjoint(one: Iterable[str], other: Iterable[str]) -> bool:
    first, second = set(one), set(other)
    return bool(first and second and not first & second)


def _neighbours(one: str, other: str) -> bool:
    """三棉东 and 三棉西: names that differ only in what tells neighbours apart, and each has what the other lacks."""
    bones = ["".join(char for char in name if char not in TELLS_APART) for name in (one, other)]
    marks = [[char for char in name if char in TELLS_APART] for name in (one, other)]
    numerals = ["".join(char for char in mark if char in COUNTS) for mark in marks]
    # 三 is no short way to say 十三, as 三棉 is one to say 三棉东.
    counted = all(numerals) and numerals[0] != numerals[1]
    if not counted and (set(marks[0]) <= set(marks[1]) or set(marks[1]) <= set(marks[0])):
        return False
    return bones[0] == bones[1] and (bones[0] != "" or len(one) == len(other) > 1)


def _likeness(one: Spot, other: Spot) -> float:
    roads = one.roads | other.roads
    mine, hers = one.names - one.roads, other.names - other.roads
    if not mine or not hers or one.numbers & other.numbers:
        mine, hers = one.names, other.names
    # Two estates on one road are two places: the road they share says nothing.
    best = max((_alike(a, b, {a, b} <= roads) for a, b in product(mine, hers)), default=0.0)
    if best < 1 and (_told(mine, other.written) or _told(hers, one.written)):
        return max(best, 0.9)
    if best < _ALIKE and (_told(_heads(mine), other.written) or _told(_heads(hers), one.written)):
        return 0.8
    return best


def _heads(names: Iterable[str]) -> set[str]:
    """少林寺 of 少林寺停车场: what is left without the ending, where that is a name by itself."""
    heads = (_area_end().sub("", name) for name in names)
    return {head for head in heads if len(head) >= 3}


def _told(names: Iterable[str], written: str) -> bool:
    return any(len(name) >= 2 and name in written for name in names)


def _alike(one: str, other: str, are_roads: bool) -> float:
    if one == other:
        return 1.0
    # 花园路 and 花园北路 have a number 85 each.
    if are_roads and set(one).symmetric_difference(other) & TELLS_APART:
        return _ALIKE - 0.05
    short, long = sorted((one, other), key=len)
    if len(short) >= 2 and short in long:
        return 0.85
    return float(fuzz.ratio(one, other)) / 100


def _other_estate(one: Spot, other: Spot) -> bool:
    mine, hers = _untold(one, other), _untold(other, one)
    # In one village or community, or on one road, one name that surely is an estate's is enough.
    needed = 1 if one.titles & other.titles or one.roads & other.roads else 2
    sure = any(
        a[:_BRAND] == b[:_BRAND] or (a in one.estates) + (b in other.estates) >= needed for a, b in product(mine, hers)
    )
    return sure and differ(mine, hers)


def _untold(one: Spot, other: Spot) -> list[str]:
    written = heard(other.written)
    return [title for title in one.titles if title not in written]


def _other_road(one: Spot, other: Spot) -> bool:
    # An estate stands between several roads, and its people name either.
    if one.estates & other.estates:
        return False
    mine, hers = one.roads - other.roads, other.roads - one.roads
    return bool(mine and hers) and differ(
        [heard(road) for road in mine if road not in other.written],
        [heard(road) for road in hers if road not in one.written],
    )


# --- taking apart ----------------------------------------------------------------------------------------------------

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_NUMERAL = re.compile(
    r"[零〇一二三四五六七八九十百两]+(?=号|栋|幢|座|单元|期|层|院|组|楼(?![上下道]))"
    r"|(?<![零〇一二三四五六七八九十百两])[一二三四五六七八九](?=区)"
)
# Suffixes that are often written with the wrong character of the right sound.
_MENDED = ("社区", "小区", "街道", "大街", "大道", "家属院", "花园", "家园", "幼儿园", "号楼", "单元")
_GENERIC = r"社区居委会|居委会|村委会|社区|小区|家属院|安置区|安置房|片区|村民组|村"
_STREET_END = r"街道办事处|街道办|街道|办事处|镇|乡"
_ROAD_END = r"大道|大街|辅路|高架|胡同|路|街|巷|弄"
_AREA_END = (
    r"花园|家园|花苑|佳苑|名苑|公寓|新城|名城|名邸|华府|公馆|广场|大厦|公园|市场|医院|卫生院|卫生室|小学|中学|学校|幼儿园|"
    r"大学|学院|工地|商场|超市|酒店|饭店|停车场|车站|派出所|法院|支行|隧道|水库|景区"
)
_NAME = re.compile(
    rf"(?P<stem>[^|]{{1,8}}?)"
    rf"(?:(?P<street>(?:路|大道|大街|街|村|里|寨|庄)?(?:{_STREET_END}))"
    rf"|(?P<area>(?:(?:{_ROAD_END})?(?:{_GENERIC})|(?:{_ROAD_END})?(?:{_AREA_END}))+)"
    rf"|(?P<road>{_ROAD_END}))"
)
# 陇海高架, 陇海路高架桥 and 陇海路 are one road, 北三环高架 is 北三环.
_ELEVATED = re.compile(r"(?<=[环路街道])高架(?:路|桥)?")
_ELEVATED_ROAD = re.compile(r"(?<=[\u4e00-\u9fff]{2})(?<![环路街道的在到从下上是个座条处过])高架(?:路|桥)?")
_HIGHWAY = re.compile(r"(?<![A-Z\d])[GSXY]\d{3}(?!\d)")
_NO_ROAD = re.compile(r"(?:十字|丁字|三岔|岔|铁|公|马|道|主|辅|小|大|走|堵|修|那条|这条|\d+|[A-Z]\d+)路")
_STRIP_GENERIC = re.compile(rf"(?:{_GENERIC})+$")
_STRIP_STREET = re.compile(rf"(?:{_STREET_END})+$")
_TRIPLE = re.compile(r"(?<![\d-])(\d{1,3})-(\d{1,2})-(\d{3,4})(?!\d)")
_BUILDING = re.compile(r"([A-Z]?\d{1,3}[A-Z]?|[A-Z])(?:号(?:家属|住宅|居民)?楼|栋|幢|座|#楼?)")
_UNIT = re.compile(r"(\d{1,2}|[A-Z东西中])单元")
_PHASE = re.compile(r"(\d{1,2})期")
_GATE = re.compile(r"(?<![东西南北])([东西南北])大?门(?!大?[路街村口桥]|社区)")
_SIDE = re.compile(r"(?:([东西南北前后])|(\d{1,2}|[A-Z])号?)(校区|院区|院|区)")
_NO_HOUSE = r"线|楼|门(?![前口外面市])|出口|口|桌|车|桥|杆|机|店|厅|窗"
_HOUSE = re.compile(rf"附?(\d{{1,4}})(?:[-之]\d{{1,3}})?号(大?院)?(?!{_NO_HOUSE})")
_ROAD_HOUSE = re.compile(rf"([\u4e00-\u9fff\d]{{1,5}}?(?:{_ROAD_END}))附?(\d{{1,4}})号(?!线|楼)")
_LEFT_OUT = re.compile(
    r"地铁(?:\d{1,2}号线)?站?|(?<=公园)站|(?:东|西|南|北|正|后|前|大)*(?:门口|门外|门前|门卫|大门|侧|[东西南北]头|墙外|对面|附近|旁边|旁|路段|"
    r"院内|院里|楼下|楼上|楼顶|邻居家?|沿街|底商|商铺|以[东西南北]|出入口|[A-Z\d]口)"
    r"|(?<=[东西南北])门|(?<=[路街道])(?:交叉)?口|(?<=[路街道])(?:[东西南北]段)?(?:与|和)|\d+层|\d{3,4}室?"
)
_TAIL = re.compile(r"^(?:的|在|位于|这边|那边|那儿|这儿)+|(?:的|上|里|内|外|口|处|段|边|那边|那儿)+$")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(slots=True)
class _Parts:
    names: set[str] = field(default_factory=set)
    roads: set[str] = field(default_factory=set)
    streets: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    yards: set[tuple[str, str]] = field(default_factory=set)
    buildings: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    written: list[str] = field(default_factory=list)

    def read(self, place: str) -> None:
        """A place as given: everything in it belongs to it."""
        rest = self._take_buildings(place)
        self.yards |= {("门", side) for side in _GATE.findall(place)}
        self._read_highways(rest)
        at, owner = 0, ""
        for match in _HOUSE.finditer(rest):
            owner = self._read_names(rest[at : match.start()]) or owner
            at = match.end()
            if owner and owner not in self.roads and match[2]:
                self.yards.add(("院", match[1]))
            else:
                self.numbers.add(match[1])
            if owner:
                self.numbered.add(owner + match[1])
        self._read_names(rest[at:])

    def read_numbers(self, text: str) -> None:
        """A description: only numbers that cannot be anything else, and roads with a house number."""
        rest = self._take_buildings(text)
        for match in _ROAD_HOUSE.finditer(rest):
            road = sound(match[1])
            self.roads.add(road)
            self.numbers.add(match[2])
            self.numbered.add(road + match[2])

    def _read_highways(self, text: str) -> None:
        for number in _HIGHWAY.findall(text):
            self.names.add(number)
            self.roads.add(number)

    def _take_buildings(self, text: str) -> str:
        for building, unit, _ in _TRIPLE.findall(text):
            self.buildings.add(building)
            self.units.add(unit)
        text = _TRIPLE.sub("|", text)
        self.buildings |= set(_BUILDING.findall(text))
        self.units |= set(_UNIT.findall(text))
        self.yards |= {("期", number) for number in _PHASE.findall(text)}
        text = _PHASE.sub("|", _UNIT.sub("|", _BUILDING.sub("|", text)))
        for match in _SIDE.finditer(text):
            if match[1] or not _owned_by_road(text[: match.start()]):
                self.yards.add((match[3], match[1] or match[2]))
        return text

    def _read_names(self, segment: str) -> str:
        """Take the names of a stretch; returns the last."""
        last = ""
        for part in _LEFT_OUT.sub("|", segment).split("|"):
            at = 0
            for match in _NAME.finditer(part):
                at = match.end()
                last = self._add(match) or last
            rest = _TAIL.sub("", part[at:])
            if len(_HAN.findall(rest)) >= 2:
                self.written.append(rest)
                last = sound(rest)
                self.names.add(last)
        return last

    def _add(self, match: re.Match[str]) -> str:
        if match["street"]:
            self.streets.add(sound(_STRIP_STREET.sub("", match[0])))
            return ""
        name = sound(_STRIP_GENERIC.sub("", _TAIL.sub("", match[0])) if match["area"] else match[0])
        if len(name) < 2 or (match["road"] and _NO_ROAD.fullmatch(match[0])):
            return ""
        self.names.add(name)
        if match["road"]:
            self.roads.add(name)
        else:
            self.written.append(match[0])
        return name


def _owned_by_road(before: str) -> bool:
    return re.search(rf"(?:{_ROAD_END})$", before) is not None


def _stem(name: str) -> str:
    return _STRIP_STREET.sub("", _STRIP_GENERIC.sub("", name)) or name


def _plain(text: str) -> str:
    """One way of writing: no blanks and quotes, numbers before 号, 栋, 期 … as digits, common endings mended."""
    text = re.sub(r"[\s“”\"'‘’「」《》]+", "", unicodedata.normalize("NFKC", text)[:_MAX_CHARS]).upper()
    text = re.sub(r"[,，。.、;；!！?？()（）:：~…]+", "|", text)
    text = re.sub(r"(?<=[号\d])搂", "楼", text).replace("璐", "路")
    heard = sound(text)
    for ending in _MENDED:
        at = -1
        while (at := heard.find(sound(ending), at + 1)) >= 0:
            if text[at : at + 2] != "校区":
                text = text[:at] + ending + text[at + len(ending) :]
    text = _ELEVATED_ROAD.sub("路", _ELEVATED.sub("", text))
    return _NUMERAL.sub(lambda match: str(_value(match[0])), text)


def _value(numeral: str) -> int:
    """三十二 → 32, 一百零五 → 105, 一二三 → 123."""
    if not set(numeral) & set("十百"):
        return int("".join(str(_DIGITS[char]) for char in numeral))
    total, last = 0, 0
    for char in numeral:
        if char == "十":
            total, last = total + (last or 1) * 10, 0
        elif char == "百":
            total, last = total + (last or 1) * 100, 0
        else:
            last = _DIGITS[char]
    return total + last


def _without_district(text: str, districts: Mapping[str, str]) -> tuple[str, str | None]:
    """The text without the district that it begins with, and that district."""
    heard = sound(text)
    for word in sorted(districts, key=len, reverse=True):
        if not heard.startswith(sound(word)):
            continue
        rest = text[len(word) :]
        # 金水 is a district in 金水花园路 and none in 金水路.
        if word[-1] in "区县市" or not re.match(_ROAD_END, rest):
            return rest, districts[word]
    return text, None


@cache
def _area_end() -> re.Pattern[str]:
    return re.compile(rf"(?:{sound(_AREA_END)})+$")
