"""An encoder without a model, and a knowledge base on a given day."""

import zlib
from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from kb.answer import Calibration
from kb.documents import NewDocument
from kb.service import KbSettings

TODAY = date(2026, 6, 15)
# Without a language model, the words decide alone.
BY_WORDS = Calibration({"coverage": 12.0}, -6.0, 0.5)


class HashEncoder:
    """Throws characters and pairs of characters into buckets: the same text, the same vector; shared text, near."""

    def __init__(self, encoder_id: str = "hash-1", width: int = 64) -> None:
        self.encoder_id = encoder_id
        self.width = width
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], kind: Literal["query", "passage"]) -> npt.NDArray[np.float32]:
        if kind == "passage":
            self.embedded += texts
        out = np.full((len(texts), self.width), 1e-3, dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            for size in (1, 2):
                for i in range(len(text) - size + 1):
                    row[zlib.crc32((self.encoder_id + text[i : i + size]).encode()) % self.width] += 1
        unit: npt.NDArray[np.float32] = out / np.linalg.norm(out, axis=1, keepdims=True)
        return unit


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def settings() -> KbSettings:
    return KbSettings(today=lambda: TODAY, calibration=BY_WORDS)


def heating(document_id: str = "heating", *, degrees: int = 18, **fields: object) -> NewDocument:
    """A short entry on heating."""
    text = (
        f"## 室温标准\n卧室和客厅的室内温度不低于{degrees}摄氏度。\n## 报修\n家里不热先检查阀门，再打热力公司电话报修。"
    )
    return NewDocument(id=document_id, title="居民供热用热办法", text=text, issuer="城市管理局", **fields)  # type: ignore[arg-type]


def dogs(document_id: str = "dogs") -> NewDocument:
    """A short entry on keeping dogs."""
    text = "## 办理登记\n养犬人带狂犬病免疫证明到派出所办理犬只登记，领取犬牌。"
    return NewDocument(id=document_id, title="养犬登记办法", text=text, issuer="公安局")
