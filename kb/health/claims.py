"""Sentences with numbers as they are compared: each number with its clause, and what the sentence stands under."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from kb.documents import Passage
from kb.health.comparing import canonical, rarity
from kb.health.facts import Fact, facts, without_facts
from kb.health.finding import Entry, Quote
from kb.text import folded, sentences
from kb.words import pairs

_LONGEST = 160
_BY_ARTICLE = re.compile("(?:本|该|前)[^，。；]{0,6}(?:第[〇零一二三四五六七八九十百\\d]+[条款项]|前款|前条)|前[款条]")
# "Who does not mend it in time is fined": what was to be mended stands before.
_BY_BEFORE = re.compile("^[(（〇一二三四五六七八九十）) ]*(?:逾期|拒不|情节|造成)[^，。；]*，.*(?:罚款|滞纳金)")
PENALTY = re.compile("罚款|滞纳金")
_MARKS = re.compile(r"^[\s>*#|-]+|\*\*|^\(?[一二三四五六七八九十\d]{1,2}[)、.．](?!\d)")
_ARTICLE = re.compile(r"第[〇零一二三四五六七八九十百\d]+条")
_QUESTION = re.compile(r"[?？]\s*\**$")
_ITEM = re.compile(r"\s*(?:[-*•·]|\(?（?[一二三四五六七八九十\d]{1,2}[)）、.．])")
# A row of a table as `kb.tables` writes it: "项目：…；金额：…".
_ROW = re.compile(r"[^：；]{1,20}：[^；]+(?:；[^：；]{1,20}：[^；]+)+")
_FOLDED_ROW = re.compile(folded(_ROW.pattern))
_CLAUSE_END = re.compile("[，。；、：,;:()（）]")
_LEAST_CHARS = 3
# Sentences with fewer pairs of characters of their own (by weight) are read with the one before.
_LEAST_WEIGHT = 3.0
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Bag:
    """Terms of a text, and the sum of their weights."""

    terms: frozenset[str]
    weight: float

    @classmethod
    def of(cls, text: str) -> "Bag":
        terms = frozenset(pairs(text))
        return cls(terms, sum(map(rarity, terms)))

    def within(self, other: "Bag") -> float:
        """The share of this that stands in the other, from 0 to 1."""
        return sum(map(rarity, self.terms & other.terms)) / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence with numbers.

    `clauses`: by number, the folded clause it stands in, with what it depends on (the name of a table's row);
    `own`, `around`, `named`: the terms of the sentence, of all it stands under with
    itself, of the title; `said`: folded text with headings and title;
    `nearby`: the numbers of the passage.
    """

    entry: Entry
    position: int
    text: str
    facts: Sequence[Fact]
    clauses: Sequence[str]
    own: Bag
    around: Bag
    named: Bag
    said: str
    nearby: frozenset[tuple[str, str]]

    @property
    def quote(self) -> Quote:
        return Quote.of(self.entry.document, self.entry.passages[self.position], self.text)


def statements(entry: Entry, position: int, unread: list[int] | None = None) -> list[Statement]:
    """The sentences of a passage that hold numbers, as they are compared.

    One that cannot be read is left out, whatever the error, and the passage's id put into `unread`: a check of
    everything must not end at one sentence.
    """
    passage = entry.passages[position]
    found = []
    for text, lead, before in _led(passage.text):
        try:
            found.append((text, lead, before, facts(text)))
        except Exception:
            _skipped(passage, unread)
    nearby = frozenset((fact.kind, fact.value) for *_, some in found for fact in some)
    # What "a breach of article 12" is fined with depends on that article, which is not in the sentence.
    usable = [
        one
        for one in found
        if one[3] and len(one[0]) <= _LONGEST and not _BY_ARTICLE.search(one[0]) and not _BY_BEFORE.search(one[0])
    ]
    result = []
    for text, lead, before, some in usable:
        try:
            result.append(_statement(entry, position, text, lead, before, some, nearby))
        except Exception:
            _skipped(passage, unread)
    return result


def _skipped(passage: Passage, unread: list[int] | None) -> None:
    if unread is not None:
        unread.append(passage.id)


def _statement(
    entry: Entry,
    position: int,
    text: str,
    lead: str,
    before: str,
    some: Sequence[Fact],
    nearby: frozenset[tuple[str, str]],
) -> Statement:
    title = entry.document.title
    heading = _ARTICLE.sub("", entry.passages[position].article or "")
    bare, under = without_facts(text, some), f"{heading}\n{lead}"
    own = Bag.of(canonical(bare))
    if own.weight < _LEAST_WEIGHT:
        # "2025年7月1日起是每人每月800元": what it speaks of was said before.
        bare = f"{without_facts(before, facts(before))}\n{bare}"
        own = Bag.of(canonical(bare))
        under = f"{before}\n{under}"
    plain = folded(text)
    return Statement(
        entry,
        position,
        text,
        some,
        [_clause(plain, fact) for fact in some],
        own,
        Bag.of(canonical(f"{bare}\n{under}\n{title}")),
        _bag_of_title(title),
        folded(f"{text}\n{under}\n{title}"),
        nearby,
    )


@cache
def _bag_of_title(title: str) -> Bag:
    return Bag.of(canonical(title))


def _led(text: str) -> Iterator[tuple[str, str, str]]:
    """Sentences with the line they depend on (the question before an answer, the words before a list), and what was
    said just before."""
    question, intro = "", ""
    for line in text.split("\n"):
        plain = _MARKS.sub("", line).replace("**", "").strip()
        if not plain:
            continue
        if _QUESTION.search(line) and len(plain) <= _LONGEST:
            question, intro = plain, ""
            continue
        row = bool(_ROW.fullmatch(plain))
        if not row and not _ITEM.match(line):
            intro = ""
        before = intro or question
        for sentence in [plain] if row else sentences(plain):
            if not _QUESTION.search(sentence):
                yield sentence, f"{question}\n{intro}", before
            before = sentence
        if plain.endswith(("：", ":")):
            intro = plain


def _clause(plain: str, fact: Fact) -> str:
    """The clause of a number; with the one before it where there is too little in it, and the name of a table's row."""
    marks = [0, *(m.end() for m in _CLAUSE_END.finditer(plain)), len(plain) + 1]
    # A mark inside the number (12:00, 1,500) ends no clause.
    marks = [m for m in marks if not fact.span[0] < m <= fact.span[1]]
    first = max(i for i, m in enumerate(marks) if m <= fact.span[0])
    start, end = (
        marks[first],
        next(m for m in marks if m > fact.span[1]) - 1 if fact.span[1] < len(plain) else len(plain),
    )
    while first > 0 and len(_HAN.findall(plain[start : fact.span[0]] + plain[fact.span[1] : end])) < _LEAST_CHARS:
        first -= 1
        start = marks[first]
    clause = plain[start:end]
    if _FOLDED_ROW.fullmatch(plain):
        clause = f"{plain.split(';')[0]} {clause}"
    return clause
