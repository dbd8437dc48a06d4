"""What is said without asking anything: greetings, thanks, sounds, keys hit at random (`kb/data/chatter.txt`)."""

import re
from functools import cache
from pathlib import Path

from kb.text import folded

_DATA = Path(__file__).parent.parent / "data"
_HAN = re.compile("[\u3007\u3400-\u9fff]")


def is_chatter(question: str) -> bool:
    """Whether nothing is left to ask about: one Han character at most, counting each once, beside what is said in
    passing. Letters and digits alone are nothing; "ETC怎么办" keeps its Han."""
    return len(set(_HAN.findall(_in_passing().sub("", folded(question))))) < 2


@cache
def _in_passing() -> re.Pattern[str]:
    lines = (_DATA / "chatter.txt").read_text(encoding="utf-8").splitlines()
    said = [folded(word) for line in lines if not line.startswith("#") for word in line.split()]
    longest_first = "|".join(map(re.escape, sorted(said, key=len, reverse=True)))
    # Whole stretches between marks alone are said in passing: 额 is no sound in 额度. Atomic, so that a long one that
    # ends in something else takes no longer.
    return re.compile(rf"(?:^|(?<=\W))(?>{longest_first}|\s|[a-z0-9])++(?=\W|$)")
