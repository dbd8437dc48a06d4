"""Vectors of many passages at once, for an import on the command line.

One passage is one pass of the encoder, on as many threads as there are cores. Figures: `benchmarks/kb_import.py`.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from kb.index import Floats
from kb.search import Encoder
from nlu.encoder import Encoder as Network
from nlu.errors import ModelError


class BulkEncoder:
    """An encoder whose `embed` uses several threads; the vectors do not depend on their number or on the batch.

    Args:
        encoder: thread-safe; each call should use one thread.
    """

    def __init__(self, encoder: Encoder, *, threads: int | None = None) -> None:
        self._encoder = encoder
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="embed")
        self.encoder_id = encoder.encoder_id

    @classmethod
    def load(cls, model_dir: Path, *, threads: int | None = None) -> "BulkEncoder":
        """Of a model folder, without what reads messages. Raises ModelError."""
        return cls(_NetworkOnly(model_dir), threads=threads)

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> Floats:
        """Vectors of length 1, (number of texts, width); the same text is embedded once."""
        different = sorted(set(texts), key=len, reverse=True)
        # The longest first, so that no thread is left with one at the end.
        made = dict(
            zip(different, self._pool.map(lambda text: self._encoder.embed([text], kind), different), strict=True)
        )
        return np.concatenate([made[text] for text in texts]) if made else self._encoder.embed([], kind)

    def close(self) -> None:
        self._pool.shutdown()


class _NetworkOnly:
    def __init__(self, folder: Path) -> None:
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self.encoder_id: str = config["files"]["encoder.onnx"]
            prefixes = config["prefixes"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(folder, f"damaged model ({type(error).__name__})", "Run: make train") from error
        self._network = Network(folder, prefixes, threads=1, with_hidden=False)

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> Floats:
        return self._network.vectors(texts, kind)
