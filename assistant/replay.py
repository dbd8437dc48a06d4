"""`minsheng replay`: real messages through the public HTTP API, one conversation a row, and what became of each.

A row with `title` and `text` is a request: it must end in a ticket that reaches the dispatch desk once. A row with
`question` is a question: it must be answered with a citation, or honestly not.
"""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from assistant.client import ApiProblem, Conversation, PublicApi, run
from assistant.dispatch.destinations.open311_message import reference
from assistant.replay_script import MAX_TURNS, Resident, honest_not_found

SETTLE_S = 3.0  # after the last arrival, a second copy would have come by then
WITHHELD = "（内容不公开）"


@dataclass
class Outcome:
    """What became of one row. `result`: ticket, cited, not_found, neither, stuck."""

    row: int
    kind: str
    result: str = "stuck"
    reason: str = ""
    number: str = ""
    state: str = ""
    turns_ms: list[float] = field(default_factory=list)
    nudged: bool = False
    conversation: Conversation | None = None

    def as_dict(self) -> dict[str, Any]:
        """Nothing of what the resident wrote."""
        return {
            "row": self.row, "kind": self.kind, "result": self.result, "reason": self.reason,
            "ticket": self.number or None, "state": self.state or None, "turns": len(self.turns_ms),
        }  # fmt: skip


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSONL：每行有 title、text 或 question。")],
    limit: Annotated[int, typer.Option(min=1, help="只取前几行。")] = 100,
    url: Annotated[str, typer.Option(help="服务地址；不写就是本机的设置。")] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="同时进行的会话数。")] = 4,
    wait_s: Annotated[float, typer.Option(help="最多等多少秒让工单送到派遣台。")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="只输出 JSON 汇总。")] = False,
) -> None:
    """把真实留言逐条当作居民来说一遍，统计工单、送达、卡住的会话和每轮耗时。"""
    rows = read_rows(file, limit)

    async def work(api: PublicApi) -> dict[str, Any]:
        return await Replay(api, concurrency=concurrency, wait_s=wait_s, quiet=as_json).run(rows)

    report = run(url, work)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        print_report(report)
    if not report["ok"]:
        raise typer.Exit(1)


def read_rows(file: Path, limit: int) -> list[dict[str, str]]:
    """The first `limit` rows. Raises BadParameter with the line for a row that holds neither text nor question."""
    rows: list[dict[str, str]] = []
    with file.open(encoding="utf-8") as lines:
        for line_number, line in enumerate(itertools.islice((line for line in lines if line.strip()), limit), 1):
            try:
                row = json.loads(line)
                words = row["question"] if "question" in row else f"{row['title']}\n{row['text']}"
            except (ValueError, KeyError, TypeError):
                raise typer.BadParameter(
                    f"{file} 第 {line_number} 行应是含 title 和 text，或含 question 的 JSON。"
                ) from None
            rows.append({"kind": "question" if "question" in row else "request", "words": words.strip()})
    return rows


class Replay:
    """Plays rows against a server; residents are independent, each with a conversation of its own."""

    def __init__(self, api: PublicApi, *, concurrency: int, wait_s: float, quiet: bool = False) -> None:
        self._api, self._wait_s, self._quiet = api, wait_s, quiet
        self._slots = asyncio.Semaphore(concurrency)
        # Keys differ between runs: a replay is new residents, not the same words again.
        self._run = f"{time.time_ns():x}"

    async def run(self, rows: Sequence[dict[str, str]]) -> dict[str, Any]:
        """Play every row, wait for delivery, and return the summary."""
        # A little earlier: the desk keeps its own clock.
        started_at = (datetime.now(UTC) - timedelta(seconds=2)).isoformat()
        started = time.perf_counter()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), disable=self._quiet) as progress:
            talking = progress.add_task("对话", total=len(rows))

            async def one(index: int, row: dict[str, str]) -> Outcome:
                async with self._slots:
                    outcome = await self._play(index, row)
                progress.advance(talking)
                return outcome

            outcomes = await asyncio.gather(*(one(index, row) for index, row in enumerate(rows, 1)))
            talked_s = time.perf_counter() - started
            tickets = [outcome for outcome in outcomes if outcome.number]
            delivered = await self._await_delivery(tickets, started_at, progress) if tickets else Delivery()
        return summarise(outcomes, delivered, talked_s)

    async def _play(self, index: int, row: dict[str, str]) -> Outcome:
        outcome = Outcome(index, row["kind"])
        resident = Resident(row["kind"], index)
        text: str | None = row["words"]
        try:
            outcome.conversation = await self._api.open()
            while text is not None and len(outcome.turns_ms) < MAX_TURNS:
                messages = await self._turn(outcome, text)
                if number := next((m["ticket"]["number"] for m in messages if m.get("ticket")), None):
                    outcome.number, outcome.result, outcome.reason = number, "ticket", ""
                    return outcome
                if outcome.kind == "question":
                    outcome.result = judge(messages)
                    return outcome
                text = resident.reply(messages)
            outcome.reason = resident.problem or f"说了 {MAX_TURNS} 轮还没有工单"
        except ApiProblem as problem:
            outcome.reason = f"{problem.status} {problem.detail}"
        finally:
            outcome.nudged = resident.nudged
        return outcome

    async def _turn(self, outcome: Outcome, text: str) -> list[dict[str, Any]]:
        """Say one thing and return the answers; waits when the assistant says that it answers later."""
        assert outcome.conversation is not None
        key = f"replay-{self._run}-{outcome.row}-{len(outcome.turns_ms)}"
        began = time.perf_counter()
        answer = await self._api.send(outcome.conversation, text, key)
        outcome.turns_ms.append((time.perf_counter() - began) * 1000)
        answer = await self._api.later(outcome.conversation, answer, wait_s=self._wait_s)
        messages: list[dict[str, Any]] = answer["messages"]
        return messages

    async def _await_delivery(self, outcomes: list[Outcome], started_at: str, progress: Progress) -> "Delivery":
        """Ask the desk until it has every ticket, or patience ends; a little later look again, for doubles."""
        task = progress.add_task("送达", total=len(outcomes))
        deadline = time.monotonic() + self._wait_s
        while True:
            delivery = Delivery.of(outcomes, await self._arrived(started_at))
            progress.update(task, completed=len(outcomes) - delivery.missing)
            if not delivery.missing or time.monotonic() > deadline:
                break
            await asyncio.sleep(1)
        for outcome in outcomes:  # what the residents themselves see
            assert outcome.conversation is not None
            outcome.state = (await self._api.ticket(outcome.number, outcome.conversation))["state"]
        await asyncio.sleep(SETTLE_S)
        return Delivery.of(outcomes, await self._arrived(started_at))

    async def _arrived(self, started_at: str) -> list[dict[str, Any]]:
        return await self._api.dispatched_since(started_at)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How often each ticket arrived. Text of confidential requests is not public, so those can only be counted."""

    once: int = 0
    double: int = 0
    missing: int = 0
    withheld: int = 0
    unseen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tickets: Sequence[Outcome], rows: Iterable[dict[str, Any]]) -> "Delivery":
        descriptions = [str(row["description"]) for row in rows]
        withheld = descriptions.count(WITHHELD)
        marks = Counter(line for text in descriptions for line in text.splitlines()[-1:])
        counts = {outcome.number: marks[reference(f"{outcome.number}:create:1")] for outcome in tickets}
        unseen = frozenset(number for number, count in counts.items() if count == 0)
        hidden = min(len(unseen), withheld)
        return cls(
            once=list(counts.values()).count(1) + hidden,
            double=sum(count > 1 for count in counts.values()) + max(0, withheld - len(unseen)),
            missing=len(unseen) - hidden,
            withheld=withheld,
            unseen=unseen if len(unseen) > hidden else frozenset(),
        )


def judge(messages: Iterable[dict[str, Any]]) -> str:
    """Whether a question was answered with a source (`cited`), honestly not (`not_found`), or `neither`."""
    messages = list(messages)
    if any(message.get("citations") for message in messages):
        return "cited"
    return "not_found" if any(honest_not_found(message["text"]) for message in messages) else "neither"


def summarise(outcomes: Sequence[Outcome], delivery: Delivery, talked_s: float) -> dict[str, Any]:
    """The figures of the report; times in milliseconds a turn, as the resident waits."""
    results = Counter(outcome.result for outcome in outcomes)
    requests = [outcome for outcome in outcomes if outcome.kind == "request"]
    questions = [outcome for outcome in outcomes if outcome.kind == "question"]
    turns = sorted(ms for outcome in outcomes for ms in outcome.turns_ms)
    numbers = Counter(outcome.number for outcome in outcomes if outcome.number)
    created = sum(1 for outcome in requests if outcome.number)
    shared = sum(count - 1 for count in numbers.values())
    stuck = sum(1 for outcome in outcomes if outcome.result == "stuck")
    ok = (
        stuck == 0
        and created == len(requests)
        and delivery.once == len(numbers)
        and delivery.double == shared == 0
        and results["neither"] == 0
    )
    kinds = ("cited", "not_found", "neither", "ticket")
    unwell = [o for o in outcomes if o.result in ("stuck", "neither") or o.number in delivery.unseen]
    return {
        "ok": ok,
        "rows": len(outcomes),
        "requests": {
            "n": len(requests),
            "tickets": created,
            "delivered": delivery.once,
            "double": delivery.double + shared,
            "not_delivered": len(numbers) - delivery.once - delivery.double,
            "asked_for_a_ticket": sum(outcome.nudged for outcome in requests),
            "counted_only": delivery.withheld,
            "states": dict(Counter(outcome.state for outcome in requests if outcome.number)),
        },
        "questions": {"n": len(questions), **{kind: sum(o.result == kind for o in questions) for kind in kinds}},
        "stuck": stuck,
        "turns": len(turns),
        "ms_p50": _percentile(turns, 0.50),
        "ms_p95": _percentile(turns, 0.95),
        "talked_s": round(talked_s, 1),
        "not_well": [outcome.as_dict() for outcome in unwell],
    }


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None


def print_report(report: dict[str, Any]) -> None:
    console = Console()
    table = Table(title="重放结果", show_header=False)
    requests, questions = report["requests"], report["questions"]
    if requests["n"]:
        table.add_row("诉求", str(requests["n"]))
        table.add_row("生成工单", str(requests["tickets"]))
        table.add_row(
            "送达派遣台（恰好一次）", f"{requests['delivered']}，其中内容不公开、只能计数的 {requests['counted_only']}"
        )
        table.add_row("没有送达 / 重复送达", f"{requests['not_delivered']} / {requests['double']}")
        table.add_row("工单状态", "，".join(f"{state} {count}" for state, count in requests["states"].items()))
        table.add_row("先得到答复、要求登记后成单", str(requests["asked_for_a_ticket"]))
    if questions["n"]:
        table.add_row("问题", str(questions["n"]))
        table.add_row("附依据答复", str(questions["cited"]))
        table.add_row("如实说没有查到", str(questions["not_found"]))
        table.add_row("都不是", str(questions["neither"] + questions["ticket"]))
    table.add_row("卡住的会话", str(report["stuck"]))
    table.add_row(
        "每轮 p50 / p95",
        f"{report['ms_p50']} / {report['ms_p95']} 毫秒（{report['turns']} 轮，{report['talked_s']} 秒）",
    )
    console.print(table)
    if report["not_well"]:
        problems = Table("行", "结果", "原因", "工单", title="没有办好的")
        for item in report["not_well"][:30]:
            problems.add_row(str(item["row"]), item["result"], item["reason"], item["ticket"] or "—")
        console.print(problems)
    console.print_json(json.dumps(report, ensure_ascii=False))
