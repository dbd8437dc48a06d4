"""The project's reader as a component of a Rasa pipeline, so that `rasa test nlu` and `rasa shell` work by themselves.

While `minsheng serve` runs, Rasa asks the application over HTTP instead and this component only checks, at training,
that the model fits the dialogue. It is imported in Rasa's environment, by the name written in `config.yml`.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.core.domain import Domain
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu.errors import ModelError
from nlu.extend import CITY_QUESTION
from nlu.runtime import Label, Reader

ROOT = Path(__file__).resolve().parent.parent
_RECORD = "model.json"

logger = logging.getLogger(__name__)


@DefaultV1Recipe.register(  # type: ignore[untyped-decorator]
    [DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR],
    is_trainable=True,
)
class ReaderComponent(GraphComponent, IntentClassifier):  # type: ignore[misc]
    """Intent with ranking, entities, and the whole understanding of a message, from the model of `nlu.runtime`.

    Options: `model_dir` (relative to the project; the variable `MINSHENG_NLU_MODEL_DIR` wins) and `domain` (the file
    whose intents the model must know). What it puts into Rasa's archive is one JSON file; the model stays where it is.
    """

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """The options and their defaults."""
        return {"model_dir": "models/nlu", "domain": "domain.yml"}

    @staticmethod
    def supported_languages() -> list[str]:
        """Chinese only: the shipped encoder's vocabulary is trimmed to it."""
        return ["zh"]

    @staticmethod
    def required_packages() -> list[str]:
        """What Rasa checks before training."""
        return ["onnxruntime", "tokenizers"]

    def __init__(
        self, config: dict[str, Any], storage: ModelStorage, resource: Resource, record: dict[str, Any]
    ) -> None:
        self._config, self._storage, self._resource, self._record = config, storage, resource, record
        self._reader: Reader | None = None

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> ReaderComponent:
        """An untrained component; Rasa calls `train` next. Rasa goes by the names of the parameters."""
        return cls(config, model_storage, resource, {})

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **_: Any,
    ) -> ReaderComponent:
        """A component of a trained Rasa model."""
        with model_storage.read_from(resource) as folder:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return cls(config, model_storage, resource, record)

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """Makes Rasa train this component again when the language model or the domain changed."""
        files = [_model_dir(config) / "config.json", ROOT / config["domain"]]
        return "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())

    def train(self, training_data: TrainingData) -> Resource:
        """Check the language model against the dialogue; nothing is learned here.

        Raises `InvalidConfigException`, which names what is missing, when the domain or the examples use an intent
        that the model cannot recognise, or when there is no model.
        """
        folder = _model_dir(self._config)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            known, version = set(config["heads"]["intent"]["labels"]), config["version"]
        except (OSError, KeyError, ValueError) as error:
            raise InvalidConfigException(f"{folder}: no usable language model ({error}). Run: make train") from error
        needed = {"domain": _domain_intents(ROOT / self._config["domain"]), "training data": set(training_data.intents)}
        for source, intents in needed.items():
            if missing := sorted(intents - known - _RASA_INTENTS):
                raise InvalidConfigException(
                    f"The {source} uses intents that the language model {version} in {folder} does not know: "
                    f"{', '.join(missing)}. Remove them, or add examples to training_data/nlu and run: make train"
                )
        self._record = {"model_version": version, "intents": sorted(known)}
        with self._storage.write_to(self._resource) as target:
            (target / _RECORD).write_text(json.dumps(self._record, ensure_ascii=False), encoding="utf-8")
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Add intent, intent ranking, entities and `understanding` to messages that have a text.

        Warns when the language model is not the one the dialogue was trained with.
        """
        for message in messages:
            text = message.get("text")
            if not text:
                continue
            understanding = self._loaded().read(text)
            message.set("intent", _as_rasa(understanding.intent), add_to_output=True)
            message.set("intent_ranking", [_as_rasa(x) for x in understanding.intent_ranking], add_to_output=True)
            entities = [
                {
                    "entity": entity.type,
                    "value": entity.text,
                    "start": entity.start,
                    "end": entity.end,
                    "confidence_entity": entity.confidence,
                    "extractor": type(self).__name__,
                }
                for entity in understanding.entities
            ]
            message.set("entities", message.get("entities", []) + entities, add_to_output=True)
            message.set("understanding", understanding.as_dict(), add_to_output=True)
        return messages

    def _loaded(self) -> Reader:
        # On the first message: a server that reads over HTTP never pays for the model.
        if self._reader is None:
            folder = _model_dir(self._config)
            try:
                self._reader = Reader.load(folder)
            except ModelError as error:
                raise InvalidConfigException(str(error)) from error
            trained_with = self._record.get("model_version")
            if self._reader.model_version != trained_with:
                logger.warning(
                    f"The language model is {self._reader.model_version}, the dialogue was trained with "
                    f"{trained_with}. Run: rasa train"
                )
        return self._reader


def _model_dir(config: dict[str, Any]) -> Path:
    return ROOT / (os.environ.get("MINSHENG_NLU_MODEL_DIR") or config["model_dir"])


def _domain_intents(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return set(Domain.load(str(path)).intents)


def _as_rasa(label: Label) -> dict[str, Any]:
    return {"name": label.name, "confidence": label.confidence}


# Rasa adds these to every domain. Of them, the reader answers `out_of_scope` and, when unsure, `nlu_fallback`. What
# staff add while the assistant runs stands behind one intent that no model knows.
_RASA_INTENTS = frozenset({"restart", "back", "session_start", "nlu_fallback", "out_of_scope", CITY_QUESTION})
