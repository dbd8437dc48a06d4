"""Telegram with python-telegram-bot: long polling, or a webhook. Off until a token is configured.

Answers and pushes take one way: whatever the house has not delivered yet is sent, in order, and marked. So an update
that Telegram repeats changes nothing and sends nothing twice.
"""

import asyncio
import hmac
import json
import logging
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal

# python-telegram-bot reads this; without it, every flood limit raises a deprecation warning.
os.environ.setdefault("PTB_TIMEDELTA", "true")

import structlog
from fastapi import APIRouter, Request, Response
from telegram import Bot, Update
from telegram.constants import ChatAction
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from assistant.errors import ConfigError, MinshengError
from channels import telegram_text as words
from channels.base import Intake

log = structlog.get_logger()

CHANNEL = "telegram"
WEBHOOK_PATH = "/channels/telegram/webhook"
ALLOWED = ["message", "edited_message", "callback_query"]
MAX_BODY_BYTES = 1 << 20
QUEUE_SIZE = 1000
AT_ONCE = 64
STOP_S = 5
TRIES = 3
LOST = "这条消息没能处理好，请再发一次，或者回复“转人工”。"


class TelegramChannel:
    """One bot. `run(stop)` does all the work; in webhook mode also mount `router()`."""

    def __init__(
        self,
        intake: Intake,
        *,
        token: str,
        mode: Literal["polling", "webhook"] = "polling",
        api_url: str = "",
        webhook_url: str = "",
        webhook_secret: str = "",
        push_every_s: float = 1.0,
        poll_timeout_s: int = 25,
        pause_s: float = 3.0,
    ) -> None:
        """
        Args:
            token: of the bot, from BotFather.
            api_url: a Bot API server of one's own, e.g. `http://127.0.0.1:8081`; empty for Telegram's.
            webhook_url: public address of this application, e.g. `https://assistant.example.gov.cn`.
            webhook_secret: 1 to 256 of `A-Za-z0-9_-`; Telegram sends it with every update.
            push_every_s: how often to look for messages that other processes wrote.
            poll_timeout_s: how long one question for updates stays open.
            pause_s: how long to wait after a failure of the network.

        Raises ConfigError for a webhook without address or with a weak or invalid secret.
        """
        if mode == "webhook":
            if not webhook_url.startswith("https://"):
                raise ConfigError("MINSHENG_TELEGRAM_WEBHOOK_URL: a webhook needs a public https:// address")
            if not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", webhook_secret):
                raise ConfigError("MINSHENG_TELEGRAM_WEBHOOK_SECRET: use 16 to 256 of A-Z a-z 0-9 _ -")
        # httpx writes addresses into its log, and the token is part of the address.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._intake, self._mode = intake, mode
        self._webhook_url, self._secret = webhook_url.rstrip("/") + WEBHOOK_PATH, webhook_secret
        self._push_every_s, self._poll_timeout_s, self._pause_s = push_every_s, poll_timeout_s, pause_s
        base_url = f"{(api_url or 'https://api.telegram.org').rstrip('/')}/bot"
        self._bot = Bot(token, base_url, request=_request(16), get_updates_request=_request(1))
        self._queue: asyncio.Queue[Update] = asyncio.Queue(QUEUE_SIZE)
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._sending: asyncio.Task[None] | None = None
        self._tails: dict[int | None, asyncio.Task[None]] = {}  # the last work of each chat

    # --- running ----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; survives everything but a token that Telegram refuses."""
        stopped = asyncio.create_task(stop.wait())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.wait((stopped, work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, work):
                task.cancel()
            ended = await asyncio.gather(stopped, work, return_exceptions=True)
            await self._finish_sending()
            await self._bot.shutdown()
        if isinstance(ended[1], Exception):
            raise ended[1]

    async def _finish_sending(self) -> None:
        if self._sending is not None:
            await asyncio.wait((self._sending,), timeout=STOP_S)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await self._connect()
        except InvalidToken:
            # The error's own words hold the token.
            log.error("telegram_token_refused")
            return
        receive = self._poll if self._mode == "polling" else self._consume
        async with asyncio.TaskGroup() as group:
            group.create_task(receive())
            group.create_task(self._push())

    async def _connect(self) -> None:
        """Tell Telegram how updates shall come; tries until the network is there."""
        while True:
            try:
                await self._bot.initialize()
                if self._mode == "webhook":
                    await self._bot.set_webhook(
                        self._webhook_url, secret_token=self._secret, allowed_updates=ALLOWED, max_connections=20
                    )
                else:
                    # Keeps what came meanwhile: residents wrote it while we were away.
                    await self._bot.delete_webhook(drop_pending_updates=False)
                log.info("telegram_connected", mode=self._mode)
                return
            except InvalidToken:
                raise
            except TelegramError as error:
                await self._wait_after(error, "telegram_connect_failed")

    async def _poll(self) -> None:
        offset: int | None = None
        while True:
            try:
                updates = await self._bot.get_updates(
                    offset=offset, timeout=self._poll_timeout_s, allowed_updates=ALLOWED
                )
            except TelegramError as error:
                await self._wait_after(error, "telegram_poll_failed")
                continue
            # Acknowledged by the next question, so only after the house has stored them.
            await self._take_all(updates)
            if updates:
                offset = updates[-1].update_id + 1

    async def _consume(self) -> None:
        """Work on what the webhook queued: chats beside each other, each in order."""
        async with asyncio.TaskGroup() as group:
            while True:
                update = await self._queue.get()
                await self._room.acquire()
                chat = _chat(update)
                task = group.create_task(self._take_after(self._tails.get(chat), chat, update))
                self._tails[chat] = task

    async def _take_after(self, previous: asyncio.Task[None] | None, chat: int | None, update: Update) -> None:
        if previous is not None:
            await asyncio.wait((previous,))
        try:
            await self._take_in_order([update])
        finally:
            self._room.release()
            if self._tails.get(chat) is asyncio.current_task():
                del self._tails[chat]

    async def _wait_after(self, error: TelegramError, event: str) -> None:
        # The class of the error says enough; its text may hold an address with the token.
        log.warning(event, error=type(error).__name__)
        pause = self._pause_s
        if isinstance(error, RetryAfter):
            pause = _seconds(error.retry_after)
        elif isinstance(error, Conflict):
            log.error("telegram_other_instance", remedy="another process polls with this token, stop one of them")
            pause *= 5
        await asyncio.sleep(pause)

    # --- what residents say -------------------------------------------------------------------------------------------

    async def _take_all(self, updates: Iterable[Update]) -> None:
        by_chat: dict[int | None, list[Update]] = {}
        for update in updates:
            by_chat.setdefault(_chat(update), []).append(update)
        await asyncio.gather(*(self._take_in_order(chat) for chat in by_chat.values()))

    async def _take_in_order(self, updates: list[Update]) -> None:
        for update in updates:
            for attempt in range(1, TRIES + 1):
                try:
                    await self._take(update)
                    break
                except Exception as error:
                    log.error("telegram_update_failed", error=type(error).__name__, attempt=attempt)
                    if attempt == TRIES and (said := words.read(update)):
                        await self._tell(said.chat, LOST)
                    else:
                        await asyncio.sleep(self._pause_s)

    async def _take(self, update: Update) -> None:
        said = words.read(update)
        if update.callback_query is not None:
            await self._quietly(self._bot.answer_callback_query(update.callback_query.id))
        if said is None:
            return
        if said.text is not None:
            await self._quietly(self._bot.send_chat_action(said.chat, ChatAction.TYPING))
            opened = await self._intake.open(CHANNEL, str(said.chat))
            try:
                await self._intake.receive(opened.id, said.text, f"tg:{update.update_id}")
            except MinshengError as refused:
                await self._tell(said.chat, refused.detail)
            self._news.set()
        if said.notice is not None:
            await self._tell(said.chat, said.notice)

    # --- what residents are told --------------------------------------------------------------------------------------

    async def _push(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._push_every_s):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self._deliver()
            except TelegramError as error:
                await self._wait_after(error, "telegram_push_failed")
            except Exception as error:
                log.error("telegram_push_failed", error=type(error).__name__)
                await asyncio.sleep(self._pause_s)

    async def _deliver(self) -> None:
        for message, chat in await self._intake.undelivered(CHANNEL):
            # Shielded: a stop between sending and marking would send it again at the next start.
            self._sending = asyncio.create_task(self._deliver_one(message, int(chat)))
            await asyncio.shield(self._sending)

    async def _deliver_one(self, message: dict[str, Any], chat: int) -> None:
        try:
            await self._send(chat, words.written(message), message)
        except (Forbidden, BadRequest) as error:
            # The resident has blocked the bot or left: it will never arrive.
            log.warning("telegram_undeliverable", message=message["id"], error=type(error).__name__)
        await self._intake.mark_delivered(message["id"])

    async def _send(self, chat: int, parts: list[str], message: dict[str, Any]) -> None:
        for number, part in enumerate(parts, 1):
            markup = words.keyboard(message.get("buttons")) if number == len(parts) else None
            while True:
                try:
                    await self._bot.send_message(chat, part, reply_markup=markup)
                    break
                except RetryAfter as limit:
                    # Here and not above: what was sent of a long message must not be sent again.
                    log.info("telegram_flood_limit", seconds=_seconds(limit.retry_after))
                    await asyncio.sleep(_seconds(limit.retry_after))

    async def _tell(self, chat: int, text: str) -> None:
        """A word of the channel itself, not kept; lost if the network is."""
        await self._quietly(self._bot.send_message(chat, text))

    async def _quietly(self, call: Any) -> None:
        try:
            await call
        except TelegramError as error:
            log.info("telegram_call_failed", error=type(error).__name__)

    # --- webhook ------------------------------------------------------------------------------------------------------

    def router(self) -> APIRouter:
        """The webhook: who calls is checked before the body is read, the answer goes out before the work begins."""
        router = APIRouter(include_in_schema=False)

        @router.post(WEBHOOK_PATH)
        async def webhook(request: Request) -> Response:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return Response(status_code=415)
            offered = request.headers.get("x-telegram-bot-api-secret-token", "")
            if not self._secret or not hmac.compare_digest(offered.encode(), self._secret.encode()):
                return Response(status_code=403)
            body = await _read(request)
            if body is None:
                return Response(status_code=413)
            try:
                update = Update.de_json(json.loads(body), self._bot)
            except (ValueError, TypeError, KeyError, AttributeError):
                return Response(status_code=400)
            try:
                self._queue.put_nowait(update)
            except asyncio.QueueFull:
                return Response(status_code=503)  # Telegram sends it again
            return Response(status_code=200)

        return router


def _chat(update: Update) -> int | None:
    return update.effective_chat.id if update.effective_chat else None


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _request(connections: int) -> HTTPXRequest:
    return HTTPXRequest(connection_pool_size=connections, connect_timeout=10, read_timeout=20, pool_timeout=20)


def _seconds(pause: float | timedelta) -> float:
    return pause.total_seconds() if isinstance(pause, timedelta) else float(pause)
