"""Two texts in force for the same people that give a different number for the same matter.

Compared are sentences of near passages. Rules leave out what speaks of another case (`kb.health.matter`: another member
of a group, other ages, another branch, a least against a most); what is left is weighed by a few features with fitted
weights. Precision counts more than recall: a false alarm costs an editor's trust.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kb.health.claims import Statement, statements
from kb.health.finding import Entry, Finding, for_the_same_people, owner_of
from kb.health.matter import Differing, differing, margin
from kb.health.near import neighbours
from kb.text import folded

_NEAR = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two numbers that may contradict each other, with the sentences they stand in."""

    a: Statement
    b: Statement
    differing: Differing


def contradictions(
    entries: Sequence[Entry],
    *,
    encoder_id: str = "",
    this_year: int | None = None,
    unread: list[int] | None = None,
) -> Iterator[Finding]:
    """Contradictions among documents in force, each pair of sentences once.

    Args:
        encoder_id: which encoder the passages' vectors are of; if it is not the one that the weights were fitted with,
            words alone are compared, and less is found.
        this_year: what is said of a later year contradicts nothing that holds now.
        unread: takes the passage's id of each sentence that could not be read.
    """
    best: dict[tuple[str, ...], tuple[float, Finding]] = {}
    for candidate in candidates(entries, this_year=this_year, unread=unread):
        value = margin(candidate.differing.features, encoder_id)
        if value >= 0:
            finding = _finding(candidate)
            # Windows overlap: the same two sentences come several times, and with several numbers.
            key = (*finding.documents, *sorted(quote.text for quote in finding.quotes))
            if key not in best or value > best[key][0]:
                best[key] = value, finding
    yield from (finding for _, finding in best.values())


def candidates(
    entries: Sequence[Entry], *, this_year: int | None = None, unread: list[int] | None = None
) -> Iterator[Candidate]:
    """Differing numbers in sentences of near passages, less those that speak of another case."""
    places = [(entry, i) for entry in entries for i in range(len(entry.passages))]
    stated = [statements(entry, i, unread) for entry, i in places]
    speaking = [n for n, found in enumerate(stated) if found]
    if not speaking:
        return
    owner = np.repeat(np.arange(len(entries)), [len(entry.passages) for entry in entries])[speaking]
    vectors = np.concatenate([entry.vectors for entry in entries])[speaking]
    for left, right in neighbours(vectors, owner, _NEAR):
        documents = (places[speaking[n]][0].document for n in (left, right))
        if not for_the_same_people(*documents):
            continue
        alike = float(vectors[left] @ vectors[right])
        for a in stated[speaking[left]]:
            for b in stated[speaking[right]]:
                for found in _compared(a, b, alike, this_year, unread):
                    yield Candidate(a, b, found)


def _compared(
    a: Statement, b: Statement, alike: float, this_year: int | None, unread: list[int] | None
) -> list[Differing]:
    try:
        return list(differing(a, b, alike, this_year=this_year))
    except Exception:
        if unread is not None:
            unread += [one.entry.passages[one.position].id for one in (a, b)]
        return []


def _finding(candidate: Candidate) -> Finding:
    pair = [(candidate.a, candidate.differing.a), (candidate.b, candidate.differing.b)]
    (a, fact_a), (b, fact_b) = sorted(pair, key=lambda one: (one[0].entry.document.id, one[0].position))
    first, second = (folded(one.text)[slice(*fact.span)] for one, fact in ((a, fact_a), (b, fact_b)))
    quotes = (a.quote, b.quote)
    return Finding(
        "contradiction",
        (quotes[0].document, quotes[1].document, fact_a.kind, fact_a.value, fact_b.value, a.text[:80], b.text[:80]),
        (quotes[0].document, quotes[1].document),
        f"《{quotes[0].title}》写“{first}”，《{quotes[1].title}》写“{second}”",
        quotes,
        owner_of(a.entry.document) or owner_of(b.entry.document),
        more={"number": fact_a.kind, "values": [first, second]},
    )
