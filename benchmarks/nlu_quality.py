"""How well is each head, with 95 % intervals: Minsheng beside keyword rules, a linear SVM and Rasa's DIET.

    python benchmarks/nlu_quality.py [--diet intent category2] [--epochs 100] [--skip-diet] [--limit 200] [--json FILE]

All read the same test rows in the same run: `tests/nlu/data`, and, where the folder of real data is (`MINSHENG_DATA`),
the held-out fifth of the raw labelled messages and the test part of the annotated addresses. The rivals are trained in
the run on the rows that our heads learn from: our own sentences, and for category level 1 the published messages.
An interval is the percentile bootstrap over rows; the last columns compare with the best rival on the same draws.
"""

import argparse
import json
import random
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import diet, nlu_figures, rivals  # noqa: E402
from benchmarks.intervals import Interval  # noqa: E402
from benchmarks.machine import describe, environment_versions  # noqa: E402
from benchmarks.nlu_figures import Answers, Figure, Sheet  # noqa: E402
from benchmarks.rivals import Answer, Side  # noqa: E402
from benchmarks.sides import STOCK_PYTHON  # noqa: E402
from nlu import corpus, data, labels, public_data  # noqa: E402
from nlu.encoder import Encoded  # noqa: E402
from nlu.errors import NluError  # noqa: E402
from nlu.runtime import Reader  # noqa: E402

TESTS = ROOT / "tests" / "nlu" / "data"
OURS = "Minsheng"
SHORT = 128
"""Tokens to which a long message is cut for comparison."""
CATEGORY_HEADS = ("request_type", "category1", "category2", "urgency")
IN_WORDS = {"request_type": "request type", "category1": "category level 1", "category2": "category level 2"}
Row = TypeVar("Row")


class Run:
    """The sides, and as many rows of each test set as were asked for."""

    def __init__(self, sides: Sequence[Side], reader: Reader, sheet: Sheet, limit: int | None, seed: int) -> None:
        self.sides, self.reader, self.sheet, self._limit, self._seed = sides, reader, sheet, limit, seed

    def some(self, rows: Sequence[Row]) -> Sequence[Row]:
        """All rows, or `limit` of them."""
        if self._limit is None or len(rows) <= self._limit:
            return rows
        return random.Random(self._seed).sample(rows, self._limit)

    def read(self, what: str, texts: Sequence[str], heads: Collection[str], *, alone: bool = False) -> Answers:
        """What every side (or ours alone) says about the texts."""
        found = {}
        for side in self.sides[:1] if alone else self.sides:
            print(f"{side.name} reads {len(texts)} {what} …", file=sys.stderr, flush=True)
            found[side.name] = side.read(texts, heads)
        return found

    def own_tests(self, folder: Path) -> None:
        """The test sentences that belong to the project."""
        rows = self.some(data.examples(folder / "intents.jsonl"))
        answers = self.read("intents", [row.text for row in rows], ["intent"])
        nlu_figures.intents(self.sheet, rows, answers)
        self._calibration("intents", "intent", [(row.text, row.intent) for row in rows], answers)

        rows = self.some(data.examples(folder / "categories.jsonl"))
        nlu_figures.categories(self.sheet, rows, self.read("categories", [row.text for row in rows], CATEGORY_HEADS))
        encoded = self.reader.encode([row.text for row in rows])
        for head in CATEGORY_HEADS:
            self._calibration("categories", head, [(row.text, _label(row, head)) for row in rows], encoded=encoded)

        dangers = self.some([*public_data.rows(folder / "danger.jsonl")])
        nlu_figures.dangers(self.sheet, dangers, self.read("dangers", [d["text"] for d in dangers], ["intent"]))
        named = [(d["text"], labels.DANGER if d["danger"] else labels.NO_DANGER) for d in dangers]
        self._calibration("danger", "danger", named)

        compounds = self.some(data.compounds(folder / "compounds.jsonl"))
        several = self.read("compounds", [row.text for row in compounds], ["category1", "category2"])
        nlu_figures.several(self.sheet, compounds, several)

        spans = self.some(data.spans(folder / "entities.jsonl"))
        nlu_figures.entities(self.sheet, spans, self.read("entities", [text for text, _ in spans], []))

    def real_data(self, folder: Path, messages: Sequence[public_data.Message]) -> None:
        """Published messages that nothing was trained on, and annotated addresses."""
        known = [message.label for message in messages]
        answers = self.read("held-out messages", [m.whole for m in messages], ["category1", "category2"])
        nlu_figures.labelled(self.sheet, "category level 1", "held-out messages", answers, known, lambda a: a.category1)
        named = [(message.whole, message.label) for message in messages]
        self._calibration("held-out messages", "category1", named)
        rows = self.some(public_data.addresses(folder, "test"))
        found = self.read("addresses", [text for text, _ in rows], [], alone=True)
        nlu_figures.addresses(self.sheet, rows, found)

    def long_messages(self, messages: Sequence[public_data.Message], sheet: Sheet) -> None:
        """The same messages read to their end and only to their 128th token, by the same model."""
        texts = [message.whole for message in messages]
        ends = [e.offsets[SHORT - 1][1] if len(e.offsets) > SHORT else None for e in self.reader.encode(texts)]
        cut = [text[:end] for text, end in zip(texts, ends, strict=True)]
        read = {"whole": self.reader.read_many(texts), f"first {SHORT} tokens": self.reader.read_many(cut)}
        beyond = [i for i, end in enumerate(ends) if end is not None]
        for kept, name in (
            ([*range(len(texts))], "held-out messages"),
            (beyond, f"those of more than {SHORT} tokens"),
        ):
            answers = {side: [Answer(category1=found[i].category1.name) for i in kept] for side, found in read.items()}
            known = [messages[i].label for i in kept]
            nlu_figures.labelled(sheet, "category level 1", name, answers, known, lambda a: a.category1)

    def _calibration(
        self,
        source: str,
        head: str,
        rows: Sequence[tuple[str, str]],
        answers: Answers | None = None,
        encoded: Sequence[Encoded] | None = None,
    ) -> None:
        """Ours before any threshold, and every other side's that says how sure it is."""
        names, probabilities = self.reader.probabilities(head, [text for text, _ in rows], encoded)
        best = probabilities.argmax(1)
        right = [names[i] == label for i, (_, label) in zip(best, rows, strict=True)]
        sure: dict[str, tuple[Sequence[float], Sequence[bool]]] = {OURS: (probabilities.max(1).tolist(), right)}
        for side, found in (answers or {}).items():
            pairs = [answer.sure for answer in found if answer.sure is not None]
            if len(pairs) == len(rows):
                right = [name == label for (name, _), (_, label) in zip(pairs, rows, strict=True)]
                sure[side] = ([confidence for _, confidence in pairs], right)
        nlu_figures.calibration(self.sheet, source, IN_WORDS.get(head, head), sure)


def _label(row: data.Example, head: str) -> str:
    return f"{row.category1}/{row.category2}" if head == "category2" else str(getattr(row, head))


def tables(report: dict[str, Any], sections: dict[str, Sheet]) -> Iterator[str]:
    """The report for people, in Markdown."""
    yield "machine: " + ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    for name, versions in report["versions"].items():
        yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in versions.items())
    yield "compared in this run: " + "; ".join(report["compared"])
    for note in report["notes"]:
        yield f"note: {note}"
    for title, sheet in sections.items():
        yield from ("", f"**{title}** (95 % intervals from {sheet.resamples} draws)", "")
        yield from _table(sheet.figures)


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    sides = [*dict.fromkeys(side for figure in figures for side in figure.sides)]
    head = ["head", "data", "n", "figure", *sides, "less the best other, points", "errors, ratio to it"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for figure in figures:
        cells = [_decimal(figure.sides[side]) if side in figure.sides else "" for side in sides]
        gain = f"{_points(figure.gain)} ({figure.rival})" if figure.gain else ""
        errors = "" if figure.errors is None else f"{figure.errors:.2f}"
        name = figure.name + (" ↓" if figure.lower else "")
        yield "| " + " | ".join([figure.head, figure.data, str(figure.n), name, *cells, gain, errors]) + " |"


def _decimal(found: Interval) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _points(found: Interval) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def as_json(sections: dict[str, Sheet]) -> dict[str, Any]:
    """The figures for machines."""
    return {
        title: [asdict(figure) | {"errors_ratio": figure.errors} for figure in sheet.figures]
        for title, sheet in sections.items()
    }


def main() -> None:
    """Train the rivals, read, print tables; ends with a message when the model or a file cannot be read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "nlu")
    parser.add_argument("--tests", type=Path, default=TESTS, help="folder of the test sentences")
    parser.add_argument("--training", type=Path, default=ROOT / "training_data", help="what the rivals are trained on")
    parser.add_argument("--diet", nargs="+", choices=rivals.DIET_HEADS, default=["intent"], help="heads DIET learns")
    parser.add_argument("--epochs", type=int, default=100, help="of DIET")
    parser.add_argument("--skip-diet", action="store_true")
    parser.add_argument("--weak", action="store_true", help="rivals also learn the foreign rows with guessed labels")
    parser.add_argument("--limit", type=int, help="rows of each test set, for a trial")
    parser.add_argument("--train-limit", type=int, help="training rows of each head of the rivals, for a trial")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument(
        "--models", type=Path, default=ROOT / "build" / "benchmark", help="where DIET's models are kept"
    )
    arguments = parser.parse_args()
    if arguments.resamples < 10 or arguments.epochs < 1 or min(arguments.limit or 2, arguments.train_limit or 500) < 2:
        parser.error("at least 10 draws, 1 epoch and 2 rows")
    try:
        report, sections = run(arguments)
    except NluError as error:
        sys.exit(str(error))
    print("\n".join(tables(report, sections)))
    if arguments.json:
        text = json.dumps(report | {"figures": as_json(sections)}, ensure_ascii=False, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Sheet]]:
    """The report's head, and the figures by section."""
    reader = Reader.load(arguments.model, threads=2)
    public = public_data.folder()
    sources = corpus.load(arguments.training, public, tagged=0, addresses=0)
    rows = rivals.training_rows(sources, weak=arguments.weak)
    if arguments.train_limit:
        rows = {head: found.some(arguments.train_limit, arguments.seed) for head, found in rows.items()}
    versions = {"application": {"model": reader.model_version}}
    sides = [rivals.minsheng(reader), rivals.keywords(), rivals.linear_svm(rows)]
    notes = []
    if arguments.skip_diet or not diet.installed():
        notes.append("DIET was left out" + ("" if arguments.skip_diet else ": run make engine-tensorflow for it"))
    else:
        sides.append(rivals.rasa_diet(rows, arguments.diet, arguments.models.resolve(), arguments.epochs))
        versions["DIET"] = environment_versions(STOCK_PYTHON, "rasa", "tensorflow", "jieba", "numpy")
    heads, long = (Sheet(arguments.resamples, arguments.seed) for _ in range(2))
    sections = {"Every head": heads}
    work = Run(sides, reader, heads, arguments.limit, arguments.seed)
    work.own_tests(arguments.tests)
    if public is None:
        notes.append("no real data (MINSHENG_DATA): held-out messages and addresses were left out")
    else:
        messages = work.some(public_data.labelled_messages(public)[1])
        work.real_data(public, messages)
        work.long_messages(messages, long)
        sections["Long messages, read whole and cut"] = long
    report = {
        "machine": describe("onnxruntime", "scikit-learn", "scipy", "numpy"),
        "versions": versions,
        "compared": [side.name for side in sides],
        "training_rows": {head: len(found.texts) for head, found in rows.items()},
        "notes": notes,
        "settings": {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)},
    }
    return report, sections


if __name__ == "__main__":
    main()
