"""Which unit leads: category × matter × place through the responsibility matrix, with the reason in words.

Every rule gets a weight, the product of two things: how likely its category is (from the model's confidences,
smoothed, as a model is sometimes sure and wrong) and how much of what the resident wrote names its matter (naive Bayes
with hand-set log-likelihoods). Weights of rules that lead to the same unit add up; the share of the best unit is the
confidence.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant.city import City, Place
from assistant.city_models import Category, Rule
from assistant.tickets.model import Candidate, Routing

__all__ = ["Route", "Router"]

_UNSTATED = 0.7  # confidence of a category when none is given (a person chose it, or an older client)
_TRUST = 0.85  # how often a model that is fully sure is right
_SECOND_HOME = 0.9  # a rule's further categories against its first
_UNNAMED = math.log(0.15)  # a matter of which no word was said
_WORD = {1: 0.5, 2: 1.8, 3: 2.3}  # log-likelihood of a word by its length; longer ones count as _LONG_WORD
_LONG_WORD = 2.8
_KEYWORD_FACTOR = 0.6  # a category's keywords against a matter's words
_MOST_EVIDENCE = 6.0
_HEAD_CHARS, _TAIL_FACTOR = 160, 0.5  # words far down in a long text count half


@dataclass(frozen=True, slots=True)
class Route:
    """`deadline`: the deadline class that category and matter call for. `service_code`: for the dispatch API."""

    lead_unit: str
    assisting_units: tuple[str, ...]
    routing: Routing
    deadline: str
    service_code: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A rule with what never changes. `words`: with their log-likelihoods."""

    rule: Rule
    is_component: bool
    words: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Scored:
    prepared: _Prepared
    weight: float
    unit: str
    matter: str


class Router:
    """Applies one city's matrix. Holds no state beside what it has prepared of it."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._threshold = city.matrix.threshold
        self._prepare()

    def _prepare(self) -> None:
        self._revision = self._city.revision
        self._rarity = _rarity(self._city.matrix.rules)
        self._rules = [self._prepared(rule) for rule in self._city.matrix.rules]

    def route(
        self,
        category1: str,
        category2: str | None,
        text: str,
        place: Place,
        confidences: Mapping[str, Any] | None = None,
    ) -> Route:
        """`text`: title and description. `category1` must be one of the city's; `category2` may be unknown."""
        if self._revision != self._city.revision:
            self._prepare()
        given = confidences or {}
        likely = self._categories(category1, category2, given)
        scored = [self._score(prepared, likely, text, place) for prepared in self._rules]
        total = sum(item.weight for item in scored)
        shares: dict[str, float] = defaultdict(float)
        leading: dict[str, _Scored] = {}
        for item in scored:
            shares[item.unit] += item.weight / total
            if item.unit not in leading or item.weight > leading[item.unit].weight:
                leading[item.unit] = item
        ranked = sorted(leading, key=lambda unit: -shares[unit])[:3]
        best, confidence = leading[ranked[0]], min(0.99, shares[ranked[0]])
        model = given.get("model")
        review = confidence < self._threshold
        rule = best.prepared.rule
        category = self._category_of(rule, category1, category2)
        lead = best.unit
        reason = self._reason(best.prepared, best.matter, lead, place)
        if review:
            reason = (
                f"系统判断可能由{lead}承办（{best.matter}），但把握不足，按首接负责交{self._city.matrix.first_receiver}，"
                "由工作人员确定承办单位。"
            )
        routing = Routing(
            reason=reason,
            confidence=round(confidence, 3),
            candidates=tuple(
                Candidate(unit, leading[unit].matter, round(min(0.99, shares[unit]), 3)) for unit in ranked
            ),
            review=review,
            model_version=str(model) if model is not None else None,
            place_confidence=place.confidence,
        )
        chosen = self._city.matrix.first_receiver if review else lead
        return Route(
            lead_unit=chosen,
            assisting_units=() if review else self._assisting(rule, lead, place),
            routing=routing,
            deadline=rule.deadline or category.deadline,
            service_code=category.service_code,
        )

    # --- scoring ---------------------------------------------------------------------------------------------------

    def _categories(self, category1: str, category2: str | None, given: Mapping[str, Any]) -> dict[str, float]:
        """How likely each `level1/level2` is; sums to one."""
        sure1 = _TRUST * _number(given.get("category1"), _UNSTATED)
        sure2 = _TRUST * _number(given.get("category2"), _UNSTATED)
        inside = [category.level2 for category in self._city.categories_of(category1)]
        outside = len(self._city.categories) - len(inside)
        likely = {}
        for level1, level2 in self._city.categories:
            if level1 != category1:
                share = (1 - sure1) / outside
            elif category2 not in inside:
                share = sure1 / len(inside)
            elif level2 == category2:
                share = sure1 * sure2
            else:
                share = sure1 * (1 - sure2) / max(1, len(inside) - 1)
            likely[f"{level1}/{level2}"] = share
        return likely

    def _prepared(self, rule: Rule) -> _Prepared:
        category = self._city.category(*rule.category[0].split("/"))
        assert category is not None  # the loader checks every rule's categories
        words, factor = rule.words, 1.0
        if rule.matter is None:
            # A keyword that names a matter speaks for the matter's rule, not for the rest of the category.
            words, factor = tuple(w for w in category.keywords if w not in self._rarity), _KEYWORD_FACTOR
        strengths = ((word, factor * _WORD.get(len(word), _LONG_WORD) * self._rarity.get(word, 1.0)) for word in words)
        return _Prepared(rule, (rule.kind or category.kind) == "component", tuple(strengths))

    def _score(self, prepared: _Prepared, likely: Mapping[str, float], text: str, place: Place) -> _Scored:
        rule = prepared.rule
        prior = likely[rule.category[0]]
        for other in rule.category[1:]:
            prior = max(prior, likely[other] * _SECOND_HOME)
        evidence = _evidence(prepared.words, text)
        if rule.matter is not None and not evidence:
            evidence = _UNNAMED
        weight = prior * math.exp(min(evidence, _MOST_EVIDENCE))
        return _Scored(prepared, weight, self._unit(prepared, place), rule.matter or rule.category[0])

    # --- the matrix ------------------------------------------------------------------------------------------------

    def _category_of(self, rule: Rule, category1: str, category2: str | None) -> Category:
        own = self._city.category(category1, category2)
        if own is not None and (category2 is None or own.level2 != category2):
            own = None
        found = own or self._city.category(*rule.category[0].split("/"))
        assert found is not None  # the loader checks every rule's categories
        return found

    def _local_unit(self, rule: Rule, place: Place) -> str | None:
        district = self._city.district(place.district) if place.district else None
        if district is None or not rule.local:
            return None
        return district.short + rule.department if rule.department else district.backstop

    def _unit(self, prepared: _Prepared, place: Place) -> str:
        """The lead unit: a component's owner; else the place, then the owner, then the first receiver."""
        rule = prepared.rule
        if rule.owner and (prepared.is_component or not rule.local):
            return rule.owner
        return self._local_unit(rule, place) or rule.owner or self._city.matrix.first_receiver

    def _reason(self, prepared: _Prepared, matter: str, unit: str, place: Place) -> str:
        """Why `unit` leads, in words."""
        rule = prepared.rule
        if rule.owner and prepared.is_component:
            why = f"属部件类，先属主后属地：属主是{unit}"
        elif rule.owner and not rule.local:
            why = f"由市级直接办理：{unit}"
        elif self._local_unit(rule, place):
            why = f"属{'事件类，先属地后属主' if rule.owner else '属主不明，属地兜底'}：属地是{unit}"
        elif rule.owner:
            why = f"属事件类，地点未定位到区，交属主{unit}"
        else:
            why = f"没有明确的属主和属地，按首接负责由{unit}牵头"
        return f"{matter}{why}。依据{rule.basis}。"

    def _assisting(self, rule: Rule, lead: str, place: Place) -> tuple[str, ...]:
        local = self._local_unit(rule, place)
        units = (*((local,) if local else ()), *rule.assist)
        return tuple(dict.fromkeys(unit for unit in units if unit != lead))


def _evidence(words: tuple[tuple[str, float], ...], text: str) -> float:
    found = [(word, strength) for word, strength in words if word in text]
    total = 0.0
    for word, strength in found:
        # 电梯 inside 电梯故障 is the same evidence.
        if any(word != other and word in other for other, _ in found):
            continue
        total += strength * (1.0 if text.find(word) < _HEAD_CHARS else _TAIL_FACTOR)
    return total


def _rarity(rules: tuple[Rule, ...]) -> dict[str, float]:
    """1 for a word that one matter claims, less for a word of several."""
    count: dict[str, int] = {}
    for rule in rules:
        for word in rule.words:
            count[word] = count.get(word, 0) + 1
    return {word: 1 / n for word, n in count.items()}


def _number(value: Any, default: float) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else default
