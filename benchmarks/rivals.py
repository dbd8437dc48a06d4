"""What Minsheng's understanding is compared with: keyword rules, a linear SVM on n-grams, Rasa's DIET. And Minsheng.

Each is a `Side`: texts in, one `Answer` each out. What a side has no answer for stays None.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from benchmarks import diet
from benchmarks.worker import ONE_THREAD, Worker, running
from nlu import danger, labels
from nlu.corpus import Corpus
from nlu.public_data import Message
from nlu.runtime import Reader, Understanding
from nlu.tune import Task

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "benchmarks" / "keyword_rules.yml"
CATEGORIES = ROOT / "city" / "demo" / "categories.yml"

Span = tuple[str, int, int]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a side says about one text.

    `category2` is a ranking of "level 1/level 2"; `requests` are (level 1, level 2), the main one first;
    `sure` is the best intent before any refusal, with its confidence.
    """

    intent: str | None = None
    sure: tuple[str, float] | None = None
    request_type: str | None = None
    category1: str | None = None
    category2: tuple[str, ...] | None = None
    urgency: str | None = None
    danger: bool | None = None
    requests: tuple[Pair, ...] | None = None
    spans: frozenset[Span] | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One of those compared; `read` is told which heads are asked for, and may answer more."""

    name: str
    read: Callable[[Sequence[str], Collection[str]], list[Answer]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows of one head."""

    texts: list[str]
    labels: list[str]

    def some(self, count: int, seed: int) -> "Rows":
        """At most `count` of them, drawn at random."""
        kept = random.Random(seed).sample(range(len(self.texts)), min(count, len(self.texts)))
        return Rows([self.texts[i] for i in kept], [self.labels[i] for i in kept])


def training_rows(corpus: Corpus, *, weak: bool = False) -> dict[str, Rows]:
    """The rows our heads learn from, by head: our own sentences, and for level 1 the published messages too.

    `weak` adds the foreign sentences whose labels were guessed; our heads give them less weight, which these rivals
    cannot.
    """
    tasks: list[Task] = [*corpus.own, *(corpus.weak if weak else [])]
    found: dict[str, Rows] = {}
    for task in tasks:
        for head, label in task.labels.items():
            rows = found.setdefault(head, Rows([], []))
            rows.texts.append(task.text)
            rows.labels.append(label)
    messages: list[Message] = corpus.messages
    found["category1"].texts.extend(message.whole for message in messages)
    found["category1"].labels.extend(message.label for message in messages)
    return found


def minsheng(reader: Reader) -> Side:
    """The shipped model with everything on."""
    return Side("Minsheng", lambda texts, heads: [_understood(one) for one in reader.read_many(texts)])


def _understood(found: Understanding) -> Answer:
    return Answer(
        intent=found.intent.name,
        request_type=found.request_type.name,
        category1=found.category1.name,
        category2=tuple(label.name for label in found.category2_ranking),
        urgency=found.urgency.name,
        danger=found.urgency.name == "特急",
        # A second level that is not sure enough is left open; it then counts as a wrong one.
        requests=tuple((r.category1.name, r.category2.name if r.category2 else "") for r in found.requests),
        spans=frozenset((e.type, e.start, e.end) for e in found.entities),
    )


def keywords() -> Side:
    """Ordered rules and lists of keywords, as deployed systems have them."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    pairs = {
        (level1["name"], level2["name"]): level2.get("keywords", [])
        for level1 in yaml.safe_load(CATEGORIES.read_text(encoding="utf-8"))
        for level2 in level1["level2"]
    }
    return Side("keyword rules", lambda texts, heads: [_by_rules(rules, pairs, text) for text in texts])


def _by_rules(rules: dict[str, Any], pairs: dict[Pair, list[str]], text: str) -> Answer:
    acute = danger.acute(text)
    intent = rules["intent"]
    default = intent["long_default"] if len(text) >= intent["long"] else intent["default"]
    hits = Counter({pair: sum(word in text for word in words) for pair, words in pairs.items()})
    ranking = [pair for pair, count in hits.most_common() if count]
    by_level1 = {pair[0]: pair for pair in reversed(ranking)}
    return Answer(
        intent="report_danger" if acute else _first(intent["rules"], text, default),
        request_type=_first(rules["request_type"]["rules"], text, rules["request_type"]["default"]),
        category1=ranking[0][0] if ranking else "",
        category2=tuple("/".join(pair) for pair in ranking[:3]),
        urgency="特急" if acute else _first(rules["urgency"]["rules"], text, rules["urgency"]["default"]),
        danger=acute,
        requests=tuple(sorted(by_level1.values(), key=ranking.index)),
        spans=frozenset(
            (kind, m.start(), m.end())
            for kind, pattern in rules["entities"].items()
            for m in re.finditer(pattern, text)
        ),
    )


def _first(rules: list[tuple[str, str]], text: str, default: str) -> str:
    return next((name for name, pattern in rules if re.search(pattern, text)), default)


def linear_svm(rows: dict[str, Rows]) -> Side:
    """TF-IDF of character n-grams (1 to 4) and LinearSVC, one for each head; one request in every message."""
    models = {}
    for head, found in rows.items():
        print(f"training the linear SVM: {head}, {len(found.texts)} rows …", file=sys.stderr, flush=True)
        models[head] = _svm().fit(found.texts, found.labels)
    return Side("TF-IDF + LinearSVC", lambda texts, heads: _by_svm(models, texts))


def _svm() -> Pipeline:
    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True)
    return make_pipeline(grams, LinearSVC(class_weight="balanced", random_state=diet.SEED))


def _by_svm(models: dict[str, Pipeline], texts: Sequence[str]) -> list[Answer]:
    one = {head: [str(name) for name in models[head].predict(texts)] for head in models if head != "category2"}
    scores, names = models["category2"].decision_function(texts), models["category2"].classes_
    rankings = [tuple(str(names[i]) for i in order[:3]) for order in np.argsort(-scores, axis=1)]
    return [
        Answer(
            intent=one["intent"][i],
            request_type=one["request_type"][i],
            category1=one["category1"][i],
            category2=ranking,
            urgency=one["urgency"][i],
            danger=one["danger"][i] == labels.DANGER,
            requests=((one["category1"][i], ranking[0].partition("/")[2]),),
        )
        for i, ranking in enumerate(rankings)
    ]


DIET_HEADS = ("intent", "category2", "category1", "request_type", "urgency")


def rasa_diet(rows: dict[str, Rows], heads: Sequence[str], models: Path, epochs: int) -> Side:
    """Rasa's DIET, one model for each of `heads`; intents with Rasa's own fallback at 0.3.

    A message is in danger when its intent says so. Without a model for level 1 the answer to level 2 tells it. A model
    is loaded, in a process of its own, only while it is asked.
    """
    trained = {head: diet_model(rows[head], models, epochs) for head in heads}
    return Side("Rasa DIET", lambda texts, heads: _by_diet(trained, texts, heads))


def diet_model(rows: Rows, models: Path, epochs: int) -> tuple[Path, dict[str, str]]:
    """A trained DIET, and what its answers mean: labels are numbered, because "/" has a meaning of its own in Rasa."""
    names = {f"c{i:03d}": name for i, name in enumerate(sorted(set(rows.labels)))}
    codes = {name: code for code, name in names.items()}
    return diet.train(rows.texts, [codes[label] for label in rows.labels], models, epochs), names


def _by_diet(
    trained: dict[str, tuple[Path, dict[str, str]]], texts: Sequence[str], heads: Collection[str]
) -> list[Answer]:
    answers = [Answer() for _ in texts]
    for head, (model, names) in trained.items():
        if head not in heads:
            continue
        with running(diet.command(model), **ONE_THREAD) as worker:
            found = _in_parts(worker, texts)
        for i, one in enumerate(found):
            ranking = [(names[code], float(sure)) for code, sure in one["ranking"] if code in names]
            answers[i] = _with(answers[i], head, names.get(one["intent"], labels.FALLBACK), ranking)
    return answers


def _in_parts(worker: Worker, texts: Sequence[str], size: int = 100) -> list[dict[str, Any]]:
    return [one for at in range(0, len(texts), size) for one in worker.ask(texts[at : at + size])["answers"]]


def _with(answer: Answer, head: str, accepted: str, ranking: list[tuple[str, float]]) -> Answer:
    """The answer with what DIET says about one head; an empty text has no ranking."""
    best, sure = ranking[0] if ranking else ("", 0.0)
    match head:
        case "intent":
            return replace(answer, intent=accepted, sure=(best, sure), danger=accepted == "report_danger")
        case "category2":
            level1, _, level2 = best.partition("/")
            top = tuple(name for name, _ in ranking[:3])
            level1 = answer.category1 or level1
            return replace(answer, category1=level1, category2=top, requests=((level1, level2),))
        case "category1":
            level2 = answer.requests[0][1] if answer.requests else ""
            return replace(answer, category1=best, requests=((best, level2),))
        case "request_type":
            return replace(answer, request_type=best)
        case _:
            return replace(answer, urgency=best)
