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

from nlu import danger, labels, patterns, places
from nlu.encoder import Encoded, Encoder
from nlu.errors import ModelError
from nlu.heads import Head, Tagger

FORMAT = 1
"""Version of the model folder's layout."""

_TOP = 5
_NOT_WORDS = re.compile(r"[\W_]+")
_SOMETHING = re.compile(r"[0-9A-Za-z\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


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
class Understanding:
    """Everything that was read out of one message."""

    text: str
    intent: Label
    intent_ranking: tuple[Label, ...]
    request_type: Label
    category1: Label
    category1_ranking: tuple[Label, ...]
    category2: Label | None
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
            },
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


class Reader:
    """Reads messages with the model of one folder. Thread-safe; load it once and share it."""

    def __init__(
        self, encoder: Encoder, heads: dict[str, Head], tagger: Tagger, config: dict[str, Any], encoder_id: str
    ) -> None:
        self._encoder, self._heads, self._tagger, self._config = encoder, heads, tagger, config
        self._exact: dict[str, str] = config["exact"]
        self._thresholds: dict[str, float] = config["thresholds"]
        self._children: dict[str, list[str]] = config["categories"]
        self.encoder_id = encoder_id
        self.model_version: str = config["version"]
        index = {pair: i for i, pair in enumerate(heads["category2"].labels)}
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
                raise ModelError(model_dir, f"model format {config['format']}, expected {FORMAT}", "Run: make train")
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

    def _understand(self, text: str, encoded: Encoded) -> Understanding:
        intent, intents = self._intent(text, encoded)
        urgency = self._rank("urgency", text, encoded)
        intent, intents, urgency = self._with_danger(text, intent, intents, urgency)
        category1 = self._rank("category1", text, encoded)
        return Understanding(
            text=text,
            intent=intent,
            intent_ranking=intents,
            request_type=self._rank("request_type", text, encoded)[0],
            category1=category1[0],
            category1_ranking=category1[:_TOP],
            category2=self._category2(category1[0].name, text, encoded),
            urgency=urgency[0],
            entities=self._entities(text, encoded),
            model_version=self.model_version,
            vector=encoded.vector,
        )

    def _rank(self, head: str, text: str, encoded: Encoded) -> tuple[Label, ...]:
        found = self._heads[head]
        probabilities = found.probabilities(encoded.vector, text)
        return tuple(Label(found.labels[i], float(probabilities[i])) for i in np.argsort(-probabilities))

    def _intent(self, text: str, encoded: Encoded) -> tuple[Label, tuple[Label, ...]]:
        if not _SOMETHING.search(text):  # blank, punctuation or emoji: there is nothing to understand
            nothing = Label(labels.FALLBACK, 1.0)
            return nothing, (nothing,)
        ranking = self._rank("intent", text, encoded)
        exact = self._exact.get(_NOT_WORDS.sub("", text))
        if exact is not None:
            sure = Label(exact, 1.0)
            return sure, (sure, *[Label(x.name, 0.0) for x in ranking if x.name != exact][: _TOP - 1])
        if ranking[0].confidence < self._thresholds["intent"]:
            unsure = Label(labels.FALLBACK, 1 - ranking[0].confidence)
            return unsure, (unsure, *ranking[: _TOP - 1])
        return ranking[0], ranking[:_TOP]

    def _with_danger(
        self, text: str, intent: Label, intents: tuple[Label, ...], urgency: tuple[Label, ...]
    ) -> tuple[Label, tuple[Label, ...], tuple[Label, ...]]:
        """What the heads say, or danger where the words show it and the heads at least suspect it."""
        if intent.name == "report_danger" or not danger.acute(text):
            return intent, intents, urgency
        suspected = max(
            next((x.confidence for x in intents if x.name == "report_danger"), 0.0),
            next((x.confidence for x in urgency if x.name == "特急"), 0.0),
        )
        if suspected < self._thresholds["danger"]:
            return intent, intents, urgency
        sure = Label("report_danger", max(suspected, 0.5))
        acute = Label("特急", max(suspected, 0.5))
        others = tuple(x for x in intents if x.name != "report_danger")
        return sure, (sure, *others)[:_TOP], (acute, *(x for x in urgency if x.name != "特急"))

    def _category2(self, parent: str, text: str, encoded: Encoded) -> Label | None:
        rows = self._child_rows.get(parent)
        if rows is None or not len(rows):
            return None
        head = self._heads["category2"]
        probabilities = head.probabilities(encoded.vector, text)[rows]
        best = int(probabilities.argmax())
        confidence = float(probabilities[best] / max(float(probabilities.sum()), 1e-9))
        if confidence < self._thresholds["category2"]:
            return None
        return Label(self._children[parent][best], confidence)

    def _entities(self, text: str, encoded: Encoded) -> tuple[Entity, ...]:
        formed = [f for f in patterns.find(text) if f.type in labels.ENTITY_TYPES]
        tagged = self._tagger.spans(text, encoded.hidden, encoded.offsets)
        found = [Entity(f.type, text[f.start : f.end], f.start, f.end, 1.0) for f in formed]
        taken = [(f.start, f.end) for f in formed if f.type != "time"]
        for kind, start, end, confidence in places.assemble(text, tagged, taken):
            found.append(Entity(kind, text[start:end], start, end, confidence))
        covered = [(e.start, e.end) for e in found if e.type == "place"]
        found = [
            e for e in found if e.type != "time" or not any(e.start < end and start < e.end for start, end in covered)
        ]
        return tuple(sorted(found, key=lambda e: (e.start, -e.end)))
