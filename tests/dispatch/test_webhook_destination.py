"""Signed JSON to a city's own system: what is sent, and what its answers mean."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi.responses import JSONResponse, Response

from assistant.db.models import now
from assistant.dispatch.destinations.base import Outgoing, Permanent, RemoteStatus, Retryable
from assistant.dispatch.destinations.webhook import WebhookDestination
from tests.dispatch.conftest import Clock, payload
from tests.dispatch.hook_receiver import SECRET, Hook, hook_server
from tests.servers import free_port


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as running:
        yield running


@pytest.fixture
async def webhook(hook: Hook, clock: Clock) -> AsyncIterator[WebhookDestination]:
    made = WebhookDestination(hook.url, secret=SECRET, status_url=hook.status_url, trust_env=False, clock=clock)
    yield made
    await made.close()


def row(operation: str = "create", **changes: Any) -> Outgoing:
    values = {"key": f"ZZ1:{operation}:1", "ticket_number": "ZZ1", "payload": payload("ZZ1"), "first_attempt_at": now()}
    return Outgoing(operation=operation, **{**values, **changes})


async def test_a_row_arrives_signed_and_whole(hook: Hook, webhook: WebhookDestination, clock: Clock) -> None:
    assert (await webhook.send(row())).remote_id == "W-ZZ1:create:1"
    (told,) = hook.filed.values()
    assert {name: told[name] for name in ("delivery_id", "operation", "ticket_number", "request_id")} == {
        "delivery_id": "ZZ1:create:1",
        "operation": "create",
        "ticket_number": "ZZ1",
        "request_id": None,
    }
    assert told["data"] == payload("ZZ1")
    (headers,) = hook.headers
    assert headers["minsheng-delivery"] == headers["idempotency-key"] == "ZZ1:create:1"
    assert headers["minsheng-timestamp"] == str(int(clock.at.timestamp()))
    # Again, an hour later: another timestamp and signature, the same body, filed once.
    clock.advance(3600)
    assert (await webhook.send(row())).remote_id == "W-ZZ1:create:1"
    assert hook.effects == {("ZZ1", "create"): 1} and len(hook.headers) == 2


async def test_notes_name_the_request_they_belong_to(hook: Hook, webhook: WebhookDestination) -> None:
    note = row("supplement", payload={"ticket_number": "ZZ1", "text": "更严重了"}, parent_id="W-7")
    assert (await webhook.send(note)).remote_id == "W-7"
    (told,) = hook.filed.values()
    assert (told["request_id"], told["data"]) == ("W-7", {"ticket_number": "ZZ1", "text": "更严重了"})
    for wrong, code in ((row("supplement"), "no_parent"), (row("sing", parent_id="W-7"), "unknown_operation")):
        with pytest.raises(Permanent) as refused:
            await webhook.send(wrong)
        assert refused.value.code == code
    assert len(hook.filed) == 1


async def test_elements_have_the_names_that_people_know(hook: Hook) -> None:
    names = {"employer": "用人单位"}
    webhook = WebhookDestination(hook.url, secret=SECRET, element_names=names, trust_env=False)
    await webhook.send(row(payload=payload("ZZ1", elements={"employer": "某公司", "amount": "3万"})))
    await webhook.close()
    (told,) = hook.filed.values()
    assert told["data"]["elements"] == [
        {"code": "employer", "name": "用人单位", "value": "某公司"},
        {"code": "amount", "name": "amount", "value": "3万"},
    ]


async def test_nothing_of_the_requester_leaves(hook: Hook, webhook: WebhookDestination) -> None:
    await webhook.send(row(payload=payload("ZZ1", phone="13812345678", name="王小明", requester={"name": "王小明"})))
    assert "13812345678" not in json.dumps(hook.filed) and "王小明" not in json.dumps(hook.filed, ensure_ascii=False)


FINAL = [
    (JSONResponse({"detail": "没有这个单位"}, 422), "对方回答 422：没有这个单位"),
    (JSONResponse({"error": "bad category"}, 400), "对方回答 400：bad category"),
]
AGAIN: list[tuple[Response, str, float | None]] = [
    (JSONResponse({"detail": "busy"}, 409), "http_409", None),
    (JSONResponse({"detail": "who?"}, 401), "http_401", None),
    (JSONResponse({"detail": "slow down"}, 429, {"Retry-After": "120"}), "http_429", 120.0),
    (JSONResponse({"detail": "maintenance"}, 503, {"Retry-After": "99999999"}), "http_503", 86_400.0),
    (JSONResponse({"detail": "later"}, 503, {"Retry-After": "soon"}), "http_503", None),
    (Response("<html>not deployed</html>", 404), "http_404", None),
    (JSONResponse({"detail": ["a", "list"]}, 400), "http_400", None),
    (Response("", 302, {"Location": "https://elsewhere.example"}), "http_302", None),
    (Response("<html>ok</html>", 200), "garbled", None),
    (Response(b"\xff\xfe", 200), "garbled", None),
    (Response("[" * 100_000, 200), "garbled", None),
    (JSONResponse([], 200), "garbled", None),
    (JSONResponse({"id": None}, 200), "garbled", None),
    (JSONResponse({"id": True}, 200), "garbled", None),
    (JSONResponse({"id": " "}, 200), "garbled", None),
    (JSONResponse({"id": "x" * 81}, 200), "garbled", None),
    (Response(b"x" * (9 * 1024 * 1024), 200), "garbled", None),
]


async def test_a_refusal_with_an_explanation_is_final(hook: Hook, webhook: WebhookDestination) -> None:
    for answer, reason in FINAL:
        hook.answer = answer
        with pytest.raises(Permanent) as refused:
            await webhook.send(row())
        assert refused.value.reason == reason


async def test_everything_else_is_tried_again(hook: Hook, webhook: WebhookDestination) -> None:
    for answer, code, after_s in AGAIN:
        hook.answer = answer
        with pytest.raises(Retryable) as failed:
            await webhook.send(row())
        assert (failed.value.code, failed.value.after_s) == (code, after_s), answer.body[:40]
    nobody = WebhookDestination(f"http://127.0.0.1:{free_port()}/", secret=SECRET, trust_env=False)
    with pytest.raises(Retryable) as failed:
        await nobody.send(row())
    assert failed.value.code == "unreachable"
    await nobody.close()


async def test_a_wrong_secret_is_noticed_and_can_be_mended(hook: Hook) -> None:
    wrong = WebhookDestination(hook.url, secret="x" * 16, trust_env=False)
    with pytest.raises(Retryable) as failed:
        await wrong.send(row())
    assert failed.value.code == "http_401" and hook.filed == {}
    await wrong.close()


async def test_states_are_asked_for_where_there_is_an_address(hook: Hook, webhook: WebhookDestination) -> None:
    hook.states = [
        {"id": "W-1", "state": "resolved", "updated_at": "2026-01-01T00:00:00Z", "public_reply": "已修好"},
        {"id": "W-2", "state": "returned", "reason_code": "属地不符", "note": "在二七区"},
        {"id": "W-3", "state": "dancing"},
        {"id": "W-9", "state": "accepted"},
        {"state": "accepted"},
    ]
    assert await webhook.status(["W-1", "W-2", "W-3"]) == [
        RemoteStatus("W-1", "resolved", "2026-01-01T00:00:00Z", public_reply="已修好"),
        RemoteStatus("W-2", "returned", "", note="在二七区", reason_code="属地不符"),
    ]
    deaf = WebhookDestination(hook.url, secret=SECRET, trust_env=False)
    assert await deaf.status(["W-1"]) == []
    await deaf.close()


@pytest.mark.parametrize("values", [{"url": "ftp://x"}, {"secret": "short"}, {"status_url": "x"}])
def test_a_wrong_definition_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="webhook"):
        WebhookDestination(**{"url": "https://x.example", "secret": SECRET, **values})
