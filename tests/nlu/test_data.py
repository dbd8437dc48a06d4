"""Training files: what is wrong is said with file, line and remedy; what we ship is complete."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from nlu import data, labels, public_data
from nlu.errors import DataError

OWN = Path(__file__).resolve().parents[2] / "training_data"
TESTS = Path(__file__).parent / "data"


def write_nlu(folder: Path, name: str, groups: dict[str, list[str]]) -> Path:
    lines = ['version: "3.1"', "nlu:"]
    for intent, examples in groups.items():
        lines += [f"- intent: {intent}", "  examples: |", *(f"    - {example}" for example in examples)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_examples_are_read_with_their_intents(tmp_path: Path) -> None:
    write_nlu(tmp_path, "a.yml", {"greet": ["你好", "您好", "在吗", "喂", "嗨"]})
    assert [(e.text, e.intent) for e in data.intents(tmp_path)][:2] == [("你好", "greet"), ("您好", "greet")]


def test_an_unknown_intent_is_named_with_its_line(tmp_path: Path) -> None:
    path = write_nlu(tmp_path, "a.yml", {"greet": ["你好"] * 5, "order_pizza": ["披萨"] * 5})
    with pytest.raises(DataError, match=r"a\.yml:10: unknown intent 'order_pizza'.*Use one of: greet") as caught:
        data.intents(tmp_path)
    assert (caught.value.file, caught.value.line) == (path, 10)


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    write_nlu(tmp_path, "a.yml", {"greet": ["你好", "您好", "在吗", "喂"]})
    with pytest.raises(DataError, match="'greet' has 4 examples, at least 5"):
        data.intents(tmp_path)


@pytest.mark.parametrize("content", ["nlu: [", "- just a list", "version: '3.1'"])
def test_broken_yaml_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yml").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="Rasa's NLU format"):
        data.intents(tmp_path)


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "categories.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + '{"text": "路灯坏了"}\n'.encode("gbk"))
    with pytest.raises(DataError, match=r"categories\.jsonl:2: the file is not UTF-8.*iconv"):
        data.categories(path)
    (tmp_path / "b.yml").write_bytes("nlu:\n# 你好\n".encode("gbk"))
    with pytest.raises(DataError, match=r"b\.yml:2: the file is not UTF-8"):
        data.intents(tmp_path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"text": ""}', "no text"),
        ("[1]", "not a JSON object"),
        ("{", "not valid JSON"),
        ('{"text": "a", "request_type": "抱怨"}', "unknown request_type '抱怨'"),
        ('{"text": "a", "request_type": "投诉", "category1": "天文"}', "unknown category1 '天文'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(row + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        data.categories(path)
    assert caught.value.line == 1


def test_a_second_level_outside_the_tree_is_refused(tmp_path: Path) -> None:
    row = {"text": "a", "request_type": "投诉", "category1": "民政", "category2": "天文", "urgency": "一般"}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match=r"民政/天文.*Use one of: 社会救助"):
        data.categories(path, {"民政": ["社会救助"]})


def test_every_intent_has_forty_examples_and_the_two_big_ones_two_hundred() -> None:
    found = data.intents(OWN / "nlu")
    counts = Counter(example.intent for example in found)
    assert set(counts) == set(labels.INTENTS)
    assert min(counts.values()) >= 40
    assert counts["file_request"] >= 200
    assert counts["ask_policy"] >= 200


def test_no_sentence_has_two_intents() -> None:
    meanings: dict[str, set[str]] = {}
    for example in data.intents(OWN / "nlu"):
        meanings.setdefault(example.text, set()).add(example.intent)
    assert {text: found for text, found in meanings.items() if len(found) > 1} == {}


def test_every_second_level_category_of_the_city_has_thirty_sentences() -> None:
    counts = Counter((e.category1, e.category2) for e in data.categories(OWN / "categories"))
    city = yaml.safe_load((OWN.parent / "city" / "demo" / "categories.yml").read_text(encoding="utf-8"))
    known = {(one["name"], two["name"]) for one in city for two in one["level2"]}
    assert set(counts) <= known
    named = {pair: count for pair, count in counts.items() if pair[1] != data.REST}
    assert min(named.values()) >= 30
    assert len(named) >= 100


def test_danger_sentences_are_half_traps() -> None:
    counts = Counter(example.urgency for example in data.urgencies(OWN / "danger"))
    assert sum(counts.values()) >= 1000
    assert counts["特急"] >= 400
    assert counts["一般"] >= 400


def test_six_thousand_utterances_and_more_are_ours() -> None:
    texts = {e.text for e in data.intents(OWN / "nlu")}
    texts |= {e.text for e in data.categories(OWN / "categories")}
    texts |= {e.text for e in data.urgencies(OWN / "danger")}
    assert len(texts) >= 6000


@pytest.mark.parametrize(
    ("name", "least"),
    [("intents", 1500), ("categories", 600), ("danger", 500), ("compounds", 200), ("entities", 400)],
)
def test_the_test_sets_stand_apart_from_training(name: str, least: int) -> None:
    learned = {example.text for example in data.intents(OWN / "nlu")}
    for kind in ("categories", "danger", "calibration", "entities"):
        for path in (OWN / kind).glob("*.jsonl"):
            learned |= {row["text"] for row in public_data.rows(path)}
    tested = [row["text"] for row in public_data.rows(TESTS / f"{name}.jsonl")]
    assert len(tested) >= least
    assert learned.isdisjoint(tested)


def test_half_of_the_danger_test_are_traps() -> None:
    kinds = Counter(row["danger"] for row in public_data.rows(TESTS / "danger.jsonl"))
    assert min(kinds[True], kinds[False]) >= 250


def test_compounds_name_known_categories(tmp_path: Path) -> None:
    found = data.compounds(TESTS / "compounds.jsonl")
    assert Counter(len(one.categories) for one in found).keys() == {1, 2, 3}
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "categories": [{"category1": "天文"}]}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: unknown category1 '天文'"):
        data.compounds(path)
    path.write_text('{"text": "a", "categories": []}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: no categories"):
        data.compounds(path)


@pytest.mark.parametrize(
    ("entity", "problem"),
    [
        ({"type": "phone", "start": 0, "end": 9}, "the span 0–9 of 'phone' does not fit a text of 2 characters"),
        ({"type": "phone", "start": 1, "end": 1}, "does not fit"),
        ({"type": "planet", "start": 0, "end": 1}, "unknown type 'planet'"),
    ],
)
def test_a_span_that_does_not_fit_its_text_is_named(tmp_path: Path, entity: dict[str, object], problem: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "路灯", "entities": [entity]}, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        data.spans(path)
    assert caught.value.line == 1


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.jsonl files"):
        data.categories(tmp_path)


def test_rows_for_measuring_are_fixed_and_a_fifth() -> None:
    chosen = [public_data.is_test(str(number)) for number in range(2000)]
    assert chosen == [public_data.is_test(str(number)) for number in range(2000)]
    assert 340 < sum(chosen) < 460


def test_copies_of_test_messages_are_not_trained_on() -> None:
    test = [public_data.Message("路灯坏了", "花园路的路灯坏了三个星期没有人修，晚上很黑", "城乡建设")]
    copy = public_data.Message("", "花园路路灯坏三个星期没有人修晚上很黑", "城乡建设")
    other = public_data.Message("", "学校食堂饭菜里有虫子请查处", "教育文体")
    assert public_data.without_copies([copy, other], test) == [other]
