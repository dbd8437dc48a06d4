"""The tagger learns from marked sentences, and not from what nobody marked."""

import numpy as np
import pytest

from nlu.places import TAGGED
from nlu.runtime import Reader

pytest.importorskip("torch")
from nlu import tagging

pytestmark = pytest.mark.train


def test_what_looks_like_a_name_teaches_nothing_where_it_was_not_marked() -> None:
    text = "金水区找王女士修水管"
    offsets = [(i, i + 1) for i in range(len(text))]
    _, numbers = tagging.numbered([text])
    spans = [("district", 0, 3)]
    partly = tagging.mark(text, spans, offsets, numbers)
    assert partly is not None
    assert partly.tags[:3].tolist() == [1 + 2 * TAGGED.index("district"), *[2 + 2 * TAGGED.index("district")] * 2]
    assert set(partly.tags[4:7].tolist()) == {tagging.UNKNOWN}
    whole = tagging.mark(text, spans, offsets, numbers, whole=True)
    assert whole is not None
    assert set(whole.tags[3:].tolist()) == {0}
    assert tagging.mark("", [], [], numbers) is None


def test_a_tagger_learns_what_it_is_shown(reader: Reader) -> None:
    names = ["王秀兰", "李建国", "张桂英", "赵铁柱", "孙小美", "周大勇"]
    sentences = [tagging.Sentence(f"我叫{n}，来反映问题", [("name", 2, 5)], whole=True) for n in names * 40]
    lines: list[str] = []
    arrays = tagging.fit(sentences, reader._encoder, lines.append, inner=32)
    assert "72 sentences" not in lines[0]  # some are held out
    sure = float(lines[0].split(", ")[1].split()[0])
    assert sure > 0.9
    assert arrays["tagger.out_bias"].shape == (1 + 2 * len(TAGGED),)
    assert all(np.isfinite(value).all() for value in arrays.values())
