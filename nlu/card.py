"""The model card of a locally trained model; the shipped model's card is written by hand and holds test figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MARK = "<!-- written by minsheng nlu train -->"


def write(path: Path, config: dict[str, Any]) -> None:
    """Writes the card; one that a person wrote is left alone."""
    if path.is_file() and _MARK not in path.read_text(encoding="utf-8"):
        return
    judged = "\n".join(
        f"| {head} | {figures['judged']:.0f} | {figures['accuracy']:.3f} | {figures['macro_f1']:.3f} |"
        f" {figures['ece']:.3f} |"
        for head, figures in config["judged"].items()
    )
    sources = "\n".join(f"| {name} | {count} |" for name, count in config["sources"].items())
    files = "\n".join(f"| `{name}` | `{digest}` |" for name, digest in config["files"].items())
    path.write_text(
        f"""{_MARK}
# Language model {config["version"]}

Base: `{config["base"]}`. Input: what a resident wrote. Output: intent, request type, category on two levels, urgency,
danger, places, names, times and a vector. Use: to help residents and staff of a hotline; below the thresholds a
person decides.

## Learned from
| rows | number |
|---|---|
{sources}

Where they come from and under which licence: the card of the shipped model, `models/nlu/README.md`.

## On the sentences that chose factors and thresholds
No test figures: these sentences were not trained on, but they chose. Measure with `benchmarks/nlu_quality.py`.

| head | rows | accuracy | macro-F1 | calibration error |
|---|---|---|---|---|
{judged}

Thresholds: {", ".join(f"{name} {value}" for name, value in config["thresholds"].items())}.

## Files
| file | SHA-256 |
|---|---|
{files}
""",
        encoding="utf-8",
    )
