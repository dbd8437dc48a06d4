"""From a Hugging Face BERT folder to the ONNX file that serves: exported, fused, quantised to int8.

Outputs: `hidden` (batch, tokens, width), the last hidden states, and `vector` (batch, width), their mean over the
attended tokens with length 1. Needs the `train` extra.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from nlu.errors import BaseModelError

_QUANTISED = ["MatMul", "Gemm", "Attention", "Gather"]


def export(source: Path, target: Path, *, int8: bool = True) -> None:
    """Writes `encoder.onnx` and `tokenizer.json` of the BERT in `source` into the folder `target`.

    Raises BaseModelError when `source` has no fast tokenizer file. The TorchScript exporter is used because its graph
    is the one that ONNX Runtime's BERT fusion recognises.
    """
    tokenizer = source / "tokenizer.json"
    if not tokenizer.is_file():
        raise BaseModelError(f"{source}: no tokenizer.json. Save the model with a fast tokenizer.")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fused = Path(folder) / "fused.onnx"
        _export_fused(source, fused)
        if int8:
            _quantise(fused, target / "encoder.onnx")
        else:
            shutil.copyfile(fused, target / "encoder.onnx")
    shutil.copyfile(tokenizer, target / "tokenizer.json")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _export_fused(source: Path, target: Path) -> None:
    import torch
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        source, dtype=torch.float32, add_pooling_layer=False, attn_implementation="eager"
    ).eval()
    raw = target.with_suffix(".raw.onnx")
    ids = torch.randint(5, 1000, (2, 16))
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its age on every call
        torch.onnx.export(
            _with_vector(model),
            (ids, torch.ones_like(ids)),
            str(raw),
            input_names=["input_ids", "attention_mask"],
            output_names=["hidden", "vector"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes, "vector": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # keeps the table a Gather, so that it can be quantised
    fused = optimizer.optimize_model(
        str(raw),
        model_type="bert",
        num_heads=model.config.num_attention_heads,
        hidden_size=model.config.hidden_size,
        optimization_options=options,
        opt_level=0,
        use_gpu=False,
    )
    fused.save_model_to_file(str(target))


def _with_vector(encoder: Any) -> Any:
    import torch

    class WithVector(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weight).sum(1) / weight.sum(1)
            return hidden, torch.nn.functional.normalize(mean, p=2.0, dim=-1)

    return WithVector().eval()


def _quantise(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)  # its advice to pre-process does not apply to a fused graph
    try:
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=_QUANTISED,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        root.setLevel(before)
