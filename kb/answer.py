"""Answer a question from the knowledge base in small timed steps.

Prepare, place, search, decide, extract, compose, suggest: each step may end the answer with a named outcome. What is
answered are sentences of documents in force, as they stand there, with the document, article, issuing body and
validity they come from.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kb.documents import Document
from kb.elsewhere import another_place
from kb.extract import Quote, covered_share, extract
from kb.phrasing_index import FLOOR
from kb.readings import Choice, readings
from kb.search import NO_FILTERS, Encoder, Filters, Hit, Query, Snapshot
from kb.sections import ASKED_OF_ENTRIES, asked_of, is_article, says
from kb.suggestions import next_questions
from kb.text import folded

NOT_FOUND = "知识库里没有找到能回答这个问题的有效文件。您可以换个说法再问，或者说“转人工”，由工作人员答复。"
_ELSEWHERE = (
    "您问的像是{place}的规定，知识库只收录{here}的文件，答不了。{place}的政策请向当地12345咨询；"
    "要是想问{here}的，请说“{here}”再问一次。"
)
_SEARCH_DEPTH = 30
CALIBRATION_FILE = Path(__file__).parent / "data" / "calibration.json"


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a quoted sentence stands. `document` is the document's id."""

    document: str
    article: str | None
    title: str
    issuer: str | None
    valid_from: date | None
    valid_to: date | None

    @classmethod
    def of(cls, hit: Hit) -> "Citation":
        d = hit.document
        return cls(d.id, hit.article, d.title, d.issuer, d.valid_from, d.valid_to)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: dates as ISO strings or None."""
        return {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an answer: its name, what it took in milliseconds, how it ended."""

    name: str
    ms: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is ready to show. `quotes` are the sentences of documents that it says, in order; as they stand there,
    unless `kb.rephrase` put the text into other words. `evidence`: the same with where they stand.

    Outcome "ask": the question has two readings; `choices` are these, and nothing is cited. `next_questions`: what the
    base can answer about the same matter. `threshold`: the confidence from which on an answer is given.
    """

    outcome: Literal["answered", "ask", "not_found"]
    text: str
    citations: list[Citation]
    hits: list[Hit]
    confidence: float
    steps: list[Step]
    quotes: list[str] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    next_questions: list[str] = field(default_factory=list)
    threshold: float = 0.0
    evidence: list[Quote] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks for the best document answering the question; each on a scale that does not depend on its size.

    dense: cosine of the best passage. lead: that cosine less the mean of those found after it. sparse: its BM25 score
    as a share of what a passage of average length with every content word of the question would get. coverage: share
    of the content words, weighted by rarity, that occur in the document. passage_coverage: the same in the passage.
    value: what the ranking gives the best passage. margin: that less the best of another document. ahead: the same for
    an article of a law, less the best of any other place. says: whether the entry has what is asked of it
    (`kb.sections.says`). phrased: how like the question a phrasing of the best passage's place is, above what says
    nothing. own_words: how many content words the question has beside those of the title (8: 1). missing, rarest: how
    rare those of them are, together and the rarest, that occur nowhere in the document. asks: what is asked of an
    entry (names of `kb.sections.ASPECTS`); residents ask some things more often than entries say them.
    """

    dense: float
    lead: float
    sparse: float
    coverage: float
    passage_coverage: float
    value: float
    margin: float
    says: float
    ahead: float = 0.0
    phrased: float = 0.0
    own_words: float = 0.0
    missing: float = 0.0
    rarest: float = 0.0
    asks: frozenset[str] = frozenset()

    def values(self) -> dict[str, float]:
        """Every signal by name; what is asked as "asks fee": 1."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "asks"}
        return numbers | {f"asks {name}": float(name in self.asks) for name in ASKED_OF_ENTRIES}

    @classmethod
    def of(cls, query: Query, hits: Sequence[Hit], snapshot: Snapshot) -> "Signals":
        best = hits[0]
        index = snapshot.index
        others = [h for h in hits[1:] if h.document.id != best.document.id]
        rest = [h.dense for h in others]
        passages = snapshot.passages_of(best.document.id)
        possible = sum(index.idf(w) for w in query.content) or 1.0
        title = best.document.title
        elsewhere = others
        if is_article(best.article):
            elsewhere = [h for h in hits[1:] if (h.document.id, h.article) != (best.document.id, best.article)]
        own = [word for word in query.content if word not in folded(title)]
        text = folded("\n".join(f"{p.article or ''}\n{p.text}" for p in passages))
        lacking = [index.idf(word) for word in own if word not in text]
        return cls(
            dense=max(h.dense for h in hits if h.document.id == best.document.id),
            lead=best.dense - float(np.mean(rest)) if rest else 0.0,
            sparse=min(best.sparse / possible, 2.0),
            coverage=covered_share(query.content, passages, title, index.idf),
            passage_coverage=covered_share(query.content, [best.passage], title, index.idf),
            value=best.value / 10,
            margin=_margin(best, others),
            says=says(query.asked, passages),
            ahead=_margin(best, elsewhere),
            phrased=max(best.phrased - FLOOR, 0.0) * 10,
            own_words=min(len(own), 8) / 8,
            missing=min(sum(lacking), 40.0) / 40,
            rarest=max(lacking, default=0.0) / 10,
            asks=asked_of(query.asked, passages),
        )


SIGNALS = (*(f.name for f in fields(Signals) if f.name != "asks"), *(f"asks {name}" for name in ASKED_OF_ENTRIES))
"""Names of all signals, in the order of `Signals.values`."""


def _margin(best: Hit, others: Sequence[Hit]) -> float:
    return min((best.value - max((h.value for h in others), default=best.value - 5)) / 5, 1.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model over the signals, and the probability from which on an answer is given.

    Cosines of this family of encoders lie close together (0.87 to 0.99), so no fixed cosine tells right from wrong.
    """

    weights: dict[str, float]
    bias: float
    threshold: float
    encoder: str = ""
    other_encoder: "Calibration | None" = None

    @classmethod
    def load(cls, path: Path = CALIBRATION_FILE) -> "Calibration":
        """Read what `kb.calibrate` wrote."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        other = stored["other_encoder"]
        by_words = cls(other["weights"], other["bias"], other["threshold"])
        return cls(stored["weights"], stored["bias"], stored["threshold"], stored["encoder"], by_words)

    def of(self, encoder_id: str) -> "Calibration":
        """The model for an encoder: with another than the calibrated one, the words decide alone."""
        return self if self.other_encoder is None or encoder_id == self.encoder else self.other_encoder

    def confidence(self, signals: Signals) -> float:
        """Probability that the best document answers the question."""
        values = signals.values()
        z = self.bias + sum(weight * values[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(min(z, 50.0), -50.0)))


class _Clock:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; the body may put its outcome into the list."""
        outcome = ["ok"]
        started = time.perf_counter()
        yield outcome
        self.steps.append(Step(name, round((time.perf_counter() - started) * 1000, 3), outcome[-1]))


def answer(
    question: str,
    snapshot: Snapshot,
    encoder: Encoder,
    calibration: Calibration,
    *,
    today: date,
    as_of: date | None = None,
    after: str = "",
    filters: Filters = NO_FILTERS,
    suggest: bool = True,
) -> Answer:
    """Answer from the snapshot as of today, or of the day `as_of`; `after` is the question this one goes on from.

    `suggest`: look for what may be asked next; the first time for an entry that takes as long as some more answers.

    Runs for tens of milliseconds on one core: call it in a thread.
    """
    clock = _Clock()
    model = calibration.of(encoder.encoder_id)

    def not_found(hits: Sequence[Hit] = (), confidence: float = 0.0, text: str = NOT_FOUND) -> Answer:
        return Answer("not_found", text, [], list(hits), confidence, clock.steps, threshold=model.threshold)

    with clock.step("prepare") as outcome:
        query = Query.of(question, encoder, after=after) if question.strip() else None
        if query is None or not query.terms:
            outcome.append("nothing_asked")
    if query is None or not query.terms:
        return not_found()

    with clock.step("place") as outcome:
        place = another_place(query.text, snapshot.regions)
        if place:
            outcome.append("another_place")
    if place:
        return not_found(text=_ELSEWHERE.format(place=place, here="、".join(snapshot.regions[:2])))

    with clock.step("search") as outcome:
        hits = snapshot.search(query, top_k=_SEARCH_DEPTH, today=today, as_of=as_of, filters=filters)
        if not hits:
            outcome.append("nothing_in_force")
    if not hits:
        return not_found()

    with clock.step("decide") as outcome:
        confidence = model.confidence(Signals.of(query, hits, snapshot))
        good = confidence >= model.threshold
        choices = readings(query, hits, snapshot) if good else []
        outcome.append("ask" if choices else "answer" if good else "below_threshold")
    if not good:
        return not_found(hits, confidence)
    if choices:
        named = "；".join(f"{number}. {choice.label}" for number, choice in enumerate(choices, start=1))
        text = f"您问的是哪一种？{named}。"
        return Answer("ask", text, [], list(hits), confidence, clock.steps, choices=choices, threshold=model.threshold)

    with clock.step("extract") as outcome:
        quotes = extract(query, hits, snapshot)
        outcome.append("quoted" if quotes else "not_said")
    if not quotes:
        return not_found(hits, confidence)

    with clock.step("compose"):
        citations = list(dict.fromkeys(Citation.of(q.hit) for q in quotes))
        text = compose(quotes, as_of=as_of)
    found = []
    if suggest:
        with clock.step("suggest"):

            def answers(asked: str, section: str) -> bool:
                one = answer(asked, snapshot, encoder, calibration, today=today, as_of=as_of, suggest=False)
                return any((c.document, c.article) == (hits[0].document.id, section) for c in one.citations)

            found = next_questions(snapshot, quotes, answers, (today, as_of))
    return Answer(
        "answered",
        text,
        citations,
        hits,
        confidence,
        clock.steps,
        [q.text for q in quotes],
        next_questions=found,
        threshold=model.threshold,
        evidence=quotes,
    )


def compose(quotes: Sequence[Quote], *, as_of: date | None = None, said: str = "") -> str:
    """Quotes, or what is `said` in their place, then what they rest on and until when it holds."""
    parts = [f"按 {_day(as_of)} 有效的规定："] if as_of else []
    several = len(quotes) > 1
    own = [f"{q.hit.article}：{q.text}" if several and q.hit.article else q.text for q in quotes]
    parts += [said] if said else own
    articles: dict[str, list[str]] = {}
    documents = {q.hit.document.id: q.hit.document for q in quotes}
    for q in quotes:
        named = articles.setdefault(q.hit.document.id, [])
        if q.hit.article and q.hit.article not in named:
            named.append(q.hit.article)
    parts.append("依据：" + "；".join(_source(documents[id_], names) for id_, names in articles.items()) + "。")
    if any((q.hit.document.source or "").startswith("示例") for q in quotes):
        parts.append("（示例条目，仅作演示，具体以主管部门最新公布为准。）")
    return "\n".join(parts)


def _source(document: Document, articles: Sequence[str]) -> str:
    named = f"《{document.title}》" + "".join(f"“{article}”" for article in articles)
    about = [x for x in (document.issuer, document.document_number, validity(document)) if x]
    return f"{named}（{'，'.join(about)}）"


def validity(document: Document) -> str:
    """The validity of a document in words."""
    start, end = document.valid_from, document.valid_to
    if start and end:
        return f"{_day(start)}至{_day(end)}有效"
    if start:
        return f"自{_day(start)}起有效"
    if end:
        return f"有效期至{_day(end)}"
    return "未注明有效期"


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
