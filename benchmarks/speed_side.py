"""One form of our encoder or reader as a process for measuring; speaks the protocol of benchmarks/worker.py.

    python benchmarks/speed_side.py {torch,onnx,reader} FOLDER [QUERY PREFIX]

`torch` is transformers on a Hugging Face folder, `onnx` the encoder alone, `reader` the encoder and every head. Each
imports only what it serves with, so that its memory is its own.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])


def torch_encoder(folder: Path, prefix: str) -> Callable[[Sequence[str]], object]:
    """Hidden states and their mean, as training and export compute them."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False).eval()

    def encode(texts: Sequence[str]) -> object:
        tokens: Any = tokenizer(
            [prefix + text for text in texts], padding=True, truncation=True, max_length=512, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()

    return encode


def onnx_encoder(folder: Path, prefix: str) -> Callable[[Sequence[str]], object]:
    """The same from `encoder.onnx`, of whatever precision."""
    from nlu.encoder import Encoder

    return Encoder(folder, {"query": prefix}, threads=1).encode


def reader(folder: Path, prefix: str) -> Callable[[Sequence[str]], object]:
    """Everything a turn needs; the prefix stands in the model's configuration."""
    from nlu.runtime import Reader

    found = Reader.load(folder, threads=1)
    return lambda texts: found.read(texts[0]) if len(texts) == 1 else found.read_many(texts)


KINDS = {"torch": torch_encoder, "onnx": onnx_encoder, "reader": reader}


def main() -> None:
    """Answer lines until there are no more."""
    kind, folder, *prefix = sys.argv[1:]
    # What the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    work = KINDS[kind](Path(folder), prefix[0] if prefix else "")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        texts = json.loads(line)["texts"]
        began = time.perf_counter()
        work(texts)
        print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), file=answers, flush=True)


if __name__ == "__main__":
    main()
