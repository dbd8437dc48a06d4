"""Documents in force for the same people that say mostly the same.

Candidates are documents with passages near by meaning, or with a sentence in common. Compared are their sentences, by
characters: equal, or nearly so (normalised Indel similarity, rapidfuzz).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz, process

from kb.health.finding import Entry, Finding, Quote, for_the_same_people, owner_of
from kb.health.near import neighbours
from kb.text import folded, sentences

_NEAR = 4
_NEAR_COSINE = 0.9
_SHORTEST = 8
_ALIKE = 88.0
_REPORTED = 0.6
_WHOLE = 0.95
# A sentence of more documents than this is a formula.
_FORMULA = 5
_SHOWN = 4
_NOT_LETTER = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`plain`: what is compared, letters and digits only."""

    position: int
    text: str
    plain: str


def duplicates(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Pairs of documents of which most of the shorter stands in the longer, with the sentences they share."""
    told = [_sentences(entry) for entry in entries]
    for i, j in sorted(_candidates(entries, told)):
        if not for_the_same_people(entries[i].document, entries[j].document):
            continue
        short, long = sorted((i, j), key=lambda n: sum(len(s.plain) for s in told[n]))
        pairs = _shared(told[short], told[long])
        share = _share(told[short], [a for a, _ in pairs])
        if share >= _REPORTED:
            yield _finding(entries[short], entries[long], pairs, share)


def _sentences(entry: Entry) -> list[Sentence]:
    found: dict[str, Sentence] = {}
    for position, passage in enumerate(entry.passages):
        for text in sentences(passage.text):
            plain = _NOT_LETTER.sub("", folded(text))
            if len(plain) >= _SHORTEST:
                # Windows overlap: a sentence counts once.
                found.setdefault(plain, Sentence(position, text, plain))
    return list(found.values())


def _candidates(entries: Sequence[Entry], told: Sequence[Sequence[Sentence]]) -> set[tuple[int, int]]:
    pairs: Counter[tuple[int, int]] = Counter()
    holders = defaultdict(list)
    for number, found in enumerate(told):
        for sentence in found:
            holders[sentence.plain].append(number)
    for numbers in holders.values():
        if len(numbers) <= _FORMULA:
            pairs.update((a, b) for n, a in enumerate(numbers) for b in numbers[n + 1 :])
    if entries:
        vectors = np.concatenate([entry.vectors for entry in entries])
        owner = np.repeat(np.arange(len(entries)), [len(entry.passages) for entry in entries])
        for a, b in neighbours(vectors, owner, _NEAR):
            if float(vectors[a] @ vectors[b]) >= _NEAR_COSINE:
                i, j = sorted((int(owner[a]), int(owner[b])))
                pairs[i, j] += 1
    # One sentence or passage in common is enough only for a document that has few.
    return {(i, j) for (i, j), n in pairs.items() if n >= min(3, len(told[i]), len(told[j]))}


def _shared(short: Sequence[Sentence], long: Sequence[Sentence]) -> list[tuple[Sentence, Sentence]]:
    if not short or not long:
        return []
    scores = process.cdist([s.plain for s in short], [s.plain for s in long], scorer=fuzz.ratio, score_cutoff=_ALIKE)
    best = np.argmax(scores, axis=1)
    return [(a, long[int(n)]) for a, n, row in zip(short, best, scores, strict=True) if row[n] >= _ALIKE]


def _share(all_of: Sequence[Sentence], shared: Sequence[Sentence]) -> float:
    return sum(len(s.plain) for s in shared) / max(sum(len(s.plain) for s in all_of), 1)


def _finding(short: Entry, long: Entry, pairs: list[tuple[Sentence, Sentence]], share: float) -> Finding:
    a, b = short.document, long.document
    longest = sorted(pairs, key=lambda pair: -len(pair[0].plain))[:_SHOWN]
    quotes = [
        Quote.of(entry.document, entry.passages[s.position], s.text)
        for pair in longest
        for entry, s in zip((short, long), pair, strict=True)
    ]
    how = "几乎全部" if share >= _WHOLE else f"{share:.0%} 的内容"
    return Finding(
        "duplicate",
        tuple(sorted((a.id, b.id))),
        (a.id, b.id),
        f"《{a.title}》{how}也在《{b.title}》里",
        tuple(quotes),
        owner_of(a) or owner_of(b),
        more={"share": round(share, 3), "sentences": len(pairs)},
    )
