"""Two versions of a document side by side: which fields differ, which sentences were added and removed.

Sentences are matched by the longest common subsequence (rapidfuzz). Where sentences took the place of others, the
characters that differ are marked in those that resemble each other; numbers count as one character.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rapidfuzz.distance import LCSseq

from kb.documents import FIELD_NAMES
from kb.text import sentences

__all__ = ["NAMES", "Comparison", "FieldChange", "Gap", "Line", "compare", "shortened"]

NAMES = FIELD_NAMES | {"superseded_by": "替代它的文件"}
Kind = Literal["same", "added", "removed"]
_TOKEN = re.compile(r"[0-9０-９.．%％]+|[A-Za-z]+|.", re.S)
_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class FieldChange:
    name: str
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence. `parts`: its pieces in order, each with whether it is what differs."""

    kind: Kind
    text: str
    parts: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """So many sentences that are the same in both."""

    count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    fields: list[FieldChange] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)

    @property
    def same(self) -> bool:
        return not self.fields and not self.added and not self.removed


def compare(before: Mapping[str, Any], old_text: str, after: Mapping[str, Any], new_text: str) -> Comparison:
    """What leads from one state of a document to another; `before` and `after` hold fields by name."""
    changes = [
        FieldChange(name, label, _said(before.get(name)), _said(after.get(name)))
        for name, label in NAMES.items()
        if (before.get(name) or None) != (after.get(name) or None)
    ]
    return Comparison(changes, _lines(sentences(old_text), sentences(new_text)))


def shortened(lines: Sequence[Line], around: int = 1) -> list[Line | Gap]:
    """The changes with `around` sentences before and after each; what lies between them is counted."""
    near = {j for i, line in enumerate(lines) if line.kind != "same" for j in range(i - around, i + around + 1)}
    found: list[Line | Gap] = []
    for i, line in enumerate(lines):
        if i in near:
            found.append(line)
        elif found and isinstance(found[-1], Gap):
            found[-1] = Gap(found[-1].count + 1)
        else:
            found.append(Gap(1))
    return found


def _lines(old: list[str], new: list[str]) -> list[Line]:
    found: list[Line] = []
    removed: list[Line] = []
    added: list[Line] = []
    for step in LCSseq.opcodes(old, new):
        if step.tag == "equal":
            found += _marked(removed, added)
            removed, added = [], []
            found += [Line("same", text) for text in old[step.src_start : step.src_end]]
        else:
            removed += [Line("removed", text) for text in old[step.src_start : step.src_end]]
            added += [Line("added", text) for text in new[step.dest_start : step.dest_end]]
    return found + _marked(removed, added)


def _marked(removed: list[Line], added: list[Line]) -> list[Line]:
    """What was removed, then what was added in its place; sentences in the same place are compared by character."""
    for i, (line, other) in enumerate(zip(removed, added, strict=False)):
        old, new = _TOKEN.findall(line.text), _TOKEN.findall(other.text)
        if LCSseq.normalized_similarity(old, new) >= _ALIKE:
            steps = LCSseq.opcodes(old, new)
            of_old = tuple(("".join(old[s.src_start : s.src_end]), s.tag != "equal") for s in steps)
            of_new = tuple(("".join(new[s.dest_start : s.dest_end]), s.tag != "equal") for s in steps)
            removed[i] = replace(line, parts=tuple(part for part in of_old if part[0]))
            added[i] = replace(other, parts=tuple(part for part in of_new if part[0]))
    return [*removed, *added]


def _said(value: Any) -> str:
    return str(value) if value else ""
