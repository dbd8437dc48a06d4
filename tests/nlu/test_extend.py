"""A row more for a head: the arithmetic, without a language model."""

from dataclasses import replace

import numpy as np
import pytest

from nlu import ngrams
from nlu.extend import Material, Strength, from_bytes, learn, to_bytes
from nlu.heads import Head, Row, quantised

WIDTH = 16
FEW = Strength(positive=0.6, vector=2.0, grams=10.0)  # the usual ones are for thousands of sentences
TEXTS = {
    "甲": ["路灯不亮", "路灯坏了", "路灯一闪一闪"],
    "乙": ["垃圾没人收", "垃圾桶满了", "垃圾堆在门口"],
    "丙": ["无人机登记", "无人机备案", "无人机怎么注册", "飞无人机要证吗"],
}


def head(texts: str = "甲乙") -> Head:
    """It knows the n-grams of these labels' sentences."""
    rng = np.random.default_rng(1)
    known = np.unique([gram for label in texts for text in TEXTS[label] for gram in ngrams.count(text).hashes])
    weight, scale = quantised(rng.normal(size=(2, len(known))).astype(np.float32))
    return Head(
        labels=("甲", "乙"),
        weight=rng.normal(size=(2, WIDTH)).astype(np.float32),
        bias=np.zeros(2, np.float32),
        gram_hashes=known.astype(np.uint32),
        gram_weight=weight.T,
        gram_scale=scale,
    )


def vector_of(label: str, number: int) -> np.ndarray:
    rng = np.random.default_rng([ord(label), number])
    vector = np.zeros(WIDTH, np.float32)
    vector["甲乙丙".index(label)] = 1
    vector += 0.2 * rng.normal(size=WIDTH).astype(np.float32)
    return vector / np.linalg.norm(vector)


def material(known: Head, labels: str) -> Material:
    texts = [text for label in labels for text in TEXTS[label]]
    vectors = [vector_of(label, i) for label in labels for i in range(len(TEXTS[label]))]
    return Material.of(known, texts, np.stack(vectors))


@pytest.mark.parametrize("texts", ["", "甲乙", "甲乙丙"])
def test_a_label_is_learned_and_the_others_keep_their_scores(texts: str) -> None:
    known = head(texts)
    row = learn(material(known, "甲乙"), material(known, "丙"), FEW)
    wider = known.with_label("丙", row)
    assert wider.labels == ("甲", "乙", "丙") and known.labels == ("甲", "乙")
    vector, text = vector_of("丙", 5), "路灯和垃圾桶，还有无人机"
    np.testing.assert_allclose(wider.scores(vector, text)[:2], known.scores(vector, text), rtol=1e-6)
    for i in range(3):
        unseen = vector_of("丙", 100 + i)
        assert wider.labels[int(wider.probabilities(unseen, "无人机哪里登记").argmax())] == "丙"
    for label in "甲乙":
        vector, text = vector_of(label, 0), TEXTS[label][0]
        before, after = known.probabilities(vector, text), wider.probabilities(vector, text)
        assert after.argmax() == before.argmax() and after[2] < 0.5
    assert np.isclose(wider.probabilities(vector_of("丙", 7), "无人机").sum(), 1)


def test_what_the_head_knows_by_heart_counts_no_more_than_what_strangers_say() -> None:
    known = head()
    free, reach = material(known, "甲乙").total, float(np.median(material(known, "甲乙").total))
    capped = material(replace(known, reach=reach), "甲乙").total
    np.testing.assert_allclose(capped, np.minimum(free, reach))
    assert (capped < free).any()


def test_the_row_is_where_the_loss_is_least() -> None:
    """The gradient of the convex problem is nearly 0: nothing near is better."""
    known = head()
    others, new = material(known, "甲乙"), material(known, "丙")
    row = learn(others, new, Strength(0.6, 0.02, 1e-12))  # the n-grams weigh next to nothing

    def loss(weight: np.ndarray, bias: float) -> float:
        mean, scale = others.vectors.mean(0), others.vectors.std(0) + 1e-6
        total = float(((weight * scale) ** 2).sum()) / 2
        for group, y, each in ((new, 1, 0.6 * len(others.vectors) / len(new.vectors)), (others, 0, 1.0)):
            z = ((group.vectors - mean) / scale) @ (weight * scale) + (bias + weight @ mean) - group.total
            total += 0.02 * each * float((np.logaddexp(0, z) - y * z).sum())
        return total

    least = loss(row.weight.astype(np.float64), row.bias)
    rng = np.random.default_rng(3)
    for _ in range(20):
        moved = row.weight + 0.05 * rng.normal(size=WIDTH)
        assert loss(moved, row.bias) > least - 1e-6
        assert loss(row.weight.astype(np.float64), row.bias + float(rng.normal()) * 0.3) > least - 1e-6


def test_a_row_is_stored_and_read_again() -> None:
    known = head()
    row = learn(material(known, "甲乙"), material(known, "丙"), FEW)
    again = from_bytes(to_bytes(row))
    text, vector = "无人机登记", vector_of("丙", 0)
    expected = known.with_label("丙", row).probabilities(vector, text)
    np.testing.assert_allclose(known.with_label("丙", again).probabilities(vector, text), expected, rtol=1e-5)


def test_words_that_the_head_never_saw_speak_for_a_new_label() -> None:
    known = head()
    row = learn(material(known, "甲乙"), material(known, "丙"), FEW)
    wider, nowhere = known.with_label("丙", row), np.zeros(WIDTH, np.float32)
    with_words, without = wider.scores(nowhere, "无人机"), wider.scores(nowhere, "喇叭花")
    assert with_words[2] > without[2]


def test_a_row_that_does_not_fit_is_refused() -> None:
    row = Row(np.zeros(WIDTH + 1, np.float32), 0.0, np.zeros(0, np.uint32), np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="丙"):
        head().with_label("丙", row)
    with pytest.raises(ValueError, match="甲"):
        head().with_label("甲", Row(np.zeros(WIDTH, np.float32), 0.0, row.gram_hashes, row.gram_weight))
