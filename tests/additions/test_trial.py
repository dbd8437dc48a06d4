"""A trial on the shipped model: found, not too greedy, and what it cost is said."""

from pathlib import Path

import numpy as np
import pytest

from nlu import data
from nlu.errors import ExampleError
from nlu.extend import Addition, with_additions
from nlu.runtime import Reader
from nlu.trial import Lesson, Trainer
from nlu.vectors import VectorCache
from tests.additions.material import BIKES, DRONES

DRONE = Lesson("intent", "无人机登记", DRONES)
BIKE = Lesson("category", "共享单车管理", BIKES, "城乡建设")


def test_an_intent_of_ten_examples_is_found_and_takes_little(shipped: Reader, trainer: Trainer) -> None:
    told: list[tuple[str, float]] = []
    base = with_additions(shipped, [])
    row, report = trainer.trial(base, DRONE, progress=lambda words, share: told.append((words, share)))
    assert report.examples == 10 and report.found >= 7 and len(report.missed) == 10 - report.found
    assert report.compared > 100 and len(report.worse) <= report.compared * 0.03
    assert f"10 句里认出 {report.found} 句" in report.summary
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[-1] == 1.0

    reader = with_additions(shipped, [Addition("intent", DRONE.name, row, key="4")])
    found = reader.read("家里的航拍无人机要不要去登记呀")
    assert found.intent.name == DRONE.name == found.intent_ranking[0].name
    assert found.model_version == f"{shipped.model_version}+4" == reader.model_version
    assert reader.encoder_id == shipped.encoder_id
    for text in ("转人工", "", "路灯坏了三天没人修", "公积金怎么提取", "家里煤气泄漏了，味道很大"):
        assert reader.read(text).intent == shipped.read(text).intent


def test_a_category_brings_its_first_level(shipped: Reader, trainer: Trainer) -> None:
    row = trainer.learn(with_additions(shipped, []), BIKE)
    reader = with_additions(shipped, [Addition("category", BIKE.name, row, BIKE.level1)])
    [found] = reader.read_many(["楼下的共享单车乱堆乱放，人都过不去"])
    assert found.category1.name == BIKE.level1 and found.category2 is not None
    assert found.category2.name == BIKE.name
    assert 0 < found.category2.confidence <= 1 and 0 < found.category1.confidence <= 1
    assert found.requests[0].category2 == found.category2
    other = "孩子上学被收了择校费"
    assert reader.read(other).category2 == shipped.read(other).category2


def test_what_is_taken_from_others_is_named(shipped: Reader, trainer: Trainer) -> None:
    """Examples that sound like another intent take its sentences, and the report says which."""
    folder = Path(__file__).resolve().parents[2] / "training_data" / "calibration"
    rows = [row for name in ("first", "intents") for row in data.examples(folder / f"{name}.jsonl")]
    greedy = tuple(f"{row.text}呀" for row in rows if row.intent == "greet" and len(row.text) >= 4)[:12]
    _, report = trainer.trial(with_additions(shipped, []), Lesson("intent", "打招呼新", greedy))
    assert report.worse and all(change.after == "打招呼新" for change in report.worse)
    assert any(change.right == "greet" for change in report.worse)
    [greet] = [effect for effect in report.classes if effect.label == "greet"]
    assert greet.after < greet.before
    assert "greet（F1" in report.summary and f"有 {len(report.worse)} 句改判" in report.summary


@pytest.mark.parametrize(
    ("examples", "line", "words"),
    [
        (DRONES[:9], None, "只有 9 句例句，至少要 10 句"),
        ((*DRONES, "", "飞机"), 12, "太短"),
        ((*DRONES, "无 人机实名登记，怎么弄？"), 11, "和第 2 行重复"),
        ((*DRONES, "飞" * 301), 11, "太长"),
        (tuple(f"第{i}号无人机要登记吗" for i in range(201)), None, "最多 200 句"),
    ],
)
def test_examples_that_cannot_be_used_are_named(
    shipped: Reader, trainer: Trainer, examples: tuple[str, ...], line: int | None, words: str
) -> None:
    with pytest.raises(ExampleError, match=words) as caught:
        trainer.learn(with_additions(shipped, []), Lesson("intent", "无人机登记", examples))
    assert caught.value.line == line
    assert (f"第 {line} 行" in str(caught.value)) == (line is not None)


def test_a_sentence_of_another_label_is_refused(shipped: Reader, trainer: Trainer, training_data: Path) -> None:
    taken = next(e for e in data.intents(training_data / "nlu") if len(e.text) > 8)
    with pytest.raises(ExampleError, match=f"已经是“{taken.intent}”的例句"):
        trainer.learn(with_additions(shipped, []), Lesson("intent", "无人机登记", (*DRONES, taken.text)))
    with pytest.raises(ExampleError, match="已经是“航模”的例句"):
        trainer.learn(
            with_additions(shipped, []), Lesson("intent", "无人机", DRONES), [Lesson("intent", "航模", (DRONES[3],))]
        )


def test_vectors_are_computed_once_and_a_damaged_file_does_no_harm(shipped: Reader, tmp_path: Path) -> None:
    class Counting:
        encoder_id = "e" * 40
        read: list[str]

        def __init__(self) -> None:
            self.read = []

        def embed(self, texts: list[str], kind: str) -> np.ndarray:
            assert kind == "query"
            self.read += texts
            return shipped.embed(texts, "query")

    reader = Counting()
    (tmp_path / "vectors-of-another-encoder.npz").write_bytes(b"old")
    for _ in range(2):
        found = VectorCache(tmp_path).vectors(reader, ["路灯坏了", "停水了", "路灯坏了"])  # type: ignore[arg-type]
    assert sorted(reader.read) == ["停水了", "路灯坏了"]
    np.testing.assert_allclose(found, shipped.embed(["路灯坏了", "停水了", "路灯坏了"], "query"), atol=2e-3)
    [kept] = tmp_path.glob("*.npz")
    kept.write_bytes(b"damaged")
    VectorCache(tmp_path).vectors(reader, ["停水了"])  # type: ignore[arg-type]
    assert reader.read.count("停水了") == 2
