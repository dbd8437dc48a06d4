"""Which rule of a city's matrix a text tells of, as learned from the city's own examples.

`routing_examples.jsonl` in the city's folder holds requests with the rule that applies; `minsheng tickets learn` makes
`routing_model.npz` of it, a linear head on the language model's vector and on n-grams (`nlu.fit`). It is good for the
encoder that it was learned with; without it routing goes by category and words.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from assistant.errors import ConfigError
from nlu.heads import Head

__all__ = ["MODEL", "Embed", "Matters", "load", "save"]

MODEL: Final = "routing_model.npz"
Embed = Callable[[Sequence[str]], np.typing.NDArray[np.float32]]
"""Vectors of length 1, (number of texts, width)."""
_HEAD = "matters"
_REMEDY = "make it again with minsheng tickets learn, or remove it"

log = structlog.get_logger()


class Matters:
    """Tells rules by their names, from vector and n-grams of a text. Thread-safe; blocks for some milliseconds."""

    def __init__(self, head: Head, embed: Embed) -> None:
        self._head, self._embed = head, embed

    def __call__(self, text: str) -> dict[str, float]:
        """Name of a rule (`Rule.name`) → log-probability. Rules that no example was of are missing."""
        scores = self._head.scores(self._embed([text])[0], text).astype(np.float64)
        top = scores.max()
        scores -= top + np.log(np.exp(scores - top).sum())
        return dict(zip(self._head.labels, scores.tolist(), strict=True))

    def profile(self, text: str, vector: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
        """Square roots of the rules' probabilities, (rules,): the product of two texts' is 1 where they tell of one
        matter, 0 where they have none in common (Bhattacharyya coefficient).

        Args:
            vector: of the text, of length 1. That of a passage does as well as that of a question, which it learned on.
        """
        return np.sqrt(self._head.probabilities(vector, text))


def load(city: Path, embed: Embed, encoder_id: str) -> Matters | None:
    """The city's model; None where it has none or one for another encoder. Raises ConfigError for a broken file."""
    file = city / MODEL
    if not file.is_file():
        return None
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        config: Mapping[str, Any] = json.loads(str(arrays.pop("config")))
        named = {f"{_HEAD}.{name}": array for name, array in arrays.items()}
        head = Head.from_arrays(_HEAD, named, config)
        _check(head)
    except (OSError, ValueError, KeyError, AssertionError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file}: is no routing model ({error}): {_REMEDY}") from error
    if config["encoder"] != encoder_id:
        log.warning("routing_model_for_another_encoder", file=MODEL, remedy=_REMEDY)
        return None
    return Matters(head, embed)


def save(file: Path, arrays: Mapping[str, np.typing.NDArray[Any]], config: Mapping[str, Any], encoder_id: str) -> None:
    """Write what `nlu.fit.fit` found, for `load`. Replaces the file as a whole."""
    written = file.with_suffix(".new.npz")
    text = json.dumps({**config, "encoder": encoder_id}, ensure_ascii=False)
    stored: dict[str, Any] = {**arrays, "weight": arrays["weight"].astype(np.float16), "config": np.array(text)}
    np.savez_compressed(written, **stored)
    written.replace(file)


def _check(head: Head) -> None:
    n, grams = len(head.labels), len(head.gram_hashes)
    if not n or head.weight.shape[:1] != (n,) or head.bias.shape != (n,) or head.gram_weight.shape != (grams, n):
        raise ValueError("its arrays do not fit each other")
