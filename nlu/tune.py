"""Fine-tunes the top of the encoder for all heads at once, and trains the tagger of place names with it.

The lower layers stay as they are; what they say about each sentence is computed once and kept, so that an epoch costs
a fraction of a full one on a CPU. A third part of the loss keeps each sentence vector close to what the base encoder
says, because the same encoder serves search. With `layers=0` nothing but the tagger is trained.

Needs the `train` extra.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nlu.heads import align
from nlu.places import TAGGED

HEADS = ("intent", "request_type", "category1", "category2", "urgency")
_INNER, _SMALL = 128, 32


@dataclass(frozen=True, slots=True)
class Task:
    """A sentence with its labels (by head) and, where known, its spans; `weight` scales its part of the loss."""

    text: str
    labels: dict[str, str]
    spans: list[tuple[str, int, int]] | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How to tune. `keep` weighs closeness to the base encoder's vectors."""

    layers: int = 4
    epochs: int = 5
    batch: int = 24
    rate: float = 2e-4
    head_rate: float = 2e-3
    keep: float = 10.0
    max_tokens: int = 64
    seed: int = 7


@dataclass(slots=True)
class _Row:
    state: torch.Tensor  # (tokens, width), half precision: what the frozen layers say
    base: torch.Tensor  # (width,): the base encoder's own vector
    labels: list[int]
    weight: float
    pieces: npt.NDArray[np.int64] | None = None
    positions: npt.NDArray[np.int64] | None = None
    characters: npt.NDArray[np.int64] | None = None
    tags: npt.NDArray[np.int64] | None = None


class _Tagger(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int, characters: int) -> None:
        super().__init__()
        self.state = nn.Linear(width, _INNER)
        self.table = nn.Embedding(characters, _SMALL)
        self.around = nn.Linear(5 * _SMALL, _INNER, bias=False)
        self.position = nn.Embedding(3, _INNER)
        self.out = nn.Linear(_INNER, 1 + 2 * len(TAGGED))
        nn.init.normal_(self.table.weight, std=0.1)
        nn.init.zeros_(self.position.weight)

    def forward(self, hidden: torch.Tensor, row: _Row) -> torch.Tensor:
        ids = torch.from_numpy(np.concatenate([[0, 0], row.characters, [0, 0]]))  # type: ignore[list-item]
        n = len(ids) - 4
        around = torch.cat([self.table(ids[2 + d : 2 + d + n]) for d in (-2, -1, 0, 1, 2)], dim=1)
        inner = self.state(hidden)[torch.from_numpy(row.pieces)] + self.around(around)
        inner = inner + self.position(torch.from_numpy(row.positions))
        return self.out(nn.functional.dropout(torch.relu(inner), 0.1, self.training))

    def arrays(self, characters: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
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


def tune(
    folder: Path,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    target: Path,
    settings: TuneSettings,
    say: Callable[[str], None],
    prefix: str = "query: ",
) -> dict[str, npt.NDArray[Any]]:
    """Tunes the Hugging Face BERT in `folder`, saves it to `target`, returns the tagger's arrays.

    Args:
        tasks: sentences; a head not named in `labels` learns nothing from that sentence.
        names: the labels of each head, in order.
        say: told one line per epoch.
    """
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)  # noqa: S311 (not for secrets)
    model = AutoModel.from_pretrained(
        folder, add_pooling_layer=False, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    characters = sorted({char for task in tasks if task.spans is not None for char in task.text})
    if not settings.layers:
        tasks = [task for task in tasks if task.spans]
    rows = _prepare(model, tokenizer, tasks, names, characters, settings, prefix)
    say(f"prepared {len(rows)} sentences")
    top = model.encoder.layer[len(model.encoder.layer) - settings.layers :]
    tagger = _Tagger(model.config.hidden_size, len(characters) + 2)
    heads = nn.ModuleList(nn.Linear(model.config.hidden_size, max(len(names[head]), 1)) for head in HEADS)
    bases = torch.stack([row.base for row in rows])
    center, spread = bases.mean(0), bases.std(0) + 1e-6
    new = [*tagger.parameters(), *(heads.parameters() if settings.layers else [])]
    groups: list[dict[str, Any]] = [{"params": new, "lr": settings.head_rate}]
    if settings.layers:
        groups.append({"params": list(top.parameters()), "lr": settings.rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = settings.epochs * -(-len(rows) // settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / (0.1 * steps + 1)) * max(0.02, 1 - step / steps)
    )
    for epoch in range(settings.epochs):
        top.train()
        tagger.train()
        losses = []
        for batch in _batches(rows, settings.batch, rng):
            loss = _loss(top, heads, tagger, batch, settings, (center, spread))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        say(f"epoch {epoch + 1} of {settings.epochs}: loss {np.mean(losses):.4f}")
    model.eval().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return tagger.arrays(characters)


def _prepare(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    characters: list[str],
    settings: TuneSettings,
    prefix: str,
) -> list[_Row]:
    index = {head: {name: i for i, name in enumerate(names[head])} for head in HEADS}
    numbers = {char: i + 2 for i, char in enumerate(characters)}
    frozen = len(model.encoder.layer) - settings.layers
    found = tokenizer(
        [prefix + task.text for task in tasks],
        truncation=True,
        max_length=settings.max_tokens,
        return_offsets_mapping=True,
    )
    order = sorted(range(len(tasks)), key=lambda i: len(found["input_ids"][i]))
    rows: list[_Row | None] = [None] * len(tasks)
    for at in range(0, len(order), settings.batch):
        picked = order[at : at + settings.batch]
        ids, mask = _padded([found["input_ids"][i] for i in picked], tokenizer.pad_token_id or 0)
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        vectors = _pool(states[-1], mask)
        for k, i in enumerate(picked):
            n = len(found["input_ids"][i])
            labels = [index[head].get(tasks[i].labels.get(head, ""), -100) for head in HEADS]
            row = _Row(states[frozen][k, :n].half().clone(), vectors[k].clone(), labels, tasks[i].weight)
            if tasks[i].spans is not None:
                _add_tags(row, tasks[i], found["offset_mapping"][i], len(prefix), numbers)
            rows[i] = row
    return [row for row in rows if row is not None]


def _add_tags(row: _Row, task: Task, offsets: list[tuple[int, int]], prefix: int, numbers: dict[str, int]) -> None:
    skip = next((i for i, (_, end) in enumerate(offsets) if end > prefix), len(offsets) - 1)
    content = [(max(a - prefix, 0), b - prefix) for a, b in offsets[skip:-1]]
    length = max((end for _, end in content), default=0)
    if not length:
        return
    pieces, row.positions = align(length, content)
    row.pieces = pieces + skip
    row.characters = np.array([numbers.get(char, 1) for char in task.text[:length]], np.int64)
    row.tags = np.zeros(length, np.int64)
    for kind, start, end in task.spans or []:
        if kind in TAGGED and start < length:
            row.tags[start:end] = 2 + 2 * TAGGED.index(kind)
            row.tags[start] -= 1


def _batches(rows: list[_Row], size: int, rng: random.Random) -> list[list[_Row]]:
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].state) + rng.uniform(-4, 4))
    groups = [[rows[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    rng.shuffle(groups)
    return groups


def _loss(
    top: Any,
    heads: Any,
    tagger: _Tagger,
    batch: list[_Row],
    settings: TuneSettings,
    scale: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    longest = max(len(row.state) for row in batch)
    hidden = torch.zeros(len(batch), longest, batch[0].state.shape[1])
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for i, row in enumerate(batch):
        hidden[i, : len(row.state)] = row.state.float()
        mask[i, : len(row.state)] = 1
    bias = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
    for layer in top:
        after = layer(hidden, attention_mask=bias)
        hidden = after[0] if isinstance(after, tuple) else after
    loss = hidden.new_zeros(())
    if settings.layers:
        vectors = _pool(hidden, mask)
        weights = torch.tensor([row.weight for row in batch])
        standard = nn.functional.dropout((vectors - scale[0]) / scale[1], 0.2)
        for k, head in enumerate(heads):
            labels = torch.tensor([row.labels[k] for row in batch])
            if (labels >= 0).any():
                each = nn.functional.cross_entropy(
                    head(standard), labels, ignore_index=-100, reduction="none", label_smoothing=0.05
                )
                loss = loss + (each * weights).sum() / len(batch)
        base = torch.stack([row.base for row in batch])
        loss = loss + settings.keep * (1 - nn.functional.cosine_similarity(vectors, base)).mean()
    scores, tags = [], []
    for i, row in enumerate(batch):
        if row.tags is not None:
            scores.append(tagger(hidden[i], row))
            tags.append(torch.from_numpy(row.tags))
    if scores:
        loss = loss + nn.functional.cross_entropy(torch.cat(scores), torch.cat(tags)) * min(
            1.0, 2 * len(scores) / len(batch)
        )
    return loss


def _pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)


def _padded(rows: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask
