"""What a resident says after a policy answer is kept at the entries it cited, and only then."""

from typing import Any

import pytest

from actions import feedback, follow_up, small_talk
from actions.protocol import ActionCall, Reply, Turn
from assistant.errors import NotFound
from tests.dialogue.fakes import FakeServices

CITED = {"document": "gjj", "article": "第八条", "title": "住房公积金提取规定"}


def turn(text: str, *, action: str = "action_answer_policy", citations: Any = (CITED,), between: bool = False) -> Turn:
    """The resident says `text` after an answer of `action`."""
    events: list[dict[str, Any]] = [
        {"event": "user", "text": "公积金怎么取"},
        {"event": "action", "name": action},
        {"event": "bot", "text": "答", "data": {"custom": {"citations": list(citations)}, "buttons": None}},
        {"event": "bot", "text": "再答", "data": {"custom": None}},
    ]
    if between:
        events += [{"event": "user", "text": "谢谢"}, {"event": "bot", "text": "不客气", "data": {}}]
    events.append({"event": "user", "text": text})
    call = {"next_action": "x", "sender_id": "c1:0", "tracker": {"latest_message": {"text": text}, "events": events}}
    return Turn.of(ActionCall.model_validate(call))


async def said(handler: Any, services: FakeServices, what: Turn) -> str:
    reply = Reply()
    await handler(what, services, reply)
    return "".join(str(response.get("text")) for response in reply.responses)


async def test_helpful_is_kept_at_what_was_cited() -> None:
    services = FakeServices()
    other = {**CITED, "document": "gjj2", "article": None}
    await said(follow_up.helpful, services, turn("很有用", citations=[CITED, CITED, other]))
    assert services.judged == [
        ("c1:0:2:0", "gjj", "第八条", "helpful", "很有用"),
        ("c1:0:2:1", "gjj2", None, "helpful", "很有用"),
    ]


@pytest.mark.parametrize(
    ("text", "verdict"), [("答非所问", "wrong"), ("这是老政策了，早就改了", "outdated"), ("你说的不准", "wrong")]
)
async def test_a_complaint_is_kept_and_the_resident_told(text: str, verdict: str) -> None:
    services = FakeServices()
    answer = await said(feedback.complaint, services, turn(text))
    assert [judged[3] for judged in services.judged] == [verdict]
    assert "转人工" in answer and "核对" in answer


async def test_a_complaint_about_something_else_is_only_apologised_for() -> None:
    services = FakeServices()
    for what in (turn("答非所问", action="action_greet"), turn("答非所问", citations=()), turn("不对", between=True)):
        answer = await said(feedback.complaint, services, what)
        assert "对不起" in answer and "核对" not in answer
    assert services.judged == []


async def test_a_no_counts_only_where_it_says_why() -> None:
    services = FakeServices()
    assert "换个说法" in await said(small_talk.deny, services, turn("不用了"))
    assert services.judged == []
    assert "核对" in await said(small_talk.deny, services, turn("不对，不是这样的"))
    assert [judged[3] for judged in services.judged] == ["wrong"]


async def test_feedback_that_cannot_be_kept_does_not_stop_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    services = FakeServices(broken=True)
    assert "对不起" in await said(feedback.complaint, services, turn("答非所问"))

    async def gone(*_: object) -> None:
        raise NotFound

    services = FakeServices()
    monkeypatch.setattr(services, "policy_feedback", gone)
    assert "谢谢" in await said(follow_up.helpful, services, turn("有用"))
