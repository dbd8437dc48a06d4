"""`minsheng chat`: the resident's conversation in a terminal, over the public HTTP API."""

import asyncio
import contextlib
import json
import re
import secrets
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import httpx
import typer
from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assistant.client import ApiProblem, Conversation, PublicApi, run

LABELS = {"assistant": ("助手", "bold cyan"), "agent": ("座席", "bold magenta"), "system": ("系统", "bold yellow")}
WELCOME = "您好，我是市民诉求助手。直接说事就行；输入数字选按钮，说“转人工”找座席，按 Ctrl-D 结束。"
SCRIPT_PATIENCE_S = 120
CITY_ZONE = ZoneInfo("Asia/Shanghai")
# A message must not move the cursor or recolour the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def chat(
    url: Annotated[str, typer.Option(help="服务地址；不写就是本机的设置。")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="每条消息输出一行 JSON。")] = False,
) -> None:
    """在终端里和助手对话；也可以用管道逐行送入要说的话。"""

    async def work(api: PublicApi) -> None:
        await Terminal(api, await api.open(), as_json=as_json).talk()

    run(url, work)


class Terminal:
    """One conversation on standard input and output. With a keyboard, pushes appear above the line being typed."""

    def __init__(self, api: PublicApi, conversation: Conversation, *, as_json: bool) -> None:
        self._api, self._conversation, self._as_json = api, conversation, as_json
        self._console = Console(highlight=False, soft_wrap=not sys.stdin.isatty())
        self._shown: set[int] = set()
        self._last = 0
        self._buttons: list[dict[str, str]] = []
        self._handover: Any = None
        self._interactive = sys.stdin.isatty()

    async def talk(self) -> None:
        with contextlib.ExitStack() as stack:
            listener: asyncio.Task[None] | None = None
            if self._interactive:
                stack.enter_context(patch_stdout(raw=True))
                self._console.print(WELCOME, style="dim")
                listener = asyncio.create_task(self._listen())
            try:
                async for line in self._lines():
                    if text := line.strip():
                        await self._say(self._chosen(text))
            finally:
                if listener is not None:
                    listener.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await listener
        self._take(await self._api.since(self._conversation, self._last))

    async def _lines(self) -> AsyncIterator[str]:
        if not self._interactive:
            while line := await asyncio.to_thread(sys.stdin.readline):
                if not self._as_json and line.strip():
                    self._console.print(Text(f"我：{line.strip()}", style="bold green"))
                yield line
            return
        prompt: PromptSession[str] = PromptSession()
        while True:
            try:
                yield await prompt.prompt_async("我：")
            except (EOFError, KeyboardInterrupt):
                return

    def _chosen(self, text: str) -> str:
        """The number of a button stands for what the button says."""
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(self._buttons):
            button = self._buttons[int(text) - 1]
            return button.get("payload") or button["title"]
        return text

    async def _say(self, text: str) -> None:
        key = f"cli-{secrets.token_hex(12)}"
        try:
            with (
                self._console.status("正在答复……")
                if self._interactive and not self._as_json
                else contextlib.nullcontext()
            ):
                answer = await self._api.send(self._conversation, text, key)
                self._take(answer)
            if not self._interactive:  # a script says its next line to an answer, not into a pause
                self._take(await self._api.later(self._conversation, answer, wait_s=SCRIPT_PATIENCE_S))
        except ApiProblem as problem:
            if problem.status in (401, 404):
                raise
            self._note(problem.detail)

    async def _listen(self) -> None:
        """Show what comes without being asked for: an agent's reply, a ticket's progress."""
        while True:
            try:
                async for kind, data in self._api.events(self._conversation, self._last):
                    self._take({"messages": [data]} if kind == "message" else {"handover": data})
                    if kind == "message":
                        self._last = max(self._last, data["id"])
            except (httpx.HTTPError, ApiProblem):
                await asyncio.sleep(3)

    def _take(self, answer: dict[str, Any]) -> None:
        for message in answer.get("messages", []):
            if message["id"] not in self._shown:
                self._shown.add(message["id"])
                if message["sender"] != "resident":
                    self._show(message)
        if "handover" in answer and answer["handover"] != self._handover:
            self._handover = answer["handover"]
            if self._handover and self._handover.get("state") == "waiting":
                self._note(f"正在等人工座席，前面还有 {self._handover.get('ahead', 0)} 位。")
            elif self._handover:
                self._note("人工座席已接通。")

    def _note(self, text: str) -> None:
        if not self._as_json:
            self._console.print(Text(text, style="yellow"))
        elif text:
            print(json.dumps({"sender": "system", "text": text}, ensure_ascii=False))

    def _show(self, message: dict[str, Any]) -> None:
        self._buttons = message.get("buttons") or []
        if self._as_json:
            print(json.dumps(message, ensure_ascii=False), flush=True)
        else:
            self._console.print(render(message))


def render(message: dict[str, Any]) -> Group:
    """A message as the terminal shows it; what others wrote is never read as markup or as control codes."""
    label, style = LABELS.get(message["sender"], LABELS["system"])
    parts: list[Any] = [Text.assemble((f"{label}：", style), plain(message["text"]))]
    parts += [_source(citation) for citation in message.get("citations") or []]
    if message.get("ticket"):
        parts.append(_ticket(message["ticket"]))
    if buttons := message.get("buttons"):
        parts.append(Text("  ".join(f"[{i}] {plain(b['title'])}" for i, b in enumerate(buttons, 1)), style="blue"))
    return Group(*parts)


def plain(text: str) -> str:
    return _CONTROL.sub("", text)


def _source(citation: dict[str, Any]) -> Text:
    name = (citation.get("title") or citation.get("document") or "").strip("《》")
    start, end = citation.get("valid_from"), citation.get("valid_to")
    validity = f"{start or '……'} 至 {end}" if end else f"{start} 起有效" if start else "有效期未注明"
    parts = [f"依据《{name}》{citation.get('article') or ''}", citation.get("issuer") or "", validity]
    return Text("  " + " · ".join(plain(part) for part in parts if part), style="dim")


def _ticket(ticket: dict[str, Any]) -> Panel:
    table = Table.grid(padding=(0, 2))
    due = ticket.get("due_at")
    when = datetime.fromisoformat(due).astimezone(CITY_ZONE).strftime("%Y年%m月%d日 %H:%M 前") if due else "—"
    for name, value in (
        ("工单号", ticket["number"]),
        ("状态", ticket.get("state")),
        ("承办单位", ticket.get("unit")),
        ("办结时限", when),
    ):
        table.add_row(Text(name, style="dim"), Text(plain(str(value or "—"))))
    return Panel(table, title="工单", expand=False, border_style="red")
