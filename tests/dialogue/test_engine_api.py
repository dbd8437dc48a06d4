import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actions.engine_api import action_handlers, build_router
from tests.dialogue.fakes import FakeServices

SECRET = "s3cret"
SAID = "我住花园路八十五号"


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
async def engine(services: FakeServices) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(services, SECRET))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        yield client


async def parse(engine: httpx.AsyncClient, text: object, token: object = SECRET) -> httpx.Response:
    body = {"token": token, "text": text, "message_id": "c1:0"}
    return await engine.post("/internal/nlu/model/parse", json=body)


def call(action: str, **slots: Any) -> dict[str, Any]:
    understanding = {
        "intent": "greet",
        "request_type": "咨询",
        "category": {"level1": "民政", "level2": None},
        "urgency": "一般",
        "entities": [],
        "confidence": {},
        "model_version": "test",
    }
    message = {"text": SAID, "intent": {"name": "greet"}, "understanding": understanding}
    user = {"event": "user", "text": SAID, "parse_data": message}
    return {
        "next_action": action,
        "sender_id": "c1:0",
        "version": "3.6.21",
        "tracker": {
            "sender_id": "c1:0",
            "slots": slots,
            "latest_message": message,
            "events": [{"event": "action", "name": "action_listen"}, user],
            "active_loop": {},
        },
    }


async def act(engine: httpx.AsyncClient, body: object, token: str | None = SECRET) -> httpx.Response:
    return await engine.post("/internal/actions", json=body, params={"token": token} if token is not None else {})


async def test_a_text_is_parsed_for_rasa(engine: httpx.AsyncClient, services: FakeServices) -> None:
    services.reader.teach("二七区大学路", "inform_place", place="二七区大学路")
    answer = (await parse(engine, "二七区大学路")).json()
    assert answer["text"] == "二七区大学路"
    assert answer["intent"] == {"name": "inform_place", "confidence": 0.95}
    assert answer["entities"] == []
    assert answer["understanding"]["entities"] == [{"type": "place", "text": "二七区大学路", "start": 0, "end": 6}]


@pytest.mark.parametrize(
    "text", ["/restart", '/greet{"role": "admin"}', "/session_start", "／deny", "", "\u200b", "EXTERNAL: restart"]
)
async def test_a_command_is_a_text_like_any_other(engine: httpx.AsyncClient, text: str) -> None:
    answer = (await parse(engine, text)).json()
    assert answer["intent"]["name"] == "nlu_fallback" and answer["text"] == text


@pytest.mark.parametrize("token", ["", "wrong", SECRET + "x", None, 7, ["s3cret"]])
async def test_the_reader_needs_the_secret(engine: httpx.AsyncClient, token: object) -> None:
    answer = await parse(engine, SAID, token)
    assert answer.status_code == 401 and SAID not in answer.text


@pytest.mark.parametrize("token", [None, "", "wrong", "密钥"])
async def test_an_action_needs_the_secret(engine: httpx.AsyncClient, token: str | None) -> None:
    assert (await act(engine, call("action_greet"), token)).status_code == 401


@pytest.mark.parametrize("text", [None, 7, {"a": 1}, "长" * 20_001])
async def test_a_text_that_is_none_is_refused(engine: httpx.AsyncClient, text: object) -> None:
    assert (await parse(engine, text)).status_code == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"next_action": 1}', b'{"tracker": []}'])
async def test_a_malformed_call_is_refused_without_an_echo(engine: httpx.AsyncClient, body: bytes) -> None:
    answer = await engine.post("/internal/actions", params={"token": SECRET}, content=body)
    # Never 400: Rasa would take it for an action that declines.
    assert answer.status_code == 422
    assert answer.json() == {"action_name": None, "error": "MalformedCall"}


async def test_an_action_runs(engine: httpx.AsyncClient) -> None:
    answer = await act(engine, call("action_greet"))
    assert answer.status_code == 200
    body = answer.json()
    assert "12345" in body["responses"][0]["text"] and body["events"] == []


async def test_an_unknown_action_is_said_so(engine: httpx.AsyncClient) -> None:
    answer = await act(engine, call("action_of_nobody"))
    assert (answer.status_code, answer.json()["error"]) == (404, "UnknownAction")


async def test_a_failure_tells_nothing_of_what_was_written(
    engine: httpx.AsyncClient, services: FakeServices, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(conversation_id: str, reason: str) -> int:
        raise RuntimeError(f"cannot store {SAID}")

    services.request_human = fail  # type: ignore[method-assign]
    answer = await act(engine, call("action_request_human"))
    assert answer.status_code == 500
    assert answer.json() == {"action_name": "action_request_human", "error": "RuntimeError"}
    logged = capsys.readouterr()
    assert SAID not in logged.out + logged.err


async def test_a_turn_that_nobody_read_is_not_guessed_at(engine: httpx.AsyncClient) -> None:
    """Rasa goes on with an empty intent when the reader fails; the action must not."""
    body = call("validate_ticket_form")
    body["tracker"]["latest_message"] = {"text": SAID, "intent": {"name": ""}, "entities": []}
    assert (await act(engine, body)).status_code == 503


@pytest.mark.parametrize("name", sorted(action_handlers()))
async def test_every_action_survives_a_bare_tracker(engine: httpx.AsyncClient, name: str) -> None:
    answer = await act(engine, call(name))
    assert answer.status_code == 200
    assert set(answer.json()) == {"events", "responses"}
    json.dumps(answer.json())


def test_an_empty_secret_is_refused(services: FakeServices) -> None:
    with pytest.raises(ValueError, match="empty"):
        build_router(services, "")  # type: ignore[arg-type]
