"""Which unit leads: category × matter × place through the responsibility matrix, with the reason in words.

Every rule gets a score from two signals: how sure the category is, and how much of what the resident wrote names the
rule's matter. The best rule decides; how far ahead it is of the next rule with another unit gives the confidence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant.city import City, Place
from assistant.city_models import Category, Rule
from assistant.tickets.model import Candidate, Routing

__all__ = ["Route", "Router"]

_UNSTATED = 0.7  # confidence of a category when the model gave none (a person chose it, or an older client)
_SAME_LEVEL1 = 0.35  # how much a rule counts whose first level agrees and whose second does not
_WORD_SCALE = 1.1  # word evidence at which about two thirds of the full weight are reached
_WORDS_WEIGHT = 0.8
_CLEAR_LEAD = 0.25


@dataclass(frozen=True, slots=True)
class Route:
    """`deadline`: the deadline class that category and matter call for. `service_code`: for the dispatch API."""

    lead_unit: str
    assisting_units: tuple[str, ...]
    routing: Routing
    deadline: str
    service_code: str


@dataclass(frozen=True, slots=True)
class _Scored:
    rule: Rule
    score: float
    unit: str
    matter: str


class Router:
    """Applies one city's matrix. Holds no state beside it."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._threshold = city.matrix.threshold
        self._rarity = _rarity(city.matrix.rules)

    def route(
        self,
        category1: str,
        category2: str | None,
        text: str,
        place: Place,
        confidences: Mapping[str, Any] | None = None,
    ) -> Route:
        """`text`: title and description. `category1` must be one of the city's; `category2` may be unknown."""
        given = confidences or {}
        sure1 = _number(given.get("category1"), _UNSTATED)
        sure2 = _number(given.get("category2"), _UNSTATED) if category2 else 0.0
        scored = sorted(
            (self._score(rule, category1, category2, sure1, sure2, text, place) for rule in self._city.matrix.rules),
            key=lambda item: -item.score,
        )
        best = scored[0]
        others: dict[str, _Scored] = {}
        for item in scored[1:]:
            if item.unit != best.unit:
                others.setdefault(item.unit, item)
        rivals = list(others.values())[:2]
        confidence = self._confidence(best, rivals[0] if rivals else None)
        model = given.get("model")
        review = confidence < self._threshold
        category = self._category_of(best.rule, category1, category2)
        lead, reason = self._lead(best.rule, best.matter, place)
        if review:
            reason = (
                f"系统判断可能由{lead}承办（{best.matter}），但把握不足，按首接负责交{self._city.matrix.first_receiver}，"
                "由工作人员确定承办单位。"
            )
        routing = Routing(
            reason=reason,
            confidence=round(confidence, 3),
            candidates=tuple(
                Candidate(item.unit, item.matter, round(confidence if item is best else max(item.score, 0.0), 3))
                for item in (best, *rivals)
            ),
            review=review,
            model_version=str(model) if model is not None else None,
            place_confidence=place.confidence,
        )
        chosen = self._city.matrix.first_receiver if review else lead
        return Route(
            lead_unit=chosen,
            assisting_units=() if review else self._assisting(best.rule, lead, place),
            routing=routing,
            deadline=best.rule.deadline or category.deadline,
            service_code=category.service_code,
        )

    # --- scoring ---------------------------------------------------------------------------------------------------

    def _score(
        self,
        rule: Rule,
        category1: str,
        category2: str | None,
        sure1: float,
        sure2: float,
        text: str,
        place: Place,
    ) -> _Scored:
        wanted = f"{category1}/{category2}"
        if wanted in rule.category:
            # The first of several categories is the rule's home; a little more than the rest.
            agreement = (0.5 + 0.5 * sure2) * sure1 * (1.0 if rule.category[0] == wanted else 0.92)
        elif any(category.startswith(f"{category1}/") for category in rule.category):
            agreement = _SAME_LEVEL1 * sure1 * (1.0 if category2 is None else 1.2 - sure2)
        else:
            agreement = 0.0
        words = self._words(rule, text)
        if rule.matter is None:
            entry = self._city.category(*rule.category[0].split("/"))
            words = 0.35 * _saturate(sum(len(w) / 3 for w in (entry.keywords if entry else ()) if w in text))
            if rule.category[0].endswith("/其他"):
                agreement *= 0.9
        elif not words:
            agreement *= 0.3  # a matter nobody spoke of
        score = 1 - (1 - 0.75 * agreement) * (1 - _WORDS_WEIGHT * words)
        return _Scored(rule, score, self._lead(rule, "", place)[0], rule.matter or "/".join(rule.category[:1]))

    def _words(self, rule: Rule, text: str) -> float:
        found = {word for word in rule.words if word in text}
        # 电梯 inside 电梯故障 is the same evidence.
        longest = {word for word in found if not any(word != other and word in other for other in found)}
        return _saturate(sum(self._rarity[word] * (0.4 + 0.2 * min(len(word), 5)) for word in longest))

    def _confidence(self, best: _Scored, rival: _Scored | None) -> float:
        ahead = best.score - (rival.score if rival else 0.0)
        return min(0.99, best.score * (0.55 + 0.45 * min(1.0, ahead / _CLEAR_LEAD)))

    # --- the matrix ------------------------------------------------------------------------------------------------

    def _category_of(self, rule: Rule, category1: str, category2: str | None) -> Category:
        own = self._city.category(category1, category2)
        if own is not None and (category2 is None or own.level2 != category2):
            own = None
        found = own or self._city.category(*rule.category[0].split("/"))
        assert found is not None  # the loader checks every rule's categories
        return found

    def _kind(self, rule: Rule) -> str:
        category = self._city.category(*rule.category[0].split("/"))
        return rule.kind or (category.kind if category else "event")

    def _local_unit(self, rule: Rule, place: Place) -> str | None:
        district = self._city.district(place.district) if place.district else None
        if district is None or not rule.local:
            return None
        return district.short + rule.department if rule.department else district.backstop

    def _lead(self, rule: Rule, matter: str, place: Place) -> tuple[str, str]:
        """The lead unit and the reason in words."""
        local, owner, basis = self._local_unit(rule, place), rule.owner, f"依据{rule.basis}。"
        if self._kind(rule) == "component" and owner:
            return owner, f"{matter}属部件类，先属主后属地：属主是{owner}。{basis}"
        if not rule.local and owner:
            return owner, f"{matter}由市级直接办理：{owner}。{basis}"
        if local:
            what = "事件类，先属地后属主" if owner else "属主不明，属地兜底"
            return local, f"{matter}属{what}：属地是{local}。{basis}"
        if owner:
            return owner, f"{matter}属事件类，地点未定位到区，交属主{owner}。{basis}"
        first = self._city.matrix.first_receiver
        return first, f"{matter}没有明确的属主和属地，按首接负责由{first}牵头。{basis}"

    def _assisting(self, rule: Rule, lead: str, place: Place) -> tuple[str, ...]:
        local = self._local_unit(rule, place)
        units = (*((local,) if local else ()), *rule.assist)
        return tuple(dict.fromkeys(unit for unit in units if unit != lead))


def _rarity(rules: tuple[Rule, ...]) -> dict[str, float]:
    """1 for a word that one matter claims, less for a word of several."""
    count: dict[str, int] = {}
    for rule in rules:
        for word in rule.words:
            count[word] = count.get(word, 0) + 1
    return {word: 1 / n for word, n in count.items()}


def _saturate(evidence: float) -> float:
    return 1 - math.exp(-evidence / _WORD_SCALE)


def _number(value: Any, default: float) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else default
