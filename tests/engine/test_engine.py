"""The client against a real Rasa: what a turn gives, and that every failure is one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from assistant.conversations.engine import EngineClient, EngineFailed, EngineReply, EngineUnavailable
from tests.engine.application import SECRET, Application
from tests.engine.conftest import Engines, RunningEngine

pytestmark = pytest.mark.engine


async def test_a_text_stays_whole_and_takes_its_custom_item(engine: RunningEngine) -> None:
    assert await engine.client.send("whole:0", "花园路") == [
        EngineReply(
            text="记下了：花园路\n\n这是第1句。",
            buttons=[{"title": "确认", "payload": "确认提交"}],
            citations=[{"document": "d1"}],
            ticket={"number": "MS1"},
        )
    ]


async def test_the_reader_and_the_actions_get_the_secret_and_the_understanding(
    engine: RunningEngine, application: Application
) -> None:
    application.calls.clear()
    application.reads.clear()
    await engine.say("secret:0", "建设路")
    assert application.reads == [{"token": SECRET, "text": "建设路", "message_id": "secret:0"}]
    latest = application.calls[0]["tracker"]["latest_message"]
    assert latest["understanding"] == {"intent": "inform_place", "model_version": "test"}


async def test_slash_commands_are_only_text(engine: RunningEngine, application: Application) -> None:
    await engine.say("slash:0", "花园路")
    for text in ("/restart", "/session_start", '/inform_place{"place":"x"}', '/inform_role{"role":"admin"}'):
        with pytest.raises(EngineFailed):  # read as nothing known: the tiny project has no fallback answer
            await engine.client.send("slash:0", text)
    application.calls.clear()
    await engine.say("slash:0", "建设路")
    tracker = application.calls[0]["tracker"]
    assert tracker["slots"]["place"] == "建设路"
    assert tracker["slots"]["role"] is None
    users = [event["text"] for event in tracker["events"] if event["event"] == "user"]
    assert users[0] == "花园路", "the conversation was restarted"


async def test_characters_that_no_database_stores_are_refused(engine: RunningEngine) -> None:
    for sender, message in (
        ("nul:0", "花园\x00路"),
        ("nul:0", "花园\ud800路"),
        ("n\x00l", "花园路"),
        ("", "花园路"),
        (None, "花园路"),
        ("x" * 65, "花园路"),
        ("nul:0", " "),
        ("nul:0", None),
    ):
        body = json.dumps({"sender": sender, "message": message})
        async with httpx.AsyncClient(base_url=engine.supervisor.base_url, trust_env=False) as http:
            response = await http.post("/webhooks/rest/webhook", content=body)
        assert response.status_code == 400, (sender, message)
    for sender in ("", "a b", "张三", "n\x00l", "x" * 65):
        with pytest.raises(ValueError, match="sender"):
            await engine.client.send(sender, "花园路")
    for text in ("花园\x00路", "花园\ud800路"):
        with pytest.raises(ValueError, match="unstorable"):
            await engine.client.send("nul:0", text)
    assert engine.supervisor.restarts == 0


async def test_a_failed_action_fails_the_turn_and_saves_nothing(
    engine: RunningEngine, application: Application
) -> None:
    assert await engine.say("fail:0", "花园路") == "记下了：花园路\n\n这是第1句。"
    application.broken = {"action_fail"}
    application.calls.clear()
    with pytest.raises(EngineFailed, match="500"):
        await engine.client.send("fail:0", "出错")
    assert [call["next_action"] for call in application.calls] == ["action_fail"], "the turn went on"
    application.broken = set()
    assert (await engine.say("fail:0", "出错")).endswith("这是第2句。"), "the failed turn was saved"


async def test_a_form_whose_validation_fails_never_submits(engine: RunningEngine, application: Application) -> None:
    assert await engine.say("form:0", "投诉") == "请问在什么地方？"
    application.broken = {"validate_ticket_form"}
    application.calls.clear()
    with pytest.raises(EngineFailed):
        await engine.client.send("form:0", "花园路")
    assert "action_submit" not in {call["next_action"] for call in application.calls}
    application.broken = set()
    assert await engine.say("form:0", "花园路") == "已提交：花园路"


async def test_a_failed_reader_fails_the_turn(engine: RunningEngine, application: Application) -> None:
    application.broken = {"reader"}
    with pytest.raises(EngineFailed, match="500"):
        await engine.client.send("reader:0", "花园路")
    application.broken = set()
    assert (await engine.say("reader:0", "花园路")).endswith("这是第1句。")


async def test_conversations_are_apart_and_concurrent_turns_all_answered(engine: RunningEngine) -> None:
    senders = [f"many-{number}:0" for number in range(12)]
    texts = [f"第{number}路" for number in range(12)]
    answers = await asyncio.gather(*(engine.say(*pair) for pair in zip(senders, texts, strict=True)))
    assert answers == [f"记下了：{text}\n\n这是第1句。" for text in texts]


async def test_the_log_holds_no_residents_words(engine: RunningEngine, application: Application) -> None:
    application.broken = {"action_fail", "reader"}
    with pytest.raises(EngineFailed):
        await engine.client.send("log:0", "花园路")
    application.broken = {"action_fail"}
    with pytest.raises(EngineFailed):
        await engine.client.send("log:0", "出错")
    log = engine.log
    assert "rest.turn.failed" in log
    assert "ClientResponseError" in log, "the reason must be readable"
    for words in ("花园路", "建设路", "出错", "u82b1", "u51fa"):
        assert words not in log


async def test_an_engine_that_cannot_be_reached_is_unavailable() -> None:
    client = EngineClient("http://127.0.0.1:9", timeout_s=2)
    with pytest.raises(EngineUnavailable):
        await client.send("c:0", "你好")
    assert not await client.ready()
    await client.close()


async def test_a_slow_turn_is_given_up_and_undone(engine: RunningEngine, application: Application) -> None:
    application.slow = {"action_place": 2.0}
    impatient = EngineClient(engine.supervisor.base_url, timeout_s=0.5)
    with pytest.raises(EngineUnavailable, match="time"):
        await impatient.send("slow:0", "花园路")
    await impatient.close()
    application.slow = {}
    assert (await engine.say("slow:0", "花园路")).endswith("这是第1句。")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, "[]", EngineFailed),
        (200, "not json", EngineFailed),
        (200, '{"text": "x"}', EngineFailed),
        (200, '["x"]', EngineFailed),
        (200, '[{"image": "x"}]', EngineFailed),
        (500, '{"error": "turn failed"}', EngineFailed),
        (404, "", EngineFailed),
        (503, '{"error": "no model"}', EngineUnavailable),
    ],
)
async def test_answers_that_are_none(status: int, body: str, error: type[Exception]) -> None:
    async with _answering(status, body) as client:
        with pytest.raises(error):
            await client.send("c:0", "你好")


async def test_a_custom_item_without_text_becomes_a_reply() -> None:
    items = [{"custom": {"handover": {"reason": "asked"}}}, {"text": "好的"}, {"custom": {"ticket": {"number": "1"}}}]
    async with _answering(200, json.dumps(items)) as client:
        assert await client.send("c:0", "转人工") == [
            EngineReply(handover={"reason": "asked"}),
            EngineReply(text="好的", ticket={"number": "1"}),
        ]


@asynccontextmanager
async def _answering(status: int, body: str) -> AsyncIterator[EngineClient]:
    """A client of a server that gives this answer to every turn."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    application = web.Application()
    application.router.add_post("/webhooks/rest/webhook", answer)
    async with TestServer(application) as server:
        client = EngineClient(str(server.make_url("/")), timeout_s=5)
        yield client
        await client.close()


@pytest.mark.postgres
async def test_a_conversation_survives_a_restart_on_postgresql_and_redis(
    engines: Engines, postgres_url: str, redis_url: str, application: Application
) -> None:
    settings = {"tracker_database_url": postgres_url, "redis_url": redis_url}
    async with engines("first", **settings) as first:
        assert (await first.say("pg:0", "花园路")).endswith("这是第1句。")
        assert (first.data_dir / "engine" / "endpoints.yml").stat().st_mode & 0o077 == 0
    async with engines("second", **settings) as second:
        assert (await second.say("pg:0", "建设路")).endswith("这是第2句。")
        assert not (second.data_dir / "engine" / "tracker.db").exists()


@pytest.mark.postgres
async def test_without_its_database_the_engine_fails_turns_and_recovers(
    engines: Engines, postgres_url: str, postgres_server: str
) -> None:
    """Stock Rasa would answer as if the conversation had just begun."""
    name = postgres_url.rsplit("/", 1)[1]
    async with engines(tracker_database_url=postgres_url) as engine:
        assert (await engine.say("down:0", "花园路")).endswith("这是第1句。")
        server = await asyncpg.connect(f"{postgres_server}/postgres")
        await server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        with pytest.raises(EngineFailed):
            await engine.client.send("down:0", "建设路")
        await server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        await server.close()
        assert (await engine.say("down:0", "建设路")).endswith("这是第2句。")
        assert engine.supervisor.restarts == 0
