"""Two texts in force for the same people that give a different number for the same matter.

Compared are sentences of near passages. A pair is reported when, after the numbers both share are left out, one number
of one kind is left on each side, and the words around it speak of the same thing: most words of one sentence stand in
the other's text, neither names something of its own that the other lacks an equal of (二级医院 against 三级医院), and
no word narrows only one of them (补领, 遗失). Precision counts more than recall: a false alarm costs an editor's trust.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kb.health.facts import Fact, facts, without_facts
from kb.health.finding import Entry, Finding, Quote, for_the_same_people, owner_of
from kb.health.near import neighbours
from kb.text import folded, sentences
from kb.words import words

_DATA = Path(__file__).parent.parent / "data"
_NEAR = 12
# Conditions, not the matter: numbers of these kinds are never what two texts contradict each other about.
_CONDITIONS = frozenset(("年份", "年龄段"))
_LONGEST = 160
_BY_ARTICLE = re.compile("(?:本|该|前)[^，。；]{0,6}(?:第[〇零一二三四五六七八九十百\\d]+[条款项]|前款|前条)|前[款条]")
_TOLD_WITHOUT_TOPIC = 4
_FEW_DOCUMENTS = 4
_FEW_SHARE = 0.03
_SHARED = 0.5
_SHARED_LESS = 0.34


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence with numbers.

    `own`: its words; `named`: the title's; `around`: its folded text with headings and title.
    """

    entry: Entry
    position: int
    text: str
    facts: list[Fact]
    own: frozenset[str]
    named: frozenset[str]
    around: str

    @property
    def quote(self) -> Quote:
        return Quote.of(self.entry.document, self.entry.passages[self.position], self.text)


def contradictions(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Contradictions among documents in force, each pair of statements once."""
    places = [(entry, i) for entry in entries for i in range(len(entry.passages))]
    stated = [_statements(entry, i) for entry, i in places]
    speaking = [n for n, found in enumerate(stated) if found]
    if not speaking:
        return
    starts = np.cumsum([0, *(len(entry.passages) for entry in entries)])
    owner = np.repeat(np.arange(len(entries)), np.diff(starts))[speaking]
    vectors = np.concatenate([entry.vectors for entry in entries])[speaking]
    common = _common(entries, stated)
    seen: set[tuple[str, ...]] = set()
    for left, right in neighbours(vectors, owner, _NEAR):
        a_entry, b_entry = places[speaking[left]][0], places[speaking[right]][0]
        if not for_the_same_people(a_entry.document, b_entry.document):
            continue
        for a in stated[speaking[left]]:
            for b in stated[speaking[right]]:
                kind = differ(a, b, common)
                if kind is None:
                    continue
                finding = _finding(kind, a, b)
                if finding.about not in seen:
                    seen.add(finding.about)
                    yield finding


def differ(a: Statement, b: Statement, common: AbstractSet[str] = frozenset()) -> str | None:
    """The kind of number in which two statements on the same matter differ; None where they do not.

    `common`: words of so many documents that sharing them means nothing.
    """
    pair = _left_over(a.facts, b.facts)
    if pair is None or not _same_matter(a, b, common):
        return None
    return pair[0].kind


def statement(entry: Entry, position: int, text: str) -> Statement | None:
    """A sentence of a passage as it is compared; None for one without numbers."""
    found = facts(text)
    # What "a breach of article 12" is fined with depends on that article, which is not in the sentence.
    if not found or len(text) > _LONGEST or _BY_ARTICLE.search(text):
        return None
    passage = entry.passages[position]
    bare = without_facts(text, found)
    around = folded("\n".join((text, passage.article or "", entry.document.title)))
    named = frozenset(_meaningful(entry.document.title))
    return Statement(entry, position, text, found, frozenset(_meaningful(bare)), named, around)


def _statements(entry: Entry, position: int) -> list[Statement]:
    found = (statement(entry, position, text) for text in sentences(entry.passages[position].text))
    return [one for one in found if one is not None]


def _left_over(a: Sequence[Fact], b: Sequence[Fact]) -> tuple[Fact, Fact] | None:
    """The one number on each side that the other does not have; None where none or several are left."""
    left: tuple[Fact, Fact] | None = None
    for kind in {f.kind for f in a} & {f.kind for f in b}:
        only_a, only_b = _without(a, b, kind), _without(b, a, kind)
        if not only_a or not only_b:
            continue
        if left is not None or kind in _CONDITIONS or len(only_a) > 1 or len(only_b) > 1:
            return None
        left = only_a[0], only_b[0]
    if left is None or {left[0].bound, left[1].bound} == {"min", "max"}:
        return None
    return left


def _without(these: Sequence[Fact], those: Sequence[Fact], kind: str) -> list[Fact]:
    """The numbers of a kind less those that the other side has, too, each as often as it has it; the last remain."""
    shared = Counter(f.value for f in those if f.kind == kind)
    remaining = []
    for fact in sorted((f for f in these if f.kind == kind), key=lambda f: f.span):
        if shared[fact.value]:
            shared[fact.value] -= 1
        else:
            remaining.append(fact)
    return remaining


def _common(entries: Sequence[Entry], stated: Sequence[Sequence[Statement]]) -> frozenset[str]:
    """Words of titles and statements of more than a few of the documents."""
    of_documents: dict[str, set[str]] = {}
    for one in (one for found in stated for one in found):
        of_documents.setdefault(one.entry.document.id, set()).update(one.own | one.named)
    counts = Counter(word for found in of_documents.values() for word in found)
    limit = max(_FEW_DOCUMENTS, int(_FEW_SHARE * len(entries)))
    return frozenset(word for word, count in counts.items() if count > limit)


def _same_matter(a: Statement, b: Statement, common: AbstractSet[str]) -> bool:
    if not a.own or not b.own:
        return False
    if _exclusive(a.entry.document.title, b.entry.document.title):
        return False
    if _exclusive(a.around, b.around) or _narrowed(a, b):
        return False
    only_a = {w for w in a.own if not _said_in(w, b.around)}
    only_b = {w for w in b.own if not _said_in(w, a.around)}
    if only_a & _things(a) and only_b & _things(b):
        return False
    of_a, of_b = 1 - len(only_a) / len(a.own), 1 - len(only_b) / len(b.own)
    shared = (a.own - only_a) | (b.own - only_b)
    told = shared - common
    if len(told) < (1 if _one_topic(a, b, common) else _TOLD_WITHOUT_TOPIC):
        return False
    return max(of_a, of_b) >= _SHARED and min(of_a, of_b) >= _SHARED_LESS


def _one_topic(a: Statement, b: Statement, common: AbstractSet[str]) -> bool:
    """Whether a word of one title stands in the other's text."""
    return any(w in b.around for w in a.named - common) or any(w in a.around for w in b.named - common)


def _exclusive(a: str, b: str) -> bool:
    """Whether two texts name different members of a group of which a thing is only one: 单身, 已婚."""
    for group in _groups():
        in_a, in_b = _named(group, a), _named(group, b)
        if in_a and in_b and not in_a & in_b:
            return True
    return False


def _named(group: Sequence[tuple[str, int]], text: str) -> set[int]:
    """Numbers of the members of a group in a text, a longer word before those it holds."""
    found = set()
    for word, member in group:
        if word in text:
            found.add(member)
            text = text.replace(word, " ")
    return found


def _narrowed(a: Statement, b: Statement) -> bool:
    return any((word in a.around) != (word in b.around) for word in _narrowing())


def _said_in(word: str, text: str) -> bool:
    return word in text or any(other in text for other in _equals().get(word, ()))


def _meaningful(text: str) -> list[str]:
    return [w for w in words(text) if len(w) > 1 and not w.isdigit() and w not in _generic()]


def _things(statement: Statement) -> set[str]:
    """The nouns and names of a statement: what it is about, not what is done."""
    return {w for w in statement.own if _is_thing(w)}


@cache
def _is_thing(word: str) -> bool:
    return _tags().get(word, "n")[0] in "nsfbtj"


@cache
def _tags() -> dict[str, str]:
    """Parts of speech of jieba's dictionary."""
    import jieba

    with (Path(jieba.__file__).parent / "dict.txt").open(encoding="utf-8") as lines:
        return {word: tag for word, _, tag in (line.split() for line in lines)}


@cache
def _groups() -> list[list[tuple[str, int]]]:
    """Words of each group with the number of the member they name, longest first."""
    groups = []
    for line in _section("exclusive"):
        named = [(word, n) for n, member in enumerate(line.split()) for word in member.split("/")]
        groups.append(sorted(named, key=lambda pair: -len(pair[0])))
    return groups


@cache
def _narrowing() -> list[str]:
    return [word for line in _section("narrowing") for word in line.split()]


@cache
def _generic() -> frozenset[str]:
    return frozenset(word for line in _section("generic") for word in line.split())


@cache
def _equals() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for line in _section("equal"):
        same = tuple(line.split())
        for word in same:
            table[word] = tuple(w for w in same if w != word)
    return table


def _section(name: str) -> list[str]:
    text = (_DATA / "comparing.txt").read_text(encoding="utf-8")
    part = re.search(rf"^\[{name}\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)
    assert part is not None, name
    return [line for line in part[1].splitlines() if line.strip() and not line.startswith("#")]


def _finding(kind: str, a: Statement, b: Statement) -> Finding:
    a, b = sorted((a, b), key=lambda one: (one.entry.document.id, one.position))
    pair = _left_over(a.facts, b.facts)
    assert pair is not None
    first, second = (folded(one.text)[slice(*fact.span)] for one, fact in zip((a, b), pair, strict=True))
    quotes = (a.quote, b.quote)
    return Finding(
        "contradiction",
        (quotes[0].document, quotes[1].document, kind, pair[0].value, pair[1].value, a.text[:80], b.text[:80]),
        (quotes[0].document, quotes[1].document),
        f"《{quotes[0].title}》写“{first}”，《{quotes[1].title}》写“{second}”",
        quotes,
        owner_of(a.entry.document) or owner_of(b.entry.document),
        more={"number": kind, "values": [first, second]},
    )
