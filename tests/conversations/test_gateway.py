"""The gateway on both databases, with an engine that says what the test wants; the real one is in tests/e2e."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from assistant.conversations import mailbox
from assistant.conversations.engine import EngineFailed, EngineReply, EngineUnavailable
from assistant.conversations.events import Events
from assistant.conversations.gateway import DEFERRED, FAILED, Gateway
from assistant.conversations.handover import Handover
from assistant.conversations.recovery import recover
from assistant.crypto import Vault
from assistant.db.models import Message, User
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotAuthenticated, NotFound, TooMany
from assistant.settings import Settings

VAULT = Vault("a secret of the tests, long enough to be taken")


class Engine:
    """Echoes after a moment, or fails as told; remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error: Callable[[], Exception] | None = None
        self.ticket: dict[str, Any] | None = None
        self.asks = False
        self.pause_s = 0.01

    async def send(self, sender_id: str, text: str) -> list[EngineReply]:
        self.sent.append((sender_id, text))
        await asyncio.sleep(self.pause_s)
        if self.error:
            raise self.error()
        question = [EngineReply(text="在哪里？")] if self.asks else []
        return [EngineReply(text=f"答：{text}", ticket=self.ticket), *question]

    async def ready(self) -> bool:
        return self.error is None


@pytest.fixture
def engine() -> Engine:
    return Engine()


async def _understand(text: str) -> dict[str, Any]:
    return {"intent": "chitchat", "urgency": "一般"}


def make_gateway(db: Database, engine: Engine, **settings: Any) -> Gateway:
    events = Events()
    handover = Handover(db, events, max_chars=8000)
    return Gateway(db, VAULT, engine, handover, events, _understand, Settings(_env_file=None, **settings))


@pytest.fixture
def gateway(db: Database, engine: Engine) -> Gateway:
    return make_gateway(db, engine)


async def test_a_message_is_answered(gateway: Gateway, engine: Engine) -> None:
    opened = await gateway.open()
    turn = await gateway.receive(opened.id, "路灯坏了", "m1")
    assert [m["text"] for m in turn.messages] == ["答：路灯坏了"]
    assert turn.handover is None
    assert engine.sent == [(f"{opened.id}:0", "路灯坏了")]


async def test_the_same_message_id_gives_the_same_answer_and_one_effect(gateway: Gateway, engine: Engine) -> None:
    opened = await gateway.open()
    turns = await asyncio.gather(*(gateway.receive(opened.id, "路灯坏了", "m1") for _ in range(8)))
    assert len({turn.messages[0]["id"] for turn in turns}) == 1
    assert len(engine.sent) == 1


async def test_the_same_message_id_for_other_words_is_refused(gateway: Gateway) -> None:
    opened = await gateway.open()
    await gateway.receive(opened.id, "路灯坏了", "m1")
    with pytest.raises(Conflict):
        await gateway.receive(opened.id, "井盖坏了", "m1")


async def test_messages_of_one_resident_are_answered_in_order(db: Database, engine: Engine) -> None:
    one, other = make_gateway(db, engine), make_gateway(db, engine)  # two processes
    opened = await one.open()
    tasks = []
    for number in range(10):
        tasks.append(asyncio.create_task((one, other)[number % 2].receive(opened.id, f"第{number}句", f"m{number}")))
        await asyncio.sleep(0.002)
    turns = await asyncio.gather(*tasks)
    async with db.read() as session:
        stored = list(
            await session.scalars(select(Message.text).where(Message.sender == "resident").order_by(Message.id))
        )
    assert [text for _, text in engine.sent] == stored
    assert all(turn.messages[0]["text"] == f"答：第{n}句" for n, turn in enumerate(turns))


async def test_a_lapsed_lease_gives_no_second_answer(
    db: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_gateway(db, engine), make_gateway(db, Engine())
    engine.pause_s = 0.6
    opened = await first.open()
    monkeypatch.setattr(mailbox, "LEASE", timedelta(seconds=0.1))
    slow = asyncio.create_task(first.receive(opened.id, "路灯坏了", "m1"))
    while not engine.sent:
        await asyncio.sleep(0.02)
    await second.answer_pending(opened.id)
    turn = await slow
    assert [m["text"] for m in turn.messages] == ["答：路灯坏了"]
    assert [m["sender"] for m in (await first.messages(opened.id)).messages] == ["resident", "assistant"]
    # The conversation goes on as ever.
    assert (await first.receive(opened.id, "在花园路", "m2")).messages[0]["text"] == "答：在花园路"


async def test_raw_phone_numbers_reach_neither_engine_nor_transcript(
    gateway: Gateway, engine: Engine, db: Database
) -> None:
    opened = await gateway.open()
    await gateway.receive(opened.id, "我电话13812345678", "m1")
    assert engine.sent[0][1] == "我电话138****5678"
    async with db.read() as session:
        message = await session.scalar(select(Message).where(Message.sender == "resident"))
    assert message is not None and message.private is not None
    assert "13812345678" not in message.text and b"13812345678" not in message.private
    assert await gateway.private_value(opened.id, "138****5678") == "13812345678"
    assert await gateway.private_value(opened.id, "139****5678") is None


async def test_engine_away_then_back(gateway: Gateway, engine: Engine, db: Database) -> None:
    opened = await gateway.open()
    engine.error = EngineUnavailable
    assert [m["text"] for m in (await gateway.receive(opened.id, "路灯坏了", "m1")).messages] == [DEFERRED]
    assert [m["text"] for m in (await gateway.receive(opened.id, "在花园路", "m2")).messages] == []
    engine.error = None
    stop = asyncio.Event()
    task = asyncio.create_task(recover(gateway, engine, stop, every_s=0.05))
    async with asyncio.timeout(20):
        while len((await gateway.messages(opened.id)).messages) < 5:
            await asyncio.sleep(0.05)
    stop.set()
    await task
    turn = await gateway.messages(opened.id)
    assert [m["text"] for m in turn.messages] == ["路灯坏了", DEFERRED, "在花园路", "答：路灯坏了", "答：在花园路"]


async def test_a_turn_that_fails_twice_goes_to_a_person(gateway: Gateway, engine: Engine) -> None:
    opened = await gateway.open()
    engine.error = EngineFailed
    turn = await gateway.receive(opened.id, "路灯坏了", "m1")
    assert [m["text"] for m in turn.messages] == [FAILED]
    assert turn.handover == {"state": "waiting", "ahead": 0}
    assert len(engine.sent) == 2


@pytest.mark.parametrize("text", ["/restart", '／inform{"place":"x"}', "😀", "<script>alert(1)</script>"])
async def test_commands_signs_and_markup_never_reach_the_engine(gateway: Gateway, engine: Engine, text: str) -> None:
    opened = await gateway.open()
    turn = await gateway.receive(opened.id, text, "m1")
    assert len(turn.messages) == 1 and engine.sent == []


async def test_bad_input(gateway: Gateway) -> None:
    opened = await gateway.open()
    for text, client_id in (("", "m1"), ("水" * 10_000, "m2"), ("好", ""), ("好", "x" * 81)):
        with pytest.raises(BadInput):
            await gateway.receive(opened.id, text, client_id)
    with pytest.raises(NotFound):
        await gateway.receive("nobody", "好", "m1")
    for conversation, token in ((opened.id, "wrong"), (opened.id, ""), ("nobody", opened.token)):
        with pytest.raises(NotAuthenticated):
            await gateway.authenticate(conversation, token)
    await gateway.authenticate(opened.id, opened.token)


async def test_too_many_messages_a_minute(db: Database, engine: Engine) -> None:
    gateway = make_gateway(db, engine, messages_per_minute=3)
    opened = await gateway.open()
    for number in range(3):
        await gateway.receive(opened.id, "好", f"m{number}")
    with pytest.raises(TooMany):
        await gateway.receive(opened.id, "好", "m3")
    # What was sent before is still answered the same.
    assert (await gateway.receive(opened.id, "好", "m0")).messages


async def test_a_channel_user_keeps_one_conversation(gateway: Gateway) -> None:
    first, second = await gateway.open("telegram", "42"), await gateway.open("telegram", "42")
    assert first.id == second.id
    await gateway.receive(first.id, "你好", "tg:1")
    [(message, user)] = await gateway.undelivered("telegram")
    assert (message["text"], user) == ("答：你好", "42")
    await gateway.mark_delivered(message["id"])
    assert await gateway.undelivered("telegram") == []


async def test_an_engine_session_ends_with_a_ticket_after_many_turns(db: Database, engine: Engine) -> None:
    gateway = make_gateway(db, engine, turns_per_engine_session=3)
    opened = await gateway.open()
    for number in range(6):
        engine.ticket = {"number": "ZZ1"} if number in (3, 4) else None
        engine.asks = number == 3  # a question follows the ticket: its answer belongs to the same session
        await gateway.receive(opened.id, "好", f"m{number}")
    assert [sender.rsplit(":")[-1] for sender, _ in engine.sent] == ["0", "0", "0", "0", "0", "1"]


async def _agent(db: Database, name: str) -> int:
    async with db.begin() as session:
        user = User(name=name, display_name=name, password_hash="-", roles=["agent"])
        session.add(user)
        await session.flush()
        return user.id


async def test_handover_to_an_agent_and_back(gateway: Gateway, engine: Engine, db: Database) -> None:
    handover = Handover(db, Events(), max_chars=8000)
    agent, other = await _agent(db, "李工"), await _agent(db, "王工")
    first, second = await gateway.open(), await gateway.open()
    await gateway.receive(second.id, "转人工13812345678", "m1")
    assert await handover.request(first.id, "市民要求") == 0
    assert await handover.request(second.id, "市民要求") == 1
    assert await handover.request(second.id, "再说一遍") == 1
    waiting = await handover.waiting()
    assert [w.conversation_id for w in waiting] == [first.id, second.id]
    assert waiting[1].last_text == "转人工138****5678"
    results = await asyncio.gather(
        handover.take(second.id, agent), handover.take(second.id, other), return_exceptions=True
    )
    assert sum(isinstance(r, Conflict) for r in results) == 1
    winner, loser = (agent, other) if results[0] is None else (other, agent)
    with pytest.raises(Conflict):
        await handover.reply(second.id, loser, "您好")
    sent_before = len(engine.sent)
    turn = await gateway.receive(second.id, "有人吗", "m2")
    assert turn.messages == [] and turn.handover == {"state": "agent", "ahead": 0}
    assert len(engine.sent) == sent_before, "the assistant keeps silent while a person answers"
    await handover.reply(second.id, winner, "您好，请讲。我的电话是13900139000")
    await handover.release(second.id, winner)
    texts = [(m["sender"], m["text"]) for m in (await gateway.messages(second.id)).messages]
    assert ("agent", "您好，请讲。我的电话是139****9000") in texts
    assert (await gateway.receive(second.id, "谢谢", "m3")).messages[0]["text"] == "答：谢谢"
