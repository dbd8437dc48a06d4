"""A resident's side of the public HTTP API, for the terminal and the replay. Knows HTTP and nothing of the inside."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import typer

from assistant.settings import get_settings

HOW_TO_START = "没有连上 {url}。请先启动服务：make serve（或 minsheng serve），也可以用 --url 指定别的地址。"
PATIENCE = 8  # tries of one request while the server is busy or restarts


class ApiProblem(Exception):
    """The server answered with an error; `detail` is Chinese and safe to show."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


@dataclass(frozen=True, slots=True)
class Conversation:
    """An open conversation and the token that opens it."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class PublicApi:
    """`async with PublicApi(url) as api`. Raises ApiProblem for errors and httpx.TransportError without a server."""

    def __init__(
        self, base_url: str, *, timeout_s: float = 90, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        timeout = httpx.Timeout(timeout_s, connect=10)
        # trust_env=False: a proxy meant for the outside must not stand before our own server.
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=64),
        )

    async def __aenter__(self) -> "PublicApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def open(self) -> Conversation:
        body = await self._json("POST", "/api/v1/conversations")
        return Conversation(body["id"], body["token"])

    async def send(self, conversation: Conversation, text: str, client_message_id: str) -> dict[str, Any]:
        """The answers to one message: `{messages, handover}`. Safe to repeat with the same `client_message_id`."""
        path = f"/api/v1/conversations/{conversation.id}/messages"
        body = {"text": text, "client_message_id": client_message_id}
        answer: dict[str, Any] = await self._json("POST", path, json=body, headers=conversation.headers)
        return answer

    async def later(self, conversation: Conversation, answer: dict[str, Any], *, wait_s: float) -> dict[str, Any]:
        """What `answer` becomes: the same, unless it only says that the assistant will answer later; then that."""
        messages, deadline = answer["messages"], time.monotonic() + wait_s
        if not messages or answer["handover"] or any(message["sender"] != "system" for message in messages):
            return answer
        while time.monotonic() < deadline:
            await asyncio.sleep(1)
            news = await self.since(conversation, messages[-1]["id"])
            if any(message["sender"] in ("assistant", "agent") for message in news["messages"]):
                return {**news, "messages": [m for m in news["messages"] if m["sender"] != "resident"]}
        return answer

    async def since(self, conversation: Conversation, after: int) -> dict[str, Any]:
        """Everything said after the message with the id `after`, by anybody."""
        path = f"/api/v1/conversations/{conversation.id}/messages"
        answer: dict[str, Any] = await self._json("GET", path, params={"after": after}, headers=conversation.headers)
        return answer

    async def events(self, conversation: Conversation, after: int) -> AsyncIterator[tuple[str, Any]]:
        """`("message", {...})` and `("handover", {...} | None)` as they happen, until the server closes."""
        path = f"/api/v1/conversations/{conversation.id}/events"
        headers = {**conversation.headers, "Last-Event-ID": str(after)}
        async with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(60, connect=10)) as response:
            if response.status_code != 200:
                await response.aread()
                raise _problem(response)
            kind, data = "message", ""
            async for line in response.aiter_lines():
                field, _, value = line.partition(":")
                if field == "event":
                    kind = value.strip()
                elif field == "data":
                    data += value.removeprefix(" ")
                elif not line:
                    if data:
                        yield kind, json.loads(data)
                    kind, data = "message", ""

    async def ticket(self, number: str, conversation: Conversation) -> dict[str, Any]:
        answer: dict[str, Any] = await self._json("GET", f"/api/v1/tickets/{number}", headers=conversation.headers)
        return answer

    async def dispatched_since(self, start: str) -> list[dict[str, Any]]:
        """Requests that the built-in dispatch desk got since `start` (ISO time), over Open311, as anybody sees them."""
        found: list[dict[str, Any]] = []
        while True:
            params = {"start_date": start, "page": len(found) // 100 + 1, "page_size": 100}
            rows = await self._json("GET", "/desk/open311/v2/requests.json", params=params)
            found += rows
            if len(rows) < 100:
                return found

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        """One request; waits and tries again while the server is overloaded or restarting, as a patient client does."""
        for attempt in range(PATIENCE):
            response = await self._http.request(method, path, **options)
            if response.status_code not in (429, 502, 503) or attempt == PATIENCE - 1:
                break
            await asyncio.sleep(_retry_after(response, attempt))
        if response.is_error:
            raise _problem(response)
        return response.json()


def _retry_after(response: httpx.Response, attempt: int) -> float:
    try:
        return min(60.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return float(min(30, 2**attempt))


def _problem(response: httpx.Response) -> ApiProblem:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = "服务器的回答无法识别。"
    return ApiProblem(response.status_code, str(detail))


def run(url: str, work: Callable[[PublicApi], Any]) -> Any:
    """Run `work(api)` to its end; without a server say how to start one and exit with 1."""
    base_url = (url or get_settings().base_url).rstrip("/")

    async def main() -> Any:
        async with PublicApi(base_url) as api:
            return await work(api)

    try:
        return asyncio.run(main())
    except httpx.TransportError:
        typer.echo(HOW_TO_START.format(url=base_url), err=True)
    except httpx.InvalidURL:
        typer.echo(f"地址不对：{base_url}。应写成 http://127.0.0.1:8000 这样。", err=True)
    except ApiProblem as problem:
        typer.echo(f"{problem.detail}（{problem.status}）", err=True)
    raise typer.Exit(1)
