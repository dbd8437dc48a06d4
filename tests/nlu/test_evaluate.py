"""Figures: right by hand on small lists, the public shape on files, floors on our own test set."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nlu.cli import app
from nlu.errors import DataError
from nlu.evaluate import evaluate, figures, place_f1, read_rows
from nlu.runtime import Reader

DATA = Path(__file__).parent / "data"


def test_figures_by_hand() -> None:
    found = figures(["a", "a", "b", "b"], ["a", "b", "b", "c"])
    assert found["n"] == 4
    assert found["accuracy"] == 0.5
    assert found["per_class"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "support": 2}
    assert found["per_class"]["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2, abs=1e-4)


def test_span_figures_by_hand() -> None:
    right = [{("place", 0, 3)}, {("place", 1, 2), ("road", 1, 2)}]
    found = [{("place", 0, 3)}, {("place", 0, 2), ("road", 1, 2)}]
    assert place_f1(found, right, "place") == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert place_f1(found, right, "road")["f1"] == 1.0


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"title": "", "text": " ", "label": "民政"}, "neither title nor text"),
        ({"text": "a", "label": "天文"}, "unknown category '天文'.*城乡建设"),
        ({"text": "a"}, "unknown category ''"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, str], problem: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "好", "label": "民政"}\n' + json.dumps(row, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        read_rows(path, "category")
    assert caught.value.line == 2


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="no rows"):
        read_rows(path, "category")


def test_intents_stay_above_the_floor(reader: Reader) -> None:
    found = evaluate(reader, "intent", DATA / "intents.jsonl")
    assert found["n"] >= 300
    assert found["macro_f1"] >= 0.80
    assert found["per_class"]["file_request"]["recall"] >= 0.85
    assert found["per_class"]["report_danger"]["recall"] >= 0.75


def test_eval_prints_the_public_shape(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"title": "工资", "text": "老板拖欠我三个月工资一直不给", "label": "劳动和社会保障"},
        {"title": "学校", "text": "学校乱收补课费，老师强制家长交钱", "label": "教育文体"},
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    done = CliRunner().invoke(app, ["eval", "--task", "category", "--data", str(path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {"n", "accuracy", "macro_f1", "per_class", "ms_per_message"} <= set(found)
    assert found["n"] == 2
    assert set(found["per_class"]) == {"劳动和社会保障", "教育文体"}


def test_predict_prints_the_public_shape() -> None:
    done = CliRunner().invoke(app, ["predict", "--text", "电话138****5678", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["intent"] == "inform_contact"
    assert {"type": "phone", "text": "138****5678", "start": 2, "end": 13} in found["entities"]


def test_predict_prints_a_table_for_people() -> None:
    done = CliRunner().invoke(app, ["predict", "--text", "老板拖欠工资"])
    assert done.exit_code == 0
    assert "劳动和社会保障" in done.stdout


def test_a_missing_model_is_told_to_people(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["predict", "--text", "你好", "--model", str(tmp_path), "--json"])
    assert done.exit_code == 1
    assert "make train" in done.stderr


def test_a_bad_file_is_told_to_people(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "路灯", "label": "民政"}'.encode("gbk"))
    done = CliRunner().invoke(app, ["eval", "--data", str(path), "--json"])
    assert done.exit_code == 1
    assert "not UTF-8" in done.stderr
