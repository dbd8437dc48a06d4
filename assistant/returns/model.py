"""A change of the responsibility matrix that returns suggest, and the proposal that carries it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from assistant.city import City
from assistant.city_models import Rule
from assistant.db.models import RoutingProposal
from assistant.errors import BadInput

__all__ = [
    "KINDS", "LIVE", "NEW", "OFF", "REJECTED", "TRIED", "UNDECIDED", "Change", "Example", "Kind", "ProposalView",
    "checked_words", "learning",
]  # fmt: skip

Kind = Literal["words", "rule", "example"]
KINDS: Final[dict[Kind, str]] = {"words": "补充用词", "rule": "事项归入类别", "example": "训练例句"}
NEW, TRIED, LIVE, REJECTED, OFF = "待试", "已试", "已启用", "已驳回", "已停用"
UNDECIDED: Final = (NEW, TRIED)
MOST_WORDS: Final = 12
_WORD = re.compile(r"[\u3400-\u9fffA-Za-z]{2,12}")


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence to train with, masked. `category2` may be 其他."""

    text: str
    request_type: str
    category1: str
    category2: str
    urgency: str

    def as_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to the rule of `matter` (of a rule without matter, its category: level 1/level 2).

    `before`: the matter that led to the units which gave the tickets back. `words` are added to the matter's words;
    `category`, where given, to its categories, as the first one (`first`) or the last. Of kind example nothing of the
    rule changes: the language model is to learn `examples`. `revised`: a person chose the words.
    """

    kind: Kind
    matter: str
    before: str
    words: tuple[str, ...] = ()
    category: str | None = None
    first: bool = False
    examples: tuple[Example, ...] = ()
    revised: bool = False

    @property
    def key(self) -> str:
        """The same for what is the same suggestion, with whichever words."""
        named = "|".join((self.kind, self.before, self.matter, self.category or ""))
        return f"{self.kind}:{hashlib.sha256(named.encode()).hexdigest()[:24]}"

    @property
    def in_words(self) -> str:
        """What it does, for people."""
        if self.kind == "example":
            return f"把 {len(self.examples)} 句话作为“{self.matter}”的训练例句"
        parts = []
        if self.category:
            parts.append(f"{'改归' if self.first else '也归入'}类别“{self.category}”")
        if self.words:
            parts.append(f"增加用词：{'、'.join(self.words)}")
        return f"事项“{self.matter}”" + "，".join(parts)

    def apply(self, rule: Rule) -> Rule:
        """`rule` as it is with the change; itself when the change is about another."""
        if self.kind == "example" or rule.matter is None or rule.matter != self.matter:
            return rule
        known = (*rule.words, *rule.sayings.clear)
        words = (*rule.words, *(word for word in self.words if word not in known))
        others = tuple(name for name in rule.category if name != self.category)
        categories = rule.category
        if self.category is not None and self.first:
            categories = (self.category, *others)
        elif self.category is not None and self.category not in rule.category:
            categories = (*rule.category, self.category)
        return rule.model_copy(update={"words": words, "category": categories})

    def joined(self, other: Change) -> Change:
        """The same suggestion with what a further return adds; words that a person chose stay as they are."""
        words = self.words if self.revised else tuple(dict.fromkeys((*self.words, *other.words)))[:MOST_WORDS]
        return replace(self, words=words, examples=tuple(dict.fromkeys((*self.examples, *other.examples))))

    def fits(self, city: City) -> bool:
        """Whether the city's files still have what it speaks of."""
        level1, _, level2 = (self.category or "").partition("/")
        known = self.category is None or (level1, level2) in city.own_categories
        return known and any(rule.name == self.matter for rule in city.matrix.rules)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "matter": self.matter,
            "before": self.before,
            "words": list(self.words),
            "category": self.category,
            "first": self.first,
            "examples": [example.as_dict() for example in self.examples],
            "revised": self.revised,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Change:
        examples = tuple(Example(**example) for example in stored["examples"])
        return cls(**{**stored, "words": tuple(stored["words"]), "examples": examples})


def learning(changes: Iterable[Change], city: City) -> Callable[[Rule], Rule]:
    """All changes after each other, for `City.set_learned`; those that no longer fit the city are left out."""
    fitting = [change for change in changes if change.fits(city)]

    def learn(rule: Rule) -> Rule:
        for change in fitting:
            rule = change.apply(rule)
        return rule

    return learn


def checked_words(change: Change, words: Iterable[str]) -> Change:
    """`change` with these words instead. Raises BadInput for what is no word that residents say."""
    wanted = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if change.kind == "example":
        raise BadInput("训练例句没有用词可改。")
    if not wanted and change.category is None:
        raise BadInput("至少要留一个词；都不要的话请驳回。")
    if len(wanted) > MOST_WORDS:
        raise BadInput(f"最多 {MOST_WORDS} 个词。")
    for word in wanted:
        if not _WORD.fullmatch(word):
            raise BadInput(f"“{word[:20]}”不能用：每个词 2 到 12 个字，不能有数字和标点。")
    return replace(change, words=wanted, revised=True)


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A stored proposal. `numbers`: the tickets it comes from. `report`: of the trial, see `trial.Trial.as_dict`."""

    id: int
    change: Change
    numbers: tuple[str, ...]
    report: dict[str, Any] | None
    state: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, row: RoutingProposal) -> ProposalView:
        return cls(
            id=row.id,
            change=Change.from_dict(row.change),
            numbers=tuple(row.numbers),
            report=row.report,
            state=row.state,
            created_at=row.created_at,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: without the sentences, so that no ticket number stands beside what its resident wrote."""
        change = {name: value for name, value in self.change.as_dict().items() if name != "examples"}
        return {
            "id": self.id,
            "change": change,
            "in_words": self.change.in_words,
            "numbers": list(self.numbers),
            "report": self.report,
            "state": self.state,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
        }
