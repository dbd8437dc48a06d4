"""The report of a training run: learning curves, confusion matrices and calibration as an HTML page with PNG files.

For people, also on paper: no script, nothing fetched. Needs the `train` extra.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlu import charts, danger, labels
from nlu.evaluate import figures
from nlu.fit import FittedHead, calibration_error
from nlu.lint import masked

_MOST_CLASSES, _SHOWN_CLASSES = 25, 20
_MISTAKES, _QUOTED = 15, 120
_BINS = 10
_HEADS = {
    "intent": "意图", "request_type": "诉求类型", "category1": "一级类别", "category2": "二级类别",
    "urgency": "紧急程度", "danger": "危险",
}  # fmt: skip
_SOURCES = {
    "own sentences": "自己写的句子", "judging sentences": "校准句（不训练）", "joined messages": "拼接的多诉求留言",
    "labelled messages": "带类别的公开留言", "small talk": "公开的助手对话", "service items": "政务服务事项",
    "annotated addresses": "带标注的公开地址",
}  # fmt: skip
_THRESHOLDS = {
    "intent": "把握低于它的意图不采信，当作没听懂。取得尽量高，但本职范围内的句子因此（或因判成 out_of_scope）被拒的"
    "不超过规定份额。",
    "category2": "把握低于它的二级类别留空，由人来选。取采信的回答达到规定正确率的最低值。",
    "danger": "文字里没有危险字样时，危险的概率达到它就按特急处理。与下一项一起选：先保证规定份额的报警是对的，再求"
    "找到的危险最多。",
    "danger_with_signs": "文字里有危险字样时用的门槛，不高于上一项。",
    "danger_when_calmed": "有危险字样，但说的是过去、没有、担心或规定时用的门槛，不低于第一项。",
    "requests_price": "一段话里每换一件事的代价，越高越不容易拆成几件。在没有训练过的拼接留言和只说一件事的公开留言上"
    "选，使类别集合的 F1 最高。",
    "requests": "拆出来的另一件事至少要有这样的把握。与上一项一起选。",
}
_STYLE = """
@page { size: A4; margin: 16mm }
body { font: 14px/1.6 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; color: #111;
       max-width: 180mm; margin: 2em auto; padding: 0 1em }
h1, h2, h3 { line-height: 1.3; break-after: avoid }
h2 { border-bottom: 1px solid #999; margin-top: 2em }
table { border-collapse: collapse; margin: .6em 0; width: 100% }
th, td { border: 1px solid #bbb; padding: .15em .5em; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { background: #eee }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
tr, figure { break-inside: avoid }
figure { margin: 1em 0 } img { max-width: 100% } img.small { width: 90mm } figcaption { color: #444 }
section.head { break-before: page }
"""

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Run:
    """What a training run left behind: `config` as stored with the model, the heads with their judging rows, and the
    losses of every epoch of tuning (empty where the encoder was not tuned). Texts in `unquoted` are not ours to copy:
    the report only says how long they are."""

    config: dict[str, Any]
    heads: Mapping[str, FittedHead]
    history: list[dict[str, float]]
    unquoted: frozenset[str] = frozenset()


def write(folder: Path, run: Run) -> None:
    """Writes `index.html` and its pictures into `folder`.

    Telephone and identity numbers in quoted sentences are masked. Where no font has Chinese characters, the classes
    in the pictures are numbered and the page explains the numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    font = charts.chinese_font()
    version = escape(str(run.config["version"]))
    body = [
        f"<h1>训练报告 {version}</h1>",
        _about(run),
        _data(run),
        _thresholds(run),
        _learning(folder, run, font),
        _overview(run),
        *(_head(folder, name, head, run, font) for name, head in run.heads.items()),
    ]
    page = (
        f'<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n<title>训练报告 {version}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _about(run: Run) -> str:
    rows: list[tuple[Cell, ...]] = [("模型版本", run.config["version"]), ("底座", run.config["base"])]
    rows += [(f"{name} 的 SHA-256", value) for name, value in run.config.get("files", {}).items()]
    return _table(("项目", "内容"), rows)


def _data(run: Run) -> str:
    rows = [(_SOURCES.get(name, name), count) for name, count in run.config.get("sources", {}).items()]
    return "<h2>数据</h2>" + _table(("来源", "条数"), rows)


def _thresholds(run: Run) -> str:
    measured = _measured(run)
    rows = [
        (name, f"{value:g}", _THRESHOLDS.get(name, ""), measured.get(name, ""))
        for name, value in run.config.get("thresholds", {}).items()
    ]
    return "<h2>阈值</h2><p>都在没有参加训练的校准句上选定，从不在评测集上选。</p>" + _table(
        ("名称", "值", "为什么取这个值", "在校准句上"), rows
    )


def _measured(run: Run) -> dict[str, str]:
    """What the thresholds do on the judging rows."""
    chosen, found = run.config.get("thresholds", {}), {}
    intent, second, dangers = (run.heads.get(name) for name in ("intent", "category2", "danger"))
    if intent is not None and "intent" in chosen and intent.judged:
        guesses, confidence = _answers(intent)
        inside = np.array([label != "out_of_scope" for label in intent.judged])
        refused = (confidence < chosen["intent"]) | np.array([guess == "out_of_scope" for guess in guesses])
        if inside.any():
            found["intent"] = f"本职范围内的被拒 {refused[inside].mean():.1%}"
    if second is not None and "category2" in chosen and second.judged:
        guesses, confidence = _answers(second)
        accepted = confidence >= chosen["category2"]
        if accepted.any():
            right = np.array([g == label for g, label in zip(guesses, second.judged, strict=True)])
            found["category2"] = f"采信 {accepted.mean():.1%}，其中正确 {right[accepted].mean():.1%}"
    if dangers is not None and "danger" in chosen and labels.DANGER in dangers.judged:
        found["danger"] = _dangers_found(dangers, chosen)
    return found


def _dangers_found(head: FittedHead, chosen: Mapping[str, float]) -> str:
    sure = head.probabilities[:, head.config["labels"].index(labels.DANGER)]
    taken = sure >= np.array([chosen.get(danger.signs(text), chosen["danger"]) for text in head.judged_texts])
    truth = np.array([label == labels.DANGER for label in head.judged])
    precision = f"{truth[taken].mean():.1%}" if taken.any() else "—"
    return f"三项合起来：危险找全 {taken[truth].mean():.1%}，判为危险的正确 {precision}"


def _learning(folder: Path, run: Run, font: str | None) -> str:
    title = "<h2>学习曲线</h2>"
    if not run.history:
        return title + "<p>这一次没有微调编码器，只训练了各个头，所以没有学习曲线。</p>"
    charts.learning_curve(folder / "learning.png", run.history, font)
    rows = [(int(h["epoch"]), h["loss"], h.get("judged", "—")) for h in run.history]
    caption = "每一轮的平均损失。实线：训练的句子；虚线：没有参加训练的校准句，它最低的一轮留作模型。"
    return title + _picture("learning.png", caption) + _table(("轮", "训练损失", "校准句损失"), rows)


def _overview(run: Run) -> str:
    rows: list[tuple[Cell, ...]] = [
        (_HEADS.get(name, name), *(int(head.figures[key]) for key in ("trained", "judged")), *_quality(head))
        for name, head in run.heads.items()
    ]
    return "<h2>各个头</h2>" + _table(("头", "训练条数", "校准条数", "正确率", "macro-F1", "ECE"), rows)


def _quality(head: FittedHead) -> list[float]:
    return [head.figures[key] for key in ("accuracy", "macro_f1", "ece")]


def _head(folder: Path, name: str, head: FittedHead, run: Run, font: str | None) -> str:
    found = figures(head.judged, _answers(head)[0])["per_class"] if head.judged else {}
    parts = [
        f'<section class="head"><h2>{escape(_HEADS.get(name, name))}（{escape(name)}）</h2>',
        _table(("正确率", "macro-F1", "ECE", "向量的系数", "n-gram 的系数"),
               [(*_quality(head), head.figures["vectors"], head.figures["ngrams"])]),
    ]  # fmt: skip
    if not head.judged:
        return "".join(parts) + "<p>没有校准句，无从评判。</p></section>"
    rows = [(label, *(v[key] for key in ("support", "precision", "recall", "f1"))) for label, v in found.items()]
    parts += [
        _confusion(folder, name, head, font),
        _calibration(folder, name, head, font),
        f"<h3>最有把握的错误（至多 {_MISTAKES} 条）</h3>",
        _mistakes(head, run.unquoted),
        "<h3>逐类</h3>",
        _table(("类别", "条数", "精确率", "召回率", "F1"), rows),
    ]
    return "".join(parts) + "</section>"


def _confusion(folder: Path, name: str, head: FittedHead, font: str | None) -> str:
    guesses = _answers(head)[0]
    occurring = set(head.judged) | set(guesses)
    names = [label for label in head.config["labels"] if label in occurring]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, ([names.index(label) for label in head.judged], [names.index(guess) for guess in guesses]), 1)
    caption = "行是标注，列是模型的回答，颜色是占该行的份额。"
    if len(names) > _MOST_CLASSES:
        kept = _most_confused(counts)
        caption += f"共 {len(names)} 类，只画最常混淆的 {len(kept)} 类。"
        names, counts = [names[i] for i in kept], counts[np.ix_(kept, kept)]
    numbered = font is None and not all(label.isascii() for label in names)
    shown = [str(number) for number in range(1, len(names) + 1)] if numbered else names
    charts.confusion(folder / f"{name}-confusion.png", counts, shown, font)
    legend = _table(("编号", "类别"), [*enumerate(names, 1)]) if numbered else ""
    return "<h3>混淆矩阵</h3>" + _picture(f"{name}-confusion.png", caption) + legend


def _most_confused(counts: npt.NDArray[np.int64]) -> list[int]:
    """The classes with the most mistakes, as the right label or as the answer, in their own order."""
    wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    return sorted(np.argsort(-wrong, kind="stable")[:_SHOWN_CLASSES].tolist())


def _calibration(folder: Path, name: str, head: FittedHead, font: str | None) -> str:
    guesses, confidence = _answers(head)
    right = np.array([g == label for g, label in zip(guesses, head.judged, strict=True)])
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins = [place == number for number in range(_BINS) if (place == number).any()]
    truth = np.array([head.config["labels"].index(label) for label in head.judged])
    error = calibration_error(head.probabilities, truth, _BINS)
    points = [float(confidence[b].mean()) for b in bins], [float(right[b].mean()) for b in bins]
    charts.calibration(folder / f"{name}-calibration.png", *points, error, font)
    caption = f"横轴是模型的把握，纵轴是实际的正确率，落在虚线上最好。期望校准误差 ECE {error:.4f}（{_BINS} 段）。"
    return "<h3>校准</h3>" + _picture(f"{name}-calibration.png", caption, "small")


def _mistakes(head: FittedHead, unquoted: frozenset[str]) -> str:
    guesses, confidence = _answers(head)
    wrong = [i for i, (guess, label) in enumerate(zip(guesses, head.judged, strict=True)) if guess != label]
    wrong.sort(key=lambda i: -confidence[i])
    rows = [
        (_quoted(head.judged_texts[i], unquoted), head.judged[i], guesses[i], f"{confidence[i]:.1%}")
        for i in wrong[:_MISTAKES]
    ]
    return _table(("句子", "标注", "模型的回答", "把握"), rows) if rows else "<p>没有错误。</p>"


def _quoted(text: str, unquoted: frozenset[str]) -> str:
    if text in unquoted:
        return f"（公开数据里的一条，{len(text)} 字，不引用）"
    text = masked(text)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "……"


def _answers(head: FittedHead) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The most probable label of every judging row and its probability."""
    names = head.config["labels"]
    return [names[i] for i in head.probabilities.argmax(1)], head.probabilities.max(1)


def _picture(name: str, caption: str, size: str = "wide") -> str:
    image = f'<img class="{size}" src="{escape(name)}" alt="{escape(caption)}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n"


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="n">{f"{value:.4f}" if isinstance(value, float) else value}</td>'
