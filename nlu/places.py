"""From what the tagger marks to entities: parts (district, road, number, …) make whole places, "金水区花园路85号"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nlu import labels, names

Span = tuple[str, int, int, float]

ALONE = ("company", "name")
TAGGED: tuple[str, ...] = ("region", *labels.PLACE_PARTS, *ALONE)
"""Types the tagger knows; "region" (province, city) only lengthens a place."""

_GLUE = re.compile(r"^[\s,，、·_#的和与-]{0,2}$|^交叉口?$")
_NUMBER_END = re.compile(r"^(?:附?\d{1,5}号院?(?:楼)?|号院?|号楼)")
_CODED = re.compile(r"[A-Z]\d{0,2}(?:市|区|县)(?:[A-Z]\d{0,2}(?:区|县|市))?")
_LEAST = 0.45  # parts the tagger itself half doubts are noise
_LEAST_NAME = 0.6  # of a person, where no rule tells one


def assemble(text: str, tagged: Iterable[Span], taken: list[tuple[int, int]]) -> list[Span]:
    """Whole places and their parts, companies and names, without what lies in `taken` (telephones, cards)."""
    parts = [
        span
        for span in tagged
        if span[3] >= _LEAST and not any(span[1] < end and start < span[2] for start, end in taken)
    ]
    for match in _CODED.finditer(text):  # "A3区", "B市": how published hotline data hide a name
        # What the tagger found inside of it is a piece of a name.
        parts = [span for span in parts if not (match.start() <= span[1] and span[2] <= match.end())]
        if not any(span[1] < match.end() and match.start() < span[2] for span in parts):
            parts.append(("district", match.start(), match.end(), 1.0))
    parts.sort(key=lambda span: span[1])
    found: list[Span] = [span for span in parts if span[0] in ALONE]
    group: list[Span] = []
    for span in [s for s in parts if s[0] not in ALONE]:
        if group and not _GLUE.match(text[group[-1][2] : span[1]]):
            found += _place(text, group)
            group = []
        group.append(span)
    return found + _place(text, group)


def with_names(text: str, tagged: Sequence[Span], told: list[tuple[int, int]]) -> list[Span]:
    """What the tagger marked, with the names that rules found (`told`) instead of its own over the same letters, and
    with names whose last letters it left off."""
    told = [
        (a, b) for a, b in told if not any(kind != "name" and a < end and start < b for kind, start, end, _ in tagged)
    ]
    kept = [
        span
        for span in tagged
        if span[0] != "name" or (span[3] >= _LEAST_NAME and not any(span[1] < b and a < span[2] for a, b in told))
    ]
    found: list[Span] = [("name", start, end, 1.0) for start, end in told]
    for kind, start, end, sureness in kept:
        whole = names.complete(text, start, end) if kind == "name" else end
        taken = [a for _, a, *_ in (*kept, *found) if a >= end]
        found.append((kind, start, whole if whole <= min(taken, default=whole) else end, sureness))
    return sorted(found, key=lambda span: span[1])


def _place(text: str, group: list[Span]) -> list[Span]:
    if not group:
        return []
    last = group[-1]
    if last[0] in ("number", "building", "road") and (more := _NUMBER_END.match(text[last[2] :])) and last[0] != "road":
        group[-1] = last = (last[0], last[1], last[2] + more.end(), last[3])
    if (
        all(span[0] in ("number", "building") for span in group)
        and len(group) == 1
        and len(text) > last[2] - last[1] + 12
    ):
        return []  # a lone "3号" in a long sentence is no place
    confidence = sum(span[3] * (span[2] - span[1]) for span in group) / sum(span[2] - span[1] for span in group)
    place: Span = ("place", group[0][1], last[2], confidence)
    return [place, *(span for span in group if span[0] != "region")]
