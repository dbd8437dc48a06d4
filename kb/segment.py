"""A run of passages with all that search needs, in flat arrays, so that it can be written to a file and mapped again.

A segment is never changed. The passages of a document lie in it one after another, in reading order; `Entry.key` says
which state of the document they are from.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kb.documents import Passage
from kb.nearest import Floats, Halves, Nearest, halves
from kb.postings import Mask, Postings
from kb.words import terms

_NO_ARTICLE = "\x00"
_OPENING_CHARS = 40
# What follows the first full stop behind some characters.
_SHORT = re.compile(r"(?<=.{8})[。！？\n].*", re.S)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document in a segment: its passages are those at start ≤ position < stop."""

    document_id: str
    key: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts one after another in one array of bytes (UTF-8); text i is `blob[offsets[i]:offsets[i + 1]]`."""

    blob: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        encoded = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(e) for e in encoded], dtype=np.int64)))
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    @classmethod
    def merged(cls, parts: Sequence["Texts"], kept: Sequence[Mask]) -> "Texts":
        blobs, sizes = [], [np.zeros(1, np.int64)]
        for part, mask in zip(parts, kept, strict=True):
            size = np.diff(part.offsets)
            blobs += [part.blob[part.offsets[a] : part.offsets[b]] for a, b in _stretches(mask)]
            sizes.append(size[mask])
        return cls(np.concatenate(blobs) if blobs else np.zeros(0, np.uint8), np.cumsum(np.concatenate(sizes)))

    def __getitem__(self, position: int) -> str:
        return self.blob[self.offsets[position] : self.offsets[position + 1]].tobytes().decode("utf-8")


@dataclass(frozen=True, slots=True)
class Segment:
    """`ids` (n,) of the passages in the database, `ordinals` (n,) in their documents."""

    entries: Sequence[Entry]
    ids: npt.NDArray[np.int64]
    ordinals: npt.NDArray[np.int32]
    articles: Texts
    texts: Texts
    postings: Postings
    nearest: Nearest

    @classmethod
    def of(cls, documents: Sequence[tuple[str, str, str, Sequence[Passage]]], vectors: Floats) -> "Segment":
        """Of documents (id, key, title, passages in reading order) and the vectors of all passages, in that order.

        Raises EncoderMismatch where vectors are missing or not of length 1.
        """
        passages = [passage for _, _, _, found in documents for passage in found]
        entries, start = [], 0
        for document_id, key, _, found in documents:
            entries.append(Entry(document_id, key, start, start + len(found)))
            start += len(found)
        return cls(
            entries,
            np.array([p.id for p in passages], dtype=np.int64),
            np.array([p.ordinal for p in passages], dtype=np.int32),
            Texts.of(p.article or _NO_ARTICLE for p in passages),
            Texts.of(p.text for p in passages),
            Postings.of(search_terms(title, p) for _, _, title, found in documents for p in found),
            Nearest.of(halves(vectors, len(passages))),
        )

    @classmethod
    def merged(cls, parts: Sequence["Segment"], kept: Sequence[Mask], questions: Floats | None = None) -> "Segment":
        """The documents of all parts that `kept` holds true, with the kind of vector search that fits their number.

        `kept`: one mask (n,) a part, which holds true all passages of a document or none. `questions`: vectors that
        recall is measured with (`Nearest.chosen`).
        """
        entries, start = [], 0
        for part, mask in zip(parts, kept, strict=True):
            for entry in part.entries:
                if entry.stop > entry.start and not mask[entry.start]:
                    continue
                entries.append(Entry(entry.document_id, entry.key, start, start + entry.stop - entry.start))
                start += entry.stop - entry.start
        # Segments without passages have no width.
        halves = [part.nearest.vectors[mask] for part, mask in zip(parts, kept, strict=True) if mask.any()]
        vectors: Halves = np.concatenate(halves) if halves else np.zeros((0, 1), np.float16)
        return cls(
            entries,
            np.concatenate([part.ids[mask] for part, mask in zip(parts, kept, strict=True)]),
            np.concatenate([part.ordinals[mask] for part, mask in zip(parts, kept, strict=True)]),
            Texts.merged([part.articles for part in parts], kept),
            Texts.merged([part.texts for part in parts], kept),
            Postings.merged([part.postings for part in parts], kept),
            Nearest.chosen(vectors, questions),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def openings(self, count: int) -> list[str]:
        """The first clauses of some passages: as short as questions, and no easier to find passages for."""
        chosen = np.random.default_rng(0).choice(len(self), min(count, len(self)), replace=False)
        return [_SHORT.sub("", self.texts[int(position)])[:_OPENING_CHARS] for position in chosen]

    def passage(self, position: int, document_id: str) -> Passage:
        article = self.articles[position]
        return Passage(
            int(self.ids[position]),
            document_id,
            int(self.ordinals[position]),
            None if article == _NO_ARTICLE else article,
            self.texts[position],
        )


def search_text(title: str, article: str | None, text: str) -> str:
    """What a passage is found by: its text under its title and headings."""
    return "\n".join(part for part in (title, article, text) if part)


def search_terms(title: str, passage: Passage) -> list[str]:
    """The terms of what a passage is found by; the title's count twice: in a short passage the document's matter would
    weigh too little."""
    return terms(title) + terms(search_text(title, passage.article, passage.text))


def _stretches(mask: Mask) -> Iterable[tuple[int, int]]:
    """Beginning and end of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
