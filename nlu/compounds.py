"""Messages with several requests, made of sentences with one: the heads learn to divide from them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from nlu.data import REST, Example
from nlu.errors import DataError

_LISTS = ("joiners", "numbered", "openings", "closings")
_LONGEST_PART = 120
_ENDINGS = "。！？!?，,；; \n"


@dataclass(frozen=True, slots=True)
class Made:
    """A message and the stretch of it that each sentence takes."""

    text: str
    parts: tuple[tuple[int, int, Example], ...]


def load_words(path: Path) -> dict[str, list[str]]:
    """What stands before, between and after requests; raises DataError when a list is missing."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in _LISTS:
        if not isinstance(content, dict) or not content.get(name):
            raise DataError(path, None, f"the list '{name}' is missing or empty", "Give it at least one entry")
    return {name: [str(word) for word in content[name]] for name in _LISTS}


def make(examples: Sequence[Example], words: dict[str, list[str]], count: int, seed: int) -> list[Made]:
    """`count` messages of two or three requests (three in one of four), nearly all of different first levels."""
    usable = [e for e in examples if e.category2 and e.category2 != REST and len(e.text) <= _LONGEST_PART]
    if len({e.category1 for e in usable}) < 2:
        return []
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    made: list[Made] = []
    while len(made) < count:
        chosen = rng.sample(usable, 3 if rng.random() < 0.25 else 2)
        same = len({e.category1 for e in chosen}) < len(chosen)
        if len({(e.category1, e.category2) for e in chosen}) == len(chosen) and (not same or rng.random() < 0.1):
            made.append(_join(chosen, words, rng))
    return made


def _join(chosen: Sequence[Example], words: dict[str, list[str]], rng: random.Random) -> Made:
    text = rng.choice(words["openings"])
    numbered = rng.choice(words["numbered"]) if rng.random() < 0.15 else None
    parts = []
    for i, example in enumerate(chosen):
        if numbered:
            text += ("\n" if i else "") + numbered.replace("{n}", str(i + 1))
        elif i:
            text += rng.choice(words["joiners"])
        body = example.text if i + 1 == len(chosen) else example.text.rstrip(_ENDINGS)
        parts.append((len(text), len(text) + len(body), example))
        text += body
    return Made(text + rng.choice(words["closings"]), tuple(parts))
