"""Character n-grams hashed into a fixed number of buckets: the bag of words that needs neither words nor a vocabulary.

Used by training and by serving, so that both count the same things.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from zlib import crc32

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]

_SPACE = re.compile(r"[\s\u200b-\u200f\ufeff]+")
_CODED_PLACE = re.compile(r"[A-Za-z]\d*(?=市|区|县|镇|乡|街|路|小区)")  # anonymised places say nothing about a topic
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def plain(text: str) -> str:
    """The text as it is counted: lower case, no blanks, numbers and coded places replaced by one sign each."""
    return _NUMBER.sub("0", _CODED_PLACE.sub("", _SPACE.sub("", text))).lower()


def count(text: str, buckets: int, longest: int = 3) -> tuple[Indices, Values]:
    """Buckets of the n-grams of 1 to `longest` characters and 1 + ln(count) of each; empty arrays for empty text."""
    text = plain(text)
    grams: Counter[str] = Counter()
    for n in range(1, longest + 1):
        grams.update(text[i : i + n] for i in range(len(text) - n + 1))
    totals: dict[int, float] = {}
    for gram, times in grams.items():
        bucket = crc32(gram.encode("utf-8", "surrogatepass")) % buckets
        totals[bucket] = totals.get(bucket, 0.0) + times
    indices = np.fromiter(totals, np.int64, len(totals))
    values = np.fromiter((1 + math.log(v) for v in totals.values()), np.float32, len(totals))
    return indices, values


def weigh(indices: Indices, values: Values, idf: npt.NDArray[np.float16]) -> Values:
    """Values times the inverse document frequency, scaled to length 1."""
    weighted = values * idf[indices].astype(np.float32)
    length = float(np.linalg.norm(weighted))
    return weighted / length if length else weighted
