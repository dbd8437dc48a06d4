"""The dialogue engine as the application sees it. The only module, with `supervisor`, that knows it is Rasa.

A turn is one `POST /webhooks/rest/webhook` (`engine/rest.py` gives it honest statuses). Whether a failed turn may be
sent again: yes, the engine saves nothing of it; actions that already ran are protected by their own keys.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import aiohttp

SENDER_ID = re.compile(r"[A-Za-z0-9:_-]{1,64}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class EngineUnavailable(Exception):
    """The engine cannot be reached, has no model yet, or took too long. The message can be sent again later."""


class EngineFailed(Exception):
    """The engine answered, but the turn failed or its answer is empty or unreadable."""


@dataclass(slots=True)
class EngineReply:
    """One answer of a turn: a text with what belongs to it."""

    text: str = ""
    buttons: list[dict[str, str]] = field(default_factory=list)  # {title, payload}
    citations: list[dict[str, Any]] = field(default_factory=list)
    ticket: dict[str, Any] | None = None
    handover: dict[str, Any] | None = None

    def add(self, custom: dict[str, Any]) -> None:
        """Merge a custom item of the engine into this reply."""
        self.citations.extend(custom.get("citations") or [])
        self.ticket = custom.get("ticket") or self.ticket
        self.handover = custom.get("handover") or self.handover


class EngineClient:
    """Sends one turn at a time per conversation; the caller keeps the order.

    `base_url` is the engine's address without a path; `timeout_s` limits a whole turn and must lie above the engine's
    own limits (17 s, see `engine/patches.py`), because a turn that is given up is undone in the engine.
    """

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, not {timeout_s}")
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 3.0))
        self._session: aiohttp.ClientSession | None = None

    async def send(self, sender_id: str, text: str) -> list[EngineReply]:
        """One turn: the replies to `text`, at least one.

        Raises `EngineUnavailable`, `EngineFailed`, and `ValueError` for a sender id of another form than
        `[A-Za-z0-9:_-]{1,64}` (an empty one would be everybody's shared conversation) and for a text with a NUL or a
        lone surrogate, which no database stores; the guard has removed them before.
        """
        if not SENDER_ID.fullmatch(sender_id):
            raise ValueError("bad sender id")
        if _UNSTORABLE.search(text):
            raise ValueError("unstorable text")
        try:
            async with self._http().post(
                f"{self._base_url}/webhooks/rest/webhook", json={"sender": sender_id, "message": text}
            ) as response:
                status, body = response.status, await response.read()
        except TimeoutError as error:
            raise EngineUnavailable("no answer in time") from error
        except aiohttp.ClientError as error:
            raise EngineUnavailable(type(error).__name__) from error
        if status == 503:
            raise EngineUnavailable("no model loaded")
        if status != 200:
            raise EngineFailed(f"status {status}")
        return _replies(body)

    async def ready(self) -> bool:
        """Whether the engine answers and has a model loaded."""
        limit = aiohttp.ClientTimeout(total=5.0)
        try:
            async with self._http().get(f"{self._base_url}/webhooks/rest/", timeout=limit) as response:
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        if self._session is not None:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        # aiohttp wants a running loop. The engine is on loopback: no proxy of the environment sees a resident's words.
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=False)
        return self._session


def _replies(body: bytes) -> list[EngineReply]:
    try:
        items = json.loads(body)
    except ValueError:
        raise EngineFailed("answer is no JSON") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise EngineFailed("answer is no list of messages")
    replies: list[EngineReply] = []
    for item in items:
        if text := item.get("text"):
            replies.append(EngineReply(text=str(text), buttons=list(item.get("buttons") or [])))
        if isinstance(custom := item.get("custom"), dict):
            if not replies:
                replies.append(EngineReply())
            replies[-1].add(custom)
    if not replies:
        # Rasa's way to say that something went wrong, and nothing a resident could be shown.
        raise EngineFailed("empty answer")
    return replies
