"""`minsheng nlu train`: base → tuned encoder → ONNX int8 → heads → model folder. Seeded; needs the `train` extra."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nlu import (
    base,
    card,
    corpus,
    danger,
    evaluate,
    export,
    fit,
    labels,
    public_data,
    registry,
    report,
    requests,
    runtime,
    tagging,
    tune,
)
from nlu.encoder import Encoder
from nlu.places import TAGGED
from nlu.runtime import Reader

_HISTORY = "history.json"
_E5_PREFIXES = {"query": "query: ", "passage": "passage: "}
_LEADS = (150, 1500)  # characters of a long message whose vectors the heads learn from; n-grams learn from all of it
_TUNING_SHARE = {"out_of_scope": 200, "ask_policy": 80, "category2": 1000}
_TUNING_RAW, _TUNING_SEGMENTED, _TUNING_LEAD = 600, 300, 100
_STRENGTHS = (0.015, 0.005, 0.002)
_MOST_REJECTED = 0.0075
"""Share of the sentences within scope that may be taken for out of scope or not understood."""
_CATEGORY2_RIGHT = 0.6
"""Share of the accepted second-level categories that must be right."""
_ALARMS_RIGHT = 0.9
"""Share of the alarms that must be right on the judging rows, where one in six is a danger; beyond that, every danger
found counts more than a false alarm."""
_OWN = 2.0  # our own sentences are the only ones of eight first-level categories, and fewer than the published letters
_CALM = 2500  # sentences without a place; their names and companies are not marked, so more would teach to miss them
_MARKED_TIMES = 5  # fully marked sentences are few, and the only ones with names and times
_PRICES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_LENGTHS = ((40, 80), (40, 120), (60, 120), (80, 160), (120, 240))
_PROVISIONAL = {"requests_price": 2.0, "requests": 0.35, "short_chars": 40, "long_chars": 80}
_SURE_REQUESTS = (0.2, 0.35, 0.5, 0.65)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What `nlu train` can be told. `messages` limits how many labelled messages get a vector (all get n-grams)."""

    data: Path
    target: Path
    public: Path | None
    base: str = base.FROM_PACKAGE
    work: Path | None = None
    encoder: Path | None = None
    requests: Path | None = None
    messages: int = 1000
    tagged: int = 1500
    addresses: int = 4000
    tune: tune.TuneSettings = field(default_factory=tune.TuneSettings)


def prefixes(source: str) -> dict[str, str]:
    """What stands before a text of each kind: E5 models were trained with prefixes, other bases get none."""
    return _E5_PREFIXES if "e5" in source.lower() else dict.fromkeys(_E5_PREFIXES, "")


class _Vectors:
    """Sentence vectors, kept beside the encoder so that training the heads again costs seconds."""

    def __init__(self, encoder: Encoder, folder: Path, progress: tune.Progress) -> None:
        self._encoder, self._file, self._progress = encoder, folder / "vectors.npz", progress
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
            self._progress("encode", at + len(part), len(new))
        if new:
            np.savez(self._file, texts=np.array([*self._known]), vectors=np.stack([*self._known.values()]))
        return [self._known[text] for text in texts]


def train(
    settings: TrainSettings,
    say: Callable[[str], None] = print,
    progress: tune.Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Trains and writes the model folder; returns its configuration.

    With `settings.encoder` (a folder with encoder.onnx and tokenizer.json) only what sits on it is trained; a
    tagger.npz there is kept.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    started = time.monotonic()
    sources = corpus.load(
        settings.data,
        settings.public,
        requests=settings.requests,
        tagged=settings.tagged,
        addresses=settings.addresses,
    )
    say("read: " + ", ".join(f"{count} {name}" for name, count in sources.sources.items()))
    history: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary, threadpool_limits(1):
        work = settings.work or Path(temporary)
        folder = settings.encoder or _encoder(settings, sources, work, say, progress)
        if (folder / _HISTORY).is_file():
            history = json.loads((folder / _HISTORY).read_text(encoding="utf-8"))
        arrays = _tagger(settings, sources, folder, say)
        fitted = _heads(settings, sources, folder, say, progress)
        for name, head in fitted.items():
            arrays |= {f"{name}.{key}": value for key, value in head.arrays.items()}
        _install(folder, settings.target)
    _save(settings.target / "heads.npz", arrays)
    config = _config(settings, sources, fitted)
    _write(settings.target, config)
    reader = Reader.load(settings.target, threads=2)
    fitted["danger"] = _dangers_as_read(sources, fitted["danger"], reader, say)
    config["judged"]["danger"] = _rounded(fitted["danger"].figures)
    config["thresholds"] |= _danger_thresholds(fitted["danger"])
    config["thresholds"] |= _lengths(sources, reader, say)
    config["thresholds"] |= _requests_thresholds(sources, reader, say)
    _write(settings.target, config)
    card.write(settings.target / "README.md", config)
    report.write(
        settings.target / "report",
        report.Run(config, fitted, history, frozenset(m.whole for m in sources.judging_messages)),
    )
    registry.add(settings.target.parent / registry.FILE, settings.target, registry.entry(config, settings.data))
    say(f"written to {settings.target} after {time.monotonic() - started:.0f} s")
    return config


def _encoder(
    settings: TrainSettings, sources: corpus.Corpus, work: Path, say: Callable[[str], None], progress: tune.Progress
) -> Path:
    hub = work / f"base-{re.sub(r'[^A-Za-z0-9.]+', '-', settings.base).strip('-')}"
    if not (hub / "config.json").is_file():
        say(f"building the base encoder from {settings.base}")
        base.build(hub, settings.base)
    tuned = tune.tune(
        hub,
        _tuning_tasks(sources, settings.tune.seed),
        corpus.label_names(sources),
        work / "tuned",
        settings.tune,
        say,
        prefixes(settings.base)["query"],
        judging=sources.judging,
        progress=progress,
    )
    target = work / "encoder"
    say("exporting to ONNX int8")
    export.export(work / "tuned", target)
    (target / _HISTORY).write_text(json.dumps(tuned.history), encoding="utf-8")
    return target


def _tagger(
    settings: TrainSettings, sources: corpus.Corpus, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Trained on the states that are served, not on those of the tuned float model; kept beside the encoder."""
    kept = folder / "tagger.npz"
    if not kept.is_file():
        learned = [tagging.Sentence(text, spans, whole=True) for text, spans in sources.marked * _MARKED_TIMES]
        calm = [task for task in sources.own if task.spans is not None]
        rng = random.Random(settings.tune.seed)  # noqa: S311 (not for secrets)
        for task in (*rng.sample(calm, min(_CALM, len(calm))), *sources.tagged):
            learned.append(tagging.Sentence(task.text, task.spans or []))
        _save(kept, tagging.fit(learned, Encoder(folder, prefixes(settings.base), threads=2), say))
    with np.load(kept) as stored:
        return {name: stored[name] for name in stored.files}


def _tuning_tasks(sources: corpus.Corpus, seed: int) -> list[tune.Task]:
    """What the encoder is tuned on: all of our own sentences, and a share of the foreign ones that fits a CPU."""
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    kinds: dict[str, list[tune.Task]] = {}
    for task in sources.weak:
        kind = "category2" if "category2" in task.labels else task.labels.get("intent", "")
        kinds.setdefault(kind, []).append(task)
    tasks = [*sources.own, *sources.tagged, *sources.joined]
    for kind, found in kinds.items():
        most = _TUNING_SHARE.get(kind, 400)
        tasks += rng.sample(found, min(most, len(found)))
    raw = [message for message in sources.messages if message.title]
    segmented = [message for message in sources.messages if not message.title]
    for messages, most, weight in ((raw, _TUNING_RAW, 1.0), (segmented, _TUNING_SEGMENTED, 0.5)):
        picked = rng.sample(messages, min(most, len(messages)))
        tasks += [tune.Task(m.whole[:_TUNING_LEAD], {"category1": m.label}, weight=weight) for m in picked]
    return tasks


def _heads(
    settings: TrainSettings,
    sources: corpus.Corpus,
    folder: Path,
    say: Callable[[str], None],
    progress: tune.Progress,
) -> dict[str, fit.FittedHead]:
    encoder = Encoder(folder, prefixes(settings.base), threads=2)
    vectors = _Vectors(encoder, folder, progress)
    tasks = [*sources.own, *sources.weak]
    data = {head: fit.HeadData() for head in tune.HEADS}
    judging = {head: fit.HeadData() for head in tune.HEADS}
    for kept, found in ((data, tasks), (judging, sources.judging)):
        for task, vector in zip(found, vectors.of([task.text for task in found]), strict=True):
            for head, label in task.labels.items():
                kept[head].add(task.text, vector, label, task.weight * (_OWN if head == "category1" else 1.0))
    for task, encoded in zip(sources.joined, encoder.encode([t.text for t in sources.joined]), strict=True):
        for start, end, named in task.parts:
            part = requests.pooled(encoded.hidden, encoded.offsets, requests.Stretch(start, end))
            for head, label in named.items():
                data[head].add(task.text[start:end], part, label, task.weight)
    say(f"encoded {len(tasks) + len(sources.judging)} sentences and {len(sources.joined)} joined messages")
    for message, text, vector in _messages(settings, sources, vectors):
        data["category1"].add(text, vector, message.label, 0.6 if message.title else 0.4)
        if message.title and vector is not None:
            data["intent"].add(text, vector, "file_request", 0.2)
    whole = vectors.of([m.whole[: _LEADS[-1]] for m in sources.judging_messages])
    for message, vector in zip(sources.judging_messages, whole, strict=True):
        judging["category1"].add(message.whole, vector, message.label)
    fitted = {}
    for head, names in corpus.label_names(sources).items():
        found_head = fit.fit(data[head], names, judging[head], strengths=_STRENGTHS)
        say(f"{head}: {_rounded(found_head.figures)}")
        fitted[head] = found_head
    return fitted


def _messages(
    settings: TrainSettings, sources: corpus.Corpus, vectors: _Vectors
) -> Iterator[tuple[public_data.Message, str, Any]]:
    """(message, text, vector): raw messages by lead and as a whole, some segmented ones by lead, the rest without."""
    raw = [m for m in sources.messages if m.title]
    segmented = [m for m in sources.messages if not m.title]
    random.Random(settings.tune.seed).shuffle(segmented)  # noqa: S311 (not for secrets)
    most = max(settings.messages - len(raw), 0)
    for chosen, lead in ((raw, _LEADS[0]), (raw, _LEADS[1]), (segmented[:most], _LEADS[0])):
        for message, vector in zip(chosen, vectors.of([m.whole[:lead] for m in chosen]), strict=True):
            yield message, message.whole, vector
    for message in segmented[most:]:
        yield message, message.whole, None


def _thresholds(fitted: dict[str, fit.FittedHead]) -> dict[str, float]:
    """From the judging rows: when an answer is taken."""
    found = {"intent": 0.1, "category2": 0.1, "danger": 0.5, "danger_with_signs": 0.3, "danger_when_calmed": 0.7}
    intent = fitted["intent"]
    if intent.judged:
        found["intent"] = fit.rejection_threshold(intent, _MOST_REJECTED, outside="out_of_scope")
    second = fitted["category2"]
    if second.judged:
        found["category2"] = fit.threshold(
            second.probabilities, second.judged, second.config["labels"], _CATEGORY2_RIGHT
        )
    return found | _danger_thresholds(fitted["danger"])


def _danger_thresholds(dangers: fit.FittedHead) -> dict[str, float]:
    if labels.DANGER not in dangers.judged or len(dangers.config["labels"]) != len(labels.DANGERS):
        return {}
    sure = dangers.probabilities[:, dangers.config["labels"].index(labels.DANGER)]
    truth = np.array([label == labels.DANGER for label in dangers.judged])
    signs = [danger.signs(text) for text in dangers.judged_texts]
    return {str(sign): limit for sign, limit in fit.danger_thresholds(sure, signs, truth, _ALARMS_RIGHT).items()}


def _dangers_as_read(
    sources: corpus.Corpus, dangers: fit.FittedHead, reader: Reader, say: Callable[[str], None]
) -> fit.FittedHead:
    """The danger head with what the reader, which also asks the urgency head, says of its judging rows."""
    if not any("danger" in task.labels for task in sources.judging):
        return dangers  # it was judged out of fold, by sentences that the reader has learned
    found = fit.reread(dangers, reader.probabilities("danger", dangers.judged_texts)[1])
    say(f"danger with urgency: {_rounded(found.figures)}, {_danger_thresholds(found)}")
    return found


def _lengths(sources: corpus.Corpus, reader: Reader, say: Callable[[str], None]) -> dict[str, float]:
    """Up to which length the second level decides about the first, and from which on the first level's own head."""
    own = [(task.text, task.labels["category1"]) for task in sources.judging if "category1" in task.labels]
    published = [(message.whole, message.label) for message in sources.judging_messages]
    best, chosen = -1.0, {name: _PROVISIONAL[name] for name in ("short_chars", "long_chars")}
    if not own or not published:
        return chosen
    texts = [text for text, _ in own + published]
    encoded = dict(zip(texts, reader.encode(texts), strict=True))
    for short, long in _LENGTHS:
        reader.thresholds |= {"short_chars": short, "long_chars": long}
        right = [
            float(np.mean([reader.first_level(text, encoded[text]).name == label for text, label in rows]))
            for rows in (own, published)
        ]
        if sum(right) > best:
            best, chosen = sum(right), {"short_chars": float(short), "long_chars": float(long)}
            said = f"first level: {right[0]:.4f} of {len(own)} own, {right[1]:.4f} of {len(published)} published"
    reader.thresholds |= chosen
    say(f"{said}, {chosen}")
    return chosen


def _requests_thresholds(sources: corpus.Corpus, reader: Reader, say: Callable[[str], None]) -> dict[str, float]:
    """The price of a change of matter, and how sure a further one must be: chosen on joined sentences that nothing was
    trained on, and on messages, our own and published ones, that speak of one thing."""
    texts = [made.text for made in sources.judging_joined]
    right = [{e.category1 for _, _, e in made.parts} for made in sources.judging_joined]
    singles = [(task.text, task.labels["category1"]) for task in sources.judging if "category1" in task.labels]
    singles += [(message.whole, message.label) for message in sources.judging_messages]
    texts += [text for text, _ in singles]
    right += [{label} for _, label in singles]
    chosen = dict(_PROVISIONAL)
    if not texts:
        return chosen
    rows = [(text, one, reader.clauses(text, one)) for text, one in zip(texts, reader.encode(texts), strict=True)]
    best = -1.0
    for price in _PRICES:
        for sure in _SURE_REQUESTS:
            reader.thresholds |= {"requests_price": price, "requests": sure}
            found = [{request.category1.name for request in reader.requests(*row)} for row in rows]
            quality = evaluate.set_f1(found, right)
            if quality > best:
                best, chosen = quality, {"requests_price": price, "requests": sure}
    say(f"several requests in one message: set-F1 {best:.4f} on {len(texts)} messages, {chosen}")
    return chosen


def _save(path: Path, arrays: dict[str, Any]) -> None:
    save: Any = np.savez_compressed  # its stub takes every keyword for an option
    save(path, **arrays)


def _write(target: Path, config: dict[str, Any]) -> None:
    text = json.dumps(config, ensure_ascii=False, indent=1)
    (target / "config.json").write_text(text + "\n", encoding="utf-8")


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
        "heads": {name: head.config for name, head in fitted.items()},
        "thresholds": _thresholds(fitted) | _PROVISIONAL,
        "judged": {name: _rounded(head.figures) for name, head in fitted.items()},
        "tagger": {"types": list(TAGGED)},
        "categories": sources.tree,
        "exact": sources.exact,
        "sources": sources.sources,
        "files": files,
    }
