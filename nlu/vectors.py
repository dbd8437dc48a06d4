"""Sentence vectors that were computed once: a file of one encoder's vectors, keyed by a hash of the text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nlu.runtime import Reader

Floats = npt.NDArray[np.float32]

_BATCH = 64


class VectorCache:
    """Vectors of texts as queries, kept as float16 in `folder`; vectors of any other encoder there are removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vectors(self, reader: Reader, texts: Sequence[str], progress: Callable[[float], None] | None = None) -> Floats:
        """(number of texts, width), in order; `progress` is told the share that is done."""
        path = self._folder / f"vectors-{reader.encoder_id[:16]}.npz"
        known = _load(path)
        keys = [_key(text) for text in texts]
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
        missing.sort(key=lambda item: len(item[1]))  # a batch is as slow as its longest text
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            made = reader.embed([text for _, text in part], "query").astype(np.float16)
            known |= {key: made[i] for i, (key, _) in enumerate(part)}
            if progress is not None:
                progress((start + len(part)) / len(missing))
        if missing:
            self._save(path, known)
        return np.stack([known[key] for key in keys]).astype(np.float32)

    def _save(self, path: Path, known: dict[int, npt.NDArray[np.float16]]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in self._folder.glob("vectors-*.npz"):
            if other != path:
                other.unlink(missing_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        with fresh.open("wb") as file:
            np.savez(file, keys=np.fromiter(known, np.uint64, len(known)), vectors=np.stack(list(known.values())))
        fresh.replace(path)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _load(path: Path) -> dict[int, npt.NDArray[np.float16]]:
    """What is stored; nothing for a file that is missing or damaged, which is then written anew."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    except (OSError, ValueError, KeyError):
        return {}
