"""A stand-in for the language model's encoder: texts that share character pairs lie close together."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kb.answer import Calibration

WIDTH = 256
# The shipped calibration belongs to the shipped encoder; here an answer is one that shares the question's words.
CALIBRATION = Calibration({"passage_coverage": 12.0}, -6.0, 0.5)


class PairEncoder:
    encoder_id = "character-pairs-of-the-tests"

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> npt.NDArray[np.float32]:
        rows = np.full((len(texts), WIDTH), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for i in range(len(text) - 1):
                row[int.from_bytes(hashlib.sha256(text[i : i + 2].encode()).digest()[:4], "big") % WIDTH] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
