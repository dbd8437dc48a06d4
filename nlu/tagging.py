"""The tagger of places and companies while it learns: inside the tuning of the encoder, and again on what is served.

Needs the `train` extra.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nlu import patterns
from nlu.encoder import Encoder
from nlu.heads import POSITIONS, align
from nlu.places import ALONE, TAGGED

Spans = Sequence[tuple[str, int, int]]
_SMALL = 32
UNKNOWN = -100  # what cross-entropy leaves out
_ROWS = 48  # sentences a step
_EPOCHS = 12


@dataclass(slots=True)
class Marked:
    """A sentence for the tagger: for every character its word piece, its place in it, its number and its tag."""

    pieces: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text with its spans; where only places and companies were marked (`whole` is false), what looks like a name
    teaches nothing."""

    text: str
    spans: Spans
    whole: bool = False


def mark(
    text: str, spans: Spans, offsets: list[tuple[int, int]], numbers: dict[str, int], *, whole: bool = False
) -> Marked | None:
    """`offsets` says where each word piece lies in the text; what lies behind the last piece is left out."""
    length = max((end for _, end in offsets), default=0)
    if not length:
        return None
    pieces, positions = align(length, offsets)
    tags = np.zeros(length, np.int64)
    if not whole:
        for found in patterns.find(text):
            if found.type in ALONE:
                tags[found.start : found.end] = UNKNOWN
    for kind, start, end in spans:
        if kind in TAGGED and start < length:
            tags[start:end] = 2 + 2 * TAGGED.index(kind)
            tags[start] -= 1
    return Marked(pieces, positions, np.array([numbers.get(char, 1) for char in text[:length]], np.int64), tags)


def numbered(texts: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """The characters of the texts and their numbers; 0 is outside the text, 1 an unknown character."""
    characters = sorted({char for text in texts for char in text})
    return characters, {char: i + 2 for i, char in enumerate(characters)}


class TaggerNet(nn.Module):  # type: ignore[misc]
    """`nlu.heads.Tagger` as a trainable module: `reach` characters to both sides, `inner` hidden units."""

    def __init__(self, width: int, characters: int, *, inner: int = 128, reach: int = 2) -> None:
        super().__init__()
        self.reach = reach
        self.state = nn.Linear(width, inner)
        self.table = nn.Embedding(characters, _SMALL)
        self.around = nn.Linear((2 * reach + 1) * _SMALL, inner, bias=False)
        self.position = nn.Embedding(POSITIONS, inner)
        self.out = nn.Linear(inner, 1 + 2 * len(TAGGED))
        nn.init.normal_(self.table.weight, std=0.1)
        nn.init.zeros_(self.position.weight)

    def forward(self, hidden: torch.Tensor, rows: Sequence[tuple[int, Marked]]) -> torch.Tensor:
        """Scores of the tags, (characters, tags), of several sentences behind each other.

        `hidden` holds the states of all pieces, (pieces, width); each row names where in it its first piece stands.
        """
        around = self.table(torch.from_numpy(np.concatenate([_windows(row.characters, self.reach) for _, row in rows])))
        pieces = torch.from_numpy(np.concatenate([first + row.pieces for first, row in rows]))
        positions = torch.from_numpy(np.concatenate([row.positions for _, row in rows]))
        inner = self.state(hidden)[pieces] + self.around(around.flatten(1)) + self.position(positions)
        return self.out(nn.functional.dropout(torch.relu(inner), 0.15, self.training))

    def arrays(self, characters: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """As `heads.npz` keeps it."""

        def value(tensor: torch.Tensor) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = tensor.detach().numpy().astype(np.float16)
            return found

        found = {
            "characters": np.array([ord(char) for char in characters], np.int64),
            "state_weight": value(self.state.weight.T),
            "table": value(self.table.weight),
            "table_weight": value(self.around.weight.T),
            "position": value(self.position.weight),
            "bias": value(self.state.bias),
            "out_weight": value(self.out.weight.T),
            "out_bias": value(self.out.bias),
        }
        return {f"tagger.{name}": array for name, array in found.items()}


def fit(
    sentences: Sequence[Sentence],
    encoder: Encoder,
    say: Callable[[str], None],
    *,
    inner: int = 256,
    reach: int = 4,
    rate: float = 2e-3,
    seed: int = 7,
) -> dict[str, npt.NDArray[Any]]:
    """Trains the tagger on the states of the encoder that serves; returns the arrays of `heads.npz`.

    One sentence in twenty chooses the best epoch.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    characters, numbers = numbered([sentence.text for sentence in sentences])
    rows: list[tuple[npt.NDArray[np.float16], Marked]] = []
    encoded = encoder.encode([sentence.text for sentence in sentences])
    for sentence, found in zip(sentences, encoded, strict=True):
        marked = mark(sentence.text, sentence.spans, found.offsets, numbers, whole=sentence.whole)
        if marked is not None:
            rows.append((found.hidden.astype(np.float16), marked))
    rng.shuffle(rows)
    held, learned = rows[: len(rows) // 20], rows[len(rows) // 20 :]
    net = TaggerNet(encoder.width, len(characters) + 2, inner=inner, reach=reach)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    steps = _EPOCHS * -(-len(learned) // _ROWS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    best, kept = -1.0, net.arrays(characters)
    for _ in range(_EPOCHS):
        net.train()
        rng.shuffle(learned)
        for at in range(0, len(learned), _ROWS):
            scores, tags = _scores(net, learned[at : at + _ROWS])
            optimiser.zero_grad()
            nn.functional.cross_entropy(scores, tags).backward()
            optimiser.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            scores, tags = _scores(net, held or learned[:_ROWS])
        right = float((scores.argmax(1) == tags)[tags > 0].float().mean()) if bool((tags > 0).any()) else 0.0
        if right > best:
            best, kept = right, net.arrays(characters)
    say(f"tagger: {len(learned)} sentences, {best:.4f} of the named characters right on {len(held)} held out")
    return kept


def _windows(characters: npt.NDArray[np.int64], reach: int) -> npt.NDArray[np.int64]:
    """The numbers of the characters around each one, (characters, 2 * reach + 1)."""
    padded = np.pad(characters, reach)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def _scores(
    net: TaggerNet, rows: Sequence[tuple[npt.NDArray[np.float16], Marked]]
) -> tuple[torch.Tensor, torch.Tensor]:
    starts = np.cumsum([0, *(len(hidden) for hidden, _ in rows)])
    states = torch.from_numpy(np.concatenate([hidden for hidden, _ in rows]).astype(np.float32))
    scores = net(states, [(int(first), marked) for first, (_, marked) in zip(starts, rows, strict=False)])
    return scores, torch.from_numpy(np.concatenate([marked.tags for _, marked in rows]))
