"""The routing model: made of a city's examples, loaded for one encoder, refused when broken."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant.city import City
from assistant.errors import ConfigError
from assistant.matters import MODEL, load, save
from assistant.matters_training import EXAMPLES, Example, learn, read_examples
from assistant.settings import get_settings
from assistant.tickets.routing import Router
from nlu.runtime import Reader

DEMO = Path(__file__).resolve().parents[2] / "city" / "demo"


def embed(texts: Sequence[str]) -> np.typing.NDArray[np.float32]:
    """A stand-in: where a text says 水 and where it says 热."""
    rows = np.array([[text.count("水") + 0.1, text.count("热") + 0.1, 0.5] for text in texts], np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def city() -> City:
    return City.load(DEMO)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    water = [f"{when}没有水，{who}" for when in ("今天", "昨晚", "早上") for who in ("做不了饭", "洗不了脸", "急")]
    heat = [f"{when}屋里不热，{who}" for when in ("今天", "昨晚", "早上") for who in ("老人冷", "孩子冻着", "冷")]
    return [Example(text, "供水") for text in water] + [Example(text, "供热") for text in heat]


def test_a_model_is_learned_stored_and_tells_the_rule(tmp_path: Path, city: City, examples: list[Example]) -> None:
    names = [rule.name for rule in city.matrix.rules]
    found = learn([*examples, Example("路灯黑着", "路灯照明")], embed, names)
    assert set(found.config["labels"]) == {"供水", "供热"}, "a rule with one example is not learned"
    save(tmp_path / MODEL, found.arrays, found.config, "encoder-1")
    tell = load(tmp_path, embed, "encoder-1")
    assert tell is not None
    told = tell("龙头没有水")
    assert told["供水"] > told["供热"] and sum(np.exp(list(told.values()))) == pytest.approx(1)


def test_without_a_model_or_with_another_encoder_words_decide(tmp_path: Path, city: City) -> None:
    assert load(tmp_path, embed, "any") is None
    save(tmp_path / MODEL, _arrays(), {"labels": ["供水", "供热"], "reach": 1.0}, "encoder-1")
    assert load(tmp_path, embed, "encoder-2") is None
    place = city.resolve_place("金水区")
    assert Router(city, None).route("城乡建设", None, "家里停水了", place).routing.candidates[0].matter == "供水"


def test_a_broken_model_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigError, match=MODEL):
        load(tmp_path, embed, "encoder-1")
    save(
        tmp_path / MODEL,
        {**_arrays(), "bias": np.zeros(5, np.float32)},
        {"labels": ["供水", "供热"], "reach": 1.0},
        "e",
    )
    with pytest.raises(ConfigError, match="do not fit"):
        load(tmp_path, embed, "e")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"routing_examples.jsonl:2: is no row"),
        ('{"text": "停水了"}', r":2: is no row"),
        ('{"text": " ", "rule": "供水"}', r":2: has no text"),
        ('{"text": "停水了", "rule": "没有的事项"}', r":2: the matrix has no rule '没有的事项'"),
        ('{"text": "一直没水", "rule": "供热"}', r":2: line 1 gives the same text another rule"),
    ],
)
def test_a_row_that_cannot_be_learned_from_is_named(tmp_path: Path, city: City, row: str, message: str) -> None:
    file = tmp_path / EXAMPLES
    file.write_text(json.dumps({"text": "一直没水", "rule": "供水"}, ensure_ascii=False) + "\n" + row + "\n", "utf-8")
    with pytest.raises(ConfigError, match=message):
        read_examples(file, city)


def test_the_shipped_model_fits_the_shipped_encoder_and_matrix(city: City) -> None:
    reader = Reader.load(get_settings().nlu_model_dir)
    tell = load(DEMO, lambda texts: reader.embed(texts, "query"), reader.encoder_id)
    assert tell is not None
    told = tell("俺家水管子一滴水都不出，做饭都做不成")
    assert max(told, key=lambda name: told[name]) == "供水"
    assert told.keys() == {rule.name for rule in city.matrix.rules}
    assert len(read_examples(DEMO / EXAMPLES, city)) > 3000


def _arrays() -> dict[str, np.typing.NDArray[np.generic]]:
    return {
        "weight": np.zeros((2, 3), np.float32),
        "bias": np.zeros(2, np.float32),
        "gram_hashes": np.zeros(0, np.uint32),
        "gram_weight": np.zeros((0, 2), np.int8),
        "gram_scale": np.ones(2, np.float32),
    }
