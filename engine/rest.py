"""Rasa's REST channel with honest statuses: `POST /webhooks/rest/webhook` `{sender, message}` → `[{text, …}]`.

Stock Rasa answers 200 with an empty or half a list when an action, the reader, the lock or the tracker store failed,
takes a missing sender for the shared conversation "default", and passes on characters that no database stores.
400: sender or message cannot be used. 503: no model is loaded. 500: the turn failed and nothing of it was saved.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.channels.rest import RestInput
from sanic import Blueprint, response

_SENDER = re.compile(r"[A-Za-z0-9:_-]{1,64}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

log = structlog.get_logger()


class WholeTexts(CollectingOutputChannel):  # type: ignore[misc]
    """Collects answers as they are; stock Rasa cuts a text at its blank lines and loses what belongs to which part."""

    async def send_text_message(self, recipient_id: str, text: str, **_: Any) -> None:
        """Collect one text."""
        await self._persist_message(self._message(recipient_id, text=text.strip()))


class StrictRestInput(RestInput):  # type: ignore[misc]
    """The channel `rest` of credentials.yml."""

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Routes below `/webhooks/rest`: `GET /` tells whether a model is loaded, `POST /webhook` holds one turn."""
        routes = Blueprint("strict_rest", __name__)

        @routes.route("/", methods=["GET"])
        async def health(request: Any) -> response.HTTPResponse:
            agent = getattr(request.app.ctx, "agent", None)
            if agent is None or not agent.is_ready():
                return response.json({"status": "no model"}, status=503)
            return response.json({"status": "ok", "model": agent.model_name})

        @routes.route("/webhook", methods=["POST"])
        async def receive(request: Any) -> response.HTTPResponse:
            agent = getattr(request.app.ctx, "agent", None)
            if agent is None or not agent.is_ready():
                return response.json({"error": "no model"}, status=503)
            body = request.json if isinstance(request.json, dict) else {}
            sender, text = body.get("sender"), body.get("message")
            if not isinstance(sender, str) or not _SENDER.fullmatch(sender):
                return response.json({"error": "bad sender"}, status=400)
            if not isinstance(text, str) or not text.strip() or _UNSTORABLE.search(text):
                return response.json({"error": "bad message"}, status=400)
            collector = WholeTexts()
            message = UserMessage(text, collector, sender, input_channel=self.name())
            try:
                await on_new_message(message)
            except asyncio.CancelledError:
                log.error("rest.turn.given_up", sender=sender)
                raise
            except Exception:
                log.exception("rest.turn.failed", sender=sender)
                return response.json({"error": "turn failed"}, status=500)
            return response.json(collector.messages)

        return routes
