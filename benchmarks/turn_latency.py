"""How fast is a turn: the whole of Minsheng beside stock Rasa, on the same conversations in the same run.

    python benchmarks/turn_latency.py [--turns 240] [--residents 1 8 32] [--skip-stock] [--stock-epochs 5] [--json]

Minsheng is a real `minsheng serve` on a free port with a fresh data folder, asked over its public HTTP API: it stores
every message, reads it with BERT, searches policies, writes and pushes tickets. Stock Rasa is 3.6.21 as published
(Jieba, CountVectors, DIET, TED, MemoizationPolicy), trained on the same training data, conversations in memory, with an
action server whose actions only answer. Both are loaded in turn at each number of residents, with the other one idle.
A turn is from the request to its complete answer; percentiles are over turns, in milliseconds.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.conversations import scripts  # noqa: E402
from benchmarks.machine import describe, environment_versions  # noqa: E402
from benchmarks.sides import STOCK_PYTHON, Side, minsheng, stock_rasa  # noqa: E402


async def load(side: Side, residents: int, turns: int, first: int) -> dict[str, Any]:
    """Let `residents` talk at once until `turns` turns are done, in conversations numbered from `first` on."""
    waiting = scripts(first)
    left, milliseconds, unanswered = turns, [], 0

    async def resident(http: httpx.AsyncClient) -> None:
        nonlocal left, unanswered
        while left > 0:
            lines = next(waiting)
            conversation = await side.open(http)
            for line in lines:
                if left <= 0:
                    return
                left -= 1
                began = time.perf_counter()
                answered = await side.say(http, conversation, line)
                milliseconds.append((time.perf_counter() - began) * 1000)
                unanswered += not answered

    async with httpx.AsyncClient(timeout=120, trust_env=False) as http:
        cpu, began = side.cpu_s(), time.perf_counter()
        await asyncio.gather(*(resident(http) for _ in range(residents)))
        wall = time.perf_counter() - began
    spent = {name: (used - cpu[name]) / len(milliseconds) * 1000 for name, used in side.cpu_s().items()}
    quantiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {
        "residents": residents,
        "turns": len(milliseconds),
        "unanswered": unanswered,
        "p50_ms": round(quantiles[49], 1),
        "p95_ms": round(quantiles[94], 1),
        "turns_per_s": round(len(milliseconds) / wall, 1),
        "cpu_ms_per_turn": round(sum(spent.values()), 1),
        "cpu_ms_per_turn_by_process": {name: round(value, 1) for name, value in spent.items()},
    }


def measure(sides: Sequence[Side], residents: Sequence[int], turns: int) -> dict[str, Any]:
    """Warm every side up, then load one after the other at each level."""
    results: dict[str, Any] = {side.name: {"levels": []} for side in sides}
    for side in sides:
        asyncio.run(load(side, 2, 20, 900_000))
    for level, count in enumerate(residents):
        for side in sides:
            print(f"{side.name}: {count} residents …", file=sys.stderr, flush=True)
            results[side.name]["levels"].append(asyncio.run(load(side, count, turns, level * 100_000)))
    for side in sides:
        results[side.name]["memory_mb"] = side.memory_mb()
    return results


def ratios(results: dict[str, Any]) -> list[dict[str, float]]:
    """Stock's time over ours, and our turns a second over stock's: above 1 we are faster."""
    pairs = zip(results["minsheng"]["levels"], results["stock"]["levels"], strict=True)
    return [
        {
            "residents": ours["residents"],
            "p50": round(theirs["p50_ms"] / ours["p50_ms"], 2),
            "p95": round(theirs["p95_ms"] / ours["p95_ms"], 2),
            "turns_per_s": round(ours["turns_per_s"] / theirs["turns_per_s"], 2),
            "cpu": round(theirs["cpu_ms_per_turn"] / ours["cpu_ms_per_turn"], 2),
        }
        for ours, theirs in pairs
    ]


def tables(report: dict[str, Any]) -> Iterator[str]:
    """The report for people."""
    for part in ("machine", "versions"):
        for name, values in report[part].items() if part == "versions" else [("machine", report[part])]:
            yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in values.items())
    columns = ("residents", "turns", "unanswered", "p50_ms", "p95_ms", "turns_per_s", "cpu_ms_per_turn")
    for name, result in report["results"].items():
        memory = ", ".join(f"{process} {size} MiB" for process, size in result["memory_mb"].items())
        yield f"\n{name} (memory: {memory})"
        yield "".join(f"{column:>17}" for column in columns)
        for row in result["levels"]:
            yield "".join(f"{row[column]:>17}" for column in columns)
            by_process = row["cpu_ms_per_turn_by_process"].items()
            yield " " * 17 + "cpu ms per turn: " + ", ".join(f"{process} {value}" for process, value in by_process)
    if "ratios" in report:
        yield "\nminsheng against stock (above 1: minsheng is faster or cheaper)"
        keys = ("residents", "p50", "p95", "turns_per_s", "cpu")
        yield "".join(f"{key:>17}" for key in keys)
        for row in report["ratios"]:
            yield "".join(f"{row[key]:>17}" for key in keys)


def main() -> None:
    """Run, and print tables or JSON. Ends with 1 when a turn of Minsheng was not answered."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=240, help="turns at each number of residents")
    parser.add_argument("--residents", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--skip-stock", action="store_true", help="measure Minsheng alone")
    parser.add_argument("--stock-epochs", type=int, default=5, help="of DIET and TED; speed does not depend on them")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "benchmark", help="where stock's model is kept")
    arguments = parser.parse_args()
    if arguments.turns < 20 or min(arguments.residents) < 1:
        parser.error("at least 20 turns and 1 resident")

    versions = {
        "application": environment_versions(ROOT / ".venv/bin/python", "fastapi", "uvicorn", "onnxruntime", "numpy"),
        "engine": environment_versions(ROOT / "engine/.venv/bin/python", "rasa", "sanic", "numpy"),
    }
    machine = describe()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turn-latency-")))
        sides: list[Side] = []
        if not arguments.skip_stock:
            sides.append(stack.enter_context(stock_rasa(folder, arguments.models, arguments.stock_epochs)))
            versions["stock"] = environment_versions(STOCK_PYTHON, "rasa", "rasa-sdk", "tensorflow", "jieba", "numpy")
        sides.insert(0, stack.enter_context(minsheng(folder)))
        results = measure(sides, arguments.residents, arguments.turns)
    report: dict[str, Any] = {"machine": machine, "versions": versions, "results": results}
    if not arguments.skip_stock:
        report["ratios"] = ratios(results)
    print(json.dumps(report, ensure_ascii=False, indent=2) if arguments.json else "\n".join(tables(report)))
    if any(level["unanswered"] for level in results["minsheng"]["levels"]):
        sys.exit("some turns of Minsheng were not answered")


if __name__ == "__main__":
    main()
