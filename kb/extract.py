"""Find the sentences of the found passages that answer a question. Sentences are taken as they are, never changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb import spans
from kb.documents import Passage
from kb.search import Hit, Query, Snapshot
from kb.sections import choose, is_article, is_in_sections
from kb.text import folded, sentences
from kb.words import query_terms

MAX_QUOTE_CHARS = 220
_PASSAGES = 6
_SAME_QUESTION = 0.96  # cosine to a phrasing from which its place is quoted, whatever its words


@dataclass(frozen=True, slots=True)
class Quote:
    """Text as it stands in a passage, in whole sentences, and how well it answers (0…1 and a little more).

    `kernel` is the stretch of it that answers; the whole text where nothing narrower was looked for.
    """

    hit: Hit
    text: str
    score: float
    kernel: str = ""

    @property
    def answer(self) -> str:
        return self.kernel or self.text


def extract(query: Query, hits: Sequence[Hit], snapshot: Snapshot, *, max_chars: int = MAX_QUOTE_CHARS) -> list[Quote]:
    """The sentences that answer, in reading order, from the document of the best hit.

    Of an entry made of sections, the sections asked for; else the sentences around the stretch that `kb.spans` finds.
    A short passage under a heading, or a short article of a law, is quoted whole: its lines belong together. Of a law
    only the article found first is quoted: which one answers, the order knows better than the stretch.
    """
    if not hits:
        return []
    entry, vectors = snapshot.with_vectors(hits[0].document.id)
    if is_in_sections(entry, max_chars=max_chars):
        chosen = choose(
            query.asked,
            query_terms(query.asked),
            query.vector,
            hits[0].document.title,
            entry,
            vectors,
            snapshot.index.idf,
        )
        asked_here = hits[0].passage
        if hits[0].phrased >= _SAME_QUESTION and all(passage.id != asked_here.id for passage, _ in chosen):
            chosen = [(asked_here, hits[0].phrased)]
        hit_of = {hit.passage.id: hit for hit in hits}
        return [
            Quote(hit_of.get(passage.id) or Hit(hits[0].document, passage, 0.0, 0.0, 0.0), passage.text, score)
            for passage, score in chosen
        ]
    document = hits[0].document
    mine = [hit for hit in hits if hit.document.id == document.id]
    if is_article(hits[0].article):
        mine = [hit for hit in mine if hit.article == hits[0].article]
    elif hits[0].phrased >= _SAME_QUESTION:
        mine = mine[:1]
    mine = mine[:_PASSAGES]
    found = spans.best(
        query.text,
        query.content,
        [(f"{document.title}\n{hit.passage.article or ''}", hit.passage.text, hit.score) for hit in mine],
        snapshot.index.idf,
    )
    if found is None:
        return []
    hit = mine[found.passage]
    if hit.passage.article and len(hit.passage.text) <= max_chars:
        return [Quote(hit, hit.passage.text, found.score, found.text)]
    return [Quote(hit, _in_sentences(hit.passage.text, found.text, max_chars), found.score, found.text)]


def _in_sentences(text: str, stretch: str, max_chars: int) -> str:
    """The sentences that a stretch of the text lies in, and those behind it that complete a list it announces."""
    start = text.find(stretch)
    lines = sentences(text)
    at, first, last = 0, None, 0
    for number, line in enumerate(lines):
        begin = text.find(line, at)
        at = begin + len(line)
        if at > start and begin < start + len(stretch):
            first = number if first is None else first
            last = number + 1
    first = first or 0
    while last < len(lines) and lines[last - 1].endswith(("：", ":")):
        last += 1
    whole = "".join(lines[first:last])
    return whole if len(whole) <= max(max_chars, len(stretch)) * 2 else stretch


def covered_share(
    content: Sequence[str], passages: Sequence[Passage], title: str, idf: Callable[[str], float]
) -> float:
    """Share of the question's content words, weighted by rarity, that occur in the passages or the title: 0…1."""
    wanted = {w: idf(w) for w in content}
    if not wanted:
        return 0.0
    text = folded(title + "\n" + "\n".join(f"{p.article or ''}\n{p.text}" for p in passages))
    return sum(v for w, v in wanted.items() if w in text) / sum(wanted.values())
