"""What speaks for each rule of the matrix: the category, the words that were said, what examples taught.

A log-linear model (conditional maximum likelihood; Berger, Della Pietra and Della Pietra 1996) with a dozen weights
that a person can read: a rule's score is the sum of the three, and the softmax of the scores is how likely each is.
`benchmarks/routing.py --fit` finds the weights.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.city import City
from assistant.city_models import Rule

__all__ = ["Evidence", "Features", "Tell", "Weights", "likelihoods", "probabilities_of"]

Array = npt.NDArray[np.float64]
Tell = Callable[[str], Mapping[str, float]]
"""What was learned from examples: text → name of a rule → log-probability; rules may be missing."""

CLASSES = ("short", "three", "long", "vague")
"""Words by what they are worth: up to two characters, three, more, and those said of other matters too."""
_UNTHINKABLE = -12.0  # no rule is told less likely than this


@dataclass(frozen=True, slots=True)
class Weights:
    """`trust`: how often a category is right that was given as sure. `family`: of what is left, the share of its first
    level. `second_home`: a rule's further categories against its first. `prior`: power of the category.
    `words`: log-likelihood ratio of one word, by CLASSES. `most`: where all words together level off.
    `unnamed`, `unnamed_matter`: where no word was said, for a rule of a whole category and for one of a matter.
    `told`: power of what examples taught.
    """

    trust: float
    family: float
    second_home: float
    prior: float
    words: tuple[float, float, float, float]
    most: float
    unnamed: float
    unnamed_matter: float
    told: float = 0.0


@dataclass(frozen=True, slots=True)
class Features:
    """Of one text, for every rule. `first`, `second`: probability of the rule's first and best further category.
    `sisters`: share of the first category among the categories of the first levels that are likely. `rest`:
    probability that is not spread over categories. `words`: (CLASSES, rules). `told`: log-probability by examples.
    """

    first: Array
    second: Array
    sisters: Array
    rest: float | Array
    words: Array
    told: Array


@dataclass(frozen=True, slots=True)
class _Word:
    parts: tuple[str, ...]
    kind: int
    rarity: float

    def inside(self, other: "_Word") -> bool:
        return self.parts != other.parts and all(any(mine in part for part in other.parts) for mine in self.parts)


class Evidence:
    """What a city's matrix, as it stands now, makes of a text."""

    def __init__(self, city: City, tell: Tell | None = None) -> None:
        self.rules = city.matrix.rules
        self._index = {f"{level1}/{level2}": n for n, (level1, level2) in enumerate(city.categories)}
        self._labels = tuple(self._index)
        groups = [city.level1.index(level1) for level1, _ in city.categories]
        self._group = np.array(groups)
        self._size = np.bincount(self._group, minlength=len(city.level1))
        self._first = np.array([self._index[rule.category[0]] for rule in self.rules])
        further = {n: rule.category[1:] for n, rule in enumerate(self.rules) if len(rule.category) > 1}
        self._having_further = np.array(list(further), np.intp)
        self._further = np.array([self._index[name] for names in further.values() for name in names], np.intp)
        self._further_from = np.cumsum([0, *map(len, further.values())])[:-1]
        self._of_matter = np.array([rule.matter is not None for rule in self.rules])
        named = frozenset(word for rule in self.rules for word in rule.words)
        said = [_said(city, rule, named) for rule in self.rules]
        claims = Counter(word for words in said for word in words)
        # By their first two characters: a text holds few of all.
        self._words: dict[str, list[tuple[int, _Word]]] = defaultdict(list)
        for n, (rule, words) in enumerate(zip(self.rules, said, strict=True)):
            for word in words:
                known = _Word(tuple(word.split("+")), _class(word, rule), 1 / claims[word])
                self._words[known.parts[0][:2]].append((n, known))
        self._tell = tell

    @property
    def categories(self) -> int:
        return len(self._labels)

    @property
    def of_matter(self) -> npt.NDArray[np.bool_]:
        return self._of_matter

    def features(self, likely: Mapping[str, float], text: str, ignore: Collection[str] = ()) -> Features:
        """`likely`: category ("level 1/level 2") → probability, at most 1 together. `ignore`: words as if unknown."""
        of_category = np.zeros(len(self._labels))
        for name, probability in likely.items():
            if name in self._index:
                of_category[self._index[name]] = probability
        of_group = np.zeros(len(self._size))
        np.add.at(of_group, self._group, of_category)
        of_group = of_group / max(float(of_group.sum()), 1e-9)
        second = np.zeros(len(self.rules))
        if len(self._further):
            second[self._having_further] = np.maximum.reduceat(of_category[self._further], self._further_from)
        return Features(
            first=of_category[self._first],
            second=second,
            sisters=(of_group / self._size)[self._group][self._first],
            rest=max(0.0, 1 - float(of_category.sum())),
            words=self._found(text, frozenset(ignore)),
            told=self._told(text),
        )

    def _found(self, text: str, ignore: frozenset[str]) -> Array:
        sums = np.zeros((len(CLASSES), len(self.rules)))
        of_rule: dict[int, list[_Word]] = defaultdict(list)
        for beginning in {*text, *map("".join, pairwise(text))}:
            for n, word in self._words.get(beginning, ()):
                if all(part in text for part in word.parts) and "+".join(word.parts) not in ignore:
                    of_rule[n].append(word)
        for n, found in of_rule.items():
            for word in found:
                # 电梯 inside 电梯故障 is the same evidence.
                if len(found) == 1 or not any(word.inside(other) for other in found):
                    sums[word.kind, n] += word.rarity
        return sums

    def _told(self, text: str) -> Array:
        if self._tell is None or not text.strip():
            return np.zeros(len(self.rules))
        told = self._tell(_once(text))
        # A rule that there were no examples of is neither likely nor unlikely.
        unknown = float(np.median(list(told.values()))) if told else 0.0
        return np.array([max(told.get(rule.name, unknown), _UNTHINKABLE) for rule in self.rules])


def likelihoods(features: Features, weights: Weights, of_matter: npt.NDArray[np.bool_], categories: int) -> Array:
    """How likely each rule is; sums to one. Features of several texts may be stacked: (…, texts, rules)."""
    left = (1 - weights.trust) + weights.trust * features.rest
    unseen = left * (weights.family * features.sisters + (1 - weights.family) / categories)
    prior = np.maximum(weights.trust * features.first + unseen, weights.second_home * weights.trust * features.second)
    said = np.tensordot(weights.words, features.words, 1)
    levelled = weights.most * np.tanh(said / weights.most)
    silent = np.where(of_matter, weights.unnamed_matter, weights.unnamed)
    score = weights.prior * np.log(prior) + np.where(said > 0, levelled, silent)
    score = score + weights.told * features.told
    exponential = np.exp(score - score.max(-1, keepdims=True))
    result: Array = exponential / exponential.sum(-1, keepdims=True)
    return result


def probabilities_of(category: str, inside: Sequence[str], given: Mapping[str, Any]) -> dict[str, float]:
    """Category → probability: what the model weighed where it may still be so, else the chosen one.

    `category`: level 1, or "level 1/level 2". `inside`: the categories of that level 1. `given`: confidences of a draft
    (category1, category2, candidates as pairs of category and probability, rule).
    """
    weighed = _weighed(given)
    chosen = "/" in category
    if (
        weighed
        and not given.get("rule")
        and any(name == category if chosen else name.startswith(f"{category}/") for name in weighed)
    ):
        return weighed
    sure = _number(given.get("category1"))
    if chosen:
        return {category: sure * _number(given.get("category2"))}
    return dict.fromkeys(inside, sure / max(1, len(inside)))


def _weighed(given: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    candidates = given.get("candidates")
    for pair in candidates if isinstance(candidates, list | tuple) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str):
            found[pair[0]] = _number(pair[1])
    total = sum(found.values())
    return found if total <= 1 else {name: value / total for name, value in found.items()}


def _number(value: Any) -> float:
    """A probability; 1 where none is given (a person chose)."""
    if not isinstance(value, int | float) or value != value:
        return 1.0
    return min(1.0, max(0.0, float(value)))


def _said(city: City, rule: Rule, named: Collection[str]) -> tuple[str, ...]:
    """All words of a rule. One that names a matter speaks for the matter's rule, not for the rest of its category."""
    words = list(rule.words)
    if rule.matter is None:
        category = city.categories.get((rule.category[0].partition("/")[0], rule.category[0].partition("/")[2]))
        words += category.keywords if category else ()
    found = dict.fromkeys((*words, *rule.sayings.clear, *rule.sayings.vague))
    return tuple(word for word in found if rule.matter is not None or word not in named or word in rule.words)


def _class(word: str, rule: Rule) -> int:
    if word in rule.sayings.vague:
        return CLASSES.index("vague")
    return min(max(len(word.replace("+", "")), 2), 4) - 2


def _once(text: str) -> str:
    """A title that only repeats the beginning of the description is left out."""
    title, _, rest = text.partition("\n")
    return rest if rest and rest.startswith(title.rstrip("…")) else text
