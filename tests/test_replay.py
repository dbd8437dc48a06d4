"""The replay's resident, its judgement and its sums; the whole of it runs in tests/e2e against the real application."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from assistant.client import Conversation, PublicApi
from assistant.dispatch.destinations.open311_message import reference
from assistant.replay import Delivery, Outcome, Replay, judge, read_rows, summarise
from assistant.replay_script import ASK_FOR_TICKET, PLACE, TIME, Resident


def asks(text: str, *buttons: str, sender: str = "assistant") -> list[dict[str, Any]]:
    return [{"sender": sender, "text": text, "buttons": [{"title": b, "payload": b} for b in buttons]}]


@pytest.mark.parametrize(
    ("messages", "reply"),
    [
        (asks("这件事发生在哪里呢？"), PLACE),
        (asks("请问具体地址是什么？", "不知道", "转人工"), PLACE),
        (asks("是什么时候发生的呢？"), TIME),
        (asks("怎么联系您？可以留一个手机号，也可以匿名。", "匿名", "转人工"), "13900000007"),
        (
            asks("请您核对一下：\n· 地点：花园路\n· 联系方式：139****0007\n没问题就点“确认提交”。", "确认提交", "修改"),
            "确认提交",
        ),
        (asks("您要问的是哪一类？", "取消", "环境保护", "转人工"), "环境保护"),
        (asks("根据规定，可以这样办理。", "登记工单", "转人工"), "登记工单"),
        (asks("根据规定，可以这样办理。", "没有解决", "转人工"), ASK_FOR_TICKET),
    ],
)
def test_the_resident_answers_what_is_asked(messages: list[dict[str, Any]], reply: str) -> None:
    assert Resident("request", 7).reply(messages) == reply


def test_the_resident_gives_up_where_nothing_moves() -> None:
    resident = Resident("request", 7)
    replies = [resident.reply(asks("这件事发生在哪里？")) for _ in range(4)]
    assert replies == [PLACE, PLACE, PLACE, None]
    assert "没有进展" in resident.problem
    silent, human = Resident("request", 7), Resident("request", 7)
    assert silent.reply([]) is None
    assert human.reply(asks("请稍候", sender="system")) is None
    assert silent.problem
    assert human.problem


def test_answers_are_judged() -> None:
    assert judge([{"text": "可以。", "citations": [{"document": "d"}]}]) == "cited"
    assert judge([{"text": "知识库里没有查到相关规定，要不要帮您转人工？", "citations": []}]) == "not_found"
    assert judge([{"text": "可以办理。", "citations": []}]) == "neither"


def outcome(number: str, row: int = 1, **changes: Any) -> Outcome:
    values = {"result": "ticket", "number": number, "state": "已派遣", "turns_ms": [10.0, 30.0], **changes}
    return Outcome(row, "request", **values)


def arrived(number: str) -> dict[str, str]:
    return {"description": f"路灯坏了\n{reference(f'{number}:create:1')}"}


def test_deliveries_are_counted_by_their_mark() -> None:
    sent = [outcome("ZZ-1"), outcome("ZZ-2"), outcome("ZZ-3")]
    rows = [arrived("ZZ-1"), arrived("ZZ-2"), arrived("ZZ-2"), arrived("ZZ-9")]
    assert Delivery.of(sent, rows) == Delivery(once=1, double=1, missing=1, unseen=frozenset({"ZZ-3"}))


def test_withheld_requests_can_only_be_counted() -> None:
    hidden = {"description": "（内容不公开）"}
    sent = [outcome("ZZ-1"), outcome("ZZ-2")]
    assert Delivery.of(sent, [arrived("ZZ-1"), hidden]) == Delivery(once=2, withheld=1)
    assert Delivery.of(sent, [arrived("ZZ-1"), hidden, hidden]) == Delivery(once=2, double=1, withheld=2)
    assert Delivery.of(sent, [arrived("ZZ-1")]) == Delivery(once=1, missing=1, unseen=frozenset({"ZZ-2"}))


def test_the_summary_is_good_only_when_everything_arrived_once() -> None:
    good = summarise([outcome("ZZ-1", 1), outcome("ZZ-2", 2)], Delivery(once=2), 1.0)
    assert good["ok"]
    assert (good["turns"], good["ms_p50"], good["ms_p95"]) == (4, 30.0, 30.0)
    for outcomes, delivery in (
        ([outcome("ZZ-1", 1), outcome("ZZ-1", 2)], Delivery(once=1)),
        ([outcome("ZZ-1", 1), outcome("ZZ-2", 2)], Delivery(once=1, missing=1)),
        ([outcome("ZZ-1", 1), outcome("ZZ-2", 2)], Delivery(once=1, double=1)),
        ([outcome("ZZ-1", 1), outcome("", 2, result="stuck", reason="没有进展")], Delivery(once=1)),
    ):
        assert not summarise(outcomes, delivery, 1.0)["ok"]


async def test_a_server_is_not_given_the_key_of_the_dispatch_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINSHENG_OPEN311_API_KEY", "of-the-city")
    monkeypatch.setattr("assistant.replay.SETTLE_S", 0)
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        path, said = request.url.path, {"sender": "assistant", "text": "已登记。", "ticket": {"number": "ZZ-1"}}
        if path.startswith("/desk"):
            return httpx.Response(200, json=[arrived("ZZ-1")])
        if path.startswith("/api/v1/tickets"):
            return httpx.Response(200, json={"state": "已派遣"})
        if path.endswith("/messages"):
            return httpx.Response(200, json={"messages": [said], "handover": None})
        return httpx.Response(200, json={"id": "c1", "token": "t"})

    async with PublicApi("http://elsewhere.test", transport=httpx.MockTransport(answer)) as api:
        report = await Replay(api, concurrency=1, wait_s=5, quiet=True).run([{"kind": "request", "words": "路灯坏了"}])
    assert report["ok"] and any(request.url.path.startswith("/desk") for request in seen)
    assert not any("of-the-city" in f"{each.url} {each.headers.raw} {each.content!r}" for each in seen)


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"title": "路灯", "text": "坏了"}\n\n{"question": "怎么办？"}\n{"text": 1}\n', encoding="utf-8")
    assert [row["kind"] for row in read_rows(file, 2)] == ["request", "question"]
    with pytest.raises(typer.BadParameter, match="第 3 行"):
        read_rows(file, 9)


async def test_a_busy_server_is_waited_for() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) == 1:
            return httpx.Response(429, headers={"Retry-After": "0"}, json={"detail": "太快了"})
        return httpx.Response(200, json={"messages": [], "handover": None})

    async with PublicApi("http://test", transport=httpx.MockTransport(answer)) as api:
        assert await api.send(Conversation("c", "t"), "路灯坏了", "1") == {"messages": [], "handover": None}
    assert len(calls) == 2


async def test_an_answer_that_comes_later_is_waited_for() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/conversations"):
            return httpx.Response(201, json={"id": "c", "token": "t"})
        if request.method == "POST":
            return httpx.Response(
                200, json={"messages": [{"id": 1, "sender": "system", "text": "稍后回答您"}], "handover": None}
            )
        late = {"id": 2, "sender": "assistant", "text": "没有查到", "citations": []}
        return httpx.Response(200, json={"messages": [late], "handover": None})

    async with PublicApi("http://test", transport=httpx.MockTransport(answer)) as api:
        report = await Replay(api, concurrency=1, wait_s=5, quiet=True).run([{"kind": "question", "words": "怎么办？"}])
    assert report["questions"] == {"n": 1, "cited": 0, "not_found": 1, "neither": 0, "ticket": 0}
    assert report["ok"]
