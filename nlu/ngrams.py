"""Character n-grams by the hash of each: a bag of words that needs neither words nor a vocabulary of strings.

Used by training and by serving, so that both count the same things. Hashes keep all 32 bits: with some hundred
thousand n-grams known to a head, one in ten thousand strange ones is taken for a known one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

LONGEST = 3
"""Characters; n-grams of four and five found nothing more on the judging sentences."""

_SPACE = re.compile(r"[\s\u200b-\u200f\ufeff]+")
_CODED_PLACE = re.compile(r"[A-Za-z]\d*(?=市|区|县|镇|乡|街|路|小区)")  # anonymised places say nothing about a topic
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def plain(text: str) -> str:
    """The text as it is counted: lower case, no blanks, numbers and coded places replaced by one sign each."""
    return _NUMBER.sub("0", _CODED_PLACE.sub("", _SPACE.sub("", text))).lower()


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of a text: their hashes, ascending, and 1 + ln(count) of each, scaled to length 1. Read-only."""

    hashes: Hashes
    values: Floats


@lru_cache(maxsize=64)  # every head asks for the same text and its clauses
def count(text: str) -> Grams:
    """The n-grams of 1 to `LONGEST` characters; the two ends of the text are characters too."""
    found = hashed(f"\x02{plain(text)}\x03", LONGEST)
    kept = sorted(found)
    values = np.array([1 + math.log(found[gram]) for gram in kept], np.float32)
    values /= np.linalg.norm(values)
    hashes = np.array(kept, np.uint32)
    hashes.flags.writeable = values.flags.writeable = False
    return Grams(hashes, values)


def places(known: Hashes, asked: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where in `known` (ascending) each of `asked` stands, and whether it stands there at all."""
    if not len(known):
        return np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    found = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return found, known[found] == asked


def hashed(text: str, longest: int) -> Counter[int]:
    """How often each n-gram of 1 to `longest` characters occurs in the text as it is, by its hash (CRC-32)."""
    grams = Counter(text[i : i + n] for n in range(1, longest + 1) for i in range(len(text) - n + 1))
    found: Counter[int] = Counter()
    for gram, times in grams.items():
        found[crc32(gram.encode("utf-8", "surrogatepass"))] += times
    return found
