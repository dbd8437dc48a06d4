"""Reading a city pack's YAML and CSV files so that every error names file and line."""

import csv
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from assistant.errors import ConfigError

T = TypeVar("T")


class _Lines:
    """Where each key or item of a container was written (1-based lines)."""

    line: int
    lines: dict[Any, int]


class _Map(dict[Any, Any], _Lines):
    pass


class _List(list[Any], _Lines):
    pass


class _Loader(yaml.CSafeLoader):
    """The C loader, which also remembers lines and refuses a key written twice."""


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> _Map:
    result = _Map()
    result.line, result.lines = node.start_mark.line + 1, {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
        line = key_node.start_mark.line + 1
        if key in result.lines:
            raise _DuplicateKey(line, key, result.lines[key])
        result.lines[key] = line
        result[key] = loader.construct_object(value_node, deep=True)  # type: ignore[no-untyped-call]
    return result


def _construct_list(loader: _Loader, node: yaml.SequenceNode) -> _List:
    result = _List(loader.construct_object(item, deep=True) for item in node.value)  # type: ignore[no-untyped-call]
    result.line = node.start_mark.line + 1
    result.lines = {index: item.start_mark.line + 1 for index, item in enumerate(node.value)}
    return result


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:seq", _construct_list)


class _DuplicateKey(Exception):
    def __init__(self, line: int, key: Any, first: int) -> None:
        super().__init__(key)
        self.line, self.key, self.first = line, key, first


class Source:
    """One parsed file, able to say where any part of it was written."""

    def __init__(self, path: Path, data: Any) -> None:
        self.path, self.data = path, data

    def line(self, *location: Any) -> int:
        """The line of the deepest part of `location` (keys and indices) that exists."""
        node, line = self.data, getattr(self.data, "line", 1)
        for step in location:
            lines = getattr(node, "lines", {})
            if step not in lines:
                break
            line, node = lines[step], node[step]
        return int(line)

    def fail(self, problem: str, *location: Any) -> NoReturn:
        """Raise ConfigError with file, line and `problem` (which says the remedy)."""
        raise ConfigError(f"{self.path}:{self.line(*location)}: {problem}")


def read_yaml(path: Path) -> Source:
    """Parse `path`. Raises ConfigError when it is missing, is not UTF-8 or YAML, or writes a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}:1: the file is missing: copy it from city/demo and adapt it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:1: the file is not UTF-8: save it as UTF-8") from None
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from the safe loader
    except _DuplicateKey as error:
        raise ConfigError(
            f"{path}:{error.line}: key {error.key!r} is written twice (first on line {error.first}): remove one"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML ({error.problem}): check indentation and quotes") from None
    if data is None:
        raise ConfigError(f"{path}:1: the file is empty: copy it from city/demo and adapt it")
    return Source(path, data)


def parse(source: Source, kind: type[T]) -> T:
    """Check the whole file against `kind` (a pydantic model or a type such as `list[Model]`)."""
    try:
        return TypeAdapter(kind).validate_python(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        location = tuple(first["loc"])
        name = ".".join(str(step) for step in location)
        last = location[-1] if location else name
        remedy = {
            "missing": f"key {last!r} is missing: add it",
            "extra_forbidden": f"key {last!r} is unknown: remove it or correct its spelling",
        }.get(first["type"], f"{name or 'the file'}: {first['msg']}: correct the value")
        source.fail(remedy, *location)


def read_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers; lines that start with `#` are comments.

    Raises ConfigError when the header differs from `columns` or a row has another number of fields.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigError(f"{path}:1: the file is missing: copy it from city/demo and adapt it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:1: the file is not UTF-8: save it as UTF-8") from None
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    records = list(csv.reader(line for _, line in numbered))
    if not records or tuple(records[0]) != columns:
        line_number = numbered[0][0] if numbered else 1
        raise ConfigError(f"{path}:{line_number}: the header must be {','.join(columns)}: correct it")
    rows = []
    for (number, _), record in zip(numbered[1:], records[1:], strict=True):
        if len(record) != len(columns):
            raise ConfigError(
                f"{path}:{number}: {len(record)} fields instead of {len(columns)}: check commas and quotes"
            )
        rows.append((number, dict(zip(columns, (field.strip() for field in record), strict=True))))
    return rows
