"""Whose name and number a draft holds, on a real Rasa."""

import pytest

from actions import reading
from assistant.tickets.model import TicketDraft
from tests.dialogue.conftest import Talk
from tests.dialogue.test_conversations import HOUSING, MUNICIPAL, PLACE, begin, submitted, to_summary

pytestmark = pytest.mark.engine

WHO = "我叫王强，电话138****5678"
KNOWN = {"name": "王强", "phone": "138****5678"}
OTHER = f"{PLACE}楼道堆满杂物，走路都困难"


async def another(talk: Talk) -> str:
    return await talk.say(OTHER, "file_request", category=HOUSING, place=PLACE)


def drafts(talk: Talk) -> list[TicketDraft]:
    return [draft for key, draft in talk.services.tickets.drafts.items() if key.startswith(f"{talk.id}:")]


async def test_what_was_added_to_a_ticket_introduces_nobody_to_the_next(talk: Talk) -> None:
    number = await submitted(talk)
    await talk.say("补充情况")
    assert number in await talk.say(WHO, "inform_contact", **KNOWN)
    assert "联系电话" in await another(talk)


async def test_what_was_told_within_a_draft_is_no_new_request(talk: Talk) -> None:
    await begin(talk)
    await talk.say("我叫王强，他们吵得没法睡，打我65121234", "nlu_fallback", name="王强")
    await talk.say("确认提交")
    answer = await talk.say("登记工单")
    assert "发生了什么" in answer and "我记下了" not in answer


async def test_who_was_told_in_a_dropped_draft_is_not_in_the_next(talk: Talk) -> None:
    await begin(talk)
    await talk.say(WHO, "inform_contact", **KNOWN)
    await talk.say("算了", "cancel")
    await talk.say("你好", "greet")
    assert "联系电话" in await another(talk)


async def test_who_began_with_name_and_number_in_two_messages_is_not_asked_again(talk: Talk) -> None:
    await talk.say("我叫王强", "inform_contact", name="王强")
    await talk.say("电话138****5678", "inform_contact", phone="138****5678")
    assert "联系方式：王* 138****5678" in await another(talk)


@pytest.mark.parametrize(
    ("words", "intent"),
    [
        ("我要匿名", "anonymous"),
        ("不要写我名字", "anonymous"),
        ("别写我的名字", "correct"),
        ("不要登记我的姓名", "deny"),
    ],
)
async def test_who_wants_to_stay_anonymous_leaves_neither_name_nor_number(talk: Talk, words: str, intent: str) -> None:
    await begin(talk)
    await talk.say(WHO, "inform_contact", **KNOWN)
    answer = await talk.say(words, intent)
    assert "联系方式：匿名" in answer and "王" not in answer and "5678" not in answer
    assert "联系方式：匿名" in await talk.say("物业的电话是0371-6512****", "inform_detail", phone="0371-6512****")
    await talk.say("确认提交")
    (draft,) = drafts(talk)
    assert draft.anonymous and draft.phone is None and draft.name is None


async def test_a_name_told_before_the_wish_is_forgotten(talk: Talk) -> None:
    await talk.say("楼道灯坏了", "file_request", category=MUNICIPAL, request_type="咨询")
    await talk.say("我叫王强", "inform_contact", name="王强")
    await talk.say("匿名")
    answer = await talk.say("我要留电话了138****5678", "inform_contact", phone="138****5678")
    assert "联系方式：138****5678" in answer


async def test_an_account_does_not_tell_who_wrote_it(talk: Talk) -> None:
    told = f"{WHO}，{PLACE}物业的王强不管楼道灯"
    await talk.say(told, "file_request", place=PLACE, category=HOUSING, **KNOWN)
    await talk.say("我要匿名", "anonymous")
    while "请您核对" not in "".join(reply.text for reply in talk.replies):
        await talk.say("跳过")
    await talk.say("确认提交")
    (draft,) = drafts(talk)
    assert draft.description.startswith("我叫某某，电话某某，") and "物业的王强不管" in draft.description
    assert "5678" not in draft.title


async def test_a_wish_before_the_request_holds_for_it(talk: Talk) -> None:
    await talk.say(WHO, "inform_contact", **KNOWN)
    await talk.say("我要匿名", "anonymous")
    answer = await another(talk)
    assert "联系方式：匿名" in answer and "王" not in answer


async def test_the_wish_holds_for_what_waits_too(talk: Talk) -> None:
    await to_summary(talk)
    told = "经三路12号路灯不亮"
    talk.services.reader.teach("路灯不亮", "file_request", category=MUNICIPAL)
    await talk.say(told, "inform_place", place="经三路12号")
    await talk.say("我要匿名", "anonymous")
    await talk.say("确认提交")
    await talk.say("登记另一件事")
    answer = await talk.say("一盏", "nlu_fallback")
    assert "联系方式：匿名" in answer and "5678" not in answer


async def test_a_wish_after_the_first_ticket_holds_for_what_waits(talk: Talk) -> None:
    await to_summary(talk)
    talk.services.reader.teach("路灯不亮", "file_request", category=MUNICIPAL)
    await talk.say("经三路12号路灯不亮", "inform_place", place="经三路12号")
    await talk.say("确认提交")
    await talk.say("我要匿名", "anonymous")
    await talk.say("登记另一件事")
    assert "联系方式：匿名" in await talk.say("一盏", "nlu_fallback")


async def test_a_danger_told_anonymously_names_nobody(talk: Talk) -> None:
    told = f"我要匿名，{WHO}，经三路26号有人拿刀砍人"
    await talk.say(told, "report_danger", place="经三路26号", **KNOWN)
    (draft,) = drafts(talk)
    assert draft.anonymous and draft.phone is None and draft.name is None and "王强" not in draft.description


@pytest.mark.parametrize("words", ["联系焦经理", "我联系过物业焦经理", "物业不管，叫焦经理"])
async def test_somebody_who_was_spoken_to_is_not_the_contact(talk: Talk, words: str) -> None:
    await begin(talk)
    await talk.say(words, "inform_contact", name="焦经理")
    answer = await talk.say("138****5678", "inform_contact", phone="138****5678")
    assert "联系方式：138****5678" in answer


@pytest.mark.parametrize(
    "words",
    [
        "有人匿名发短信说要烧我家",
        "有人泼油漆不留姓名，还堵门",
        "保安不登记姓名就放外人进来",
        "外卖小票也不写名字，单子上啥都没有",
        "匿名电话骚扰我",
        "他匿名举报我",
    ],
)
def test_that_others_stay_unnamed_is_no_wish(words: str) -> None:
    assert not reading.wants_anonymity(words)


async def test_a_number_after_all_is_taken(talk: Talk) -> None:
    await begin(talk)
    await talk.say("匿名")
    await talk.say("还是留个电话吧138****5678", "affirm", phone="138****5678")
    await talk.say("确认提交")
    (draft,) = drafts(talk)
    assert draft.phone is not None


@pytest.mark.parametrize(
    "words",
    [
        "我是花园小区业主王强，家里座机65121234，物业不管电梯",
        "我叫王强（65121234），物业不管电梯",
        "我是居民王强，请回电65121234，物业不管电梯",
        "我叫王强，我的微信号65121234，物业不管电梯",
    ],
)
def test_an_account_is_told_without_who_tells_it(words: str) -> None:
    told = reading.without_identity(words, {"王强"}, {"65121234"})
    assert "王强" not in told and "65121234" not in told and told.endswith("物业不管电梯")


def test_what_others_are_called_stays() -> None:
    told = "业主王强在楼道堆杂物，物业电话65121234没人接"
    assert reading.without_identity(told, {"王强"}, {"65121234"}) == told
