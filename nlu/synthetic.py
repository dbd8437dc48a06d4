"""Sentences with known place and company names, for the tagger: annotated addresses put into sentences of our own.

Published addresses come without sentences, residents write sentences. Templates close that gap; addresses are drawn
from the annotated ones and from a small grammar of Zhengzhou-like and anonymised ("A3区") places.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import yaml

from nlu.errors import DataError

Spans = list[tuple[str, int, int]]
Tagged = tuple[str, Spans]

_WORDS = (
    "districts", "streets", "road_names", "road_ends", "estate_names", "estate_ends", "villages", "company_names",
    "trades", "company_ends",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Material:
    """Templates with {A} and {C}, the words of invented names, and (district, street, community) rows."""

    templates: list[str]
    words: dict[str, list[str]]
    communities: list[tuple[str, str, str]]

    @classmethod
    def load(cls, path: Path, gazetteer: Path | None) -> Material:
        """Reads `places.yml` and, where there is one, a gazetteer; raises DataError when a list is missing."""
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("templates", *_WORDS):
            if not content.get(key):
                raise DataError(path, None, f"the list '{key}' is missing or empty", "Give it at least one entry")
        communities: list[tuple[str, str, str]] = []
        if gazetteer is not None and gazetteer.is_file():
            with gazetteer.open(encoding="utf-8-sig", newline="") as stream:
                communities = [
                    (row["district"], row["street_or_town"], row["community_or_village"])
                    for row in csv.DictReader(stream)
                ]
        return cls(content["templates"], {key: content[key] for key in _WORDS}, communities)


def company(rng: random.Random, material: Material) -> Tagged:
    """An invented company name."""
    words = material.words
    text = rng.choice(words["company_names"]) + rng.choice(words["trades"]) + rng.choice(words["company_ends"])
    return text, [("company", 0, len(text))]


def address(rng: random.Random, material: Material) -> Tagged:
    """An invented address with the spans of its parts."""
    words, communities = material.words, material.communities
    parts: list[tuple[str, str]] = []
    if rng.random() < 0.15:
        letter = rng.choice("ABCDEFGK")
        coded = rng.choice(
            [f"{letter}市", f"{letter}市{letter}{rng.randint(1, 9)}区", f"{letter}{rng.randint(1, 12)}区"]
        )
        parts.append(("district", coded + rng.choice(["", "", f"{letter}{rng.randint(1, 9)}县"])))
    elif rng.random() < 0.5:
        if rng.random() < 0.3:
            parts.append(("region", rng.choice(["郑州市", "河南省郑州市", "郑州", "河南郑州", "市"])))
        parts.append(("district", rng.choice(words["districts"])))
    if communities and rng.random() < 0.25:
        district, street, community = rng.choice(communities)
        parts = [p for p in (("district", district), ("street", street), ("community", community)) if p[1]][
            rng.randint(0, 2) :
        ]
    elif rng.random() < 0.2:
        parts.append(("street", rng.choice(words["streets"])))
    if rng.random() < 0.12:
        parts.append(("community", rng.choice(words["villages"])))
    if rng.random() < 0.65 or not parts:
        parts.append(("road", rng.choice(words["road_names"]) + rng.choice(words["road_ends"])))
        if rng.random() < 0.5:
            number = f"{rng.randint(1, 399)}号" + rng.choice(["", "", "", "院", f"附{rng.randint(1, 9)}号"])
            parts.append(("number", number))
        elif rng.random() < 0.4:
            parts += [
                ("", rng.choice(["与", "和", "、", ""])),
                ("road", rng.choice(words["road_names"]) + rng.choice(words["road_ends"])),
            ]
            parts.append(("", rng.choice(["交叉口", "交叉口", "口"])))
    if rng.random() < 0.4:
        parts.append(("estate", rng.choice(words["estate_names"]) + rng.choice(words["estate_ends"])))
    if rng.random() < 0.3:
        room = rng.choice(
            [
                "",
                f"{rng.randint(1, 5)}单元",
                f"{rng.randint(1, 3)}单元{rng.randint(1, 30)}0{rng.randint(1, 6)}",
                "一单元",
            ]
        )
        parts.append(
            (
                "building",
                rng.choice([f"{rng.randint(1, 40)}号楼", f"{rng.randint(1, 40)}栋", f"{rng.randint(1, 20)}#楼"]) + room,
            )
        )
    return _join(parts)


def _join(parts: list[tuple[str, str]]) -> Tagged:
    text, spans = "", []
    for kind, piece in parts:
        if kind and piece:
            spans.append((kind, len(text), len(text) + len(piece)))
        text += piece
    return text, spans


def sentences(annotated: list[Tagged], material: Material, count: int, seed: int) -> list[Tagged]:
    """`count` sentences with spans, half of them with an annotated address (if there are any)."""
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    found = []
    for _ in range(count):
        template = rng.choice(material.templates)
        pieces: list[Tagged] = []
        rest = template
        while "{" in rest:
            before, _, after = rest.partition("{")
            pieces.append((before, []))
            if after[0] == "C":
                pieces.append(company(rng, material))
            elif annotated and rng.random() < 0.5:
                pieces.append(rng.choice(annotated))
            else:
                pieces.append(address(rng, material))
            rest = after[2:]
        pieces.append((rest, []))
        text, spans = "", []
        for piece, own in pieces:
            spans += [(kind, start + len(text), end + len(text)) for kind, start, end in own]
            text += piece
        found.append((text, spans))
    return found
