"""The bot against a server that speaks the Bot API and the real gateway."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from assistant.conversations.engine import EngineReply
from assistant.db.models import Message
from assistant.errors import ConfigError
from channels.telegram import WEBHOOK_PATH
from channels.telegram_text import EDITED, OLD_BUTTON, PRIVATE_ONLY
from tests.channels.bot_api import TOKEN, BotApi, Refused
from tests.channels.conftest import House, make_channel, running

FILE = {"file_id": "1", "file_unique_id": "1"}
SIZE = {"width": 1, "height": 1}
SECRET = "a-secret-of-the-webhook_0123"


async def stored(house: House) -> list[str]:
    async with house.db.read() as session:
        rows = await session.scalars(select(Message.text).where(Message.sender == "resident").order_by(Message.id))
        return list(rows)


# --- long polling ---------------------------------------------------------------------------------------------------


async def test_a_message_is_answered_once_and_marked(house: House, api: BotApi) -> None:
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
        api.message(7, text="还有井盖")
        await api.until(lambda: len(api.texts(7)) == 2)
        await asyncio.sleep(0.1)
    assert api.texts(7) == ["答：路灯坏了", "答：还有井盖"]
    assert await house.gateway.undelivered("telegram") == []
    assert ("sendChatAction", {"chat_id": 7, "action": "typing"}) in api.calls


async def test_start_greets(house: House, api: BotApi) -> None:
    api.message(7, text="/start from_poster")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    assert house.engine.heard == ["你好"]


async def test_an_update_that_comes_again_changes_nothing(house: House, api: BotApi) -> None:
    update = api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    api.updates = [update]  # Telegram did not get the acknowledgement
    api.message(7, text="井盖坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 2)
        await asyncio.sleep(0.1)
    assert api.texts(7) == ["答：路灯坏了", "答：井盖坏了"]
    assert await stored(house) == ["路灯坏了", "井盖坏了"]


async def test_an_update_is_acknowledged_only_after_it_is_stored(
    house: House, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, refuse = house.gateway.receive, asyncio.Event()

    async def failing(*arguments: Any) -> Any:
        if not refuse.is_set():
            refuse.set()
            raise OSError("the database is away")
        acknowledged = [given.get("offset") for method, given in api.calls if method == "getUpdates"]
        assert acknowledged == [None]
        return await receive(*arguments)

    monkeypatch.setattr(house.gateway, "receive", failing)
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == ["答：路灯坏了"])


async def test_a_message_that_cannot_be_taken_is_said_so(
    house: House, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*arguments: Any) -> Any:
        raise OSError("the database is away")

    monkeypatch.setattr(house.gateway, "receive", failing)
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    assert "再发一次" in api.texts(7)[0]


async def test_a_refused_message_gets_the_reason(house: House, api: BotApi) -> None:
    api.message(7, text="长" * 4000)
    house.gateway._settings.max_message_chars = 3000
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    assert "3000" in api.texts(7)[0]
    assert house.engine.heard == []


async def test_residents_do_not_wait_for_each_other(house: House, api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    receive, other_answered = house.gateway.receive, asyncio.Event()

    async def slow(conversation_id: str, text: str, key: str) -> Any:
        if text == "慢":
            await other_answered.wait()
        return await receive(conversation_id, text, key)

    monkeypatch.setattr(house.gateway, "receive", slow)
    api.message(1, text="慢")
    api.message(2, text="快")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(2) == ["答：快"])
        other_answered.set()
        await api.until(lambda: api.texts(1) == ["答：慢"])


async def test_another_bot_instance_and_a_lost_network_are_survived(house: House, api: BotApi) -> None:
    api.failures["getUpdates"] = [
        Refused(409, "Conflict: terminated by other getUpdates request"),
        Refused(502, "Bad Gateway"),
    ]
    api.failures["getMe"] = [Refused(500, "Internal Server Error")]
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == ["答：路灯坏了"])


async def test_a_webhook_left_by_somebody_is_removed_before_polling(house: House, api: BotApi) -> None:
    api.webhook = {"url": "https://old.example.org"}
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == ["答：路灯坏了"])


async def test_a_refused_token_ends_the_channel_quietly(house: House, api: BotApi) -> None:
    channel = make_channel(house, api, token="123:wrong")
    await asyncio.wait_for(channel.run(asyncio.Event()), 10)
    assert api.calls == []


# --- buttons --------------------------------------------------------------------------------------------------------


async def test_buttons_come_back_as_words(house: House, api: BotApi) -> None:
    long = "这是一个很长的选项，它的字数超过了按钮数据所能放下的六十四个字节，所以只能用序号"
    titles = ["确认提交", "转人工", long, "#1"]
    buttons = [{"title": title, "payload": title} for title in titles]
    house.engine.replies = lambda text: [EngineReply(text="请选择", buttons=buttons)]
    api.message(7, text="你好")
    async with running(make_channel(house, api)):
        for count, title in enumerate(titles, 1):
            await api.until(lambda count=count: len(api.sent) == count)
            api.press(api.sent[-1], title)
        await api.until(lambda: len(api.sent) == 5)
    assert house.engine.heard == ["你好", *titles]
    assert [method for method, _ in api.calls].count("answerCallbackQuery") == 4


async def test_a_button_whose_message_is_gone_is_explained(house: House, api: BotApi) -> None:
    gone = {"message_id": 5, "date": 0, "chat": {"id": 7, "type": "private"}}
    query = {"id": "1", "from": {"id": 7, "is_bot": False, "first_name": "居民"}, "chat_instance": "1", "data": "#3"}
    api.updates.append({"update_id": 9, "callback_query": {**query, "message": gone}})
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == [OLD_BUTTON])
    assert house.engine.heard == []


# --- what is not plain text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"sticker": {**FILE, **SIZE, "type": "regular", "is_animated": False, "is_video": False}}, "表情贴纸"),
        ({"voice": {**FILE, "duration": 3}}, "语音"),
        ({"photo": [{**FILE, **SIZE}]}, "图片"),
        ({"location": {"latitude": 34.7, "longitude": 113.6}}, "位置"),
    ],
)
async def test_what_cannot_be_read_is_said_so(house: House, api: BotApi, content: dict[str, Any], words: str) -> None:
    api.message(7, **content)
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    assert words in api.texts(7)[0]
    assert house.engine.heard == []


async def test_the_caption_of_a_picture_is_taken(house: House, api: BotApi) -> None:
    api.message(7, photo=[{**FILE, **SIZE}], caption="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 2)
    assert house.engine.heard == ["路灯坏了"]
    assert any("图片" in text for text in api.texts(7))


async def test_an_edited_message_is_not_taken_again(house: House, api: BotApi) -> None:
    api.message(7, kind="edited_message", text="路灯坏了", edit_date=1_700_000_001)
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == [EDITED])
    assert house.engine.heard == []


async def test_groups_are_sent_to_a_private_chat(house: House, api: BotApi) -> None:
    api.message(-5, chat_type="supergroup", text="今天谁去跑步")
    api.message(-5, chat_type="supergroup", text="/start@minsheng_bot")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(-5) == [PRIVATE_ONLY])
    assert house.engine.heard == []


# --- what residents are told ----------------------------------------------------------------------------------------


async def test_pushes_arrive_with_the_sender(house: House, api: BotApi) -> None:
    async with running(make_channel(house, api)):
        await house.push(7, "您好，我是座席。")
        await api.until(lambda: len(api.texts(7)) == 1)
        await house.push(7, "对话已结束。", sender="system")
        await api.until(lambda: len(api.texts(7)) == 2)
    assert api.texts(7) == ["【座席】您好，我是座席。", "【系统】对话已结束。"]


async def test_a_long_answer_is_split_and_the_buttons_hang_on_its_end(house: House, api: BotApi) -> None:
    text = "\n".join(f"第{number}条　" + "字" * 90 for number in range(100))
    house.engine.replies = lambda _: [EngineReply(text=text, buttons=[{"title": "好", "payload": "好"}])]
    api.message(7, text="长")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.sent) == 3)
    assert "\n".join(api.texts(7)) == text
    assert [("reply_markup" in message) for message in api.sent] == [False, False, True]


async def test_a_flood_limit_delays_and_repeats_nothing(house: House, api: BotApi) -> None:
    send, limits = api._sendmessage, iter([None, Refused(429, "Too Many Requests: retry after 1", retry_after=1)])

    async def limited(given: dict[str, Any]) -> Any:
        if refused := next(limits, None):
            raise refused
        return await send(given)

    api._sendmessage = limited  # type: ignore[method-assign]
    house.engine.replies = lambda _: [EngineReply(text="甲" * 5000)]
    api.message(7, text="长")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.sent) == 2)
    assert "".join(api.texts(7)) == "甲" * 5000


async def test_a_resident_who_blocked_the_bot_holds_up_nobody(house: House, api: BotApi) -> None:
    api.blocked.add(7)
    await house.push(7, "您的工单有进展。")
    await house.push(8, "您的工单有进展。")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(8)) == 1)
        await asyncio.sleep(0.1)
    assert await house.gateway.undelivered("telegram") == []
    assert [method for method, _ in api.calls].count("sendMessage") == 2


async def test_answers_wait_for_the_network(house: House, api: BotApi) -> None:
    api.failures["sendMessage"] = [Refused(502, "Bad Gateway")] * 3
    api.message(7, text="路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: api.texts(7) == ["答：路灯坏了"])


# --- webhook --------------------------------------------------------------------------------------------------------


def webhook_channel(house: House, api: BotApi) -> tuple[Any, httpx.AsyncClient]:
    channel = make_channel(house, api, mode="webhook", webhook_url="https://bot.example.org", webhook_secret=SECRET)
    app = FastAPI()
    app.include_router(channel.router())
    return channel, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://bot.example.org")


async def test_the_webhook_takes_updates_and_answers_before_it_works(
    house: House, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, answered = house.gateway.receive, asyncio.Event()

    async def waiting(*arguments: Any) -> Any:
        await answered.wait()
        return await receive(*arguments)

    monkeypatch.setattr(house.gateway, "receive", waiting)
    channel, client = webhook_channel(house, api)
    async with running(channel), client:
        await api.until(lambda: api.webhook is not None)
        assert api.webhook is not None
        assert api.webhook["secret_token"] == SECRET
        updates = [api.message(7, text=text) for text in ("一", "二", "三")]
        for update in [*updates, updates[0]]:
            assert (await api.post_webhook(client, update)).status_code == 200
        answered.set()
        await api.until(lambda: len(api.texts(7)) == 3)
        await asyncio.sleep(0.1)
    assert api.texts(7) == ["答：一", "答：二", "答：三"]


async def test_the_webhook_lets_no_stranger_in(house: House, api: BotApi) -> None:
    _, client = webhook_channel(house, api)
    good = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": SECRET}

    async def body_never_read() -> Any:
        raise AssertionError("the body was read")
        yield b""

    async with client:
        for headers, status in (
            ({**good, "Content-Type": "text/plain"}, 415),
            ({**good, "X-Telegram-Bot-Api-Secret-Token": "wrong"}, 403),
            ({"Content-Type": "application/json"}, 403),
        ):
            response = await client.post(WEBHOOK_PATH, headers=headers, content=body_never_read())
            assert response.status_code == status
        assert (await client.post(WEBHOOK_PATH, headers=good, content=b"{")).status_code == 400
        assert (await client.post(WEBHOOK_PATH, headers=good, content=b"[1]")).status_code == 400
        assert (await client.post(WEBHOOK_PATH, headers=good, content=b" " * (1 << 20) + b"{}")).status_code == 413
    async with house.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook_url": "http://bot.example.org", "webhook_secret": SECRET},
        {"webhook_url": "https://bot.example.org", "webhook_secret": ""},
        {"webhook_url": "https://bot.example.org", "webhook_secret": "short"},
        {"webhook_url": "https://bot.example.org", "webhook_secret": "not allowed characters!"},
    ],
)
async def test_a_weak_webhook_is_refused(house: House, api: BotApi, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        make_channel(house, api, mode="webhook", **settings)


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_neither_token_nor_words_are_logged(
    house: House, api: BotApi, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "aiosqlite")  # not of the channel
    api.failures["getUpdates"] = [Refused(502, "Bad Gateway")]
    api.failures["sendMessage"] = [Refused(500, "Internal Server Error")]
    api.message(7, text="我叫张三丰，路灯坏了")
    async with running(make_channel(house, api)):
        await api.until(lambda: len(api.texts(7)) == 1)
    await asyncio.wait_for(make_channel(house, api, token="555:secret").run(asyncio.Event()), 10)
    printed = "".join(capsys.readouterr()) + caplog.text
    assert "telegram_poll_failed" in printed  # something was logged at all
    for secret in (TOKEN, TOKEN.split(":")[1], "555:secret", "张三丰"):
        assert secret not in printed
