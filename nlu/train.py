"""`minsheng nlu train`: base → tuned encoder → ONNX int8 → heads → model folder. Seeded; needs the `train` extra."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nlu import base, corpus, export, fit, runtime, tune
from nlu.encoder import Encoder
from nlu.places import TAGGED

_E5_PREFIXES = {"query": "query: ", "passage": "passage: "}
_LEAD = 150  # characters of a long message whose vector the heads learn from; n-grams learn from all of it
_TUNING_SHARE = {"out_of_scope": 200, "ask_policy": 80, "category2": 1000}
_TUNING_MESSAGES, _TUNING_LEAD = 350, 60
_BUCKETS = {"intent": 1 << 13, "request_type": 1 << 13, "category1": 1 << 16, "category2": 1 << 13, "urgency": 1 << 13}
_WANTED = {"intent": 0.88, "category2": 0.6}
"""Share of accepted answers that must be right; the thresholds follow from it on the judging rows."""

_SUSPECTED = 0.03
"""From this probability of danger on, the signs of `nlu.danger` decide; chosen on the training sentences, where it
keeps nearly all missed dangers and drops most of the bills, films and old stories."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What `nlu train` can be told. `messages` limits how many labelled messages get a vector (all get n-grams)."""

    data: Path
    target: Path
    public: Path | None
    base: str = base.FROM_PACKAGE
    work: Path | None = None
    encoder: Path | None = None
    messages: int = 1000
    tagged: int = 1500
    tune: tune.TuneSettings = field(default_factory=tune.TuneSettings)


def prefixes(source: str) -> dict[str, str]:
    """What stands before a text of each kind: E5 models were trained with prefixes, other bases get none."""
    return _E5_PREFIXES if "e5" in source.lower() else dict.fromkeys(_E5_PREFIXES, "")


class _Vectors:
    """Sentence vectors, kept beside the encoder so that training the heads again costs seconds."""

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder, self._file = encoder, folder / "vectors.npz"
        self._known: dict[str, Any] = {}
        if self._file.is_file():
            with np.load(self._file) as stored:
                self._known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))

    def of(self, texts: list[str]) -> list[Any]:
        """One vector per text, in order."""
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for at in range(0, len(new), 256):
            part = new[at : at + 256]
            self._known.update(zip(part, self._encoder.vectors(part), strict=True))
        if new:
            np.savez(self._file, texts=np.array([*self._known]), vectors=np.stack([*self._known.values()]))
        return [self._known[text] for text in texts]


def train(settings: TrainSettings, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains and writes the model folder; returns its configuration.

    With `settings.encoder` (a folder with encoder.onnx, tokenizer.json and tagger.npz) only the heads are trained.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    started = time.monotonic()
    sources = corpus.load(settings.data, settings.public, tagged=settings.tagged)
    say("read: " + ", ".join(f"{count} {name}" for name, count in sources.sources.items()))
    with tempfile.TemporaryDirectory() as temporary, threadpool_limits(1):
        work = settings.work or Path(temporary)
        folder = settings.encoder or _encoder(settings, sources, work, say)
        with np.load(folder / "tagger.npz") as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        vectors = _Vectors(Encoder(folder, prefixes(settings.base), threads=2, with_hidden=False), folder)
        fitted = _heads(settings, sources, vectors, say)
        for name, head in fitted.items():
            arrays |= {f"{name}.{key}": value for key, value in head.arrays.items()}
        _install(folder, settings.target)
    _save(settings.target / "heads.npz", arrays)
    config = _config(settings, sources, fitted)
    text = json.dumps(config, ensure_ascii=False, indent=1)
    (settings.target / "config.json").write_text(text + "\n", encoding="utf-8")
    say(f"written to {settings.target} after {time.monotonic() - started:.0f} s")
    return config


def _encoder(settings: TrainSettings, sources: corpus.Corpus, work: Path, say: Callable[[str], None]) -> Path:
    hub = work / "base"
    if not (hub / "config.json").is_file():
        say(f"building the base encoder from {settings.base}")
        base.build(hub, settings.base)
    tasks = _tuning_tasks(sources, settings.tune.seed)
    arrays = tune.tune(
        hub, tasks, corpus.label_names(sources), work / "tuned", settings.tune, say, prefixes(settings.base)["query"]
    )
    target = work / "encoder"
    say("exporting to ONNX int8")
    export.export(work / "tuned", target)
    _save(target / "tagger.npz", arrays)
    return target


def _tuning_tasks(sources: corpus.Corpus, seed: int) -> list[tune.Task]:
    """What the encoder is tuned on: all of our own sentences, and a share of the foreign ones that fits a CPU."""
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    kinds: dict[str, list[tune.Task]] = {}
    for task in sources.weak:
        kind = "category2" if "category2" in task.labels else task.labels.get("intent", "")
        kinds.setdefault(kind, []).append(task)
    tasks = [*sources.own, *sources.tagged]
    for kind, found in kinds.items():
        most = _TUNING_SHARE.get(kind, 400)
        tasks += rng.sample(found, min(most, len(found)))
    raw = [message for message in sources.messages if message.title]
    picked = rng.sample(raw, min(_TUNING_MESSAGES, len(raw)))
    return tasks + [tune.Task(m.whole[:_TUNING_LEAD], {"category1": m.label}, weight=0.5) for m in picked]


def _heads(
    settings: TrainSettings, sources: corpus.Corpus, encoder: _Vectors, say: Callable[[str], None]
) -> dict[str, fit.FittedHead]:
    tasks = [*sources.own, *sources.weak]
    vectors = encoder.of([task.text for task in [*tasks, *sources.judging]])
    say(f"encoded {len(vectors)} sentences")
    data = {head: fit.HeadData() for head in tune.HEADS}
    judging = {head: fit.HeadData() for head in tune.HEADS}
    for task, vector in zip(tasks, vectors, strict=False):
        for head, label in task.labels.items():
            data[head].add(task.text, vector, label, task.weight)
    for task, vector in zip(sources.judging, vectors[len(tasks) :], strict=True):
        for head, label in task.labels.items():
            judging[head].add(task.text, vector, label)
    for message, vector in _messages(settings, sources, encoder):
        data["category1"].add(message.whole, vector, message.label, 1.0 if message.title else 0.5)
        if message.title and vector is not None:
            data["intent"].add(message.whole, vector, "file_request", 0.2)
    leads = encoder.of([m.whole[:_LEAD] for m in sources.judging_messages])
    for message, vector in zip(sources.judging_messages, leads, strict=True):
        judging["category1"].add(message.whole, vector, message.label)
    fitted = {}
    for head, names in corpus.label_names(sources).items():
        found = fit.fit(data[head], names, judging[head], buckets=_BUCKETS[head])
        say(f"{head}: {_rounded(found.figures)}, share of n-grams {found.config['share']}")
        if head in _WANTED:
            found.config["threshold"] = fit.threshold(
                found.probabilities, found.judged, found.config["labels"], _WANTED[head]
            )
        fitted[head] = found
    return fitted


def _messages(settings: TrainSettings, sources: corpus.Corpus, encoder: _Vectors) -> list[tuple[Any, Any]]:
    raw = [m for m in sources.messages if m.title]
    segmented = [m for m in sources.messages if not m.title]
    random.Random(settings.tune.seed).shuffle(segmented)  # noqa: S311 (not for secrets)
    with_vector = raw + segmented[: max(settings.messages - len(raw), 0)]
    vectors = encoder.of([m.whole[:_LEAD] for m in with_vector])
    rest = segmented[max(settings.messages - len(raw), 0) :]
    return [*zip(with_vector, vectors, strict=True), *((m, None) for m in rest)]


def _save(path: Path, arrays: dict[str, Any]) -> None:
    save: Any = np.savez_compressed  # its stub takes every keyword for an option
    save(path, **arrays)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _install(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in ("encoder.onnx", "tokenizer.json"):
        if (folder / name).resolve() != (target / name).resolve():
            shutil.copyfile(folder / name, target / name)


def _config(settings: TrainSettings, sources: corpus.Corpus, fitted: dict[str, fit.FittedHead]) -> dict[str, Any]:
    files = {name: export.file_hash(settings.target / name) for name in ("encoder.onnx", "tokenizer.json", "heads.npz")}
    moment = (
        datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
        if "SOURCE_DATE_EPOCH" in os.environ
        else datetime.now(UTC)
    )
    return {
        "format": runtime.FORMAT,
        "version": f"{moment:%Y%m%d}-{files['heads.npz'][:8]}",
        "base": settings.base,
        "prefixes": prefixes(settings.base),
        "heads": {
            name: {key: value for key, value in head.config.items() if key != "threshold"}
            for name, head in fitted.items()
        },
        "thresholds": {
            "danger": _SUSPECTED,
            **{name: head.config["threshold"] for name, head in fitted.items() if "threshold" in head.config},
        },
        "judged": {name: _rounded(head.figures) for name, head in fitted.items()},
        "tagger": {"types": list(TAGGED)},
        "categories": sources.tree,
        "exact": sources.exact,
        "sources": sources.sources,
        "files": files,
    }
