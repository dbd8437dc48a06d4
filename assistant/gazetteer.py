"""Place names of the city: from what a resident wrote to one grid path (city, district, street, community)."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rapidfuzz import fuzz, process

from assistant.city_files import read_csv
from assistant.city_models import CityFacts
from assistant.errors import ConfigError
from assistant.sounds import TELLS_APART, sound

_STREET_ENDS = ("街道办事处", "街道办", "街道", "办事处", "镇", "乡")
_COMMUNITY_ENDS = ("社区居委会", "社区", "居委会", "村委会", "村")
_ROAD_NEXT = re.compile(
    r"^(?:[东南西北中]?[一二三四五六七八九十]?(?:路|街|大道|大街|巷|广场|立交|桥|站|胡同|河|湖|公园))"
)
_ANONYMISED = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ]\d*(?:市|区|县|镇|街道|乡|村|小区|路)")
_FUZZY_TOKEN = re.compile(r"[\u4e00-\u9fff]{2,8}?(?:街道|社区|区|镇|乡|村|路|街|大道)")
# A district's bare name is one in such company; alone it may be a road, a bank, or going to the street (上街).
_AROUND_HERE = re.compile(r"^(?:[这那](?:边|里|儿|块|片|一)|一带|本地|境内|城里|农村|乡下)")
_COMING_FROM = re.compile(r"(?:住在|[住到于]|老家|来自|(?:家|注册|户口|工作|[我俺咱]们?|[人车店厂]|^|[,。、 ])在)$")
_CLAUSE_START = re.compile(r"(?:^|[,。,、;!?\s]|我是|[我俺咱]们?)$")
_CLAUSE_END = re.compile(r"^(?:$|[,。,、;!?\s])")
_HEARD = re.compile(r"..(?:街道|社区|[区镇乡])$|.{3}(?:[路街]|大道)$")
_NOT_HAN = re.compile(r"[^\u4e00-\u9fff]+")
_NEAR = re.compile(r"(?:附近|旁边|边上|门口|对面|一带|[那这][边段块里儿]|那边儿)+$")
_BETWEEN = re.compile(r"[\s,，、;；/()（）]+")
_NAME_ENDS = re.compile(r"^(?!的时候|市场|买|转|逛|走|技|新|大|人民|银行|地区|城际|海绵)")
_MAX_CHARS = 200
_FUZZY_FACTOR = 0.65
_PARTIAL = 0.6  # weight of a name without its 街道 or 社区
_CLOSE = 0.06  # names nearer than this to the best are as good


@dataclass(frozen=True, slots=True)
class Place:
    """`grid_path`: city, district, street, community as far as known; empty when the place is not one of the city.

    `confidence`: 0.95 community, 0.9 street, 0.85 landmark or road, 0.8 district only, less for partial names and
    typos, 0 unresolved. `contradicted_by`: the district of the coordinates, where it is another one.
    """

    text: str
    grid_path: tuple[str, ...]
    district: str | None
    confidence: float
    contradicted_by: str | None = None


@dataclass(frozen=True, slots=True)
class _Name:
    district: str
    street: str | None
    community: str | None
    weight: float

    def holds(self, other: "_Name") -> bool:
        """Whether `other` is this place or lies inside it, as far as this one is known."""
        return (
            self.district == other.district
            and self.street in (None, other.street)
            and self.community in (None, other.community)
        )


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int
    name: _Name
    fuzzy: bool


class Gazetteer:
    """Names and aliases of districts, streets, communities and landmarks, searched by longest match."""

    def __init__(self, facts: CityFacts, folder: Path) -> None:
        """Reads gazetteer.csv and landmarks.csv in `folder`; raises ConfigError with file and line."""
        self._facts = facts
        self._districts = {district.name: district for district in facts.districts}
        self._own_names = {name for district in facts.districts for name in district.own_names}
        self._names: dict[str, list[_Name]] = defaultdict(list)
        self._also_in: dict[tuple[str, str], str] = {}
        self.streets: dict[str, tuple[str, ...]] = {}
        self.communities = 0
        self._read_streets(folder / "gazetteer.csv")
        self._read_landmarks(folder / "landmarks.csv")
        files = (folder / "gazetteer.csv", folder / "landmarks.csv")
        # Another one where the same words may mean another place.
        self.digest = sha256(b"".join([facts.model_dump_json().encode(), *(f.read_bytes() for f in files)])).digest()
        self._longest = max(map(len, self._names))
        self._by_sound: dict[str, list[tuple[str, _Name]]] = defaultdict(list)
        for name, places in self._names.items():
            if _HEARD.search(name):
                self._by_sound[sound(name)].extend((name, place) for place in places)
        self._by_district: dict[str | None, list[str]] = defaultdict(list)
        for name, places in self._names.items():
            if len(name) >= 3:
                self._by_district[None].append(name)
                for district in {place.district for place in places}:
                    self._by_district[district].append(name)
        self._district_words = sorted(
            {(word, d.name) for d in facts.districts for word in (d.name, d.short, *d.aliases)},
            key=lambda pair: -len(pair[0]),
        )
        city = re.escape(facts.name.removesuffix("市"))
        self._city = re.compile(
            rf"^(?:中国)?(?:{re.escape(facts.province)}|{re.escape(facts.province[:-1])})?(?:{city}市?)?"
        )
        elsewhere = "|".join(map(re.escape, facts.elsewhere)) or "(?!)"
        self._elsewhere = re.compile(rf"^(?:[\u4e00-\u9fff]{{2,3}}省)?(?:{elsewhere})(?:市|区|县|省)")

    def resolve(self, text: str) -> Place:
        """The best place in `text`; an unresolved one keeps the text, an empty path and confidence 0."""
        written = text.strip()
        plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", written))[:_MAX_CHARS]
        if not plain or _ANONYMISED.search(plain) or self._elsewhere.search(plain):
            return Place(written, (), None, 0.0)
        prefix = self._city.match(plain)
        said_city = bool(prefix and prefix.end())
        # 郑州 is a prefix in 郑州金水区 and part of the name in 郑州火车站.
        stripped = prefix is not None and not self._name_goes_on(plain, 0, prefix.end())
        rest = plain[prefix.end() :] if prefix and stripped else plain
        district, rest = self._take_district(rest)
        parts = [part for part in _BETWEEN.split(unicodedata.normalize("NFKC", written)[:_MAX_CHARS]) if part]
        if district is None:
            district = self._district_behind(parts, self._scan(rest, None))
        hits = self._scan(rest, district) or self._scan_sounds(rest, district) or self._scan_fuzzy(rest, district)
        hits += self._scan_parts(parts, district)
        if district is None and not hits:
            district, rest = self._take_district_typo(rest)
            hits = self._scan(rest, district) if district else hits
        if district is None and not hits:
            district = self.district_said(rest)
        return self._decide(written, district, hits, said_city)

    def paths(self) -> list[tuple[str, ...]]:
        """Every street (district, street) and community (district, street, community)."""
        found = {
            tuple(part for part in (name.district, name.street, name.community) if part)
            for names in self._names.values()
            for name in names
            if name.street
        }
        return sorted(found)

    def district_said(self, text: str) -> str | None:
        """The district that a longer text names (金水区, 高新区, 在新郑, 惠济这边), first mention; None without one."""
        plain = unicodedata.normalize("NFKC", text)[:_MAX_CHARS]
        if _ANONYMISED.search(plain):
            return None
        found: tuple[int, int, str] | None = None
        for word, name in self._district_words:
            at = self._said_at(plain, word)
            if at is not None and (found is None or (at, -len(word)) < found[:2]):
                found = (at, -len(word), name)
        return found[2] if found else None

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read_streets(self, path: Path) -> None:
        seen: dict[tuple[str, str], int] = {}
        by_district: dict[str, list[str]] = defaultdict(list)
        for line, row in read_csv(path, ("district", "street", "also_in", "aliases", "communities")):
            district, street = row["district"], row["street"]
            for name in filter(None, (district, row["also_in"])):
                if name not in self._districts:
                    raise ConfigError(
                        f"{path}:{line}: district {name!r} is not in city.yml: add it there or correct it"
                    )
            if not street:
                raise ConfigError(f"{path}:{line}: the street is empty: fill it or remove the row")
            if (district, street) in seen:
                raise ConfigError(
                    f"{path}:{line}: {district} {street} is there twice (first on line {seen[district, street]}): "
                    "merge the rows"
                )
            seen[district, street] = line
            by_district[district].append(street)
            if row["also_in"]:
                self._also_in[district, street] = row["also_in"]
            self._add_street(district, street, row["aliases"].split())
            for community in row["communities"].split():
                self._add_community(district, street, community)
        self.streets = {name: tuple(streets) for name, streets in by_district.items()}

    def _add_street(self, district: str, street: str, aliases: list[str]) -> None:
        stem = _without(street, _STREET_ENDS)
        self._add(street, _Name(district, street, None, 0.9))
        for alias in aliases:
            self._add(alias, _Name(district, street, None, 0.85))
        if stem != street:
            for end in ("街道办事处", "街道办", "办事处", "街道", "镇", "乡"):
                if stem + end != street:
                    self._add(stem + end, _Name(district, street, None, 0.8))
            if len(stem) >= 2:
                # 花园路 alone is the road as well as the street office: a partial name.
                self._add(stem, _Name(district, street, None, _PARTIAL))

    def _add_community(self, district: str, street: str, community: str) -> None:
        self.communities += 1
        stem = _without(community, _COMMUNITY_ENDS)
        self._add(community, _Name(district, street, community, 0.95))
        for end in ("社区", "村", "小区"):
            if stem + end != community and len(stem) >= 2:
                self._add(stem + end, _Name(district, street, community, 0.75))
        if stem != community and len(stem) >= 3:
            self._add(stem, _Name(district, street, community, _PARTIAL))

    def _read_landmarks(self, path: Path) -> None:
        for line, row in read_csv(path, ("name", "districts", "street", "aliases")):
            districts = row["districts"].split()
            for district in districts:
                if district not in self._districts:
                    raise ConfigError(f"{path}:{line}: district {district!r} is not in city.yml: correct it")
            street = row["street"] or None
            if street and any(street not in self.streets[district] for district in districts):
                raise ConfigError(
                    f"{path}:{line}: street {street!r} is not in gazetteer.csv: correct it or leave it empty"
                )
            for name in (row["name"], *row["aliases"].split()):
                for district in districts:
                    self._add(name, _Name(district, street, None, 0.85))

    def _add(self, text: str, name: _Name) -> None:
        self._names[text].append(name)

    # --- searching -------------------------------------------------------------------------------------------------

    def _take_district(self, text: str) -> tuple[str | None, str]:
        """The district that is named first, and the text without it."""
        found: tuple[int, int, str] | None = None
        for word, name in self._district_words:
            at = text.find(word)
            if at < 0 or (found and at >= found[0]):
                continue
            after = text[at + len(word) :]
            bare = word[-1] not in "区县市"
            # 金水 is a district only at the start and not in 金水路; 中原区 is one anywhere.
            # 新密西大街 may be a road; 新密西大街街道 is one of its street offices.
            road = _ROAD_NEXT.match(after) and not self._begins(after, word)
            if bare and (at > 0 or road or self._name_goes_on(text, at, at + len(word))):
                continue
            if word.endswith("市") and after.startswith("场"):
                continue
            found = (at, len(word), name)
        if found is None:
            return self._take_district_by_sound(text)
        at, length, name = found
        return name, text[:at] + text[at + length :]

    def _take_district_by_sound(self, text: str) -> tuple[str | None, str]:
        """会济区 → 惠济区, at the start: one other character of the same sound."""
        for word, name in self._district_words:
            if len(word) >= 3 and _misspelled(text[: len(word)], word):
                return name, text[len(word) :]
        return None, text

    def _said_at(self, text: str, word: str) -> int | None:
        """Where `word` means the district: 中牟县 anywhere (but not 新郑市场), 上街 only as 在上街, 上街这边 or as a
        clause of its own, 中牟, an own name, wherever no longer name begins with it."""
        for match in re.finditer(re.escape(word), text):
            before, after = text[: match.start()], text[match.end() :]
            if word[-1] in "区县市":
                if not (word[-1] == "市" and after.startswith("场")):
                    return match.start()
                continue
            if _ROAD_NEXT.match(after) or self._name_goes_on(text, match.start(), match.end()):
                continue
            named = _COMING_FROM.search(before) or (_CLAUSE_START.search(before) and after.startswith("的"))
            alone = _CLAUSE_START.search(before) and _CLAUSE_END.match(after)
            if alone or (word in self._own_names and _NAME_ENDS.match(after)):
                return match.start()
            if _AROUND_HERE.match(after) or (named and _NAME_ENDS.match(after)) or self._begins(after, word):
                return match.start()
        return None

    def _begins(self, text: str, word: str) -> bool:
        """Whether `text` begins with a street or community of the district that is called `word`: 中牟 + 黄店."""
        district = next(name for known, name in self._district_words if known == word)
        return any(
            self._fits(name, district)
            for end in range(2, min(len(text), self._longest) + 1)
            for name in self._names.get(text[:end], ())
        )

    def _name_goes_on(self, text: str, start: int, end: int) -> bool:
        """Whether a longer name begins at `start`: 新郑 in 新郑机场."""
        return any(
            text[start:stop] in self._names for stop in range(end + 1, min(len(text), start + self._longest) + 1)
        )

    def _take_district_typo(self, text: str) -> tuple[str | None, str]:
        """金水去 → 金水区: a district's name of three or more characters with one wrong, at the start, where that can
        be one district only."""
        found: dict[str, int] = {}
        for word, name in self._district_words:
            head = text[: len(word)]
            if len(word) < 3 or len(head) < len(word) or head[-1] in "路街道镇乡村":
                continue
            if sum(a != b for a, b in zip(head, word, strict=True)) == 1:
                found.setdefault(name, len(word))
        if len(found) != 1:
            return None, text
        ((name, length),) = found.items()
        return name, text[length:]

    def _district_behind(self, parts: list[str], hits: list[_Hit]) -> str | None:
        """The district that somebody names last (东风路街道，金水), unless what was named before lies elsewhere."""
        district = dict(self._district_words).get(parts[-1]) if len(parts) > 1 else None
        return district if not hits or any(self._fits(hit.name, district) for hit in hits) else None

    def _scan(self, text: str, district: str | None) -> list[_Hit]:
        hits: list[_Hit] = []
        at = 0
        while at < len(text):
            for end in range(min(len(text), at + self._longest), at + 1, -1):
                found = [n for n in self._names.get(text[at:end], ()) if self._fits(n, district)]
                if found and district is None and end - at < 3 and end - at < len(text):
                    found = self._leading(found, text[end:])  # 新村 in 建业新村, but 须水 in 须水三十里铺村
                if found and _ROAD_NEXT.match(text[end:]):  # 五龙口 in 五龙口南路, but 青屏街 in 青屏街广场社区
                    strong = [name for name in found if name.weight > _PARTIAL]
                    found = strong or self._leading(found, text[end:])
                if found:
                    hits.extend(_Hit(at, end, name, False) for name in found)
                    at = end - 1
                    break
            at += 1
        return hits

    def _scan_sounds(self, text: str, district: str | None) -> list[_Hit]:
        """夏窝镇 is 峡窝镇, 东凤南路 is 东风南路: one other character of the same sound, where the name begins.

        Every town is known, so a name of three characters may be a misspelled one of them; not every road is.
        """
        heard = sound(text)
        for start in [0, *(match.end() for match in _NOT_HAN.finditer(text))]:
            for end in range(min(len(text), start + self._longest), start + 2, -1):
                found = [
                    name
                    for written, name in self._by_sound.get(heard[start:end], ())
                    if self._fits(name, district) and _misspelled(text[start:end], written)
                ]
                if found:
                    return [_Hit(start, end, name, True) for name in found]
        return []

    def _scan_parts(self, parts: list[str], district: str | None) -> list[_Hit]:
        """What stands by itself between blanks or commas is a name as it is, however short: 十里铺 祭城, 方特附近."""
        names = ((n, name) for n, part in enumerate(parts) if len(name := _NEAR.sub("", part)) == 2)
        return [
            _Hit(_MAX_CHARS + n, _MAX_CHARS + n + 1, name, False)
            for n, part in names
            for name in self._names.get(part, ())
            if self._fits(name, district)
        ]

    def _leading(self, names: list[_Name], following: str) -> list[_Name]:
        """Those in which lies what is named next."""
        return [name for name in names if any(name.holds(other) for other in self._first_names(following))]

    def _first_names(self, text: str) -> Iterator[_Name]:
        for end in range(3, min(len(text), self._longest) + 1):
            yield from self._names.get(text[:end], ())

    def _scan_fuzzy(self, text: str, district: str | None) -> list[_Hit]:
        names = self._by_district[district]
        for match in _FUZZY_TOKEN.finditer(text):
            token = match[0]
            if len(token) < 4 and district is None:
                continue
            cutoff = 66 if len(token) == 3 else 74
            best = process.extractOne(token, names, scorer=fuzz.ratio, score_cutoff=cutoff)
            # Within a known district a character may be missing or too many; else 建业新村 would be 建业村.
            slack = 1 if district else 0
            if best and abs(len(best[0]) - len(token)) <= slack and best[0][-1] == token[-1]:
                fitting = [name for name in self._names[best[0]] if self._fits(name, district)]
                return [_Hit(match.start(), match.end(), name, True) for name in fitting]
        return []

    def _fits(self, name: _Name, district: str | None) -> bool:
        if district is None or name.district == district:
            return True
        return name.street is not None and self._also_in.get((name.district, name.street)) == district

    def _decide(self, written: str, district: str | None, hits: list[_Hit], said_city: bool) -> Place:
        city = self._facts.name
        if not hits:
            if district:
                return Place(written, (city, district), district, 0.8)
            return Place(written, (city,) if said_city else (), None, 0.2 if said_city else 0.0)
        scores: dict[_Name, float] = {}
        for hit in hits:
            scores[hit.name] = max(scores.get(hit.name, 0.0), _score(hit, hits))
        best = max(scores, key=lambda name: scores[name])
        rivals = [
            name
            for name, score in scores.items()
            if score >= scores[best] - _CLOSE and not name.holds(best) and not best.holds(name)
        ]
        if district is None and any(name.district != best.district for name in rivals):
            return Place(written, (city,), None, 0.3)
        fuzzy = all(hit.fuzzy for hit in hits if hit.name == best)
        confidence = best.weight * (_FUZZY_FACTOR if fuzzy else 1.0)
        path: tuple[str | None, ...] = (best.district, best.street, best.community)
        if any(name.street != best.street for name in rivals):
            path, confidence = (best.district,), max(confidence, 0.8)
        elif any(name.community != best.community for name in rivals):
            path = (best.district, best.street)
        if district is not None:
            confidence = max(confidence, 0.8)
        known = tuple(part for part in path if part)
        return Place(written, (city, *known), best.district, round(min(confidence, 0.95), 2))


def _score(hit: _Hit, hits: list[_Hit]) -> float:
    """A name's own weight, more for a longer match, and the support of other names found elsewhere in the text."""
    name = hit.name
    own = name.weight * (_FUZZY_FACTOR if hit.fuzzy else 1.0) * (1 + 0.02 * (hit.end - hit.start))
    above, beside = 0.0, 0.0
    for other in hits:
        if other.start == hit.start:
            continue
        if other.name.holds(name):
            above = max(above, other.name.weight)
        elif other.name.district == name.district and not name.holds(other.name):
            beside = 0.2
    return own + above + beside


def _misspelled(text: str, name: str) -> bool:
    """Whether one character is another of the same sound, which is not the last and tells no neighbours apart."""
    others = [(a, b) for a, b in zip(text, name, strict=True) if a != b] if len(text) == len(name) else []
    return len(others) == 1 and text[-1] == name[-1] and sound(text) == sound(name) and not {*others[0]} & TELLS_APART


def _without(name: str, ends: tuple[str, ...]) -> str:
    for end in ends:
        if name.endswith(end) and len(name) - len(end) >= 2:
            return name[: -len(end)]
    return name
