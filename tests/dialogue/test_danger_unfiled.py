"""A danger whose ticket could not be created: it is created with the next words, on a real Rasa."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest

from assistant.tickets.errors import IncompleteDraft
from assistant.tickets.model import TicketDraft, TicketView
from tests.dialogue.conftest import Talk
from tests.dialogue.test_conversations import MUNICIPAL, PLACE, begin, notes

pytestmark = pytest.mark.engine

WHERE = "经三路12号院"


@contextlib.contextmanager
def away(talk: Talk) -> Iterator[None]:
    talk.services.tickets.broken = True
    try:
        yield
    finally:
        talk.services.tickets.broken = False


async def filed(talk: Talk) -> list[TicketView]:
    return await talk.services.tickets.find(conversation_id=talk.id)


async def test_the_place_brings_the_ticket(talk: Talk) -> None:
    with away(talk):
        answer = await talk.say("楼道着火了", "report_danger")
    assert "119" in answer and "没有响应" in answer and "具体地点" in answer
    answer = await talk.say(f"在{WHERE}", "inform_place", place=WHERE)
    (ticket,) = await filed(talk)
    assert (ticket.description, ticket.place, ticket.urgency) == ("楼道着火了", WHERE, "特急")
    assert ticket.number in answer and "发生了什么" not in answer
    assert any(reply.ticket for reply in talk.replies)


async def test_a_ticket_service_that_wants_a_place_gets_it(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = talk.services.tickets.submit

    async def refuse(draft: TicketDraft, *, key: str, actor: str) -> TicketView:
        if not draft.place:
            raise IncompleteDraft(["place"])
        return await submit(draft, key=key, actor=actor)

    monkeypatch.setattr(talk.services.tickets, "submit", refuse)
    assert "具体地点" in await talk.say("楼道着火了", "report_danger")
    assert await filed(talk) == []
    told = f"{WHERE}五楼，屋里还有两个老人走不动"
    await talk.say(told, "file_request", place=WHERE, category=MUNICIPAL)
    (ticket,) = await filed(talk)
    assert ticket.place == f"{WHERE}五楼" and notes(talk, ticket.number) == [told]


async def test_a_danger_with_its_place_is_created_by_the_next_words(talk: Talk) -> None:
    with away(talk):
        answer = await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    assert "没有响应" in answer and "具体地点" not in answer
    answer = await talk.say("就在经三路二十六号", "inform_place", place="经三路二十六号")
    (ticket,) = await filed(talk)
    assert ticket.place == "经三路26号" and ticket.number in answer
    assert "联系电话" in await begin(talk)
    assert len(await filed(talk)) == 1


async def test_another_request_brings_it_too_and_goes_on(talk: Talk) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    answer = await begin(talk)
    (ticket,) = await filed(talk)
    assert ticket.description == "经三路26号着火了" and ticket.number in answer and "联系电话" in answer
    assert f"地点：{PLACE}" in await talk.say("匿名")


async def test_the_danger_told_again_is_one_ticket(talk: Talk) -> None:
    with away(talk):
        await talk.say("楼道着火了", "report_danger")
    await talk.say("火越烧越大了", "report_danger")
    (ticket,) = await filed(talk)
    assert ticket.description == "楼道着火了" and notes(talk, ticket.number) == ["火越烧越大了"]
    assert "已经加到" in await talk.say(WHERE, "inform_place", place=WHERE)
    assert len(await filed(talk)) == 1


async def test_the_same_words_again_are_one_ticket(talk: Talk) -> None:
    with away(talk):
        await talk.say("楼道着火了", "report_danger")
        await talk.say("楼道着火了", "report_danger")
    await talk.say("楼道着火了", "report_danger")
    assert len(await filed(talk)) == 1


async def test_what_is_told_before_the_place_is_kept(talk: Talk) -> None:
    with away(talk):
        await talk.say("楼道着火了", "report_danger")
    answer = await talk.say("老人快不行了", "inform_detail")
    (ticket,) = await filed(talk)
    assert ticket.number in answer and "具体地点" in answer and notes(talk, ticket.number) == ["老人快不行了"]
    await talk.say(WHERE, "inform_place", place=WHERE)
    assert notes(talk, ticket.number)[-1] == f"地点：{WHERE}"


async def test_it_fails_again_and_is_not_given_up(talk: Talk) -> None:
    with away(talk):
        await talk.say("楼道着火了", "report_danger")
        answer = await talk.say(WHERE, "inform_place", place=WHERE)
        assert "没有响应" in answer and "发生了什么" not in answer
    await talk.say("你好", "greet")
    await begin(talk)
    (ticket,) = await filed(talk)
    assert (ticket.description, ticket.place) == ("楼道着火了", WHERE)


async def test_what_is_told_while_it_fails_is_kept(talk: Talk) -> None:
    with away(talk):
        await talk.say("楼道着火了", "report_danger")
        assert "还是没有响应" in await talk.say("老人快不行了", "inform_detail")
    await talk.say(WHERE, "inform_place", place=WHERE)
    (ticket,) = await filed(talk)
    assert ticket.place == WHERE and notes(talk, ticket.number) == ["老人快不行了"]


async def test_two_dangers_that_failed_are_two_tickets(talk: Talk) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
        await talk.say("农业路5号有人持刀", "report_danger", place="农业路5号")
    await talk.say("快派人来", "file_request")
    found = {ticket.description: ticket.place for ticket in await filed(talk)}
    assert found == {"经三路26号着火了": "经三路26号", "农业路5号有人持刀": "农业路5号"}


async def test_what_was_long_ago_stays_undone(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    monkeypatch.setattr("actions.danger._SAME_DANGER", timedelta(0))
    await begin(talk)
    assert await filed(talk) == []


async def test_nobody_knows_where(talk: Talk) -> None:
    with away(talk):
        await talk.say("地铁里有人拿刀", "report_danger")
    assert "大概位置" in await talk.say("不知道", "nlu_fallback")
    await talk.say("不清楚", "nlu_fallback")
    (ticket,) = await filed(talk)
    assert ticket.description == "地铁里有人拿刀" and ticket.place is None


async def test_a_ticket_whose_answer_was_lost_is_not_made_twice(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = talk.services.tickets.submit

    async def lose(draft: TicketDraft, *, key: str, actor: str) -> TicketView:
        await submit(draft, key=key, actor=actor)
        raise ConnectionError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(talk.services.tickets, "submit", lose)
        await talk.say("楼道着火了", "report_danger")
    await talk.say(WHERE, "inform_place", place=WHERE)
    (ticket,) = await filed(talk)
    assert notes(talk, ticket.number) == [f"地点：{WHERE}"]


async def test_a_danger_hidden_by_its_place_is_kept_too(talk: Talk) -> None:
    talk.services.reader.teach("漏电", "report_danger", urgency="特急")
    with away(talk):
        answer = await talk.say("绿城花园5号楼漏电", "inform_place", place="绿城花园5号楼")
    assert "没有响应" in answer
    await talk.say("绿城花园", "inform_place", place="绿城花园")
    (ticket,) = await filed(talk)
    assert (ticket.urgency, ticket.place) == ("特急", "绿城花园5号楼")


async def test_another_place_at_once_corrects_it(talk: Talk) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    await talk.say("不对，是文化路9号", "inform_place", place="文化路9号")
    (ticket,) = await filed(talk)
    assert ticket.place == "文化路9号"


async def test_a_draft_goes_on_after_it(talk: Talk) -> None:
    await begin(talk)
    with away(talk):
        await talk.say("快来人啊楼道着火了", "report_danger")
    answer = await talk.say("继续登记")
    (ticket,) = await filed(talk)
    assert ticket.place == PLACE and ticket.number in answer and "联系电话" in answer


@pytest.mark.parametrize(
    ("words", "intent"),
    [
        ("好的", "affirm"),
        ("怎么还没人来", "ticket_urge"),
        ("查一下进度", "ticket_status"),
        ("知道了", "thanks"),
        ("呃", "nlu_fallback"),
    ],
)
async def test_whatever_is_said_next_brings_the_ticket(talk: Talk, words: str, intent: str) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    answer = await talk.say(words, intent)
    (ticket,) = await filed(talk)
    assert ticket.place == "经三路26号" and ticket.number in answer and "还没有登记" not in answer


@pytest.mark.parametrize(("place", "intent"), [(None, "cancel"), ("经三路26号", "cancel"), ("经三路26号", "deny")])
async def test_a_false_alarm_gets_no_ticket(talk: Talk, place: str | None, intent: str) -> None:
    with away(talk):
        await talk.say(f"{place or ''}着火了", "report_danger", **({"place": place} if place else {}))
    assert "不登记" in await talk.say("不用了，没着火，是误报", intent)
    await begin(talk)
    assert await filed(talk) == []


async def test_two_fires_are_two_tickets(talk: Talk) -> None:
    with away(talk):
        await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
        await talk.say("农业路5号也着火了", "report_danger", place="农业路5号")
    await talk.say("好的", "affirm")
    assert {ticket.place for ticket in await filed(talk)} == {"经三路26号", "农业路5号"}
