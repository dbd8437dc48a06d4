"""How fast, how large and how exact is the encoder in each form, and everything on it, beside Rasa's DIET.

    python benchmarks/nlu_speed.py [--float-model FOLDER] [--rounds 100] [--skip-diet] [--json FILE]

Encoder alone: PyTorch fp32 (transformers), ONNX fp32 and ONNX int8 (the shipped file). Everything on: what `minsheng
serve` runs for a message, beside Rasa's NLU with DIET, which reads intents only. Each is a process of its own with one
thread; in every round each reads the same texts once, in changing order, so that noise on the machine hits all alike.
Texts differ from round to round; a batch is read as a batch by those that can (DIET reads one after the other).

`--float-model` is the tuned Hugging Face folder that the shipped int8 file was made from; without it the untuned base
takes its place, which has the same size and speed, and what int8 costs in accuracy cannot be told.
"""

import argparse
import contextlib
import json
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import diet, rivals  # noqa: E402
from benchmarks.machine import describe, environment_versions  # noqa: E402
from benchmarks.sides import STOCK_PYTHON  # noqa: E402
from benchmarks.worker import ONE_THREAD, Worker, running  # noqa: E402
from nlu import base, corpus, data, export, labels, public_data  # noqa: E402
from nlu.errors import NluError  # noqa: E402
from nlu.runtime import Reader, Understanding  # noqa: E402

TESTS = ROOT / "tests" / "nlu" / "data"
SIDE = ROOT / "benchmarks" / "speed_side.py"
BASELINE = "PyTorch fp32"
SENTENCE, MESSAGE, BATCH = 30, 400, 32
CASES = (f"sentence of {SENTENCE}", f"message of {MESSAGE}", f"batch of {BATCH} sentences")
WARM_UP = 5
SAME = 0.98
"""Mean cosine between the vectors of both forms below which they are hardly the same model."""


@dataclass(frozen=True, slots=True)
class Form:
    """One of those compared: how it is started, and the file that holds its weights."""

    name: str
    scope: str
    command: list[str | Path]
    file: Path


def texts_of(case: str, number: int, material: str) -> list[str]:
    """What is read in one round: real test sentences joined and cut, so that every round has new text."""

    def piece(length: int, i: int) -> str:
        start = i * 7919 % (len(material) - length)  # a prime, so that the pieces hardly repeat
        return material[start : start + length]

    if case == CASES[0]:
        return [piece(SENTENCE, number)]
    if case == CASES[1]:
        return [piece(MESSAGE, number)]
    return [piece(SENTENCE, number * BATCH + i) for i in range(BATCH)]


def measure(workers: dict[str, Worker], rounds: int, material: str, seed: int) -> dict[str, dict[str, Any]]:
    """Milliseconds by case (p50, p95) and resident memory of every worker after all rounds."""
    times: dict[str, dict[str, list[float]]] = {name: {case: [] for case in CASES} for name in workers}
    rng = random.Random(seed)
    for number in range(-WARM_UP, rounds):
        print(f"round {number + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        for case in CASES:
            texts = texts_of(case, number + WARM_UP, material)
            for name in rng.sample([*workers], len(workers)):
                milliseconds = workers[name].ask(texts)["ms"]
                if number >= 0:
                    times[name][case].append(milliseconds)
    print(file=sys.stderr)
    return {
        name: {"cases": {case: _quantiles(values) for case, values in by_case.items()}, "memory_mb": worker.memory_mb()}
        for (name, worker), by_case in zip(workers.items(), times.values(), strict=True)
    }


def _quantiles(milliseconds: Sequence[float]) -> dict[str, float]:
    found = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50_ms": round(found[49], 2), "p95_ms": round(found[94], 2)}


def forms(float_model: Path, onnx_fp32: Path, shipped: Path, prefix: str, diet_model: Path | None) -> list[Form]:
    """Everything compared, the baseline first."""
    python = sys.executable

    def ours(kind: str, folder: Path) -> list[str | Path]:
        return [python, SIDE, kind, folder, prefix]

    weights = next(iter(sorted(float_model.glob("*.safetensors"))), float_model / "config.json")
    int8 = shipped / "encoder.onnx"
    found = [
        Form(BASELINE, "encoder", ours("torch", float_model), weights),
        Form("ONNX fp32", "encoder", ours("onnx", onnx_fp32), onnx_fp32 / "encoder.onnx"),
        Form("ONNX int8 (shipped)", "encoder", ours("onnx", shipped), int8),
        Form("Minsheng, all heads", "everything", ours("reader", shipped), int8),
    ]
    if diet_model is not None:
        found.append(Form("Rasa DIET", "everything", diet.command(diet_model), diet_model))
    return found


def size_mb(form: Form) -> float:
    """Megabytes of the weights; of everything for what reads everything."""
    files = [form.file]
    if form.name.startswith("Minsheng"):
        files = [form.file.parent / name for name in ("encoder.onnx", "heads.npz", "tokenizer.json", "config.json")]
    return round(sum(path.stat().st_size for path in files) / 1e6, 1)


HEADS: dict[str, Callable[[Understanding], str]] = {
    "intent": lambda u: u.intent.name,
    "request_type": lambda u: u.request_type.name,
    "category1": lambda u: u.category1.name,
    "category2": lambda u: u.category2_ranking[0].name,
    "urgency": lambda u: u.urgency.name,
    "danger": lambda u: labels.DANGER if u.urgency.name == "特急" else labels.NO_DANGER,
}


def accuracy(readers: dict[str, Reader], folder: Path, limit: int | None) -> list[dict[str, Any]]:
    """Accuracy of each head on the vectors of each encoder; `loss` is in points, of the second against the first."""
    rows: list[tuple[str, str, list[str], list[str]]] = []
    intents = data.examples(folder / "intents.jsonl")
    rows.append(("intents", "intent", [e.text for e in intents], [e.intent for e in intents]))
    known = data.examples(folder / "categories.jsonl")
    texts = [e.text for e in known]
    for head in ("request_type", "category1", "urgency"):
        rows.append(("categories", head, texts, [str(getattr(e, head)) for e in known]))
    rows.append(("categories", "category2", texts, [f"{e.category1}/{e.category2}" for e in known]))
    dangers = [*public_data.rows(folder / "danger.jsonl")]
    truth = [labels.DANGER if row["danger"] else labels.NO_DANGER for row in dangers]
    rows.append(("danger", "danger", [row["text"] for row in dangers], truth))

    understood: dict[tuple[str, str], list[Understanding]] = {}
    found = []
    for source, head, texts, right in rows:
        shares = {}
        step = max(len(texts) // limit, 1) if limit else 1
        for name, reader in readers.items():
            if (name, source) not in understood:
                understood[name, source] = reader.read_many(texts[::step])
            guesses = [HEADS[head](one) for one in understood[name, source]]
            shares[name] = float(np.mean([g == r for g, r in zip(guesses, right[::step], strict=True)]))
        first, second = shares.values()
        found.append(
            {"head": head, "data": source, "n": len(guesses)}
            | {name: round(value, 4) for name, value in shares.items()}
            | {"loss_points": round(100 * (first - second), 2)}
        )
    return found


def likeness(readers: dict[str, Reader], texts: Sequence[str]) -> float:
    """Mean cosine between the vectors of both encoders."""
    first, second = (reader.embed(texts, "query") for reader in readers.values())
    return float((first * second).sum(1).mean())


def tables(report: dict[str, Any]) -> Iterator[str]:
    """The report for people, in Markdown."""
    yield "machine: " + ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    for name, versions in report["versions"].items():
        yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in versions.items())
    yield f"compared in this run, {report['rounds']} rounds, one thread each: " + "; ".join(report["speed"])
    for note in report["notes"]:
        yield f"note: {note}"
    yield from ("", f"Milliseconds p50 / p95; in brackets the ratio of the p50 to {BASELINE} (above 1: faster).", "")
    head = ["form", "scope", *CASES, "memory MiB", "file MB", f"file, share of {BASELINE}"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for name, row in report["speed"].items():
        cells = [f"{c['p50_ms']} / {c['p95_ms']} ({c['ratio']:.2f})" for c in row["cases"].values()]
        cells += [str(row["memory_mb"]), str(row["file_mb"]), f"{row['file_ratio']:.2f}"]
        yield "| " + " | ".join([name, row["scope"], *cells]) + " |"
    if report["accuracy"]:
        columns = [*report["accuracy"][0]]
        yield from ("", "Accuracy of the shipped heads on the vectors of either encoder.", "")
        yield "| " + " | ".join(columns) + " |"
        yield "|" + "---|" * len(columns)
        for row in report["accuracy"]:
            yield "| " + " | ".join(str(row[column]) for column in columns) + " |"


def main() -> None:
    """Export, run the workers in turn, print tables; ends with a message when a model cannot be read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "nlu", help="the shipped model")
    parser.add_argument("--float-model", type=Path, help="the tuned folder it was exported from")
    parser.add_argument("--tests", type=Path, default=TESTS, help="folder of the test sentences")
    parser.add_argument("--training", type=Path, default=ROOT / "training_data", help="what DIET is trained on")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--limit", type=int, help="test rows for the accuracy, for a trial")
    parser.add_argument("--epochs", type=int, default=100, help="of DIET, which the other benchmark may have trained")
    parser.add_argument("--skip-diet", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "benchmark", help="DIET's models")
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.epochs < 1:
        parser.error("at least 2 rounds and 1 epoch")
    try:
        report = run(arguments)
    except NluError as error:
        sys.exit(str(error))
    print("\n".join(tables(report)))
    if arguments.json:
        text = json.dumps(report, ensure_ascii=False, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole report."""
    shipped = arguments.model.resolve()
    int8 = Reader.load(shipped, threads=2)
    config = json.loads((shipped / "config.json").read_text(encoding="utf-8"))
    material = "".join(example.text for example in data.examples(arguments.tests / "categories.jsonl"))
    versions: dict[str, dict[str, str]] = {"application": {"model": int8.model_version}}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nlu-speed-") as temporary, contextlib.ExitStack() as stack:
        float_model = arguments.float_model or base.build(Path(temporary) / "base", config["base"])
        fp32 = Path(temporary) / "fp32"
        export.export(float_model, fp32, int8=False)
        compared: list[dict[str, Any]] = []
        if arguments.float_model is None:
            notes.append("no --float-model: the untuned base in its place, and no accuracy of int8 against fp32")
        else:
            compared = _accuracy(arguments, shipped, fp32, int8, notes)
        learned = None
        if arguments.skip_diet or not diet.installed():
            notes.append("DIET was left out" + ("" if arguments.skip_diet else ": run make engine-tensorflow for it"))
        else:
            rows = rivals.training_rows(corpus.load(arguments.training, None, tagged=0, addresses=0))["intent"]
            learned, _ = rivals.diet_model(rows, arguments.models.resolve(), arguments.epochs)
            versions["DIET"] = environment_versions(STOCK_PYTHON, "rasa", "tensorflow", "jieba", "numpy")
        found = forms(float_model.resolve(), fp32, shipped, config["prefixes"]["query"], learned)
        workers = {form.name: stack.enter_context(running(form.command, **ONE_THREAD)) for form in found}
        machine = describe("torch", "transformers", "onnxruntime", "tokenizers", "numpy")
        speed = measure(workers, arguments.rounds, material, arguments.seed)
        for form in found:
            speed[form.name] |= {"scope": form.scope, "file_mb": size_mb(form)}
    _add_ratios(speed)
    return {
        "machine": machine,
        "versions": versions,
        "rounds": arguments.rounds,
        "notes": notes,
        "speed": speed,
        "accuracy": compared,
        "settings": {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)},
    }


def _accuracy(
    arguments: argparse.Namespace, shipped: Path, fp32: Path, int8: Reader, notes: list[str]
) -> list[dict[str, Any]]:
    for name in ("config.json", "heads.npz"):
        shutil.copyfile(shipped / name, fp32 / name)
    readers = {"fp32": Reader.load(fp32, threads=2), "int8": int8}
    sample = [example.text for example in data.examples(arguments.tests / "categories.jsonl")[:100]]
    cosine = likeness(readers, sample)
    notes.append(f"mean cosine between the vectors of fp32 and int8: {cosine:.4f} on {len(sample)} sentences")
    if cosine < SAME:
        notes.append("these are hardly one model: was the shipped file made from --float-model?")
    return accuracy(readers, arguments.tests, arguments.limit)


def _add_ratios(speed: dict[str, dict[str, Any]]) -> None:
    slow = speed[BASELINE]
    for row in speed.values():
        row["file_ratio"] = round(row["file_mb"] / slow["file_mb"], 3)
        for case, found in row["cases"].items():
            found["ratio"] = round(slow["cases"][case]["p50_ms"] / found["p50_ms"], 2)


if __name__ == "__main__":
    main()
