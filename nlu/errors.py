"""Errors of the understanding room: every one says what is wrong, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class NluError(Exception):
    """Base of every error of this package."""


class ModelError(NluError):
    """A model folder is missing, damaged or does not fit this version of the code."""

    def __init__(self, folder: Path, problem: str, remedy: str) -> None:
        self.folder = folder
        super().__init__(f"{folder}: {problem}. {remedy}")


class DataError(NluError):
    """A training or test file cannot be used: names file, line (from 1, None for the whole file) and remedy."""

    def __init__(self, file: Path, line: int | None, problem: str, remedy: str) -> None:
        self.file, self.line = file, line
        place = f"{file}:{line}" if line is not None else str(file)
        super().__init__(f"{place}: {problem}. {remedy}")


class BaseModelError(NluError):
    """The base encoder cannot be read or built."""


class ExampleError(NluError):
    """Examples that staff wrote cannot be learned from; says in Chinese why. `line`: from 1, None for all of them."""

    def __init__(self, line: int | None, problem: str) -> None:
        self.line, self.problem = line, problem
        super().__init__(f"第 {line} 行：{problem}" if line else problem)
