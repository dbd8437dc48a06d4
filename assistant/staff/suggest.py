"""Three suggested replies for an agent, each with its source.

Sources: the knowledge base (what the chat would answer, then the next best passages), what agents answered to similar
questions before, and the city's canned replies. Past and canned replies are ranked by word overlap (BM25 over character
pairs, which needs no dictionary) and by meaning (cosine of the encoder's vectors), half each.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bm25s
import numpy as np
from sqlalchemy import select

from assistant.db.models import PastReply
from assistant.staff.labels import local_time, validity
from assistant.staff.services import StaffServices
from kb.answer import Citation
from kb.search import Encoder, Hit

SUGGESTIONS: Final = 3
MAX_PAST_REPLIES: Final = 3000
# Embedding is some milliseconds a text: only the best by words and the newest are embedded, and remembered.
MAX_EMBEDDED: Final = 48
MIN_RELEVANCE: Final = 0.12
_SATURATION = 6.0  # a BM25 score of this much counts half
_STRANGERS = 0.88  # cosine that unrelated texts reach with the shipped encoder, for when there are too few to compare
Vector = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`kind`: kb, past or city. `source`: where it comes from, in Chinese. `score`: 0 to 1."""

    kind: str
    text: str
    source: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply that was given or prepared for `question`."""

    kind: str
    question: str
    text: str
    source: str


class Ranker:
    """Ranks candidates for a question; remembers vectors of texts it has seen."""

    def __init__(self, embedder: Encoder, *, remember: int = 4000) -> None:
        self._embedder = embedder
        self._remember = remember
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def rank(self, question: str, candidates: Sequence[Candidate]) -> list[tuple[Candidate, float]]:
        """Candidates with their relevance (0 to 1), best first; blocks, so call it off the event loop."""
        if not candidates or not question.strip():
            return []
        overlap = _overlap(question, [f"{c.question}\n{c.text}" for c in candidates])
        best = sorted(range(len(candidates)), key=lambda i: (-overlap[i], -i))[:MAX_EMBEDDED]
        near = self._nearness(question, [candidates[i] for i in best])
        scored = [
            (candidates[i], 0.5 * overlap[i] / (overlap[i] + _SATURATION) + 0.5 * near[n]) for n, i in enumerate(best)
        ]
        return sorted(scored, key=lambda pair: -pair[1])

    def _nearness(self, question: str, candidates: Sequence[Candidate]) -> list[float]:
        query = self._embedder.embed([question], "query")[0]
        asked = self._embed([c.question or c.text for c in candidates]) @ query
        told = self._embed([c.text for c in candidates]) @ query
        cosines = np.maximum(asked, told)
        # Encoders differ in what cosine strangers have: what most candidates reach counts as nothing.
        floor = float(np.median(cosines)) if len(candidates) >= 6 else _STRANGERS
        return [float(value) for value in np.clip((cosines - floor) / max(1e-6, 1.0 - floor), 0.0, 1.0)]

    def _embed(self, texts: Sequence[str]) -> Vector:
        unknown = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if unknown:
            self._vectors.update(zip(unknown, self._embedder.embed(unknown, "passage"), strict=True))
        rows = np.stack([self._vectors[text] for text in texts])
        while len(self._vectors) > self._remember:
            self._vectors.popitem(last=False)
        return rows


def _overlap(question: str, texts: Sequence[str]) -> list[float]:
    index = bm25s.BM25()
    index.index([_pairs(text) for text in texts], show_progress=False)
    tokens = [token for token in _pairs(question) if token in index.vocab_dict]
    if not tokens:
        return [0.0] * len(texts)
    return [float(score) for score in index.get_scores(tokens)]


def _pairs(text: str) -> list[str]:
    """Character pairs of runs of Chinese, and words and numbers as they are."""
    tokens: list[str] = []
    for run in re.findall(r"[\u3400-\u9fff]+|[A-Za-z0-9]+", text.lower()):
        if run[0] >= "\u3400":
            tokens += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        else:
            tokens.append(run)
    return tokens or ["\0"]


class Suggester:
    """Suggested replies from the database, the knowledge base and the city's canned replies."""

    def __init__(self, services: StaffServices) -> None:
        self._db = services.db
        self._kb = services.kb
        self._city = services.city
        self._ranker = Ranker(services.reader)

    async def suggest(self, question: str, *, limit: int = SUGGESTIONS) -> list[Suggestion]:
        """At most `limit` different replies. First the knowledge base where it has an answer, then what fits best."""
        if not question.strip():
            return [Suggestion("city", c.text, c.source, 0.0) for c in self._canned()][:limit]
        # An agent who waits for suggestions is not kept waiting for a language model, too.
        answer = await self._kb.answer(question, rephrase=False)
        candidates = [*await self._past(), *self._canned()]
        ranked = await asyncio.to_thread(self._ranker.rank, question, candidates)

        fitting = [Suggestion(c.kind, c.text, c.source, score) for c, score in ranked if score >= MIN_RELEVANCE]
        rest = [Suggestion(c.kind, c.text, c.source, score) for c, score in ranked if score < MIN_RELEVANCE]
        first = []
        if answer.outcome == "answered":
            first = [Suggestion("kb", answer.text, _cited(answer.citations), answer.confidence)]
        passages = [_from_hit(hit) for hit in answer.hits]
        return _different([*first, *fitting[:2], *passages, *fitting[2:], *rest], limit)

    async def _past(self) -> list[Candidate]:
        async with self._db.read() as session:
            rows = await session.scalars(select(PastReply).order_by(PastReply.id.desc()).limit(MAX_PAST_REPLIES))
            return [
                Candidate("past", row.question, row.reply, f"座席 {local_time(row.created_at)} 的答复") for row in rows
            ]

    def _canned(self) -> list[Candidate]:
        return [
            Candidate("city", reply.question, reply.reply, f"常用语“{reply.question.split(' / ')[0]}”")
            for reply in self._city.replies
        ]


def _cited(citations: Iterable[Citation]) -> str:
    parts = []
    for citation in citations:
        issuer = f"{citation.issuer}，" if citation.issuer else ""
        held = validity(citation.valid_from, citation.valid_to)
        parts.append(f"《{citation.title}》{citation.article or ''}（{issuer}{held}）")
    return "；".join(parts[:2]) or "知识库"


def _from_hit(hit: Hit) -> Suggestion:
    return Suggestion("kb", hit.passage.text, f"《{hit.document.title}》{hit.article or ''}（相近段落）", 0.0)


def _different(suggestions: Iterable[Suggestion], limit: int) -> list[Suggestion]:
    """Without replies that repeat, or are part of, one that stands before them."""
    kept: dict[str, Suggestion] = {}
    for suggestion in suggestions:
        words = re.sub(r"\W+", "", suggestion.text)
        if not any(words in known for known in kept):
            kept[words] = suggestion
    return list(kept.values())[:limit]
