"""Learn a city's routing model from its examples: `minsheng tickets learn`. Needs the `train` extra."""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from assistant.city import City
from assistant.errors import ConfigError
from assistant.matters import MODEL, Embed, save
from assistant.settings import get_settings
from nlu.runtime import Reader

if TYPE_CHECKING:
    from nlu.fit import FittedHead

__all__ = ["EXAMPLES", "FEWEST", "Example", "learn", "read_examples"]

EXAMPLES: Final = "routing_examples.jsonl"
FEWEST: Final = 3
"""Examples of a rule; one with fewer is not learned, and category and words decide about it alone."""
STRENGTHS: Final = (0.02,)


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and the name of the rule that applies to it."""

    text: str
    rule: str


def read_examples(file: Path, city: City) -> list[Example]:
    """Every row of the file. Raises ConfigError with the line for a row that cannot be learned from."""
    rules = {rule.name for rule in city.matrix.rules}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error}): write JSON lines in UTF-8 with text and rule") from error
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, rule = row["text"], row["rule"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{file}:{number}: is no row: write a JSON object with text and rule") from None
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{file}:{number}: has no text: write what a resident says, or remove the row")
        if rule not in rules:
            raise ConfigError(f"{file}:{number}: the matrix has no rule '{rule}': write one of responsibility.yml")
        earlier = found.setdefault(text.strip(), (number, rule))
        if earlier[1] != rule:
            raise ConfigError(f"{file}:{number}: line {earlier[0]} gives the same text another rule: keep one of them")
    return [Example(text, rule) for text, (_, rule) in found.items()]


def learn(
    examples: Sequence[Example], embed: Embed, names: Sequence[str], judging: Sequence[Example] = ()
) -> "FittedHead":
    """The head, its factors chosen on `judging` or, without, on rows that each of four folds left out.

    Args:
        names: of the rules, in the order of the matrix; those with fewer than FEWEST examples are left out.
    """
    from nlu.fit import HeadData, fit

    counts = Counter(example.rule for example in examples)
    known = [name for name in names if counts[name] >= FEWEST]

    def data(rows: Sequence[Example]) -> HeadData:
        kept = [row for row in rows if row.rule in known]
        result = HeadData()
        for row, vector in zip(kept, embed([row.text for row in kept]), strict=True):
            result.add(row.text, vector, row.rule)
        return result

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # three examples, four folds
        return fit(data(examples), known, data(judging) if judging else None, strengths=STRENGTHS)


def learn_command(
    city: Annotated[Path | None, typer.Option(help="城市目录，默认取 MINSHENG_CITY_DIR")] = None,
) -> None:
    """从城市目录里的 routing_examples.jsonl 学出派单模型 routing_model.npz（需要 train 依赖）。"""
    settings = get_settings()
    folder = city or settings.city_dir
    matrix = City.load(folder)
    examples = read_examples(folder / EXAMPLES, matrix)
    names = [rule.name for rule in matrix.matrix.rules]
    reader = Reader.load(settings.nlu_model_dir, threads=2)
    try:
        found = learn(examples, lambda texts: reader.embed(texts, "query"), names)
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: install the train extra (make dev)") from error
    save(folder / MODEL, found.arrays, found.config, reader.encoder_id)
    missing = [name for name in names if name not in found.config["labels"]]
    typer.echo(
        f"学了 {len(examples)} 条例子，{len(found.config['labels'])} 个事项；没有参加学习的那一折里，"
        f"{found.figures['accuracy']:.1%} 一次说对。写到 {folder / MODEL}。"
    )
    if missing:
        typer.echo(f"例子不足 {FEWEST} 条、仍只按类别和说法派单的：{'、'.join(missing)}。")
