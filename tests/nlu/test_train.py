"""Training end to end on a few examples with the real encoder: what comes out is a model that the reader loads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlu import fit, labels, registry, synthetic
from nlu.danger import Signs
from nlu.errors import BaseModelError, DataError
from nlu.places import TAGGED
from nlu.runtime import Reader

pytestmark = pytest.mark.train

OWN = Path(__file__).resolve().parents[2] / "training_data"


def small_data(folder: Path) -> Path:
    """Six examples of four intents, six sentences of two categories, six of each urgency."""
    (folder / "nlu").mkdir()
    greetings = ["你好", "您好", "早上好", "晚上好", "哈喽", "在吗"]
    people = ["转人工", "人工客服", "找个真人", "接人工座席", "叫人来说", "换人工"]
    wages = ["老板拖欠工资", "公司三个月没发工资", "工钱要不回来", "工地不给结工钱", "厂里克扣工资", "加班费不给"]
    smoke = ["烧烤店油烟太大", "楼下饭店油烟熏人", "工厂排黑烟", "夜里有臭味", "施工扬尘大", "垃圾焚烧冒烟"]
    groups = {
        "greet": greetings,
        "request_human": people,
        "file_request": [*wages, *smoke],
        "ask_fee": [f"{x}多少钱" for x in "水电气暖车房"],
    }
    lines = ["nlu:"]
    for intent, examples in groups.items():
        lines += [f"- intent: {intent}", "  examples: |", *(f"    - {text}" for text in examples)]
    (folder / "nlu" / "a.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [(text, "投诉", "劳动和社会保障", "工资福利") for text in wages]
    rows += [(text, "举报", "环境保护", "环境污染") for text in smoke]
    keys = ("text", "request_type", "category1", "category2")
    written = [dict(zip(keys, row, strict=True)) | {"urgency": "一般"} for row in rows]
    for kind in ("categories", "danger"):
        (folder / kind).mkdir()
    (folder / "categories" / "a.jsonl").write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in written), encoding="utf-8"
    )
    danger = ["着火了", "煤气泄漏", "有人触电", "电梯困人", "有人溺水", "房子塌了"]
    urgencies = [{"text": text, "urgency": "特急"} for text in danger]
    (folder / "danger" / "a.jsonl").write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in urgencies), encoding="utf-8"
    )
    for name in ("places.yml", "compounds.yml"):
        (folder / name).write_text((OWN / name).read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_heads_are_trained_on_the_shipped_encoder(tmp_path: Path, model_dir: Path) -> None:
    from nlu.train import TrainSettings, train

    data = tmp_path / "data"
    data.mkdir()
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    for name in ("encoder.onnx", "tokenizer.json"):
        (encoder / name).symlink_to(model_dir / name)
    with np.load(model_dir / "heads.npz") as stored:
        np.savez(encoder / "tagger.npz", **{k: stored[k] for k in stored.files if k.startswith("tagger.")})
    lines: list[str] = []
    target = tmp_path / "model"
    train(TrainSettings(small_data(data), target, None, encoder=encoder, tagged=10), lines.append)

    reader = Reader.load(target)
    assert reader.read("厂里拖欠工钱").category1.name == "劳动和社会保障"
    assert reader.read("烟味太大").category1.name == "环境保护"
    ranking = reader.read("转接人工客服").intent_ranking
    assert "request_human" in {label.name for label in ranking[:2]}
    assert any("intent" in line for line in lines)
    assert (encoder / "vectors.npz").is_file()
    assert (target / "report" / "index.html").is_file()
    card = target / "README.md"
    assert reader.model_version in card.read_text(encoding="utf-8")
    kept = json.loads((tmp_path / registry.FILE).read_text(encoding="utf-8"))
    assert [one["version"] for one in kept] == [reader.model_version]
    assert set(kept[0]["data"]) >= {"places.yml", "categories/a.jsonl", "nlu/a.yml"}
    assert kept[0]["judged"].keys() == {"intent", "request_type", "category1", "category2", "urgency", "danger"}


def test_a_tuned_encoder_is_exported_and_still_agrees_with_the_base(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tokenizers import Tokenizer

    from nlu import base, tune
    from nlu.encoder import Encoder
    from nlu.export import export

    hub = base.build(tmp_path / "base")
    pieces = Tokenizer.from_file(str(hub / "tokenizer.json")).encode("公积金怎么提取").tokens
    assert "怎么" in pieces  # words stay whole
    assert "～" not in pieces
    export(hub, tmp_path / "plain", int8=False)
    spans = [("金水区花园路", [("district", 0, 3), ("road", 3, 6)])]
    tasks = [tune.Task(text, {"intent": "greet"}, spans=found) for text, found in spans]
    tasks += [tune.Task("你好", {"intent": "greet"}), tune.Task("再见", {"intent": "goodbye"})]
    names = {head: list(labels.INTENTS) if head == "intent" else [] for head in tune.HEADS}
    lines: list[str] = []
    settings = tune.TuneSettings(layers=1, epochs=1, rate=1e-6)
    tuned = tune.tune(hub, tasks, names, tmp_path / "tuned", settings, lines.append)
    assert [entry["epoch"] for entry in tuned.history] == [1.0]
    assert any("loss" in line for line in lines)
    resumes_where_it_stopped(hub, tasks, names, tmp_path)
    export(tmp_path / "tuned", tmp_path / "int8")
    assert (tmp_path / "int8" / "encoder.onnx").stat().st_size < 40_000_000
    texts = ["公积金怎么提取", "路灯坏了"]
    prefixes = {"query": "query: "}
    plain, small = (Encoder(tmp_path / kind, prefixes).vectors(texts) for kind in ("plain", "int8"))
    assert np.diag(plain @ small.T).min() > 0.97


def resumes_where_it_stopped(hub: Path, tasks: list[Any], names: dict[str, list[str]], folder: Path) -> None:
    """An interrupted run that goes on ends like one that was left alone."""
    from nlu import tune

    settings = tune.TuneSettings(layers=1, epochs=3, rate=1e-4)

    def losses(target: Path, stop_after: int | None = None) -> list[float]:
        def say(line: str) -> None:
            if stop_after is not None and line.startswith(f"epoch {stop_after + 1}"):
                raise KeyboardInterrupt
            lines.append(line)

        lines: list[str] = []
        history = tune.tune(hub, tasks, names, target, settings, say, judging=tasks[:1]).history
        assert stop_after is not None or not target.parent.joinpath("tuning.pt").exists()
        return [entry["loss"] for entry in history]

    whole = losses(folder / "alone" / "tuned")
    with pytest.raises(KeyboardInterrupt):
        losses(folder / "stopped" / "tuned", stop_after=1)
    assert (folder / "stopped" / "tuning.pt").is_file()
    assert losses(folder / "stopped" / "tuned") == pytest.approx(whole, rel=1e-4)


def test_the_base_refuses_what_is_no_model(tmp_path: Path) -> None:
    from nlu import base

    (tmp_path / "x.bin").write_bytes(b"nothing of ours")
    with pytest.raises(BaseModelError, match="E5S1"):
        base.QuantisedFile.read(tmp_path / "x.bin")
    with pytest.raises(BaseModelError, match="Hugging Face"):
        base.build(tmp_path / "out", str(tmp_path))


def test_fitted_heads_are_calibrated_and_use_ngrams_where_they_help() -> None:
    rng = np.random.default_rng(3)
    data = fit.HeadData()
    for i in range(200):
        name = "投诉" if i % 2 else "咨询"
        text = ("请问怎么办理" if name == "咨询" else "天天扰民没人管") + str(i)
        data.add(text, rng.normal(size=8).astype(np.float32), name)  # the vectors say nothing, the words everything
    found = fit.fit(data, labels.REQUEST_TYPES)
    assert found.config["labels"] == ["咨询", "投诉"]
    assert found.figures["ngrams"] > found.figures["vectors"]
    assert found.figures["accuracy"] > 0.95
    assert found.figures["ece"] < 0.1


def test_the_threshold_is_the_lowest_that_keeps_the_promise() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.2, 0.8]], np.float32)
    assert fit.threshold(probabilities, ["a", "a", "b", "b"], ["a", "b"], 1.0) == pytest.approx(0.56)
    assert fit.threshold(probabilities, ["a", "a", "b", "b"], ["a", "b"], 0.75) == pytest.approx(0.1)


def test_the_danger_thresholds_find_what_was_asked_for_with_the_fewest_false_alarms() -> None:
    none, acute, calmed = Signs.NONE, Signs.ACUTE, Signs.CALMED
    sure = np.array([0.9, 0.3, 0.12, 0.4, 0.2, 0.05, 0.7, 0.93], np.float32)
    signs = [none, acute, acute, none, none, acute, calmed, calmed]
    truth = np.array([True, True, True, False, False, False, False, True])
    found = fit.danger_thresholds(sure, signs, truth, 0.9)
    assert (sure >= np.array([found[sign] for sign in signs])).tolist() == truth.tolist()
    assert found[acute] <= found[none] <= found[calmed]


def test_thresholds_that_find_the_same_dangers_leave_room_below_them() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.3, 0.005], np.float32)
    truth = np.array([True, True, True, False, False])
    generous, strict = (fit.danger_thresholds(sure, [Signs.NONE] * 5, truth, least) for least in (0.7, 0.9))
    assert generous[Signs.NONE] <= 0.3 < strict[Signs.NONE] <= 0.7


def test_few_sentences_within_scope_are_turned_away() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.55, 0.45], [0.3, 0.7]], np.float32)
    head = fit.FittedHead({}, {"labels": ["greet", "out_of_scope"]}, probabilities, ["greet"] * 3 + ["out_of_scope"],
                          [""] * 4, {})  # fmt: skip
    assert fit.rejection_threshold(head, 0.0, outside="out_of_scope") == pytest.approx(0.55)
    assert fit.rejection_threshold(head, 0.4, outside="out_of_scope") == pytest.approx(0.59)


def test_made_up_sentences_carry_spans_that_fit() -> None:
    material = synthetic.Material.load(OWN / "places.yml", None)
    made = synthetic.sentences([], material, 300, seed=1)
    assert made == synthetic.sentences([], material, 300, seed=1)
    assert {kind for _, spans in made for kind, _, _ in spans} == set(TAGGED) - {"name"}
    for text, spans in made:
        for kind, start, end in spans:
            assert 0 <= start < end <= len(text), (text, kind)


def test_a_list_missing_from_the_material_is_named(tmp_path: Path) -> None:
    path = tmp_path / "places.yml"
    path.write_text("templates: ['{A}']\n", encoding="utf-8")
    with pytest.raises(DataError, match="'districts'"):
        synthetic.Material.load(path, None)
