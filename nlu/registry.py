"""`models/registry.json`: which models there are, what they were trained on and how good they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nlu.export import file_hash

FILE = "registry.json"


def entry(config: dict[str, Any], data: Path) -> dict[str, Any]:
    """What the registry keeps of a model: version, base, hashes of its files and of our training files, figures."""
    files = sorted(path for kind in ("*.jsonl", "*.yml") for path in data.rglob(kind))
    return {
        "version": config["version"],
        "base": config["base"],
        "files": config["files"],
        "data": {str(path.relative_to(data)): file_hash(path) for path in files},
        "sources": config["sources"],
        "judged": config["judged"],
        "thresholds": config["thresholds"],
    }


def add(path: Path, model: Path, found: dict[str, Any]) -> None:
    """Puts the model's entry first in the registry, in the place of an earlier one of the same version."""
    known: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    kept = [one for one in known if one["version"] != found["version"]]
    new = {"folder": model.name, **found}
    path.write_text(json.dumps([new, *kept], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
