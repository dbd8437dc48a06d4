"""What a usable ticket needs beside what the form asks anyway, by category; elements.yml of a city.

A category's elements are those of its matter, else of its second level, else of its first: the nearest entry counts,
nothing is added up. `said` finds what a resident told already, by the words and entities the file names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from assistant.city_files import Source, parse

__all__ = ["Element", "Elements", "read_elements", "said"]

ElementKind = Literal["text", "number", "money", "date", "yes_no", "choice"]
EntityType = Literal["time", "company", "plate", "name"]

MOST_ASKED = 3
_VALUE_CHARS = 60
_ENTITY_CHARS = 2  # a single letter is a slip of the model
_PART = re.compile(r"<([a-z]+)>")
_ASKED_ANYWAY = re.compile(r"发生在|什么地方|什么位置|具体地址|门牌|您的(?:姓名|电话|手机)|联系(?:电话|方式)|手机号")


@dataclass(frozen=True, slots=True)
class Element:
    """One thing to know. `code` is ASCII, `name` and `question` are for people.

    `values`: the answers offered, for yes_no and choice. `called`: other names of it in a correction.
    `patterns`: where one is found it is said, in the words of the first group or of the match; not in words that match
    one of `never`. `entities`: types of the language model's entities that say it.
    """

    code: str
    name: str
    question: str
    kind: ElementKind
    required: bool
    values: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    never: tuple[re.Pattern[str], ...] = ()
    entities: tuple[EntityType, ...] = ()


class Elements:
    """The elements of every category and matter."""

    def __init__(self, needs: Mapping[str, tuple[Element, ...]]) -> None:
        self._needs = dict(needs)

    def of(self, category1: str, category2: str | None, matter: str | None = None) -> tuple[Element, ...]:
        """What matters most first; empty where the city asks for nothing."""
        for name in (matter, f"{category1}/{category2}", category1):
            if name is not None and name in self._needs:
                return self._needs[name]
        return ()

    def names(self) -> dict[str, str]:
        """Code → what people call it."""
        return {element.code: element.name for elements in self._needs.values() for element in elements}

    def entries(self) -> Iterator[tuple[str, tuple[Element, ...]]]:
        """Every entry of the file: a matter, `level1/level2` or a first level, and its elements."""
        return iter(self._needs.items())


def said(elements: Iterable[Element], text: str, entities: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
    """Code → words, for each element that `text` tells. `entities`: the model's, each with `type` and `text`."""
    found = {}
    for element in elements:
        if words := _said_one(element, text, entities):
            found[element.code] = words[:_VALUE_CHARS]
    return found


def _said_one(element: Element, text: str, entities: Sequence[Mapping[str, Any]]) -> str | None:
    for pattern in element.patterns:
        for match in pattern.finditer(text):
            words = (match[1] if pattern.groups and match[1] else match[0]).strip()
            if words and not any(never.search(words) for never in element.never):
                return words
    for entity in entities:
        words = str(entity.get("text") or "").strip()
        is_told = entity.get("type") in element.entities and len(words) >= _ENTITY_CHARS
        if is_told and not any(never.search(words) for never in element.never):
            return words
    return None


# --- elements.yml --------------------------------------------------------------------------------------------------


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Entry(_Model):
    name: str = Field(min_length=2, max_length=12)
    question: str = Field(min_length=4, max_length=40)
    kind: ElementKind
    values: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    not_said: tuple[str, ...] = ()
    entities: tuple[EntityType, ...] = ()


class _Needs(_Model):
    for_: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(alias="for", min_length=1)
    required: tuple[str, ...] = ()
    helpful: tuple[str, ...] = ()


class _File(_Model):
    parts: dict[str, str] = {}
    elements: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], _Entry]
    needs: tuple[_Needs, ...]


def read_elements(source: Source, categories: Iterable[tuple[str, str]], matters: Iterable[str]) -> Elements:
    """Check elements.yml against the city's categories (level 1, level 2) and the matters of its matrix.

    Raises ConfigError with file, line and remedy.
    """
    file = parse(source, _File)
    parts = _parts(source, file.parts)
    elements = {code: _element(source, code, entry, parts) for code, entry in file.elements.items()}
    pairs = tuple(categories)
    known = {name for pair in pairs for name in (pair[0], "/".join(pair))} | set(matters)
    needs: dict[str, tuple[Element, ...]] = {}
    used: set[str] = set()
    for index, entry in enumerate(file.needs):
        codes = (*entry.required, *entry.helpful)
        for code in codes:
            if code not in elements:
                source.fail(f"element {code!r} is unknown: add it under elements or correct it", "needs", index)
        if len(set(codes)) < len(codes):
            source.fail("an element is there twice: remove one", "needs", index)
        if len(entry.required) > MOST_ASKED:
            source.fail(
                f"{len(entry.required)} required elements: nobody answers more than {MOST_ASKED} questions, "
                "move the rest to helpful",
                "needs", index, "required",
            )  # fmt: skip
        used |= set(codes)
        for name in entry.for_:
            if name not in known:
                source.fail(
                    f"{name!r} is neither a matter nor a category of the city: write a matter, 一级/二级 or 一级",
                    "needs", index, "for",
                )  # fmt: skip
            if name in needs:
                source.fail(f"{name!r} is there twice: remove one", "needs", index, "for")
            needs[name] = (
                *(elements[code](True) for code in entry.required),
                *(elements[code](False) for code in entry.helpful),
            )
    for code in elements:
        if code not in used:
            source.fail(f"element {code!r} is needed nowhere: name it under needs or remove it", "elements", code)
    return Elements(needs)


class _Prepared:
    """An element of the file; called with whether it is required."""

    def __init__(self, code: str, entry: _Entry, said: tuple[re.Pattern[str], ...], never: tuple[re.Pattern[str], ...]):
        self._code, self._entry, self._said, self._never = code, entry, said, never

    def __call__(self, required: bool) -> Element:
        entry = self._entry
        return Element(
            self._code, entry.name, entry.question, entry.kind, required, entry.values, entry.called, self._said,
            self._never, entry.entities,
        )  # fmt: skip


def _element(source: Source, code: str, entry: _Entry, parts: Mapping[str, str]) -> _Prepared:
    where = ("elements", code)
    if _ASKED_ANYWAY.search(entry.question):
        source.fail("the form asks for place and contact anyway: ask for something else", *where, "question")
    if entry.kind == "yes_no" and len(entry.values) != 2:
        source.fail("a yes_no element has two values: write the two answers", *where)
    if entry.kind == "choice" and len(entry.values) < 2:
        source.fail("a choice element has two values or more: add them", *where)
    if entry.kind not in ("yes_no", "choice") and entry.values:
        source.fail("only yes_no and choice have values: remove them or change the kind", *where, "values")
    said_patterns = tuple(_compiled(source, p, parts, *where, "said", i) for i, p in enumerate(entry.said))
    never = tuple(_compiled(source, p, parts, *where, "not_said", i) for i, p in enumerate(entry.not_said))
    return _Prepared(code, entry, said_patterns, never)


def _parts(source: Source, written: Mapping[str, str]) -> dict[str, str]:
    parts: dict[str, str] = {}
    for name, pattern in written.items():  # a part may use those before it
        parts[name] = f"(?:{_compiled(source, pattern, parts, 'parts', name).pattern})"
    return parts


def _compiled(source: Source, pattern: str, parts: Mapping[str, str], *where: str | int) -> re.Pattern[str]:
    for name in _PART.findall(pattern):
        if name not in parts:
            source.fail(f"part <{name}> is unknown: write it under parts, before it is used", *where)
    try:
        return re.compile(_PART.sub(lambda match: parts[match[1]], pattern))
    except re.error as error:
        source.fail(f"not a regular expression ({error}): correct it", *where)
