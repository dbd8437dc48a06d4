"""Words for comparing statements (`kb/data/comparing.txt`): groups, equals, what narrows, what says nothing."""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from kb.text import folded

_DATA = Path(__file__).parent.parent / "data"
# A pair of characters that stands in this share of a large text's words weighs least, one that is in no word most.
_COMMON, _RARE = 3e-4, 3e-6
_LEAST_WEIGHT = 0.2


def canonical(text: str) -> str:
    """The folded text with residents' words put into those of documents; what says nothing is left out."""
    return _rewriting()(folded(text))


def exclusive(a: str, b: str, kind: str) -> bool:
    """Whether two folded texts name different members of a group of which a thing is only one: 单身, 已婚.

    `kind`: that of the numbers that are compared; some groups hold for a few only.
    """
    for kinds, group in _groups():
        if kinds and kind not in kinds:
            continue
        in_a = _named(group, a)
        if in_a and (in_b := _named(group, b)) and not in_a & in_b:
            return True
    return False


def narrowing(a: str, b: str) -> int:
    """How many things that narrow a statement to a part or another step are said in only one of two folded texts."""
    return sum(any(w in a for w in same) != any(w in b for w in same) for same in _narrowing())


@cache
def rarity(pair: str) -> float:
    """What sharing a pair of characters is worth: 1 for one that is in no common word, 0.2 for the most common."""
    share = _pair_shares().get(pair, 0.0)
    if share <= _RARE:
        return 1.0
    scale = math.log(share / _RARE) / math.log(_COMMON / _RARE)
    return max(_LEAST_WEIGHT, 1.0 - (1.0 - _LEAST_WEIGHT) * scale)


@cache
def _pair_shares() -> dict[str, float]:
    """How often pairs of characters stand in the words of jieba's dictionary, weighed by those words' frequency."""
    import jieba

    counts: dict[str, int] = {}
    total = 0
    with (Path(jieba.__file__).parent / "dict.txt").open(encoding="utf-8") as lines:
        for line in lines:
            word, count, _ = line.split()
            total += int(count)
            if len(word) > 1:
                for i in range(len(word) - 1):
                    pair = word[i : i + 2]
                    counts[pair] = counts.get(pair, 0) + int(count)
    return {pair: count / total for pair, count in counts.items() if count > _RARE * total}


def _named(group: Sequence[tuple[str, int]], text: str) -> set[int]:
    """Numbers of the members of a group in a text, a longer word before those it holds."""
    found = set()
    for word, member in group:
        if word in text:
            found.add(member)
            text = text.replace(word, " ")
    return found


@cache
def _rewriting() -> Callable[[str], str]:
    to = {word: same[0] for same in map(str.split, _section("equal")) for word in same[1:]}
    to |= {word: " " for line in _section("generic") for word in line.split()}
    pattern = re.compile("|".join(sorted(map(re.escape, to), key=len, reverse=True)))
    filler = re.compile("[的了是在和与及或由对把被就都也要能会可向从到自为之其该本各每]")
    return lambda text: filler.sub(" ", pattern.sub(lambda m: to[m[0]], text))


@cache
def _groups() -> list[tuple[frozenset[str], list[tuple[str, int]]]]:
    """Words of each group with the number of the member they name, longest first; before them the kinds it is for."""
    groups = []
    for line in _section("exclusive"):
        kinds, _, members = line.rpartition(":")
        named = [(word, n) for n, member in enumerate(members.split()) for word in member.split("/")]
        groups.append((frozenset(kinds.split()), sorted(named, key=lambda pair: -len(pair[0]))))
    return groups


@cache
def _narrowing() -> list[list[str]]:
    return [same.split("/") for line in _section("narrowing") for same in line.split()]


def _section(name: str) -> list[str]:
    text = (_DATA / "comparing.txt").read_text(encoding="utf-8")
    part = re.search(rf"^\[{name}\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)
    assert part is not None, name
    return [line for line in part[1].splitlines() if line.strip() and not line.startswith("#")]
