"""One city's facts, read from a folder and checked: categories, units, responsibilities, places, deadlines, texts."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assistant.city_files import Source, parse, read_yaml
from assistant.city_models import (
    Calendar,
    Category,
    CategoryGroup,
    CityFacts,
    DeadlinesFile,
    District,
    Reply,
    ResponsibilityFile,
    Rule,
    Sayings,
    Unit,
    UnitsFile,
)
from assistant.elements import Element, Elements, read_elements
from assistant.gazetteer import Gazetteer, Place
from assistant.outlines import Bounds, Outlines, read_outlines

__all__ = ["City", "Place"]

# Texts the application shows, with the values each may use.
TEXT_VALUES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "danger_gas", "danger_fire", "danger_electric", "danger_lift", "danger_collapse", "danger_violence",
            "danger_poisoning", "danger_self_harm", "danger_other", "danger_followup",
        ),
        frozenset[str](),
    ),
    "ticket_created": frozenset({"number", "unit", "due"}),
    "ticket_created_danger": frozenset({"number", "unit", "due"}),
    "ticket_created_review": frozenset({"number", "unit", "due"}),
    "ticket_created_anonymous": frozenset({"number"}),
    "ticket_accepted": frozenset({"number", "unit"}),
    "ticket_resolved": frozenset({"number", "unit", "reply"}),
    "ticket_resolved_no_reply": frozenset({"number", "unit"}),
    "ticket_returned": frozenset({"number", "reason"}),
    "ticket_reassigned": frozenset({"number", "unit", "due"}),
    "ticket_urged_for_you": frozenset({"number", "unit", "due"}),
    "ticket_supervised": frozenset({"number", "unit"}),
    "ticket_closed_unanswered": frozenset({"number"}),
    "ticket_transferred": frozenset({"number", "unit", "due"}),
    "ticket_asked": frozenset({"number", "unit", "question"}),
    "ticket_resumed": frozenset({"number", "unit", "due"}),
    "ticket_extended": frozenset({"number", "unit", "due"}),
    "ticket_merged": frozenset({"number", "unit", "count"}),
    "ticket_followed": frozenset({"number", "unit", "count"}),
    "ticket_unmerged": frozenset({"number", "unit", "due"}),
    "ticket_supplemented": frozenset({"number", "unit"}),
    "ticket_urged": frozenset({"number", "unit"}),
    "ticket_withdrawn": frozenset({"number"}),
    "ticket_closed": frozenset({"number"}),
    "ticket_reopened": frozenset({"number", "unit", "due"}),
    "greeting": frozenset({"city", "hotline"}),
}  # fmt: skip

_LOCATED, _SAID = 0.8, 0.6  # confidence of a district by coordinates, and of one that the text names in passing


class City:
    """A checked city pack.

    `categories` maps (level 1, level 2) to Category; `level1` lists the first level in order; `units` maps a unit's
    name to Unit (district departments included); `matrix` holds the responsibility rules; `calendar`, `deadlines`,
    `replies` are the files of those names. What staff add comes with `set_added`.
    """

    def __init__(
        self,
        facts: CityFacts,
        categories: Sequence[Category],
        units: Mapping[str, Unit],
        matrix: ResponsibilityFile,
        gazetteer: Gazetteer,
        deadlines: DeadlinesFile,
        calendar: Calendar,
        texts: Mapping[str, str],
        replies: Sequence[Reply],
        elements: Elements | None = None,
        outlines: Outlines | None = None,
    ) -> None:
        self.facts = facts
        self.name, self.hotline, self.jurisdiction_id = facts.name, facts.hotline, facts.jurisdiction_id
        self.time_zone = facts.time_zone
        self.zone = ZoneInfo(facts.time_zone)
        self.categories: dict[tuple[str, str], Category] = {(c.level1, c.level2): c for c in categories}
        self.own_categories: dict[tuple[str, str], Category] = dict(self.categories)
        self._own_rules = matrix.rules
        self._added_rules: tuple[Rule, ...] = ()
        self._learn: Callable[[Rule], Rule] = lambda rule: rule
        self.revision = 0
        self.level1: tuple[str, ...] = tuple(dict.fromkeys(c.level1 for c in categories))
        self.units: dict[str, Unit] = dict(units)
        self.matrix = matrix
        self.gazetteer = gazetteer
        self.deadlines = deadlines
        self.calendar = calendar
        self.texts: dict[str, str] = dict(texts)
        self.replies: tuple[Reply, ...] = tuple(replies)
        self.elements = elements or Elements({})
        self.outlines = outlines
        self._districts = {district.name: district for district in facts.districts}

    @classmethod
    def load(cls, path: Path | str) -> "City":
        """Read the folder `path`. Raises ConfigError naming file, line and remedy on the first mistake found."""
        folder = Path(path)
        facts = _facts(read_yaml(folder / "city.yml"))
        deadlines = _deadlines(read_yaml(folder / "deadlines.yml"))
        categories = _categories(read_yaml(folder / "categories.yml"), deadlines)
        units, departments = _units(read_yaml(folder / "units.yml"), facts)
        matrix = _matrix(read_yaml(folder / "responsibility.yml"), categories, units, departments, deadlines)
        if (folder / "sayings.yml").exists():
            matrix = _with_sayings(read_yaml(folder / "sayings.yml"), matrix)
        calendar = _calendar(read_yaml(folder / "calendar.yml"))
        texts = _texts(read_yaml(folder / "texts.yml"))
        replies = _replies(read_yaml(folder / "replies.yml"), categories)
        gazetteer = Gazetteer(facts, folder)
        elements = read_elements(
            read_yaml(folder / "elements.yml"),
            [(category.level1, category.level2) for category in categories],
            [rule.matter for rule in matrix.rules if rule.matter],
        )
        outlines = read_outlines(folder / "districts.geojson", [district.name for district in facts.districts])
        return cls(facts, categories, units, matrix, gazetteer, deadlines, calendar, texts, replies, elements, outlines)

    def category(self, level1: str, level2: str | None = None) -> Category | None:
        """The category of that name; without a known level 2, the level's 其他; None for an unknown level 1."""
        return self.categories.get((level1, level2 or "")) or self.categories.get((level1, "其他"))

    def set_added(self, categories: Sequence[Category], rules: Sequence[Rule]) -> None:
        """Replace the categories, and their rules, that are known beside those of the files.

        Counts `revision` up, for whoever prepares something from categories or rules.
        """
        self.categories = {(c.level1, c.level2): c for c in (*self.own_categories.values(), *categories)}
        self._added_rules = tuple(rules)
        self.__dict__.pop("services", None)
        self._set_rules()

    def set_learned(self, learn: Callable[[Rule], Rule]) -> None:
        """Replace what is done to each rule of the files: what returned tickets taught. Counts `revision` up."""
        self._learn = learn
        self._set_rules()

    def _set_rules(self) -> None:
        rules = (*map(self._learn, self._own_rules), *self._added_rules)
        self.matrix = self.matrix.model_copy(update={"rules": rules})
        self.revision += 1

    def elements_of(self, category1: str, category2: str | None, matter: str | None = None) -> tuple[Element, ...]:
        """What a usable ticket needs to tell, what matters most first: by matter, else level 2, else level 1."""
        return self.elements.of(category1, category2, matter)

    def group_code(self, level1: str) -> str:
        """The first part of the service codes under a first-level category; KeyError for an unknown one."""
        for (name, _), category in self.categories.items():
            if name == level1:
                return category.service_code.partition(".")[0]
        raise KeyError(level1)

    def danger_category(self, kind: str) -> Category | None:
        """The category of a kind of danger (gas, fire, …); None where the city leaves it to the model."""
        level1, _, level2 = self.matrix.dangers.get(kind, "").partition("/")
        return self.categories.get((level1, level2))

    def categories_of(self, level1: str) -> tuple[Category, ...]:
        return tuple(c for (first, _), c in self.categories.items() if first == level1)

    @cached_property
    def services(self) -> dict[str, Category]:
        """Open311 service code → category."""
        return {category.service_code: category for category in self.categories.values()}

    @cached_property
    def district_words(self) -> dict[str, str]:
        """Every name by which a district is called → the district."""
        return {word: d.name for d in self.facts.districts for word in (d.name, d.short, *d.aliases)}

    def district(self, name: str) -> District | None:
        return self._districts.get(name)

    def resolve_place(self, text: str) -> Place:
        """The grid path of a place as a resident wrote it; unresolved: empty path, confidence 0, text kept."""
        return self.gazetteer.resolve(text)

    @property
    def bounds(self) -> Bounds | None:
        """West, south, east, north in degrees: of the outlines, else as city.yml says; None where neither is there."""
        return self.outlines.bounds if self.outlines else self.facts.bounds

    def locate(self, lat: float, long: float) -> Place | None:
        """The district at coordinates (degrees, WGS 84); None outside the city and where it has no outlines."""
        district = self.outlines.district(lat, long) if self.outlines else None
        if district is None:
            return None
        return Place(f"{lat:.6f},{long:.6f}", (self.name, district), district, _LOCATED)

    def coordinate_problem(self, lat: float, long: float) -> str | None:
        """What is wrong with coordinates, in words for who gave them; None where they may be of this city."""
        if self.bounds is None or self._holds(lat, long):
            return None
        if self._holds(long, lat):
            return "经度和纬度好像填反了，请对调后再提交。"
        return f"这个坐标不在{self.name}范围内，请核对，或改用文字说明地点。"

    def _holds(self, lat: float, long: float) -> bool:
        if self.outlines:
            return self.outlines.district(lat, long) is not None
        west, south, east, north = self.bounds or (-180, -90, 180, 90)
        return west <= long <= east and south <= lat <= north

    def find_place(self, place: str | None, text: str, lat: float | None = None, long: float | None = None) -> Place:
        """Where a request is: the place given, else the district that its text names, else its coordinates.

        Where words and coordinates tell of two districts, the words decide and `contradicted_by` names the other.
        """
        found = self.resolve_place(place or "")
        if found.district is None and (said := self.gazetteer.district_said(text)):
            found = Place(found.text, (self.name, said), said, _SAID)
        located = self.locate(lat, long) if lat is not None and long is not None else None
        if located is None or located.district == found.district:
            return found
        if found.district is None:
            return replace(located, text=found.text or located.text)
        return replace(found, contradicted_by=located.district)

    def text(self, key: str, **values: object) -> str:
        """The canned text `key` with its values; KeyError for an unknown key or a value that is missing."""
        return self.texts[key].format_map({name: str(value) for name, value in values.items()})

    def is_working_day(self, day: date) -> bool:
        return self.calendar.is_working_day(day)


def _facts(source: Source) -> CityFacts:
    facts = parse(source, CityFacts)
    try:
        ZoneInfo(facts.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        source.fail(f"time zone {facts.time_zone!r} is unknown: use an IANA name such as Asia/Shanghai", "time_zone")
    if facts.bounds:
        west, south, east, north = facts.bounds
        if abs(south) > 90 or abs(north) > 90:
            source.fail("bounds: latitude and longitude are swapped: write [west, south, east, north]", "bounds")
        if not (-180 <= west < east <= 180 and south < north):
            source.fail("bounds: write [west, south, east, north] in degrees, rising", "bounds")
    seen: dict[str, str] = {}
    for index, district in enumerate(facts.districts):
        if district.code == "00":
            source.fail("district code 00 is kept for places without a district: choose another", "districts", index)
        for value in {district.name, district.short, district.code, *district.aliases}:
            if value in seen:
                source.fail(f"{value!r} is already used by district {seen[value]}: make it unique", "districts", index)
            seen[value] = district.name
    return facts


def _deadlines(source: Source) -> DeadlinesFile:
    deadlines = parse(source, DeadlinesFile)
    for name, entry in deadlines.classes.items():
        if sum(value is not None for value in (entry.hours, entry.working_hours, entry.working_days)) != 1:
            source.fail(
                f"deadline class {name!r} must have exactly one of hours, working_hours, working_days: correct it",
                "classes", name,
            )  # fmt: skip
    for index, rule in enumerate(deadlines.rules):
        for name in (rule.class_, *rule.deadline):
            if name not in deadlines.classes:
                source.fail(f"deadline class {name!r} is unknown: add it under classes or correct it", "rules", index)
    last = deadlines.rules[-1]
    if last.urgency or last.request_type or last.deadline:
        source.fail(
            "the last rule must have no condition: add {class: general} at the end", "rules", len(deadlines.rules) - 1
        )
    return deadlines


def _categories(source: Source, deadlines: DeadlinesFile) -> list[Category]:
    groups = parse(source, tuple[CategoryGroup, ...])
    result: list[Category] = []
    names: set[tuple[str, str]] = set()
    codes: set[str] = set()
    for g, group in enumerate(groups):
        for e, entry in enumerate(group.level2):
            where = (g, "level2", e)
            code = f"{group.code}.{entry.code}"
            if (group.name, entry.name) in names:
                source.fail(f"category {group.name}/{entry.name} is there twice: remove one", *where)
            if code in codes:
                source.fail(f"service code {code!r} is there twice: make it unique", *where, "code")
            if entry.deadline not in deadlines.classes:
                source.fail(
                    f"deadline class {entry.deadline!r} is unknown: use one of {', '.join(deadlines.classes)}",
                    *where, "deadline",
                )  # fmt: skip
            names.add((group.name, entry.name))
            codes.add(code)
            result.append(
                Category(
                    level1=group.name, level2=entry.name, service_code=code, kind=entry.kind, deadline=entry.deadline,
                    keywords=entry.keywords, description=entry.description,
                )
            )  # fmt: skip
    return result


def _units(source: Source, facts: CityFacts) -> tuple[dict[str, Unit], frozenset[str]]:
    file = parse(source, UnitsFile)
    units: dict[str, Unit] = {}
    names: set[str] = set()
    for index, unit in enumerate(file.units):
        for name in (unit.name, *unit.aliases):
            if name in names:
                source.fail(f"unit name {name!r} is there twice: make it unique", "units", index)
            names.add(name)
        units[unit.name] = unit
    for district in facts.districts:
        units[district.backstop] = Unit(name=district.backstop, full=district.backstop, kind="district")
        for department in file.district_departments:
            name = district.short + department
            units[name] = Unit(name=name, full=name, kind="district")
    return units, frozenset(file.district_departments)


def _matrix(
    source: Source,
    categories: Sequence[Category],
    units: Mapping[str, Unit],
    departments: frozenset[str],
    deadlines: DeadlinesFile,
) -> ResponsibilityFile:
    matrix = parse(source, ResponsibilityFile)
    known = {f"{c.level1}/{c.level2}" for c in categories}
    defaults: set[str] = set()
    matters: set[str] = set()
    if matrix.first_receiver not in units:
        source.fail(f"unit {matrix.first_receiver!r} is unknown: add it to units.yml or correct it", "first_receiver")
    for kind, category in matrix.dangers.items():
        if f"danger_{kind}" not in TEXT_VALUES:
            kinds = [key.removeprefix("danger_") for key in TEXT_VALUES if key.startswith("danger_")]
            source.fail(f"danger {kind!r} is unknown: use one of {', '.join(kinds)}", "dangers", kind)
        if category not in known:
            source.fail(f"category {category!r} is unknown: write it as 一级/二级 of categories.yml", "dangers", kind)
    for index, rule in enumerate(matrix.rules):
        where = ("rules", index)
        for category in rule.category:
            if category not in known:
                source.fail(
                    f"category {category!r} is unknown: write it as 一级/二级 of categories.yml", *where, "category"
                )
        for unit in filter(None, (rule.owner, *rule.assist)):
            if unit not in units:
                source.fail(f"unit {unit!r} is unknown: add it to units.yml or correct it", *where)
        if rule.department and rule.department not in departments:
            source.fail(
                f"department {rule.department!r} is unknown: add it to district_departments in units.yml",
                *where, "department",
            )  # fmt: skip
        if rule.first_handler:
            first = rule.first_handler
            if first.handler not in units or units[first.handler].kind != "social":
                source.fail(
                    f"first handler {first.handler!r} is no unit of kind social: add it to units.yml or correct it",
                    *where, "first_handler",
                )  # fmt: skip
            if (first.hours is None) == (first.working_hours is None):
                source.fail("a first handler has hours or working_hours, one of the two", *where, "first_handler")
        if rule.deadline and rule.deadline not in deadlines.classes:
            source.fail(f"deadline class {rule.deadline!r} is unknown: correct it", *where, "deadline")
        if rule.matter is None:
            if len(rule.category) != 1 or rule.words:
                source.fail("a rule without matter has one category and no words: add a matter", *where)
            if rule.category[0] in defaults:
                source.fail(f"{rule.category[0]} has two rules without matter: remove one", *where)
            defaults.add(rule.category[0])
        else:
            if rule.matter in matters:
                source.fail(f"matter {rule.matter!r} is there twice: make it unique", *where, "matter")
            if not rule.words:
                source.fail(f"matter {rule.matter!r} has no words: add what residents say", *where)
            matters.add(rule.matter)
    for category in known - defaults:
        source.fail(f"category {category} has no rule without matter: add one", "rules")
    return matrix


def _with_sayings(source: Source, matrix: ResponsibilityFile) -> ResponsibilityFile:
    """The matrix with the words of sayings.yml."""
    sayings = parse(source, dict[str, Sayings])
    names = {rule.name for rule in matrix.rules}
    for name, found in sayings.items():
        if name not in names:
            source.fail(
                f"{name!r} is no rule of responsibility.yml: write its matter, or 一级/二级 of a rule without one", name
            )
        seen: set[str] = set()
        said = [(kind, *pair) for kind in ("clear", "vague") for pair in enumerate(getattr(found, kind))]
        for kind, index, word in said:
            if not all(part.strip() == part and part for part in word.split("+")):
                source.fail(f"{word!r} has an empty part: write 词 or 词+词 without blanks", name, kind, index)
            if word in seen:
                source.fail(f"{word!r} is there twice under {name}: remove one", name, kind, index)
            seen.add(word)
    rules = tuple(rule.model_copy(update={"sayings": sayings.get(rule.name, Sayings())}) for rule in matrix.rules)
    return matrix.model_copy(update={"rules": rules})


def _calendar(source: Source) -> Calendar:
    calendar = parse(source, Calendar)
    for festival, days in calendar.makeup_days.items():
        for index, day in enumerate(days):
            if any(day in holidays for holidays in calendar.holidays.values()):
                source.fail(f"{day} is a holiday and a make-up day: remove one", "makeup_days", festival, index)
            if day.weekday() < 5:
                source.fail(f"make-up day {day} is not a weekend: correct the date", "makeup_days", festival, index)
    return calendar


def _texts(source: Source) -> dict[str, str]:
    texts = parse(source, dict[str, str])
    for key, allowed in TEXT_VALUES.items():
        if key not in texts:
            source.fail(f"text {key!r} is missing: add it")
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(texts[key]) if name is not None}
        except ValueError as error:
            source.fail(f"text {key!r} has a wrong brace ({error}): write {{{{ for a brace itself", key)
        if not used <= allowed:
            source.fail(
                f"text {key!r} uses {{{sorted(used - allowed)[0]}}}, which it does not get: use "
                f"{', '.join(sorted(allowed)) or 'no value'}",
                key,
            )
    return texts


def _replies(source: Source, categories: Sequence[Category]) -> tuple[Reply, ...]:
    replies = parse(source, tuple[Reply, ...])
    known = {f"{c.level1}/{c.level2}" for c in categories}
    questions: set[str] = set()
    for index, reply in enumerate(replies):
        if reply.category is not None and reply.category not in known:
            source.fail(f"category {reply.category!r} is unknown: correct it", index, "category")
        if reply.question in questions:
            source.fail("this question is there twice: remove one", index, "question")
        questions.add(reply.question)
    return replies
