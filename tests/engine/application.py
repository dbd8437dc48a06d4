"""A small application for Rasa to call: real HTTP, the contract's two addresses, answers that a test chooses."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.servers import free_port

SECRET = "engine-test-secret"
INTENTS = {"你好": "greet", "出错": "fail", "投诉": "ask_form"}


def understand(text: str) -> dict[str, Any]:
    """The parse result of a text; a text that ends in 路 is a place."""
    is_place = text.endswith("路")
    intent = INTENTS.get(text, "inform_place" if is_place else "nlu_fallback")
    entities = [{"entity": "place", "value": text, "start": 0, "end": len(text)}] if is_place else []
    label = {"name": intent, "confidence": 0.9}
    understanding = {"intent": intent, "model_version": "test"}
    return {
        "text": text,
        "intent": label,
        "intent_ranking": [label],
        "entities": entities,
        "understanding": understanding,
    }


class Application:
    """`calls` holds what Rasa asked; `broken` names actions that answer 500, or `reader`; `slow` holds them up."""

    def __init__(self) -> None:
        self.port = free_port()
        self.reset()

    def reset(self) -> None:
        """Healthy again, with nothing remembered."""
        self.calls: list[dict[str, Any]] = []
        self.reads: list[dict[str, Any]] = []
        self.broken: set[str] = set()
        self.slow: dict[str, float] = {}

    @property
    def nlu_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/internal/nlu"

    @property
    def actions_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/internal/actions"

    async def read(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.reads.append(body)
        if body.get("token") != SECRET:
            return JSONResponse({"error": "wrong secret"}, 403)
        if "reader" in self.broken:
            return JSONResponse({"error": "broken"}, 500)
        return JSONResponse(understand(body["text"]))

    async def act(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.calls.append(body)
        name, tracker = body["next_action"], body["tracker"]
        if request.query_params.get("token") != SECRET:
            return JSONResponse({"error": "wrong secret"}, 403)
        await asyncio.sleep(self.slow.get(name, 0))
        if name in self.broken:
            return JSONResponse({"error": tracker["latest_message"]["text"]}, 500)
        return JSONResponse(self.answer(name, tracker))

    def answer(self, name: str, tracker: dict[str, Any]) -> dict[str, Any]:
        slots = tracker["slots"]
        turns = sum(event["event"] == "user" for event in tracker["events"])
        if name == "action_place":
            text = f"记下了：{slots['place']}\n\n这是第{turns}句。"
            buttons = [{"title": "确认", "payload": "确认提交"}]
            custom = {"citations": [{"document": "d1"}], "ticket": {"number": "MS1"}}
            return {"events": [], "responses": [{"text": text, "buttons": buttons, "custom": custom}]}
        if name == "action_submit":
            return {"events": [], "responses": [{"text": f"已提交：{slots['place']}"}]}
        if name == "validate_ticket_form":
            return {"events": [{"event": "slot", "name": "place", "value": slots["place"]}], "responses": []}
        return {"events": [], "responses": [{"text": f"角色：{slots['role']}"}]}


@contextlib.contextmanager
def serve() -> Iterator[Application]:
    """Serve an `Application` on a free port in a thread."""
    application = Application()
    app = FastAPI()
    app.add_api_route("/internal/nlu/model/parse", application.read, methods=["POST"])
    app.add_api_route("/internal/actions", application.act, methods=["POST"])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=application.port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield application
    finally:
        server.should_exit = True
        thread.join()
