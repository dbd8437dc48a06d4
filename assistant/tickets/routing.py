"""Which unit leads: category × matter × place through the responsibility matrix, with the reason in words.

Every rule gets a likelihood (`evidence.py`). Those of rules that lead to the same unit add up; the sum of the best unit
is the confidence, and below the city's threshold a person decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.city import City, Place
from assistant.city_models import Category, FirstHandler, Rule
from assistant.tickets.evidence import Evidence, Tell, Weights, likelihoods, probabilities_of
from assistant.tickets.model import Candidate, Routing

__all__ = ["Route", "Router", "weights_for"]

# Fitted by benchmarks/routing.py --fit.
BY_PERSON = Weights(
    trust=0.8877, family=0.4952, second_home=0.8511, prior=2.0343, words=(1.11, 0.82, 1.05, 0.34), most=7.4207,
    unnamed=-0.5538, unnamed_matter=-1.0986, told=0.8212,
)  # fmt: skip
BY_MODEL = Weights(
    trust=0.8653, family=0.4784, second_home=0.8809, prior=0.2021, words=(1.11, 0.99, 1.89, 0.27), most=7.8187,
    unnamed=-0.7322, unnamed_matter=-0.5697, told=0.8437,
)  # fmt: skip
WORDS_ONLY = Weights(
    trust=0.9569, family=0.4889, second_home=0.8479, prior=0.7672, words=(2.83, 3.29, 4.91, 1.08), most=13.7821,
    unnamed=-1.5341, unnamed_matter=-1.8804,
)  # fmt: skip


_DECIDED = 0.5  # threshold for a category that was decided


def weights_for(given: Mapping[str, Any], *, taught: bool) -> Weights:
    """A category that a person chose says more than one that a model read. `given`: confidences of a draft."""
    if not taught:
        return WORDS_ONLY
    return BY_MODEL if given.get("candidates") or "category1" in given else BY_PERSON


@dataclass(frozen=True, slots=True)
class Route:
    """`lead_unit` answers for the request; `first_handler`, where one is named, has it first.

    `matter`: the matter of the chosen rule, None for a rule of a whole category and where a person decides.
    `deadline`: the deadline class that category and matter call for. `service_code`: for the dispatch API.
    """

    lead_unit: str
    assisting_units: tuple[str, ...]
    routing: Routing
    deadline: str
    service_code: str
    matter: str | None = None
    first_handler: str | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    rule: Rule
    is_component: bool


@dataclass(frozen=True, slots=True)
class _Leads:
    """Who leads in one place: `names` in the order of the rules, `of_rule` the index of each rule's unit there."""

    names: tuple[str, ...]
    of_rule: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Matrix:
    """What is prepared of the city's matrix at one revision. `leads`: by district, filled as they come up."""

    revision: int
    evidence: Evidence
    rules: tuple[_Prepared, ...]
    leads: dict[str | None, _Leads] = field(default_factory=dict)


class Router:
    """Applies one city's matrix. Holds no state beside what it has prepared of it."""

    def __init__(self, city: City, tell: Tell | None = None) -> None:
        """`tell`: what was learned from the city's examples, so that it counts beside category and words."""
        self._city, self._tell = city, tell
        self._threshold = city.matrix.threshold
        self._matrix = self._prepare()

    def _prepare(self) -> "_Matrix":
        revision = self._city.revision
        rules = tuple(self._prepared(rule) for rule in self._city.matrix.rules)
        return _Matrix(revision, Evidence(self._city, self._tell), rules)

    def route(
        self,
        category1: str,
        category2: str | None,
        text: str,
        place: Place,
        confidences: Mapping[str, Any] | None = None,
        *,
        urgency: str | None = None,
    ) -> Route:
        """`text`: title and description. `category1` must be one of the city's; `category2` may be unknown.

        `confidences`: of a draft; without them a person chose the category. `candidates` in it, pairs of "level 1/level
        2" and probability, is what the model weighed. A danger (`urgency` 特急) has no first handler.
        """
        # Replaced as a whole: requests are routed in several threads.
        matrix = self._matrix
        if matrix.revision != self._city.revision:
            matrix = self._matrix = self._prepare()
        given = confidences or {}
        ranked, shares = self._rank(matrix, category1, category2, text, place, given)
        best, confidence = ranked[0], min(0.99, shares[ranked[0].unit])
        rule, lead = best.prepared.rule, best.unit
        model = given.get("model")
        threshold = min(self._threshold, _DECIDED) if self._decided(category1, category2, given) else self._threshold
        doubt = self._doubt(best, confidence, threshold, place)
        # A danger does not wait for a person: the likeliest unit has it at once, and the first receiver beside it.
        hurried = doubt is not None and urgency == "特急" and bool(given.get("rule"))
        doubt = None if hurried else doubt
        category = self._category_of(rule, category1, category2)
        handler = None if doubt or urgency == "特急" else _handler(rule, text)
        reason = doubt or self._reason(best.prepared, rule.name, lead, place)
        if handler:
            reason += f"先由{handler.handler}处理，{_span(handler)}内未办好转{lead}。"
        routing = Routing(
            reason=reason,
            confidence=round(confidence, 3),
            candidates=tuple(
                Candidate(one.unit, one.prepared.rule.name, round(min(0.99, shares[one.unit]), 3)) for one in ranked
            ),
            review=bool(doubt),
            model_version=str(model) if model is not None else None,
            place_confidence=place.confidence,
            deadline=rule.deadline or category.deadline,
            handler_hours=(handler.working_hours or handler.hours) if handler else None,
            handler_working=bool(handler and handler.working_hours),
        )
        return Route(
            lead_unit=self._city.matrix.first_receiver if doubt else lead,
            assisting_units=() if doubt else self._assisting(rule, lead, place, hurried=hurried),
            routing=routing,
            deadline=rule.deadline or category.deadline,
            service_code=category.service_code,
            matter=None if doubt else rule.matter,
            first_handler=handler.handler if handler else None,
        )

    def unit_of(self, rule: Rule, place: Place) -> str:
        """The unit that leads there when `rule` applies."""
        return self._unit(self._prepared(rule), place)

    # --- scoring ---------------------------------------------------------------------------------------------------

    def _rank(
        self,
        matrix: _Matrix,
        category1: str,
        category2: str | None,
        text: str,
        place: Place,
        given: Mapping[str, Any],
    ) -> tuple[list["_Leading"], dict[str, float]]:
        """The best rule of each of the three likeliest units, and how likely the units are."""
        inside = [f"{category1}/{category.level2}" for category in self._city.categories_of(category1)]
        chosen = f"{category1}/{category2}"
        likely = probabilities_of(chosen if chosen in inside else category1, inside, given)
        evidence = matrix.evidence
        weights = weights_for(given, taught=self._tell is not None)
        found = likelihoods(evidence.features(likely, text), weights, evidence.of_matter, evidence.categories)
        if self._decided(category1, category2, given):
            own = np.where([chosen in rule.category for rule in evidence.rules], found, 0.0)
            sure = likely.get(chosen, 0.0)
            found = sure * own / own.sum() + (1 - sure) * found
        leads = self._leads(matrix, place)
        shares = np.bincount(leads.of_rule, found, len(leads.names))
        first = np.argsort(-shares, kind="stable")[:3].tolist()
        best = [int(np.argmax(np.where(leads.of_rule == unit, found, -1.0))) for unit in first]
        ranked = [_Leading(matrix.rules[rule], leads.names[unit]) for unit, rule in zip(first, best, strict=True)]
        return ranked, {leads.names[unit]: float(shares[unit]) for unit in first}

    def _leads(self, matrix: _Matrix, place: Place) -> _Leads:
        if place.district not in matrix.leads:
            units = [self._unit(prepared, place) for prepared in matrix.rules]
            index = {unit: n for n, unit in enumerate(dict.fromkeys(units))}
            matrix.leads[place.district] = _Leads(tuple(index), np.array([index[unit] for unit in units]))
        return matrix.leads[place.district]

    def _decided(self, category1: str, category2: str | None, given: Mapping[str, Any]) -> bool:
        """Whether only the category's own rules are asked: a rule decided (dangers), or staff taught the category so
        that its requests go to its unit."""
        known = (category1, category2 or "")
        return known in self._city.categories and (bool(given.get("rule")) or known not in self._city.own_categories)

    def _prepared(self, rule: Rule) -> _Prepared:
        category = self._city.category(*rule.category[0].split("/"))
        assert category is not None  # the loader checks every rule's categories
        return _Prepared(rule, (rule.kind or category.kind) == "component")

    def _doubt(self, best: "_Leading", confidence: float, threshold: float, place: Place) -> str | None:
        """Why a person must decide; None where nobody need."""
        first = self._city.matrix.first_receiver
        if place.contradicted_by and self._local_unit(best.prepared.rule, place) is not None:
            return (
                f"所写地点在{place.district}，坐标在{place.contradicted_by}，两者不一致，按首接负责交{first}，"
                "由工作人员核实地点。"
            )
        if confidence < threshold:
            return (
                f"系统判断可能由{best.unit}承办（{best.prepared.rule.name}），但把握不足，按首接负责交{first}，"
                "由工作人员确定承办单位。"
            )
        return None

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

    def _assisting(self, rule: Rule, lead: str, place: Place, *, hurried: bool = False) -> tuple[str, ...]:
        local = self._local_unit(rule, place)
        first = (self._city.matrix.first_receiver,) if hurried else ()
        units = (*first, *((local,) if local else ()), *rule.assist)
        return tuple(dict.fromkeys(unit for unit in units if unit != lead))


@dataclass(frozen=True, slots=True)
class _Leading:
    """The likeliest of the rules that lead to a unit."""

    prepared: _Prepared
    unit: str


def _handler(rule: Rule, text: str) -> FirstHandler | None:
    first = rule.first_handler
    if first is None or any(word in text for word in first.unless):
        return None
    return first if not first.when or any(word in text for word in first.when) else None


def _span(first: FirstHandler) -> str:
    return f"{first.working_hours:g}个工作小时" if first.working_hours else f"{first.hours:g}小时"
