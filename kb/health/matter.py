"""Whether two different numbers are said of the same matter: a few features of a pair of numbers, and their weights.

Source of the method: logistic regression on the best pair of numbers of two texts (several instances, one label),
each feature may only count in the sense that it has (more in common never speaks against), fitted by
`python -m benchmarks.kb_contradictions fit`; figures in docs/benchmarks.md.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kb.health.claims import PENALTY, Statement
from kb.health.comparing import exclusive, narrowing
from kb.health.facts import Fact

_WEIGHTS = Path(__file__).parent.parent / "data" / "contradictions.json"
# Conditions, not the matter: numbers of these kinds are never what two texts contradict each other about.
_CONDITIONS = frozenset(("年份", "年龄段", "米段", "立方米段", "平方米段", "千瓦时段", "公斤段"))
# Two of these conditions are a range where a least is followed by a most; fines are not.
_BOUNDING = frozenset(("时长", "年龄", "米", "平方米", "公斤"))
_REGULATION = re.compile(r"(?:条例|办法|规定|规则|细则)(?:[(（][^)）]*[)）])?$")
_BRANCH = re.compile("([\u3400-\u9fff]{2})(?:区|县)?(分理处|管理部|营业厅|分局|支行|校区|院区|分院|号线)")
_MOST = 3
_MOST_TERMS = 8.0


@dataclass(frozen=True, slots=True)
class Differing:
    """Two numbers of one kind, of two statements. `features`: what `margin` weighs, by name."""

    a: Fact
    b: Fact
    features: dict[str, float]


def differing(a: Statement, b: Statement, alike: float, *, this_year: int | None = None) -> Iterator[Differing]:
    """The pairs of numbers in which two statements may contradict each other; nothing where their conditions differ.

    `alike`: cosine of the passages' vectors.
    """
    kinds = {f.kind for f in a.facts} & {f.kind for f in b.facts} - _CONDITIONS
    if not kinds or _other_years(a, b, this_year):
        return
    titles = [one.entry.document.title for one in (a, b)]
    if (all(map(_REGULATION.search, titles)) and not a.named.terms & b.named.terms) or _other_branch(a.said, b.said):
        return
    limits_a, limits_b = _limits(a), _limits(b)
    common: dict[str, float] | None = None
    for i, fact_a in enumerate(a.facts):
        if fact_a.kind not in kinds or i in limits_a or _told(fact_a, b):
            continue
        for j, fact_b in enumerate(b.facts):
            if fact_b.kind != fact_a.kind or j in limits_b or _told(fact_b, a) or not _comparable(fact_a, fact_b):
                continue
            kind = fact_a.kind
            if _other_ages(a, b, kind) or _other_ranges(a, b, i, j):
                continue
            if (
                exclusive(a.said, b.said, kind)
                or exclusive(a.clauses[i], b.clauses[j], kind)
                or exclusive(titles[0], titles[1], kind)
            ):
                continue
            common = common or _of_sentences(a, b) | {"alike": alike}
            yield Differing(fact_a, fact_b, common | _of_numbers(a, b, i, j))


def margin(features: Mapping[str, float], encoder_id: str) -> float:
    """How far above the bar for reporting a pair is (log odds); below 0 it is not reported.

    `encoder_id`: of the vectors that "alike" comes from. Cosines of two encoders do not compare: with another than the
    weights were fitted with, the words alone are weighed.
    """
    shipped = _shipped()
    chosen = shipped["with_vectors" if encoder_id == shipped["encoder"] else "without_vectors"]
    return float(sum(weight * features[name] for name, weight in chosen["weights"].items())) - float(chosen["bar"])


def _of_sentences(a: Statement, b: Statement) -> dict[str, float]:
    of_a, of_b = a.own.within(b.around), b.own.within(a.around)
    return {
        "own_less": min(of_a, of_b),
        "shared": math.log1p(min(_MOST_TERMS, len(a.own.terms & b.own.terms))),
        "title_more": max(a.named.within(b.around), b.named.within(a.around)),
        "narrowing": float(min(_MOST, narrowing(a.said, b.said))),
        "nearby": math.log1p(len(a.nearby & b.nearby)),
        "penalty": float(bool(PENALTY.search(a.text)) and bool(PENALTY.search(b.text))),
    }


def _of_numbers(a: Statement, b: Statement, i: int, j: int) -> dict[str, float]:
    fact_a, fact_b = a.facts[i], b.facts[j]
    agreeing, others = _rest(a, b, i, j)
    return {
        "agreeing": float(min(_MOST, agreeing)),
        "others": float(min(_MOST, others)),
        "told_elsewhere": float(((fact_a.kind, fact_a.value) in b.nearby) + ((fact_b.kind, fact_b.value) in a.nearby)),
        "same_bound": float(bool(fact_a.bound) and fact_a.bound == fact_b.bound),
        "one_bound": float(fact_a.bound != fact_b.bound),
        "far": _distance(fact_a, fact_b),
    }


def _rest(a: Statement, b: Statement, i: int, j: int) -> tuple[int, int]:
    """How many of the other numbers both have, and how many pairs of one kind are left that nobody else tells."""
    left_a = [f for n, f in enumerate(a.facts) if n != i]
    left_b = [f for n, f in enumerate(b.facts) if n != j]
    agreeing = 0
    for fact in list(left_a):
        twin = next((f for f in left_b if f.kind == fact.kind and _same(f, fact)), None)
        if twin:
            agreeing += 1
            left_a.remove(fact)
            left_b.remove(twin)
    of_a = Counter(f.kind for f in left_a if (f.kind, f.value) not in b.nearby)
    of_b = Counter(f.kind for f in left_b if (f.kind, f.value) not in a.nearby)
    return agreeing, (of_a & of_b).total()


def _told(fact: Fact, other: Statement) -> bool:
    """Whether the other statement has this number, too: nothing to contradict."""
    limits = _limits(other)
    return any(n not in limits and f.kind == fact.kind and _same(f, fact) for n, f in enumerate(other.facts))


def _limits(one: Statement) -> set[int]:
    """Numbers that together bound a condition: 满1年不足5年."""
    pairs = enumerate(zip(one.facts, one.facts[1:], strict=False))
    return {
        place
        for n, (low, high) in pairs
        if low.kind == high.kind in _BOUNDING
        and (low.bound, high.bound) == ("min", "max")
        and float(low.value) < float(high.value)
        for place in (n, n + 1)
    }


def _other_branch(a: str, b: str) -> bool:
    """Whether both name a branch of one kind, and not the same (管城分理处, 金水分理处)."""
    of_a, of_b = ({(kind, name) for name, kind in _BRANCH.findall(text)} for text in (a, b))
    kinds = {kind for kind, _ in of_a} & {kind for kind, _ in of_b}
    return bool(kinds) and not of_a & of_b


def _same(a: Fact, b: Fact) -> bool:
    if a.kind == "电话":
        return a.value.endswith(b.value) or b.value.endswith(a.value)
    return a.value == b.value


def _comparable(a: Fact, b: Fact) -> bool:
    """Not a least against a most, nor what is counted by different things (每次, 每小时)."""
    return {a.bound, b.bound} != {"min", "max"} and not (a.of and b.of and a.of != b.of)


def _distance(a: Fact, b: Fact) -> float:
    """The logarithm of the ratio of two amounts, at most 3; 0 for what is no amount."""
    if a.kind == "时段":
        # Two spans of the day that begin or end alike are told of one thing more likely.
        return float(not set(a.value.split("-")) & set(b.value.split("-")))
    try:
        x, y = float(a.value), float(b.value)
    except ValueError:
        return 0.0
    if a.kind == "电话":
        return 0.0
    return min(3.0, abs(math.log(x / y))) if x > 0 and y > 0 else 3.0


def _other_years(a: Statement, b: Statement, this_year: int | None) -> bool:
    """Whether two statements are about different years, or one about a year to come."""
    of_a, of_b = ({f.value[:4] for f in one.facts if f.kind == "年份"} for one in (a, b))
    if of_a and of_b:
        return not of_a & of_b
    return this_year is not None and any(y.isdigit() and int(y) > this_year for y in of_a | of_b)


def _other_ages(a: Statement, b: Statement, kind: str) -> bool:
    """Whether both name ages, as a condition of something else, that no person has at once."""
    if kind == "年龄":
        return False
    of_a, of_b = ([_ages(f) for f in one.facts if f.kind in ("年龄", "年龄段")] for one in (a, b))
    if not of_a or not of_b:
        return False
    return not any(low_a < high_b and low_b < high_a for low_a, high_a in of_a for low_b, high_b in of_b)


def _other_ranges(a: Statement, b: Statement, i: int, j: int) -> bool:
    """Whether both name a range as a condition (满1年不足5年, 五层以下), and nothing lies in both."""
    of_a, of_b = _ranges(a, i), _ranges(b, j)
    for kind in of_a.keys() & of_b.keys():
        if not any(low_a < high_b and low_b < high_a for low_a, high_a in of_a[kind] for low_b, high_b in of_b[kind]):
            return True
    return False


def _ranges(one: Statement, target: int) -> dict[str, list[tuple[float, float]]]:
    """Ranges of the bounded numbers of a statement but one, by kind; a least and the most after it are one."""
    found: dict[str, list[tuple[float, float]]] = {}
    before: Fact | None = None
    for n, fact in enumerate(one.facts):
        # "Within 30 days" says how long something takes, not in which case.
        if n == target or not fact.bound or one.said[fact.span[1] :].startswith(("内", "以内", "之内")):
            before = None
            continue
        value, ranges = float(fact.value), found.setdefault(fact.kind, [])
        if fact.bound == "max" and before is not None and before.kind == fact.kind and float(before.value) < value:
            ranges[-1] = (float(before.value), value)
        else:
            ranges.append((value, math.inf) if fact.bound == "min" else (0.0, value))
        before = fact if fact.bound == "min" else None
    return found


def _ages(fact: Fact) -> tuple[float, float]:
    if fact.kind == "年龄段":
        low, high = fact.value.split("-")
        return float(low), float(high)
    age = float(fact.value)
    return (0.0, age) if fact.bound == "max" else (age, math.inf if fact.bound == "min" else age + 1)


@cache
def _shipped() -> dict[str, Any]:
    shipped: dict[str, Any] = json.loads(_WEIGHTS.read_text(encoding="utf-8"))
    return shipped
