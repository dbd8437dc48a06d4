"""Fine-tunes the top of the encoder for all heads at once, and trains the tagger of place names with it.

The lower layers stay as they are; what they say about each sentence is computed once and kept, so that an epoch costs
a fraction of a full one on a CPU. A third part of the loss keeps each sentence vector close to what the base encoder
says, because the same encoder serves search. With `layers=0` nothing but the tagger is trained.

Needs the `train` extra.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nlu.tagging import Marked, TaggerNet, mark, numbered

HEADS = ("intent", "request_type", "category1", "category2", "urgency", "danger")
_CHECKPOINT = "tuning.pt"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True, slots=True)
class Task:
    """A sentence with its labels (by head) and, where known, its spans; `weight` scales its part of the loss.

    `parts` of a message with several requests carry labels of their own: (start, end, labels by head).
    """

    text: str
    labels: dict[str, str]
    spans: list[tuple[str, int, int]] | None = None
    weight: float = 1.0
    parts: tuple[tuple[int, int, dict[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How to tune. `keep` weighs closeness to the base encoder's vectors; tuning stops after `patience` epochs in which
    the loss on the judging sentences did not fall, and the best epoch is kept."""

    layers: int = 4
    epochs: int = 5
    batch: int = 24
    rate: float = 2e-4
    head_rate: float = 2e-3
    keep: float = 10.0
    max_tokens: int = 96
    patience: int = 2
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Tuned:
    """The losses of every epoch: `{"epoch", "loss", "judged"}`."""

    history: list[dict[str, float]]


@dataclass(slots=True)
class _Row:
    state: torch.Tensor  # (tokens, width), half precision: what the frozen layers say
    base: torch.Tensor  # (width,): the base encoder's own vector
    labels: list[int]
    weight: float
    parts: list[tuple[int, int, list[int]]] = field(default_factory=list)  # first and last token, labels
    marked: Marked | None = None


def tune(
    folder: Path,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    target: Path,
    settings: TuneSettings,
    say: Callable[[str], None],
    prefix: str = "query: ",
    judging: Sequence[Task] = (),
    progress: Progress = lambda what, done, total: None,
) -> Tuned:
    """Tunes the Hugging Face BERT in `folder` and saves it to `target`.

    After every epoch the state is kept beside `target` (tuning.pt); the same call with the same sentences goes on
    from there.

    Args:
        tasks: sentences; a head not named in `labels` learns nothing from that sentence.
        names: the labels of each head, in order.
        say: told one line per epoch.
        judging: sentences that only decide when to stop.
    """
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(settings.seed)
    model = AutoModel.from_pretrained(
        folder, add_pooling_layer=False, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    characters, numbers = numbered([task.text for task in tasks if task.spans is not None])
    if not settings.layers:
        tasks = [task for task in tasks if task.spans]
    both = [*tasks, *judging]
    rows = _prepare(model, tokenizer, both, names, numbers, settings, prefix, progress)
    rows, judged = rows[: len(tasks)], rows[len(tasks) :]
    say(f"prepared {len(rows)} sentences")
    parts = _Parts.build(model, rows, len(characters) + 2, names, settings)
    checkpoint = target.parent / _CHECKPOINT
    run = _Run(parts, rows, judged, settings, _fingerprint(tasks, settings))
    run.resume(checkpoint, say)
    while run.goes_on():
        run.epoch(progress)
        latest = run.history[-1]
        say(
            f"epoch {latest['epoch']:.0f} of {settings.epochs}: loss {latest['loss']:.4f}"
            + (f", on judging sentences {latest['judged']:.4f}" if judged else "")
        )
        run.save(checkpoint)
    run.take_best()
    model.eval().save_pretrained(target)
    tokenizer.save_pretrained(target)
    checkpoint.unlink(missing_ok=True)
    return Tuned(run.history)


@dataclass(slots=True)
class _Parts:
    """What learns, and what it is measured by."""

    top: Any
    heads: Any
    tagger: TaggerNet
    scale: tuple[torch.Tensor, torch.Tensor]
    class_weights: list[torch.Tensor]

    @classmethod
    def build(
        cls, model: Any, rows: list[_Row], characters: int, names: dict[str, list[str]], settings: TuneSettings
    ) -> _Parts:
        width = model.config.hidden_size
        bases = torch.stack([row.base for row in rows])
        return cls(
            top=model.encoder.layer[len(model.encoder.layer) - settings.layers :],
            heads=nn.ModuleList(nn.Linear(width, max(len(names[head]), 1)) for head in HEADS),
            tagger=TaggerNet(width, characters),
            scale=(bases.mean(0), bases.std(0) + 1e-6),
            class_weights=[_class_weights(rows, k, len(names[head])) for k, head in enumerate(HEADS)],
        )

    def modules(self) -> dict[str, Any]:
        return {"top": self.top, "heads": self.heads, "tagger": self.tagger}

    def train(self, on: bool) -> None:
        for module in (self.top, self.tagger):
            module.train(on)


class _Run:
    """The epochs: what has been done so far, and how to go on."""

    def __init__(
        self, parts: _Parts, rows: list[_Row], judged: list[_Row], settings: TuneSettings, fingerprint: str
    ) -> None:
        self.parts, self.rows, self.judged, self.settings = parts, rows, judged, settings
        self.fingerprint = fingerprint
        self.rng = random.Random(settings.seed)  # noqa: S311 (not for secrets)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None
        new = [*parts.tagger.parameters(), *(parts.heads.parameters() if settings.layers else [])]
        self.groups: list[dict[str, Any]] = [{"params": new, "lr": settings.head_rate}]
        if settings.layers:
            self.groups.append({"params": list(parts.top.parameters()), "lr": settings.rate})
        self.optimiser = torch.optim.AdamW(self.groups, weight_decay=0.01)
        steps = settings.epochs * -(-len(rows) // settings.batch)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: min(1.0, (step + 1) / (0.1 * steps + 1)) * max(0.02, 1 - step / steps)
        )

    def goes_on(self) -> bool:
        if len(self.history) >= self.settings.epochs:
            return False
        return not self.judged or len(self.history) - self._best_epoch() <= self.settings.patience - 1

    def epoch(self, progress: Progress) -> None:
        self.parts.train(True)
        losses = []
        batches = _batches(self.rows, self.settings.batch, self.rng)
        for done, batch in enumerate(batches, 1):
            loss = _loss(self.parts, batch, self.settings)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in self.groups for p in group["params"]], 1.0)
            self.optimiser.step()
            self.schedule.step()
            losses.append(float(loss.detach()))
            progress(f"epoch {len(self.history) + 1}", done, len(batches))
        entry = {"epoch": float(len(self.history) + 1), "loss": float(np.mean(losses))}
        if self.judged:
            entry["judged"] = self._judge()
        self.history.append(entry)
        if self.judged and self._best_epoch() == len(self.history):
            self.best = _copied(self.parts)

    def _judge(self) -> float:
        self.parts.train(False)
        with torch.no_grad():
            batches = _batches(self.judged, 64, random.Random(0))  # noqa: S311 (not for secrets)
            found = [float(_loss(self.parts, batch, self.settings)) for batch in batches]
        return float(np.mean(found))

    def _best_epoch(self) -> int:
        if not self.history:
            return 0
        return 1 + min(range(len(self.history)), key=lambda i: self.history[i].get("judged", -i))

    def take_best(self) -> None:
        if self.best is not None:
            for name, module in self.parts.modules().items():
                module.load_state_dict(self.best[name])

    def save(self, path: Path) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "now": _copied(self.parts),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "rng": self.rng.getstate(),
            "torch": torch.get_rng_state(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def resume(self, path: Path, say: Callable[[str], None]) -> None:
        if not path.is_file():
            return
        state = torch.load(path, weights_only=False)  # our own file, written by `save`
        if state["fingerprint"] != self.fingerprint:
            say("the sentences or settings have changed: tuning begins anew")
            return
        for name, module in self.parts.modules().items():
            module.load_state_dict(state["now"][name])
        self.best, self.history = state["best"], state["history"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.rng.setstate(state["rng"])
        torch.set_rng_state(state["torch"])
        say(f"going on after epoch {len(self.history)}")


def _copied(parts: _Parts) -> dict[str, Any]:
    return {
        name: {key: value.clone() for key, value in module.state_dict().items()}
        for name, module in parts.modules().items()
    }


def _fingerprint(tasks: Sequence[Task], settings: TuneSettings) -> str:
    found = hashlib.sha256(repr(asdict(settings)).encode())
    for task in tasks:
        found.update(repr(task).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _class_weights(rows: list[_Row], head: int, classes: int) -> torch.Tensor:
    """Square root of the inverse frequency: rare classes gain without drowning the frequent ones."""
    counts = Counter(row.labels[head] for row in rows)
    for row in rows:
        counts.update(labels[head] for _, _, labels in row.parts)
    known = [counts[i] for i in range(classes)]
    mean = sum(known) / max(sum(count > 0 for count in known), 1)
    return torch.tensor([(mean / count) ** 0.5 if count else 1.0 for count in known] or [1.0])


def _prepare(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    names: dict[str, list[str]],
    numbers: dict[str, int],
    settings: TuneSettings,
    prefix: str,
    progress: Progress,
) -> list[_Row]:
    index = {head: {name: i for i, name in enumerate(names[head])} for head in HEADS}
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
            offsets = found["offset_mapping"][i]
            row = _Row(
                states[frozen][k, :n].half().clone(),
                vectors[k].clone(),
                _numbers(index, tasks[i].labels),
                tasks[i].weight,
                _tokens_of(index, tasks[i], offsets, len(prefix)),
            )
            if (spans := tasks[i].spans) is not None:
                row.marked = _marked(tasks[i].text, spans, offsets, len(prefix), numbers)
            rows[i] = row
        progress("prepare", min(at + settings.batch, len(order)), len(order))
    return [row for row in rows if row is not None]


def _numbers(index: dict[str, dict[str, int]], labels: dict[str, str]) -> list[int]:
    return [index[head].get(labels.get(head, ""), -100) for head in HEADS]


def _tokens_of(
    index: dict[str, dict[str, int]], task: Task, offsets: list[tuple[int, int]], prefix: int
) -> list[tuple[int, int, list[int]]]:
    """The parts of a task as (first token, end, labels), without those that were cut off."""
    found = []
    for start, end, labels in task.parts:
        inside = [i for i, (a, b) in enumerate(offsets) if b > a and a < end + prefix and b > start + prefix]
        if inside:
            found.append((inside[0], inside[-1] + 1, _numbers(index, labels)))
    return found


def _marked(
    text: str, spans: list[tuple[str, int, int]], offsets: list[tuple[int, int]], prefix: int, numbers: dict[str, int]
) -> Marked | None:
    skip = next((i for i, (_, end) in enumerate(offsets) if end > prefix), len(offsets) - 1)
    found = mark(text, spans, [(max(a - prefix, 0), b - prefix) for a, b in offsets[skip:-1]], numbers)
    if found is not None:
        found.pieces += skip
    return found


def _batches(rows: list[_Row], size: int, rng: random.Random) -> list[list[_Row]]:
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].state) + rng.uniform(-4, 4))
    groups = [[rows[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    rng.shuffle(groups)
    return groups


def _loss(parts: _Parts, batch: list[_Row], settings: TuneSettings) -> torch.Tensor:
    longest = max(len(row.state) for row in batch)
    hidden = torch.zeros(len(batch), longest, batch[0].state.shape[1])
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for i, row in enumerate(batch):
        hidden[i, : len(row.state)] = row.state.float()
        mask[i, : len(row.state)] = 1
    bias = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
    for layer in parts.top:
        after = layer(hidden, attention_mask=bias)
        hidden = after[0] if isinstance(after, tuple) else after
    loss = hidden.new_zeros(())
    if settings.layers:
        vectors = _pool(hidden, mask)
        loss = loss + _heads_loss(parts, batch, hidden, vectors)
        base = torch.stack([row.base for row in batch])
        loss = loss + settings.keep * (1 - nn.functional.cosine_similarity(vectors, base)).mean()
    tagged = [(i * longest, row.marked) for i, row in enumerate(batch) if row.marked is not None]
    if tagged:
        scores = parts.tagger(hidden.reshape(-1, hidden.shape[2]), tagged)
        tags = torch.from_numpy(np.concatenate([marked.tags for _, marked in tagged]))
        loss = loss + min(1.0, 2 * len(tagged) / len(batch)) * nn.functional.cross_entropy(scores, tags)
    return loss


def _heads_loss(parts: _Parts, batch: list[_Row], hidden: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    pooled, labels, weights = [vectors], [row.labels for row in batch], [row.weight for row in batch]
    for i, row in enumerate(batch):
        for start, end, own in row.parts:
            pooled.append(nn.functional.normalize(hidden[i, start:end].mean(0, keepdim=True), dim=-1))
            labels.append(own)
            weights.append(row.weight)
    standard = nn.functional.dropout((torch.cat(pooled) - parts.scale[0]) / parts.scale[1], 0.2, parts.top.training)
    scale = torch.tensor(weights)
    loss = hidden.new_zeros(())
    for k, head in enumerate(parts.heads):
        wanted = torch.tensor([own[k] for own in labels])
        if (wanted >= 0).any():
            each = nn.functional.cross_entropy(
                head(standard),
                wanted,
                weight=parts.class_weights[k],
                ignore_index=-100,
                reduction="none",
                label_smoothing=0.05,
            )
            loss = loss + (each * scale).sum() / len(batch)
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
