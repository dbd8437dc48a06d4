"""Names as they are heard: people type, and speech recognition writes, the wrong character of the right sound."""

import re
from functools import cache, lru_cache
from pathlib import Path

__all__ = ["COUNTS", "SOUNDS", "TELLS_APART", "heard", "sound"]

SOUNDS = Path(__file__).with_suffix(".txt")
"""A toneless syllable of pinyin and its characters a line."""
COUNTS = frozenset("一二三四五六七八九十0123456789")
TELLS_APART = COUNTS | frozenset("东西南北前后大小上下中新老第")
"""What tells neighbours apart: each is written as it is, though others (期) are heard as one of them (七)."""


@lru_cache(4096)
def sound(text: str) -> str:
    """Every Chinese character as the one that stands for all of its sound; others stay as they are."""
    return text.translate(_exact())


@lru_cache(4096)
def heard(text: str) -> str:
    """As `sound`, more widely: z and zh, n and l, in and ing are one, as many say them."""
    return text.translate(_wide())


@cache
def _exact() -> dict[int, str]:
    table = {}
    for _, chars in _syllables():
        stands = next((char for char in chars if char in TELLS_APART), chars[0])
        table.update({ord(char): stands for char in chars})
    return table


@cache
def _wide() -> dict[int, str]:
    stands: dict[str, str] = {}
    table = {}
    for spelled, chars in _syllables():
        wide = re.sub(r"^([zcs])h", r"\1", re.sub(r"([ie]n)g$", r"\1", re.sub(r"^n(?=.)", "l", spelled)))
        table.update(dict.fromkeys(map(ord, chars), stands.setdefault(wide, chars[0])))
    return table


def _syllables() -> list[tuple[str, str]]:
    lines = SOUNDS.read_text(encoding="utf-8").splitlines()
    return [(spelled, chars) for spelled, chars in (line.split(" ") for line in lines)]
