"""What the matrix, or the language model, should learn from rulings that contradict the matrix."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from assistant.city import City
from assistant.city_models import Rule
from assistant.errors import BadInput
from assistant.privacy import mask
from assistant.returns.cases import ReturnCase, place_of
from assistant.returns.model import Change, Example, learning
from assistant.returns.standing_out import Split, standing_out
from assistant.returns.trial import Routing, with_changes
from assistant.tickets.routing import Router

__all__ = ["LEAST", "Means", "Suggestion", "contradicting", "matters_for", "suggest", "suggest_one"]

LEAST = 2
# 超职责: no duty of anybody's is learned; 职能交叉: who leads was decided, what residents say was understood.
_TELLS_WORDS = frozenset({"属地不符", "权属不清"})
_TELLS_RULE = _TELLS_WORDS | {"职能交叉"}
_MOST_EXAMPLES = 30


@dataclass(frozen=True, slots=True)
class Means:
    """`others`: texts of other tickets, against which words must stand out. `split`: a text's words in order.
    `routing`: makes the router of a city."""

    city: City
    others: Sequence[str]
    split: Split
    routing: Routing = Router


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`cases`: the returns it comes from."""

    change: Change
    cases: tuple[ReturnCase, ...]


@dataclass(frozen=True, slots=True)
class _Contradiction:
    """A ruling that the matrix would not have made. `rules`: those that lead to the ruled unit at that place."""

    case: ReturnCase
    before: str
    rules: tuple[Rule, ...]


def suggest(means: Means, cases: Iterable[ReturnCase]) -> list[Suggestion]:
    """The changes that at least LEAST returns agree on."""
    found: list[Suggestion] = []
    by_matter: dict[str, list[_Contradiction]] = defaultdict(list)
    for contradiction in contradicting(means.city, cases, means.routing):
        by_matter[contradiction.before].append(contradiction)
    for same in by_matter.values():
        left = same
        while len(left) >= LEAST:
            rule = _rule_of_most(left)
            agreeing = [each for each in left if rule in each.rules]
            left = [each for each in left if rule not in each.rules]
            if len({each.case.number for each in agreeing}) >= LEAST:
                found += _suggestions(means, rule, agreeing, LEAST)
    return found


def suggest_one(means: Means, case: ReturnCase, matter: str | None = None) -> list[Suggestion]:
    """What a person asks for on one return; `matter`: which of the ruled unit's matters it is, where they know.

    Raises BadInput with the reason why nothing can be learned.
    """
    if case.ruled_unit is None:
        raise BadInput("这次退单还没有裁定，先派给承办单位再学。")
    if case.reason_code not in _TELLS_RULE:
        raise BadInput(f"退单原因是“{case.reason_code}”，不说明职责该怎么改。")
    found = contradicting(means.city, [case], means.routing)
    if not found:
        raise BadInput("没有可学的：裁定和现在的职责矩阵一致，或者只是地点不对，或者矩阵里没有这个单位的事项。")
    [contradiction] = found
    named = [rule for rule in contradiction.rules if matter is None or rule.name == matter]
    if not named:
        raise BadInput(f"“{matter}”不会派给{case.ruled_unit}，请另选事项。")
    made = _suggestions(means, _rule_of_most([replace(contradiction, rules=tuple(named))]), found, 1)
    if not made:
        raise BadInput("从这一件里没找到能用的词，也没有类别可改。")
    return made


def matters_for(city: City, cases: Sequence[ReturnCase], routing: Routing = Router) -> list[str]:
    """The matters that would lead to the ruled unit of every one of these, each at its place; the likeliest first."""
    found = contradicting(city, cases, routing)
    if not found:
        return []
    shared = [rule for rule in found[0].rules if all(rule in each.rules for each in found)]

    def near(rule: Rule) -> tuple[float, ...]:
        return tuple(map(sum, zip(*(_nearness(rule, each.case) for each in found), strict=True)))

    return [rule.name for rule in sorted(shared, key=near, reverse=True)]


def contradicting(city: City, cases: Iterable[ReturnCase], routing: Routing = Router) -> list[_Contradiction]:
    """Rulings from which the matrix can learn: it would send the ticket elsewhere still, and for another matter.

    A ruling that moves the same matter to another district says that the place was wrong, not the matrix.
    """
    router, found = routing(city), list[_Contradiction]()
    leading: dict[str | None, dict[str, list[Rule]]] = {}  # district → unit → rules
    for case in cases:
        if case.ruled_unit is None or case.ruled_unit == case.unit or case.reason_code not in _TELLS_RULE:
            continue
        ticket = case.ticket
        place = place_of(city, ticket.place, case.text)
        route = router.route(ticket.category1, ticket.category2, case.text, place, ticket.confidences)
        if route.lead_unit == case.ruled_unit:
            continue
        now = route.routing.candidates[0].matter
        if place.district not in leading:
            leading[place.district] = defaultdict(list)
            for rule in city.matrix.rules:
                leading[place.district][router.unit_of(rule, place)].append(rule)
        rules = tuple(leading[place.district].get(case.ruled_unit, ()))
        before = ticket.category3 or now
        if rules and not any(rule.name == before for rule in rules):
            found.append(_Contradiction(case, before, rules))
    return found


def _rule_of_most(contradictions: Sequence[_Contradiction]) -> Rule:
    """The rule that explains most rulings, and of those the one nearest to what was said."""
    support: Counter[str] = Counter(rule.name for each in contradictions for rule in each.rules)
    rules = {rule.name: rule for each in contradictions for rule in each.rules}

    def merit(name: str) -> tuple[int, tuple[float, ...]]:
        cases = [each.case for each in contradictions if rules[name] in each.rules]
        # A word of one story among several is chance.
        said = sum(any(word in case.text for word in _said_of(rules[name])) for case in cases) >= min(LEAST, len(cases))
        near = (_nearness(rules[name], case, said=said) for case in cases)
        return support[name], tuple(map(sum, zip(*near, strict=True)))

    return rules[max(rules, key=merit)]


def _nearness(rule: Rule, case: ReturnCase, *, said: bool = True) -> tuple[float, int, int]:
    """How near it is to what was said: by category and words; by whether it can learn words; by pairs of characters.

    A word alone (邻居 in a story about a dog) does not outweigh the category that somebody understood; without `said`
    words do not count.
    """
    level1 = {name.split("/")[0] for name in rule.category}
    category = 2 if case.category in rule.category else 1 if case.ticket.category1 in level1 else 0
    words = sum(word in case.text for word in _said_of(rule)) if said else 0
    own = _pairs("".join((rule.matter or "", *rule.category, *_said_of(rule))))
    return category + 1.5 * min(words, 2), int(rule.matter is not None), len(own & _pairs(case.text))


def _said_of(rule: Rule) -> tuple[str, ...]:
    return (*rule.words, *rule.sayings.clear)


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


# --- changes ---------------------------------------------------------------------------------------------------------


def _suggestions(means: Means, rule: Rule, found: Sequence[_Contradiction], least: int) -> list[Suggestion]:
    made: list[Suggestion] = []
    telling = [each.case for each in found if each.case.reason_code in _TELLS_WORDS]
    before, name = found[0].before, rule.name
    foreign = Counter(each.case.category for each in found if each.case.category not in rule.category)
    category = next((c for c, n in foreign.most_common(1) if n >= least and _is_own(means.city, c)), None)
    if rule.matter is not None:
        words: tuple[str, ...] = ()
        if len({case.number for case in telling}) >= least:
            words = standing_out(
                [_without_place(case) for case in telling],
                means.others,
                means.split,
                without={*_said_of(rule), *_place_names(means.city, telling)},
                taken={word for other in means.city.matrix.rules for word in _said_of(other)},
            )
        change = Change("rule" if category else "words", name, before, words, category)
        agreeing = [each for each in found if _agrees(each.case, change)]
        if len({each.case.number for each in agreeing}) >= least:
            change = _better_place(means, change, agreeing)
            made.append(Suggestion(change, tuple(each.case for each in agreeing)))
    elsewhere = [case for case in telling if case.category not in rule.category]
    if len({case.number for case in elsewhere}) >= least:
        examples = _examples(rule.category[0], elsewhere)
        if examples:
            made.append(Suggestion(Change("example", rule.category[0], before, examples=examples), tuple(elsewhere)))
    return made


def _agrees(case: ReturnCase, change: Change) -> bool:
    if change.category is not None:
        return case.category == change.category
    return case.reason_code in _TELLS_WORDS and any(word in case.text for word in change.words)


def _better_place(means: Means, change: Change, found: Sequence[_Contradiction]) -> Change:
    """As it is, or with the category in the first place, where more of the returned tickets then go right."""
    if change.category is None:
        return change

    def right(tried: Change) -> int:
        city = means.city
        router = means.routing(with_changes(city, learning([tried], city), on_top=True))
        count = 0
        for each in found:
            ticket, case = each.case.ticket, each.case
            place = place_of(city, ticket.place, case.text)
            route = router.route(ticket.category1, ticket.category2, case.text, place, ticket.confidences)
            count += route.routing.candidates[0].unit == case.ruled_unit
        return count

    moved = replace(change, first=True)
    return moved if right(moved) > right(change) else change


def _is_own(city: City, category: str) -> bool:
    level1, _, level2 = category.partition("/")
    return (level1, level2) in city.own_categories


def _place_names(city: City, cases: Sequence[ReturnCase]) -> set[str]:
    districts = {word for d in city.facts.districts for word in (d.name, d.short, *d.aliases)}
    return districts | {part for case in cases for part in case.ticket.grid_path} | {city.name}


def _without_place(case: ReturnCase) -> str:
    text = mask(case.text)[0]
    for said in (case.ticket.place, case.ticket.event_time):
        if said:
            text = text.replace(said, "\n")
    return text


def _examples(category: str, cases: Sequence[ReturnCase]) -> tuple[Example, ...]:
    """Never of a confidential or anonymous request, nor of a report on somebody: their words stay with the ticket."""
    level1, _, level2 = category.partition("/")
    tickets = {case.number: case.ticket for case in cases}
    kept = [t for t in tickets.values() if not t.confidential and not t.anonymous and t.request_type != "举报"]
    return tuple(
        Example(mask(ticket.description)[0], ticket.request_type, level1, level2, ticket.urgency)
        for ticket in kept[:_MOST_EXAMPLES]
    )
