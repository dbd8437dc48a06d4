"""Rasa's DIET trained on our sentences, with Rasa's own Chinese pipeline (benchmarks/stock/config.yml)."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.sides import STOCK, STOCK_PYTHON

SEED = 7


def installed() -> bool:
    """Whether Rasa with TensorFlow is there (`make engine-tensorflow`)."""
    return STOCK_PYTHON.exists()


def command(model: Path) -> list[str | Path]:
    """What starts a worker with a trained model."""
    return [STOCK_PYTHON, STOCK / "diet.py", model]


def train(texts: Sequence[str], labels: Sequence[str], models: Path, epochs: int) -> Path:
    """The trained model of these rows; one that lies in `models` already is taken.

    A label must hold no "/", which Rasa reads as a retrieval intent. The rows are written as JSON, because brackets in
    a sentence are markup in YAML.
    """
    config = _config(epochs)
    examples = [{"text": text, "intent": label} for text, label in zip(texts, labels, strict=True)]
    data = json.dumps({"rasa_nlu_data": {"common_examples": examples}}, ensure_ascii=False)
    content = hashlib.sha256(yaml.safe_dump(config).encode() + data.encode("utf-8", "replace"))
    model = models / f"diet-{content.hexdigest()[:16]}.tar.gz"
    if model.exists():
        return model
    print(f"training DIET on {len(texts)} sentences, {epochs} epochs …", file=sys.stderr, flush=True)
    models.mkdir(parents=True, exist_ok=True)
    written, rows, log = models / "diet-config.yml", models / "diet-rows.json", models / "diet-training.log"
    written.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    rows.write_text(data, encoding="utf-8")
    call: list[str | Path] = [STOCK_PYTHON, STOCK / "rasa_stock.py", "train", "nlu", "--config", written, "--nlu", rows]
    with log.open("wb") as output:
        done = subprocess.run(
            [*call, "--out", models, "--fixed-model-name", model.name], cwd=models, stdout=output, stderr=output
        )
    if done.returncode or not model.exists():
        sys.exit(f"DIET was not trained; the end of {log}:\n{log.read_text(errors='replace')[-3000:]}")
    return model


def _config(epochs: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((STOCK / "config.yml").read_text(encoding="utf-8"))
    del config["policies"]
    for component in config["pipeline"]:
        if component["name"] == "DIETClassifier":
            # Rasa keeps ten answers and drops the rest; the confidences of all are compared.
            component |= {"epochs": epochs, "random_seed": SEED, "ranking_length": 0}
    return config
