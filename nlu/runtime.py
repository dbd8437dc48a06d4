"""Understanding one message: one pass of the encoder, every head, every pattern.

Imports only the standard library, numpy, onnxruntime, tokenizers and modules of this package that do the same, because
the dialogue engine's environment loads it too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nlu import danger, labels, patterns, places, requests
from nlu.encoder import Encoded, Encoder
from nlu.errors import ModelError
from nlu.heads import Head, Tagger, softmax

FORMAT = 3
"""Version of the model folder's layout; since 3 the heads add an SVM on n-grams by hash to the vector's scores."""

_TOP = 5
_TOP_CHILDREN = 3
_LEAST_TOLD = 5
_MOST_REQUESTS = 5
_NOT_WORDS = re.compile(r"[\W_]+")
# Something is told after a greeting, a thank or a no; the danger head is seldom this sure about pleasantries.
_SUSPECTED = 0.05
_GREETED = re.compile(
    r"\s*(?:(?:喂|[你您]好|早上好|下午好|晚上好|谢谢|不用|好的|同志|哎)[呀啊了吗你您们]*[，,。!！~ ]+)+\S{4}"
)
_SOMETHING = re.compile(r"[0-9A-Za-z\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


Clauses = list[tuple[requests.Stretch, npt.NDArray[np.float32]]]
"""Stretches of a message, each with the logarithm of the first level's probabilities."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of the message: `message[start:end] == text`."""

    type: str
    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Label:
    """One answer of a head with its calibrated probability."""

    name: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Request:
    """One of the matters of a message, told in `message[start:end]`."""

    category1: Label
    category2: Label | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Understanding:
    """Everything that was read out of one message.

    `requests` holds at least one; the first is the main one, and `category1` and `category2` are its. The names in
    `category2_ranking` are "level 1/level 2".
    """

    text: str
    intent: Label
    intent_ranking: tuple[Label, ...]
    request_type: Label
    category1: Label
    category1_ranking: tuple[Label, ...]
    category2: Label | None
    category2_ranking: tuple[Label, ...]
    requests: tuple[Request, ...]
    urgency: Label
    entities: tuple[Entity, ...]
    model_version: str
    vector: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """What `Reader.embed` gives for the text as a query."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `minsheng nlu predict`."""
        return {
            "intent": self.intent.name,
            "request_type": self.request_type.name,
            "category": {
                "level1": self.category1.name,
                "level2": self.category2.name if self.category2 else None,
                "candidates": [[label.name, round(label.confidence, 4)] for label in self.category2_ranking],
            },
            "requests": [
                {
                    "level1": request.category1.name,
                    "level2": request.category2.name if request.category2 else None,
                    "text": self.text[request.start : request.end],
                }
                for request in self.requests
            ],
            "urgency": self.urgency.name,
            "entities": [{"type": e.type, "text": e.text, "start": e.start, "end": e.end} for e in self.entities],
            "confidence": {
                "intent": round(self.intent.confidence, 4),
                "request_type": round(self.request_type.confidence, 4),
                "category1": round(self.category1.confidence, 4),
                "category2": round(self.category2.confidence, 4) if self.category2 else None,
                "urgency": round(self.urgency.confidence, 4),
            },
            "model_version": self.model_version,
        }


def _other_format(model_dir: Path, found: object) -> ModelError:
    remedy = (
        f"Its encoder stays good, only the heads are learned anew: minsheng nlu train --encoder {model_dir} --out "
        "NEW_FOLDER; or take models/nlu of this version"
        if isinstance(found, int) and found < FORMAT
        else "Update Minsheng, or take the model folder of this version"
    )
    return ModelError(model_dir, f"model format {found}, but this version of Minsheng reads {FORMAT}", remedy)


@dataclass(frozen=True, slots=True)
class _Read:
    request: Request
    level1: tuple[Label, ...]
    level2: tuple[Label, ...]

    @property
    def length(self) -> int:
        return self.request.end - self.request.start


def _tells(text: str, request: Request, entities: Sequence[Entity]) -> bool:
    """Whether a stretch says more than where, when and who."""
    named = {at for entity in entities for at in range(entity.start, entity.end)}
    said = sum(text[at].isalnum() for at in range(request.start, request.end) if at not in named)
    return said >= _LEAST_TOLD


class Reader:
    """Reads messages with the model of one folder. Thread-safe; load it once and share it."""

    def __init__(
        self, encoder: Encoder, heads: dict[str, Head], tagger: Tagger, config: dict[str, Any], encoder_id: str
    ) -> None:
        self._encoder, self._heads, self._tagger, self._config = encoder, heads, tagger, config
        self._exact: dict[str, str] = config["exact"]
        self.thresholds: dict[str, float] = dict(config["thresholds"])
        self._children: dict[str, list[str]] = config["categories"]
        self.encoder_id = encoder_id
        self.model_version: str = config["version"]
        index = {pair: i for i, pair in enumerate(heads["category2"].labels)}
        firsts = {name: i for i, name in enumerate(heads["category1"].labels)}
        self._parents = np.array([firsts[pair.partition("/")[0]] for pair in index], np.int64)
        self._child_rows = {
            parent: np.array([index[f"{parent}/{child}"] for child in children], np.int64)
            for parent, children in self._children.items()
        }

    @classmethod
    def load(cls, model_dir: Path, *, threads: int = 1) -> Reader:
        """Loads the folder `model_dir`; `threads` is the number of threads of one pass.

        Raises ModelError, with what to do, when the folder is missing, damaged or of another format.
        """
        config_file = model_dir / "config.json"
        if not config_file.is_file():
            raise ModelError(model_dir, "no language model here (config.json is missing)", "Run: make train")
        try:
            config = json.loads(config_file.read_text(encoding="utf-8"))
            if config["format"] != FORMAT:
                raise _other_format(model_dir, config["format"])
            with np.load(model_dir / "heads.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            heads = {name: Head.from_arrays(name, arrays, entry) for name, entry in config["heads"].items()}
            tagger = Tagger.from_arrays(arrays, config["tagger"]["types"])
            encoder = Encoder(model_dir, config["prefixes"], threads=threads)
            return cls(encoder, heads, tagger, config, config["files"]["encoder.onnx"])
        except (OSError, KeyError, ValueError, AssertionError) as error:
            raise ModelError(
                model_dir, f"damaged model ({type(error).__name__}: {error})", "Run: make train"
            ) from error

    def read(self, text: str) -> Understanding:
        """Reads one message of any length; never raises for any text."""
        return self._understand(text, self._encoder.encode([text])[0])

    def read_many(self, texts: Sequence[str]) -> list[Understanding]:
        """Reads several messages in batches; faster than one by one for more than a few."""
        return [
            self._understand(text, encoded) for text, encoded in zip(texts, self._encoder.encode(texts), strict=True)
        ]

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> npt.NDArray[np.float32]:
        """Vectors of length 1 for search and duplicates, shape (len(texts), width)."""
        return self._encoder.vectors(texts, kind)

    def probabilities(
        self, head: str, texts: Sequence[str], encoded: Sequence[Encoded] | None = None
    ) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """What one head says about each text: its labels, and calibrated probabilities, (texts, labels).

        `encoded` is what `encode` gave for the texts; whoever asks several heads need not have them read again.
        """
        found = self._heads[head]
        encoded = self._encoder.encode(texts) if encoded is None else encoded
        say = {"category1": self._first_levels, "danger": self._dangers}.get(head, found.probabilities)
        rows = [say(one.vector, text) for one, text in zip(encoded, texts, strict=True)]
        return found.labels, np.stack(rows) if rows else np.zeros((0, len(found.labels)), np.float32)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """What the encoder says about each text, for the other methods."""
        return self._encoder.encode(texts)

    def first_level(self, text: str, encoded: Encoded) -> Label:
        """The first-level category of the whole message."""
        return self._categories(text, encoded.vector, 0, len(text)).level1[0]

    def clauses(self, text: str, encoded: Encoded) -> Clauses:
        """The clauses of a message as the first level's head reads each; none where the message is short."""
        stretches = requests.clauses(text) if len(text) >= requests.LEAST_CHARS else []
        vectors = [requests.pooled(encoded.hidden, encoded.offsets, stretch) for stretch in stretches]
        known = [(stretch, v) for stretch, v in zip(stretches, vectors, strict=True) if v is not None]
        return [(s, np.log(self._first_levels(v, text[s.start : s.end]) + 1e-9)) for s, v in known]

    def requests(self, text: str, encoded: Encoded, clauses: Clauses | None = None) -> tuple[Request, ...]:
        """Every matter of a message, the main one first; `clauses` where they are known."""
        known = self.clauses(text, encoded) if clauses is None else clauses
        return tuple(read.request for read in self._requests(text, encoded, known))

    def _understand(self, text: str, encoded: Encoded) -> Understanding:
        intent, intents = self._intent(text, encoded)
        urgency = self._urgency(text, encoded, intents)
        if (urgency.name == "特急") != (intent.name == "report_danger"):
            # The danger head decides: on the judging rows the intent's own opinion found no further danger.
            others = tuple(x for x in intents if x.name != "report_danger") or (Label(labels.FALLBACK, 1.0),)
            intents = (Label("report_danger", urgency.confidence), *others)[:_TOP] if urgency.name == "特急" else others
            intent = intents[0]
        entities = self._entities(text, encoded)
        found = self._requests(text, encoded, self.clauses(text, encoded))
        if len(found) > 1:
            # "工地在郑东新区" says where, and is no matter of its own.
            found = [one for one in found if _tells(text, one.request, entities)]
            if len(found) < 2:
                found = [self._categories(text, encoded.vector, 0, len(text))]
        return Understanding(
            text=text,
            intent=intent,
            intent_ranking=intents,
            request_type=self._rank("request_type", text, encoded.vector)[0],
            category1=found[0].request.category1,
            category1_ranking=found[0].level1[:_TOP],
            category2=found[0].request.category2,
            category2_ranking=found[0].level2,
            requests=tuple(one.request for one in found),
            urgency=urgency,
            entities=entities,
            model_version=self.model_version,
            vector=encoded.vector,
        )

    def _rank(self, head: str, text: str, vector: npt.NDArray[np.float32]) -> tuple[Label, ...]:
        found = self._heads[head]
        probabilities = found.probabilities(vector, text)
        return tuple(Label(found.labels[i], float(probabilities[i])) for i in np.argsort(-probabilities))

    def _intent(self, text: str, encoded: Encoded) -> tuple[Label, tuple[Label, ...]]:
        if not _SOMETHING.search(text):  # blank, punctuation or emoji: there is nothing to understand
            nothing = Label(labels.FALLBACK, 1.0)
            return nothing, (nothing,)
        ranking = self._rank("intent", text, encoded.vector)
        exact = self._exact.get(_NOT_WORDS.sub("", text))
        if exact is not None:
            sure = Label(exact, 1.0)
            return sure, (sure, *[Label(x.name, 0.0) for x in ranking if x.name != exact][: _TOP - 1])
        if ranking[0].confidence < self.thresholds["intent"]:
            unsure = Label(labels.FALLBACK, 1 - ranking[0].confidence)
            return unsure, (unsure, *ranking[: _TOP - 1])
        return ranking[0], ranking[:_TOP]

    def _urgency(self, text: str, encoded: Encoded, intents: tuple[Label, ...]) -> Label:
        """特急 where somebody's life is in danger now; the words of danger lower what the head must be sure of."""
        if intents[0].name == labels.FALLBACK and len(intents) == 1:
            return Label("一般", 1.0)  # there is nothing to understand
        danger_now = float(self._dangers(encoded.vector, text)[self._heads["danger"].labels.index(labels.DANGER)])
        if danger_now >= self.thresholds.get(danger.signs(text), self.thresholds["danger"]):
            return Label("特急", max(danger_now, 0.5))
        return next(x for x in self._rank("urgency", text, encoded.vector) if x.name != "特急")

    def _dangers(self, vector: npt.NDArray[np.float32], text: str) -> npt.NDArray[np.float32]:
        """Probabilities of danger and of none, in the head's order: the mean of two log-odds, the danger head's and
        those of 特急 by the urgency head. They learned different borders from the same sentences and are wrong about
        different messages: on judging rows half of the false alarms go, and as many dangers are found. The second
        counts as far as the message tells what happens, as it does where something follows a greeting; the urgency head
        learned from no other."""
        plain = danger.without_misleading(text)
        own, urgency, intent = (self._heads[name] for name in ("danger", "urgency", "intent"))
        found = own.probabilities(vector, plain)
        if "特急" not in urgency.labels:
            return found
        urgent = urgency.probabilities(vector, plain)[urgency.labels.index("特急")]
        other = np.array([urgent if name == labels.DANGER else 1 - urgent for name in own.labels], np.float32)
        intents = intent.probabilities(vector, text)
        told = sum(float(p) for name, p in zip(intent.labels, intents, strict=True) if name in labels.MAY_BE_DANGER)
        suspected = found[own.labels.index(labels.DANGER)] >= _SUSPECTED
        weight = 0.5 if suspected and _GREETED.match(text) else told / 2
        return softmax((1 - weight) * np.log(found + 1e-9) + weight * np.log(other + 1e-9))

    def _requests(self, text: str, encoded: Encoded, clauses: Clauses) -> list[_Read]:
        """Every matter of the message, the one told at greatest length first."""
        if len(clauses) < 2:
            return [self._categories(text, encoded.vector, 0, len(text))]
        known, scores = [stretch for stretch, _ in clauses], np.stack([scores for _, scores in clauses])
        groups = requests.divide(scores, [s.end - s.start for s in known], self.thresholds["requests_price"])
        if len(groups) == 1:
            return [self._categories(text, encoded.vector, 0, len(text))]
        found: dict[str, _Read] = {}
        for group in groups:
            whole = requests.Stretch(known[group[0]].start, known[group[-1]].end)
            vector = requests.pooled(encoded.hidden, encoded.offsets, whole)
            if vector is None:
                continue
            read = self._categories(text[whole.start : whole.end], vector, whole.start, whole.end)
            name = read.request.category1.name
            if read.request.category1.confidence >= self.thresholds["requests"] and (
                name not in found or found[name].length < read.length
            ):
                found[name] = read
        if len(found) < 2:
            return [self._categories(text, encoded.vector, 0, len(text))]
        return sorted(found.values(), key=lambda read: -read.length)[:_MOST_REQUESTS]

    def _first_levels(
        self,
        vector: npt.NDArray[np.float32],
        text: str,
        second: npt.NDArray[np.float32] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Probabilities of the first level: what its own head says of a letter, what the second level adds up to for a
        short message, a weighted geometric mean between. Published letters teach the first head, and hold seven of
        the fifteen categories; the second learned from our own short messages of all."""
        own = self._heads["category1"].probabilities(vector, text)
        short, long = self.thresholds["short_chars"], self.thresholds["long_chars"]
        weight = min(max((long - len(text)) / (long - short), 0.0), 1.0)
        if not weight:
            return own
        if second is None:
            second = self._heads["category2"].probabilities(vector, text)
        summed = np.zeros_like(own)
        np.add.at(summed, self._parents, second)
        return softmax((1 - weight) * np.log(own + 1e-6) + weight * np.log(summed + 1e-6))

    def _categories(self, text: str, vector: npt.NDArray[np.float32], start: int, end: int) -> _Read:
        """Both levels of what a stretch speaks of; the second lies within the first."""
        probabilities = self._heads["category2"].probabilities(vector, text)
        firsts = self._first_levels(vector, text, probabilities)
        names = self._heads["category1"].labels
        level1 = tuple(Label(names[i], float(firsts[i])) for i in np.argsort(-firsts))
        sure = {label.name: label.confidence for label in level1}
        children: list[Label] = []
        for parent, rows in self._child_rows.items():
            inside = probabilities[rows] / max(float(probabilities[rows].sum()), 1e-9)
            children += [
                Label(f"{parent}/{child}", sure.get(parent, 0.0) * float(p))
                for child, p in zip(self._children[parent], inside, strict=True)
            ]
        children.sort(key=lambda label: -label.confidence)
        mine = [label for label in children if label.name.startswith(f"{level1[0].name}/")]
        child = None
        if mine and mine[0].confidence / max(level1[0].confidence, 1e-9) >= self.thresholds["category2"]:
            confidence = mine[0].confidence / max(level1[0].confidence, 1e-9)
            child = Label(mine[0].name.partition("/")[2], confidence)
        return _Read(Request(level1[0], child, start, end), level1, tuple(children[:_TOP_CHILDREN]))

    def _entities(self, text: str, encoded: Encoded) -> tuple[Entity, ...]:
        by_form = [f for f in patterns.find(text) if f.type in labels.ENTITY_TYPES]
        sure = [f for f in by_form if f.type not in (*places.ALONE, "time")]
        tagged = self._tagger.spans(text, encoded.hidden, encoded.offsets)
        tagged = places.with_names(text, tagged, [(f.start, f.end) for f in by_form if f.type == "name"])
        marked = places.assemble(text, tagged, [(f.start, f.end) for f in sure])
        rest = [f for f in by_form if f in sure or f.type == "time"]
        kept = [f for f in rest if f in sure or not any(f.start < end and a < f.end for _, a, end, _ in marked)]
        found = [Entity(f.type, text[f.start : f.end], f.start, f.end, 1.0) for f in kept]
        found += [Entity(kind, text[start:end], start, end, sureness) for kind, start, end, sureness in marked]
        return tuple(sorted(found, key=lambda e: (e.start, -e.end)))
