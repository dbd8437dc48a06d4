"""One state of the knowledge base in memory: what is in it on a day, and search over it. Never changed once built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol

import numpy as np

from kb.documents import Document, Passage
from kb.index import Floats, Mask, PassageIndex
from kb.words import content_words, in_documents_words, query_terms, terms, words

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


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found: where it is from, how well it fits. `article` is its place in the document."""

    document: Document
    passage: Passage
    score: float
    dense: float
    sparse: float

    @property
    def article(self) -> str | None:
        return self.passage.label


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is computed once for a passage: the vector and the terms of the text it is found by."""

    text: str
    vector: Floats
    terms: list[str]

    @classmethod
    def of(cls, title: str, found_by: str, vector: Floats) -> "Prepared":
        """Counts the title's terms twice: in a short passage the document's matter would weigh too little."""
        return cls(found_by, vector, terms(title) + terms(found_by))


def search_text(title: str, article: str | None, text: str) -> str:
    """What a passage is found by: its text under its title and headings."""
    return "\n".join(part for part in (title, article, text) if part)


@dataclass(slots=True)
class Snapshot:
    """Documents and passages with their index, as of one revision. `documents` may hold some that are not in force."""

    documents: Mapping[str, Document]
    passages: Sequence[Passage]
    prepared: Sequence[Prepared]
    revision: int = 0
    index: PassageIndex = field(init=False)
    _by_document: dict[str, list[int]] = field(init=False)
    _allowed: dict[tuple[date, date | None], Mask] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        size = self.prepared[0].vector.shape[0] if self.prepared else 1
        vectors = np.array([p.vector for p in self.prepared], dtype=np.float32).reshape(len(self.prepared), size)
        self.index = PassageIndex(vectors, [p.terms for p in self.prepared])
        self._by_document = {}
        for position, passage in enumerate(self.passages):
            self._by_document.setdefault(passage.document_id, []).append(position)

    def search(self, query: Query, *, top_k: int, today: date, as_of: date | None = None) -> list[Hit]:
        """The best passages of documents in force on the day, best first."""
        matches = self.index.search(query.vector, query.terms, limit=top_k, allowed=self._in_force(today, as_of))
        hits = []
        for match in matches:
            passage = self.passages[match.position]
            document = self.documents[passage.document_id]
            hits.append(Hit(document, passage, match.score, match.dense, match.sparse))
        return hits

    def passages_of(self, document_id: str) -> list[Passage]:
        """A document's passages in reading order."""
        return [self.passages[i] for i in self._by_document.get(document_id, [])]

    def with_vectors(self, document_id: str) -> tuple[list[Passage], Floats]:
        """A document's passages in reading order, and their vectors (number of passages, width)."""
        positions = self._by_document.get(document_id, [])
        return [self.passages[i] for i in positions], np.array([self.prepared[i].vector for i in positions])

    def _in_force(self, today: date, as_of: date | None) -> Mask:
        key = (today, as_of)
        mask = self._allowed.get(key)
        if mask is None:
            good = {d.id for d in self.documents.values() if d.in_force(today, as_of)}
            mask = np.array([p.document_id in good for p in self.passages], dtype=np.bool_)
            if len(self._allowed) > 16:
                self._allowed.clear()
            self._allowed[key] = mask
        return mask
