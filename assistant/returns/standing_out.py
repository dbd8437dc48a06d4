"""The words by which some texts stand out against others."""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

__all__ = ["Split", "standing_out"]

Split = Callable[[str], list[str]]

_HAN = re.compile("[\u3400-\u9fff]{2,8}")
_SURE = 1.645  # one-sided 5 %
_MOST_ELSEWHERE = 0.02
_PRIOR = 0.5


def standing_out(
    texts: Sequence[str],
    others: Sequence[str],
    split: Split,
    *,
    without: Collection[str] = (),
    taken: Collection[str] = (),
    most: int = 5,
) -> tuple[str, ...]:
    """At most `most` words, and pairs of neighbouring words, that texts share and others hardly have.

    Ranked by the z-score of the log-odds ratio of the documents that hold them, with a prior of half a document
    (Monroe, Colaresi, Quinn: Fightin' Words, 2008, without their informative prior). Of several texts at least two, and
    a third of them, must hold a word; then the words are taken that say something of texts not covered yet. `split`: a
    text's words in order. `without`: what must not be in a word, nor a word in it. `taken`: words that are not free.
    """
    own, elsewhere = [_terms(text, split) for text in texts], [_terms(text, split) for text in others]
    inside, outside = Counter(t for terms in own for t in terms), Counter(t for terms in elsewhere for t in terms)
    least = 1 if len(texts) == 1 else max(2, math.ceil(len(texts) / 3))
    scores = {}
    for term, count in inside.items():
        rare = outside[term] <= _MOST_ELSEWHERE * len(others)
        if count < least or not rare or term in taken or any(term in word or word in term for word in without):
            continue
        score = _z(count, len(texts), outside[term], len(others))
        # Of a single text nothing can be sure: a person has asked, and looks at the words.
        if score >= _SURE or len(texts) == 1:
            scores[term] = score
    ranked = sorted(scores, key=lambda term: (-round(scores[term], 6), -len(term), term))
    chosen: list[str] = []
    covered: Counter[int] = Counter()
    for term in ranked:
        if any(term in word or word in term for word in chosen):
            continue
        holders = [index for index, terms in enumerate(own) if term in terms]
        # A text is spoken for with two words; a third adds what only this text says.
        if all(covered[index] >= 2 for index in holders):
            continue
        covered.update(holders)
        chosen.append(term)
        if len(chosen) == most:
            break
    return tuple(chosen)


def _terms(text: str, split: Split) -> set[str]:
    words = split(text)
    pairs = (a + b for a, b in pairwise(words) if a + b in text)
    return {term for term in (*words, *pairs) if _HAN.fullmatch(term)}


def _z(inside: int, texts: int, outside: int, others: int) -> float:
    a, b = inside + _PRIOR, texts - inside + _PRIOR
    c, d = outside + _PRIOR, others - outside + _PRIOR
    return math.log(a * d / (b * c)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
