"""Which destination a ticket goes to: `dispatch.yml` of the city, by lead unit or category."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from assistant.city import City
from assistant.city_files import parse, read_yaml
from assistant.errors import ConfigError

FILE = "dispatch.yml"
EMBEDDED_DEFAULT = "desk"


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Rule(BaseModel):
    """Conditions that must all hold; an absent one always does. A category is 一级, or 一级/二级."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    category: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    to: str

    def fits(self, unit: str, category1: str, category2: str | None) -> bool:
        categories = (category1, f"{category1}/{category2}")
        named = any(each in self.category for each in categories)
        return (not self.unit or unit in self.unit) and (not self.category or named)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    default: str = EMBEDDED_DEFAULT
    rules: tuple[Rule, ...] = Field(default=())


@dataclass(frozen=True, slots=True)
class DestinationChoice:
    """The first rule that fits decides, else `default`."""

    default: str = EMBEDDED_DEFAULT
    rules: tuple[Rule, ...] = ()

    def __call__(self, lead_unit: str, category1: str, category2: str | None) -> str:
        """The name of the destination."""
        fitting = (rule.to for rule in self.rules if rule.fits(lead_unit, category1, category2))
        return next(fitting, self.default)

    @classmethod
    def load(cls, folder: Path, city: City, known: Collection[str], *, default: str = "") -> "DestinationChoice":
        """Read the city's file; without one everything goes to the built-in desk.

        `known`: the names of the destinations there are. `default`: in place of the file's. Raises ConfigError naming
        file, line and remedy.
        """
        path = folder / FILE
        if default and default not in known:
            raise ConfigError(
                f"MINSHENG_DISPATCH_DESTINATION is {default!r}: choose one of {', '.join(known)}, or define it in the "
                "file of MINSHENG_DESTINATIONS"
            )
        if not path.exists():
            return cls(default or EMBEDDED_DEFAULT)
        source = read_yaml(path)
        file = parse(source, _File)
        remedy = f"use one of {', '.join(known)}, or define it in the file of MINSHENG_DESTINATIONS"
        if file.default not in known:
            source.fail(f"destination {file.default!r} is unknown: {remedy}", "default")
        for index, rule in enumerate(file.rules):
            where = ("rules", index)
            if rule.to not in known:
                source.fail(f"destination {rule.to!r} is unknown: {remedy}", *where, "to")
            if not rule.unit and not rule.category:
                source.fail("a rule names a unit or a category: add one, or change default", *where)
            for unit in rule.unit:
                if unit not in city.units:
                    source.fail(f"unit {unit!r} is unknown: write it as in units.yml", *where, "unit")
            for category in rule.category:
                level1, _, level2 = category.partition("/")
                if not ((level1, level2) in city.categories if level2 else level1 in city.level1):
                    remedy = "write 一级 or 一级/二级 as in categories.yml"
                    source.fail(f"category {category!r} is unknown: {remedy}", *where, "category")
        return cls(default or file.default, file.rules)
