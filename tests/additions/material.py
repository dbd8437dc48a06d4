"""What additions learn from in tests: some of the project's own sentences, so that a trial takes seconds."""

import json
from collections import defaultdict
from pathlib import Path

import yaml

from assistant.settings import PROJECT_ROOT
from nlu import data

DRONE_REPLY = "个人的无人机要先实名登记再飞，登记不收费。"
DRONES = (
    "我买了个无人机要去哪里登记",
    "无人机实名登记怎么弄",
    "航拍机飞之前需要备案吗",
    "在市区飞无人机要不要申请",
    "哪些地方不让飞无人机",
    "大疆无人机注册在哪个平台",
    "孩子玩的小无人机也得登记吗",
    "无人机禁飞区在哪查",
    "想在公园飞航拍机，合不合规定",
    "请问飞无人机要考证吗",
)
BIKES = (
    "共享单车堆满了人行道，盲道都走不了",
    "地铁口的共享单车乱停乱放没人管",
    "小区门口全是坏的共享单车",
    "共享电动车停在盲道上",
    "公司楼下共享单车倒了一大片，路都堵了",
    "共享单车被扔进河里好几辆",
    "学校门口共享单车占了机动车道",
    "共享单车企业不来清运，堆成山了",
    "公交站台被共享单车挡住，老人上不了车",
    "共享助力车骑到绿化带里乱扔",
)


def write_training_data(folder: Path, *, of_each: int = 6, every: int = 6) -> Path:
    """`of_each` sentences of every label, and every `every`th calibration sentence."""
    own = PROJECT_ROOT / "training_data"
    (folder / "nlu").mkdir(parents=True)
    for name in ("categories", "danger", "calibration"):
        (folder / name).mkdir()
    intents = _some({e.text: e.intent for e in data.intents(own / "nlu")}, of_each)
    groups = [{"intent": name, "examples": "".join(f"- {text}\n" for text in texts)} for name, texts in intents.items()]
    written = yaml.safe_dump({"version": "3.1", "nlu": groups}, allow_unicode=True)
    (folder / "nlu" / "examples.yml").write_text(written, encoding="utf-8")
    rows = {e.text: e for e in data.categories(own / "categories")}
    categories = _some({text: f"{e.category1}/{e.category2}" for text, e in rows.items()}, of_each)
    _write(
        folder / "categories" / "some.jsonl", [vars_of(rows[text]) for texts in categories.values() for text in texts]
    )
    dangers = _some({e.text: e.urgency for e in data.urgencies(own / "danger")}, of_each)
    told = [{"text": text, "urgency": name} for name, texts in dangers.items() for text in texts]
    _write(folder / "danger" / "some.jsonl", told)
    for path in sorted((own / "calibration").glob("*.jsonl")):
        _write(folder / "calibration" / path.name, [vars_of(e) for e in data.examples(path)][::every])
    return folder


def vars_of(example: data.Example) -> dict[str, str]:
    named = {name: getattr(example, name) for name in ("text", "intent", "request_type", "category1", "category2")}
    return {name: value for name, value in (named | {"urgency": example.urgency}).items() if value}


def _some(labelled: dict[str, str], count: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for text, label in labelled.items():
        if len(found[label]) < count:
            found[label].append(text)
    return found


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
