"""The encoder at work: text in, hidden states and one vector out. Only numpy, onnxruntime and tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from nlu.errors import ModelError

Floats = npt.NDArray[np.float32]

MAX_TOKENS = 512
_OVERLAP = 64  # tokens that two windows of a long text share
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text after one pass: a state per word piece, where each piece lies in the text, and a vector of length 1."""

    hidden: Floats
    offsets: list[tuple[int, int]]
    vector: Floats


@dataclass(frozen=True, slots=True)
class _Window:
    text: int
    first: int  # first content token of this window
    ids: list[int]
    skip: int  # tokens before the content
    content: int


class Encoder:
    """One ONNX session and its tokenizer. All methods are thread-safe: nothing is changed after loading."""

    def __init__(self, folder: Path, prefixes: dict[str, str], *, threads: int = 1, with_hidden: bool = True) -> None:
        """Loads `encoder.onnx` and `tokenizer.json`; `prefixes` maps a kind ("query", "passage") to its prefix.

        Raises ModelError when a file is missing or cannot be read.
        """
        for name in ("encoder.onnx", "tokenizer.json"):
            if not (folder / name).is_file():
                raise ModelError(
                    folder, f"{name} is missing", "Run: make train, or restore models/nlu from the repository"
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # both libraries raise bare Exceptions for damaged files
            raise ModelError(folder, f"cannot be loaded ({type(error).__name__})", "Run: make train") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefixes = prefixes
        self._pad = next((i for i in map(self._tokenizer.token_to_id, ("<pad>", "[PAD]")) if i is not None), 0)
        self._with_hidden = with_hidden

    def encode(self, texts: Sequence[str], kind: str = "query") -> list[Encoded]:
        """One `Encoded` per text, in order. Texts beyond 512 tokens are read in overlapping windows, to the end."""
        tokens = [self._tokens(text, kind) for text in texts]
        windows = [window for i, (ids, _, skip) in enumerate(tokens) for window in _windows(i, ids, skip)]
        states: list[list[Floats]] = [[] for _ in texts]
        starts: list[list[int]] = [[] for _ in texts]
        vectors: list[list[Floats]] = [[] for _ in texts]
        results: dict[int, tuple[Floats, Floats]] = {}
        order = sorted(range(len(windows)), key=lambda i: len(windows[i].ids))
        for at in range(0, len(order), _BATCH):
            batch = order[at : at + _BATCH]
            hidden, vector = self._run([windows[i].ids for i in batch])
            for row, i in enumerate(batch):
                window = windows[i]
                results[i] = (hidden[row, window.skip : window.skip + window.content], vector[row])
        for i, window in enumerate(windows):
            state, vector_of_window = results[i]
            states[window.text].append(state)
            starts[window.text].append(window.first)
            vectors[window.text].append(vector_of_window * max(window.content, 1))
        return [
            Encoded(_stitch(states[i], starts[i]), offsets, _unit(np.sum(vectors[i], axis=0)))
            for i, (_, offsets, _) in enumerate(tokens)
        ]

    def vectors(self, texts: Sequence[str], kind: str = "query") -> Floats:
        """Vectors of length 1, (number of texts, width).

        One text a pass: with eight-bit arithmetic a vector would differ with what else is in its batch, because the
        scale of the numbers is taken over the batch, and batches are no faster.
        """
        if not texts:
            return np.zeros((0, self.width), np.float32)
        return np.stack([self.encode([text], kind)[0].vector for text in texts])

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self._session.get_outputs()[1].shape[1])

    def _tokens(self, text: str, kind: str) -> tuple[list[int], list[tuple[int, int]], int]:
        prefix = self._prefixes.get(kind, "")
        found = self._tokenizer.encode(prefix + text.encode("utf-8", "replace").decode("utf-8"))
        offsets = found.offsets
        skip = next((i for i, (_, end) in enumerate(offsets) if i and end > len(prefix)), len(offsets) - 1)
        content = [(max(a - len(prefix), 0), b - len(prefix)) for a, b in offsets[skip:-1]]
        return found.ids, content, skip

    def _run(self, rows: list[list[int]]) -> tuple[Floats, Floats]:
        longest = max(map(len, rows))
        ids = np.full((len(rows), longest), self._pad, np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for row, found in enumerate(rows):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        if not self._with_hidden:
            (vector,) = self._session.run(["vector"], feed)
            return np.zeros((len(rows), longest, 0), np.float32), vector
        hidden, vector = self._session.run(["hidden", "vector"], feed)
        return hidden, vector


def _windows(text: int, ids: list[int], skip: int) -> list[_Window]:
    content = len(ids) - skip - 1
    room = MAX_TOKENS - skip - 1
    if content <= room:
        return [_Window(text, 0, ids, skip, content)]
    found = []
    for first in range(0, content - _OVERLAP, room - _OVERLAP):
        part = ids[skip + first : skip + min(first + room, content)]
        found.append(_Window(text, first, [*ids[:skip], *part, ids[-1]], skip, len(part)))
    return found


def _stitch(states: list[Floats], starts: list[int]) -> Floats:
    """One row per content token; where two windows overlap, each side keeps the half that lies deeper inside it."""
    joined = states[0]
    for state, start in zip(states[1:], starts[1:], strict=True):
        half = (len(joined) - start) // 2
        joined = np.concatenate([joined[: start + half], state[half:]])
    return joined


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length else vector, dtype=np.float32)
