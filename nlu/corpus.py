"""Brings all sources together: which sentence teaches which heads, with what weight."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from nlu import compounds, data, labels, public_data, synthetic
from nlu.tune import Task

_INQUIRY = re.compile(r"咨询|请问|吗|？|\?|怎么|如何|什么时候|何时|多少")
_WEAK = (
    ("举报", re.compile(r"^(?:实名)?举报|举报")),
    ("投诉", re.compile(r"投诉|乱收费|扰民|太差|恶劣")),
    ("建议", re.compile(r"建议")),
    ("咨询", re.compile(r"咨询|请问|吗？?$|何时|什么时候")),
    ("求助", re.compile(r"求助|请求|恳请|请帮|救救")),
)
_PLACE_SIGNS = re.compile(r"[路街区村镇号楼院巷市县城庄桥公司厂店]|\d")
_INQUIRIES = ("ask_policy", "ask_process", "ask_fee", "ask_service_hours")
_COMPOUNDS, _JUDGING_COMPOUNDS = 700, 300


@dataclass(slots=True)
class Corpus:
    """Sentences by kind; `tree` is level 1 → level 2; `exact` maps button texts to intents.

    What is `judging` chooses how the parts of a head are weighed, and thresholds, and is trained on by nothing.
    """

    own: list[Task]
    tree: dict[str, list[str]]
    exact: dict[str, str]
    messages: list[public_data.Message] = field(default_factory=list)
    weak: list[Task] = field(default_factory=list)
    tagged: list[Task] = field(default_factory=list)
    marked: list[synthetic.Tagged] = field(default_factory=list)
    judging: list[Task] = field(default_factory=list)
    judging_messages: list[public_data.Message] = field(default_factory=list)
    joined: list[Task] = field(default_factory=list)
    judging_joined: list[compounds.Made] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)


def load(
    folder: Path,
    public: Path | None,
    *,
    requests: Path | None = None,
    tagged: int = 1500,
    addresses: int = 4000,
    seed: int = 7,
) -> Corpus:
    """Reads our training data in `folder` (`nlu/*.yml`, `categories/`, `danger/`, `calibration/`) and, where there is
    one, the folder of public data. Raises DataError with file, line and remedy.

    Args:
        requests: a file of requests with any labels, say of a city's routing examples, that teach these labels.
        tagged: how many sentences with places are made.
        addresses: how many annotated addresses teach the tagger as they are.
    """
    categories = data.categories(folder / "categories")
    own = _own(data.intents(folder / "nlu"), categories, data.urgencies(folder / "danger"))
    known = {task.text for task in own}
    told = [_labelled(example) for example in (data.examples(requests) if requests else ())]
    own += [task for task in told if task.text not in known]
    tree: dict[str, list[str]] = {}
    for example in categories:
        if example.category2 == data.REST:
            continue
        children = tree.setdefault(example.category1, [])
        if example.category2 not in children:
            children.append(example.category2)
    exact = {re.sub(r"[\W_]+", "", e.text): e.intent for e in _buttons(folder / "nlu" / data.BUTTONS)}
    corpus = Corpus(own, tree, exact, sources={"own sentences": len(own)})
    judging = [example for path in sorted((folder / "calibration").glob("*.jsonl")) for example in data.examples(path)]
    corpus.judging = [_labelled(example) for example in judging]
    for path in sorted((folder / "entities").glob("*.jsonl")):
        corpus.marked += data.spans(path)
    corpus.sources["marked sentences"] = len(corpus.marked)
    words = compounds.load_words(folder / "compounds.yml")
    corpus.joined = [_compound(made) for made in compounds.make(categories, words, _COMPOUNDS, seed)]
    corpus.judging_joined = compounds.make(judging, words, _JUDGING_COMPOUNDS, seed + 1)
    corpus.sources |= {"judging sentences": len(judging), "joined messages": len(corpus.joined)}
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    annotated: list[synthetic.Tagged] = []
    gazetteer = None
    if public is not None:
        _add_public(corpus, public, rng)
        annotated = public_data.addresses(public, "train")
        gazetteer = public / "gazetteer" / "zhengzhou.csv"
        corpus.sources["annotated addresses"] = len(annotated)
    material = synthetic.Material.load(folder / "places.yml", gazetteer)
    made = synthetic.sentences(annotated, material, tagged, seed)
    made += rng.sample(annotated, min(addresses, len(annotated)))
    corpus.tagged = [Task(text, {}, spans) for text, spans in made]
    return corpus


def _own(intents: list[data.Example], categories: list[data.Example], urgencies: list[data.Example]) -> list[Task]:
    found: dict[str, dict[str, str]] = {}
    for example in intents:
        named = found.setdefault(example.text, {})
        named["intent"] = example.intent
        if example.intent == "report_danger":
            named["urgency"] = "特急"
        elif example.intent in _INQUIRIES:
            named |= {"urgency": "一般", "request_type": "咨询"}
        if example.intent not in labels.MAY_BE_DANGER:
            named["danger"] = labels.NO_DANGER
    for example in categories:
        found.setdefault(example.text, {}).update(
            request_type=example.request_type,
            category1=example.category1,
            urgency=example.urgency,
        )
        if example.category2 != data.REST:
            found[example.text]["category2"] = f"{example.category1}/{example.category2}"
    for example in urgencies:
        found.setdefault(example.text, {})["urgency"] = example.urgency
    for named in found.values():
        if "urgency" in named:
            named["danger"] = labels.DANGER if named["urgency"] == "特急" else labels.NO_DANGER
    return [Task(text, named, spans=_no_places(text, named)) for text, named in found.items()]


def _compound(made: compounds.Made) -> Task:
    parts = tuple(
        (start, end, {"category1": e.category1, "category2": f"{e.category1}/{e.category2}"})
        for start, end, e in made.parts
    )
    return Task(made.text, {}, weight=0.5, parts=parts)


def _labelled(example: data.Example) -> Task:
    """All labels that a row has."""
    pair = f"{example.category1}/{example.category2}" if example.category2 not in ("", data.REST) else ""
    named = {
        "intent": example.intent,
        "request_type": example.request_type,
        "category1": example.category1,
        "category2": pair,
        "urgency": example.urgency,
        "danger": _danger(example),
    }
    return Task(example.text, {head: label for head, label in named.items() if label})


def _danger(example: data.Example) -> str:
    if example.urgency:
        return labels.DANGER if example.urgency == "特急" else labels.NO_DANGER
    if example.intent == "report_danger":
        return labels.DANGER
    return "" if not example.intent or example.intent in labels.MAY_BE_DANGER else labels.NO_DANGER


def _buttons(path: Path) -> list[data.Example]:
    return data.intents_of(path) if path.is_file() else []


def _no_places(text: str, named: dict[str, str]) -> list[tuple[str, int, int]] | None:
    """No spans for a sentence that surely names no place; None (teaches the tagger nothing) where it may."""
    if named.get("intent") in ("inform_place", "correct"):
        return None
    return None if _PLACE_SIGNS.search(text) else []


def _add_public(corpus: Corpus, public: Path, rng: random.Random) -> None:
    train, _ = public_data.labelled_messages(public)
    corpus.judging_messages = [m for m in train if m.title and public_data.is_test(m.title, 4)]
    others = [m for m in train if not (m.title and public_data.is_test(m.title, 4))]
    corpus.messages = public_data.without_copies(others, corpus.judging_messages)
    corpus.sources["labelled messages"] = len(corpus.messages)
    raw = [message for message in corpus.messages if message.title]
    for message in raw:
        named = {"category1": message.label}
        kind = next((name for name, sign in _WEAK if sign.search(message.title)), None)
        if kind:
            named["request_type"] = kind
        if not _INQUIRY.search(message.title):
            named["intent"] = "file_request"
        corpus.weak.append(Task(message.title, named, weight=0.4))
    for level1, level2, level3 in public_data.taxonomy(public):
        if data.REST not in (level2, level3) and level2 in corpus.tree.get(level1, []):
            corpus.weak.append(Task(level3, {"category1": level1, "category2": f"{level1}/{level2}"}, weight=0.5))
    small_talk = [(text, domain) for text, domain in public_data.small_talk(public) if domain != "chat"]
    for text, _ in rng.sample(small_talk, min(450, len(small_talk))):
        corpus.weak.append(Task(text, {"intent": "out_of_scope"}, spans=None, weight=0.5))
    items = [row["name"] for row in public_data.rows(public / "policies" / "service_items.jsonl") if row.get("name")]
    endings = ("怎么办理", "需要什么材料", "去哪里办", "办理条件是什么", "几天能办好", "")
    for name in rng.sample(items, min(150, len(items))):
        labelled = {"intent": "ask_policy", "request_type": "咨询", "urgency": "一般"}
        corpus.weak.append(Task(name + rng.choice(endings), labelled, weight=0.4))
    corpus.sources |= {"small talk": min(450, len(small_talk)), "service items": min(150, len(items))}


def label_names(corpus: Corpus) -> dict[str, list[str]]:
    """The labels of every head, in the order they are stored."""
    return {
        "intent": list(labels.INTENTS),
        "request_type": list(labels.REQUEST_TYPES),
        "category1": list(labels.CATEGORIES),
        "category2": [f"{parent}/{child}" for parent, children in corpus.tree.items() for child in children],
        "urgency": list(labels.URGENCIES),
        "danger": list(labels.DANGERS),
    }
