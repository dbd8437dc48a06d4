"""One state of the knowledge base in memory: what is in it on a day, and search over it. Never changed once built."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

import numpy as np

from kb import ranking
from kb.documents import Document, Passage
from kb.index import Floats, Mask, Match, Part, PassageIndex
from kb.phrasing_index import FLOOR, Alike, Phrased, PhrasingIndex
from kb.segment import Segment, search_text
from kb.words import content_words, in_documents_words, query_terms, words

__all__ = ["NO_FILTERS", "Encoder", "Filters", "Hit", "Query", "Snapshot", "search_text"]

MAX_QUESTION_CHARS = 500


class Encoder(Protocol):
    """What the knowledge base needs of a language model; `nlu.runtime.Reader` is one."""

    @property
    def encoder_id(self) -> str:
        """Which vectors belong together: another id, another space."""
        ...

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> Floats:
        """Unit vectors (n, d), float32."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """A question as both searches see it, and the words that say what it is about.

    `asked` is what the person said last; `text` holds what it goes on from, too ("居住证怎么办 那要多久").
    """

    text: str
    asked: str
    terms: list[str]
    content: list[str]
    vector: Floats

    @classmethod
    def of(cls, text: str, encoder: Encoder, *, after: str = "") -> "Query":
        """`after`: the earlier question that this one goes on from."""
        asked = text.strip()[:MAX_QUESTION_CHARS]
        text = f"{after.strip()[:MAX_QUESTION_CHARS]} {asked}".strip()
        content = content_words(words(in_documents_words(text)))
        return cls(text, asked, query_terms(text), content, encoder.embed([text], "query")[0])

    def as_asked(self) -> ranking.Asked:
        return ranking.Asked(self.text, self.terms, self.content)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found: where it is from, how well it fits. `article` is its place in the document.

    `value`: what `kb.ranking` gives it; hits are in this order.

    `dense_rank`, `sparse_rank`, `fused_rank`: its place in the search by meaning, in that by words, and after their
    fusion, from 1. `phrased`: greatest cosine of a phrasing of its place (`kb.phrasings`), 0 where it has none.
    """

    document: Document
    passage: Passage
    score: float
    dense: float
    sparse: float
    dense_rank: int = 0
    sparse_rank: int = 0
    fused_rank: int = 0
    value: float = 0.0
    phrased: float = 0.0

    @property
    def article(self) -> str | None:
        return self.passage.label


@dataclass(frozen=True, slots=True)
class Filters:
    """Which documents are searched; None: all. A document that names no region or audience holds for every one."""

    region: str | None = None
    audience: str | None = None
    category: str | None = None

    def allow(self, document: Document) -> bool:
        return (
            _fits(self.region, document.region, True)
            and _fits(self.audience, document.audience, True)
            and _fits(self.category, document.category, False)
        )


def _fits(wanted: str | None, found: str | None, open_to_all: bool) -> bool:
    """One names the other: "金水区" is in "郑州市金水区", and what holds in 郑州市 holds in its districts, too."""
    if not wanted:
        return True
    if not found:
        return open_to_all
    return wanted in found or found in wanted


NO_FILTERS = Filters()


class Snapshot:
    """Documents and their passages with the index, as of one revision. Never changed.

    Args:
        documents: those that may be in force on some day; one that is not among them is not found.
        segments: the passages. Those of a document count in the first segment that has them in the state `keys`.
        keys: id of a document → state of its passages (`Entry.key`).
        phrasings: questions that staff attached to places; one whose place is not there is not used.
    """

    def __init__(
        self,
        documents: Mapping[str, Document],
        segments: Sequence[Segment],
        keys: Mapping[str, str],
        *,
        phrasings: Sequence[Phrased] = (),
        revision: int = 0,
    ) -> None:
        self.documents = documents
        self.segments = segments
        self.keys = keys
        self.revision = revision
        self._starts = [0]
        # Where the passages of a document lie: segment, first, one past the last.
        self._places: dict[str, tuple[int, int, int]] = {}
        self._owners: list[str] = []
        owner_numbers = []
        parts = []
        for number, segment in enumerate(segments):
            alive = np.zeros(len(segment), dtype=np.bool_)
            owners = np.zeros(len(segment), dtype=np.int32)
            for entry in segment.entries:
                owners[entry.start : entry.stop] = len(self._owners)
                self._owners.append(entry.document_id)
                id_ = entry.document_id
                if id_ in documents and id_ not in self._places and keys.get(id_) == entry.key:
                    alive[entry.start : entry.stop] = True
                    self._places[id_] = (number, entry.start, entry.stop)
            parts.append(Part.of(segment.postings, segment.nearest, alive))
            owner_numbers.append(owners)
            self._starts.append(self._starts[-1] + len(segment))
        self.index = PassageIndex(parts)
        self.phrasings = phrasings
        self._phrased = PhrasingIndex(phrasings, self._articles)
        self._owner_of = np.concatenate(owner_numbers) if owner_numbers else np.zeros(0, dtype=np.int32)
        self.regions = [name for name, _ in Counter(d.region for d in documents.values() if d.region).most_common()]
        """What the documents name as their region, the most frequent first."""
        self._allowed: dict[tuple[date, date | None, Filters], Mask] = {}
        self.suggested: dict[tuple[str, date, date | None], list[tuple[str, str]]] = {}
        """What may be asked about a document, once it has been found out (`kb.suggestions`)."""

    @classmethod
    def of(
        cls, documents: Mapping[str, Document], passages: Sequence[Passage], vectors: Floats, *, revision: int = 0
    ) -> "Snapshot":
        """Of passages in reading order, by document, and their vectors (n, width)."""
        grouped: dict[str, list[int]] = {}
        for position, passage in enumerate(passages):
            grouped.setdefault(passage.document_id, []).append(position)
        order = [position for positions in grouped.values() for position in positions]
        found = [(id_, "", documents[id_].title, [passages[i] for i in grouped[id_]]) for id_ in grouped]
        width = vectors.shape[1] if vectors.ndim == 2 else 1
        segment = Segment.of(found, vectors[order].reshape(len(order), width))
        return cls(documents, [segment], dict.fromkeys(grouped, ""), revision=revision)

    def __len__(self) -> int:
        """Number of passages that may be found on some day."""
        return self.index.size

    def with_documents(self, documents: Mapping[str, Document]) -> "Snapshot":
        """The same passages under other documents: those that are missing are not found any more."""
        return Snapshot(documents, self.segments, self.keys, phrasings=self.phrasings, revision=self.revision)

    def with_phrasings(self, phrasings: Sequence[Phrased]) -> "Snapshot":
        """The same passages with other phrasings."""
        return Snapshot(self.documents, self.segments, self.keys, phrasings=phrasings, revision=self.revision)

    def search(
        self, query: Query, *, top_k: int, today: date, as_of: date | None = None, filters: Filters = NO_FILTERS
    ) -> list[Hit]:
        """The best passages of documents in force on the day, best first."""
        allowed = self._in_force(today, as_of, filters)
        matches, alike = self.matches(query, limit=max(top_k, ranking.DEPTH), allowed=allowed)
        ranks = {match.position: number for number, match in enumerate(matches, start=1)}
        return [
            Hit(
                self.documents[self._owners[self._owner_of[match.position]]],
                self._passage(match.position),
                match.score,
                match.dense,
                match.sparse,
                match.dense_rank,
                match.sparse_rank,
                ranks[match.position],
                value,
                alike.of_passage(match.position, self.owner(match)).cosine if alike else 0.0,
            )
            for match, value in self._ranked(query, matches, alike)[:top_k]
        ]

    def matches(
        self, query: Query, *, limit: int = ranking.DEPTH, allowed: Mask | None = None
    ) -> tuple[list[Match], Alike | None]:
        """What both searches and the phrasings find, by fused score, and the phrasings that are like the question."""
        usable = self.index.alive if allowed is None else allowed
        alike = self._phrased.alike(query.vector, query.terms, self.index.idf, usable)
        also = alike.positions if alike else None
        return self.index.search(query.vector, query.terms, limit=limit, allowed=allowed, also=also), alike

    def found(self, matches: Sequence[Match], alike: Alike | None = None) -> dict[str, ranking.Found]:
        """The documents of the matches, by id, the one of the best match first."""
        grouped: dict[str, list[Match]] = {}
        for match in matches:
            grouped.setdefault(self._owners[self._owner_of[match.position]], []).append(match)
        result = {}
        for id_, mine in grouped.items():
            number, start, stop = self._places[id_]
            part = self.index.parts[number]
            places = [match.position - self._starts[number] for match in mine]
            told = ranking.UNTOLD
            if alike:
                phrased = [alike.of_passage(match.position, id_) for match in mine]
                told = ranking.Told(phrased, alike.of_document(id_))
            result[id_] = ranking.Found(mine, part, start, stop, places, self.documents[id_].title, told)
        return result

    def judged(self, matches: Sequence[Match], alike: Alike | None) -> tuple[list[ranking.Found], list[ranking.Found]]:
        """Their documents: those that are judged (the best, and any with a phrasing alike), and the others."""
        found = list(self.found(matches, alike).values())
        judged = found[: ranking.DOCUMENTS]
        beyond: list[ranking.Found] = []
        for document in found[ranking.DOCUMENTS :]:
            (judged if document.told.best >= FLOOR else beyond).append(document)
        return judged, beyond

    def _ranked(self, query: Query, matches: Sequence[Match], alike: Alike | None) -> list[tuple[Match, float]]:
        """The matches as `kb.ranking` orders them, with its scores; what comes too late to be judged stays behind."""
        if not matches:
            return []
        judged, beyond = self.judged(matches, alike)
        values = ranking.features(query.as_asked(), judged, self.index.idf)
        scores = ranking.shipped().scores(values).tolist()
        order = list(zip((match for document in judged for match in document.matches), scores, strict=True))
        order.sort(key=lambda pair: (-pair[1], pair[0].position))
        last = order[-1][1]
        return order + [(match, last) for document in beyond for match in document.matches]

    def label(self, match: Match) -> str | None:
        """The article or section of a match."""
        return self._passage(match.position).label

    def owner(self, match: Match) -> str:
        """The id of the document of a match."""
        return self._owners[int(self._owner_of[match.position])]

    def passages_of(self, document_id: str) -> list[Passage]:
        """A document's passages in reading order."""
        number, start, stop = self._places.get(document_id, (0, 0, 0))
        return [self.segments[number].passage(i, document_id) for i in range(start, stop)]

    def with_vectors(self, document_id: str) -> tuple[list[Passage], Floats]:
        """A document's passages in reading order, and their vectors (number of passages, width)."""
        number, start, stop = self._places.get(document_id, (0, 0, 0))
        if start == stop:
            return [], np.zeros((0, 1), dtype=np.float32)
        vectors: Floats = self.segments[number].nearest.vectors[start:stop].astype(np.float32)
        return self.passages_of(document_id), vectors

    def alive(self, number: int) -> Mask:
        """Which passages of a segment count: (passages of the segment,)."""
        return self.index.parts[number].alive

    def has(self, document_id: str) -> bool:
        """Whether the passages of a document are here, in the state that `keys` names."""
        return document_id in self._places

    def _articles(self, document_id: str) -> tuple[int, Sequence[str | None]] | None:
        """Where a document's passages begin, and their articles; None where it has none here."""
        if document_id not in self._places:
            return None
        number, start, _ = self._places[document_id]
        return self._starts[number] + start, [passage.article for passage in self.passages_of(document_id)]

    def _passage(self, position: int) -> Passage:
        number = bisect_right(self._starts, position) - 1
        return self.segments[number].passage(position - self._starts[number], self._owners[self._owner_of[position]])

    def _in_force(self, today: date, as_of: date | None, filters: Filters) -> Mask:
        key = (today, as_of, filters)
        mask = self._allowed.get(key)
        if mask is None:
            good = {d.id for d in self.documents.values() if d.in_force(today, as_of) and filters.allow(d)}
            owners = np.fromiter((owner in good for owner in self._owners), np.bool_, len(self._owners))
            mask = owners[self._owner_of] if len(owners) else np.zeros(len(self.index), dtype=np.bool_)
            if len(self._allowed) > 16:
                self._allowed.clear()
            self._allowed[key] = mask
        return mask
