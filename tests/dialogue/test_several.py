"""A message with several matters: one ticket now, the others when the resident wants them."""

import pytest

from actions.hearing import parse_result
from actions.protocol import Heard
from actions.several import about_main, heard_again
from assistant.tickets.model import Matter, TicketDraft
from tests.dialogue.conftest import Talk
from tests.dialogue.fakes import understood

SMOKE, BUS = "楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽", "另外小区门口12路公交车老是等不来"
LAMP = "还有花园路的一盏路灯坏了半个月"
AIR, TRAFFIC, CITY = ("环境保护", "环境污染"), ("交通运输", "公共交通"), ("城乡建设", None)
PLACE = "金水区花园路85号"
TWO = f"我住{PLACE}，{SMOKE}。{BUS}。"
THREE = f"{TWO}{LAMP}。"


async def tell(talk: Talk, text: str = TWO) -> str:
    """The message, and the number; ends with the summary."""
    matters = [(SMOKE, *AIR), (BUS, *TRAFFIC), *([(LAMP, *CITY)] if LAMP in text else [])]
    for words, category in ((BUS, TRAFFIC), (LAMP, CITY)):
        talk.services.reader.teach(words, "file_request", category=category, request_type="求助")
    await talk.say(text, "file_request", matters=matters, place=PLACE, time="每天晚上")
    return await talk.say("138****5678", "inform_contact", phone="138****5678")


def drafts(talk: Talk) -> list[TicketDraft]:
    return [draft for key, draft in talk.services.tickets.drafts.items() if key.startswith(f"{talk.id}:")]


@pytest.mark.engine
async def test_two_matters_become_two_tickets(talk: Talk) -> None:
    summary = await tell(talk)
    assert "说了2件事" in summary
    assert summary.index(f"① {SMOKE}（环境保护）——这次先登记这一件") < summary.index(f"② {BUS}（交通运输）")
    assert talk.buttons == ["确认提交", "修改", "取消"]

    answer = await talk.say("确认提交")
    assert "工单号" in answer and f"另一件事：“{BUS}”" in answer
    assert talk.replies[-1].buttons[-2:] == [
        {"title": "登记另一件事", "payload": "登记另一件事"},
        {"title": "先不登记", "payload": "先不登记"},
    ]
    (first,) = drafts(talk)
    assert (first.category1, first.category2, first.description) == (*AIR, TWO)
    assert first.title == "楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽"
    assert first.other_matters == (Matter(*TRAFFIC, BUS),)

    answer = await talk.say("登记另一件事")
    assert f"内容：{BUS}" in answer and f"地点：{PLACE}" in answer and "联系方式：138****5678" in answer
    assert "件事，咱们" not in answer and "每天晚上" not in answer
    assert "地点：农业路10号" in await talk.say("地址写错了，应该是农业路10号", "correct", place="农业路10号")
    await talk.say("确认提交")
    assert "另一件事" not in "".join(reply.text for reply in talk.replies)
    _, second = drafts(talk)
    assert (second.category1, second.category2, second.description) == (*TRAFFIC, BUS)
    assert (second.request_type, second.place, second.phone) == ("求助", "农业路10号", "13812345678")
    assert second.other_matters == ()


@pytest.mark.engine
async def test_three_matters_are_filed_one_after_the_other(talk: Talk) -> None:
    assert "③" in await tell(talk, THREE)
    assert "另外2件事，下一件是" in await talk.say("确认提交")
    await talk.say("登记另一件事")
    assert f"“{LAMP}”" in await talk.say("确认提交")
    # A plain yes to the offer does it too.
    assert f"内容：{LAMP}" in await talk.say("好的呀", "affirm")
    await talk.say("确认提交")
    assert [draft.category1 for draft in drafts(talk)] == ["环境保护", "交通运输", "城乡建设"]


@pytest.mark.engine
@pytest.mark.parametrize(("words", "intent"), [("先不登记", None), ("不用了", "deny"), ("算了吧", "cancel")])
async def test_declining_is_fine(talk: Talk, words: str, intent: str | None) -> None:
    await tell(talk)
    await talk.say("确认提交")
    answer = await talk.say(words, intent)
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert "先不登记" in answer and ticket.number in answer and "撤回" not in answer
    assert "还有什么" in await talk.say("好的呀", "affirm")
    assert len(drafts(talk)) == 1


@pytest.mark.engine
async def test_confirming_twice_files_nothing_more_and_offers_again(talk: Talk) -> None:
    await tell(talk)
    await talk.say("确认提交")
    assert "提交过了" in await talk.say("确认提交")
    assert "登记另一件事" in talk.buttons and len(drafts(talk)) == 1
    assert f"内容：{BUS}" in await talk.say("登记另一件事")


@pytest.mark.engine
async def test_an_offer_that_was_passed_over_can_be_taken_later(talk: Talk) -> None:
    await tell(talk)
    await talk.say("确认提交")
    await talk.say("公积金怎么提取", "ask_policy")
    # What is no answer to the offer leaves it open, and a yes to something else files nothing.
    assert "还有什么" in await talk.say("好的呀", "affirm")
    assert f"内容：{BUS}" in await talk.say("登记另一件事。")
    assert "不登记了" in await talk.say("算了", "cancel")
    assert "发生了什么" in await talk.say("登记另一件事")


@pytest.mark.engine
async def test_a_message_told_anew_forgets_what_the_first_one_held(talk: Talk) -> None:
    await tell(talk)
    await talk.say("修改")
    await talk.say("改内容", "correct")
    answer = await talk.say("楼上装修太吵了", "file_request", category=("环境保护", "噪声污染"))
    assert "内容：楼上装修太吵了" in answer and "②" not in answer
    await talk.say("确认提交")
    assert drafts(talk)[0].other_matters == () and "登记另一件事" not in talk.buttons


@pytest.mark.engine
async def test_a_danger_keeps_the_other_matter_in_its_record(talk: Talk) -> None:
    text = f"厨房有煤气味快来人。{BUS}。"
    await talk.say(text, "report_danger", urgency="特急", matters=[("厨房有煤气味快来人", *CITY), (BUS, *TRAFFIC)])
    (draft,) = drafts(talk)
    assert draft.other_matters == (Matter(*TRAFFIC, BUS),) and draft.description == text
    assert draft.confidences["rule"] == "danger"


# --- what belongs to which matter ----------------------------------------------------------------------------------


def heard(text: str, matters: list[tuple[str, str, str | None]], **entities: str) -> Heard:
    read = understood(text, "file_request", matters=matters, **entities)
    return Heard.of({"text": text, "intent": {"name": "file_request"}, "understanding": read.as_dict()})


def test_the_tracker_holds_the_parts_of_several_matters_and_no_copy_of_a_single_one() -> None:
    parts = parse_result(understood(TWO, "file_request", matters=[(SMOKE, *AIR), (BUS, *TRAFFIC)]))
    assert [part["text"] for part in parts["understanding"]["requests"]] == [SMOKE, BUS]
    assert parse_result(understood(SMOKE, "file_request"))["understanding"]["requests"] == []


def test_one_matter_is_no_list() -> None:
    assert heard(SMOKE, []).matters == ()
    assert about_main(heard(SMOKE, [], time="每天晚上")).first("time") == "每天晚上"


def test_a_place_behind_the_main_matter_belongs_to_another() -> None:
    matters = [("楼上天天漏水，物业不管", *CITY), ("花园路的路灯坏了", *CITY)]
    behind = heard("楼上天天漏水，物业不管，花园路的路灯坏了", matters, place="花园路")
    assert about_main(behind).first("place") is None
    before = heard("花园路的路灯坏了，楼上天天漏水，物业不管", matters, place="花园路")
    assert about_main(before).first("place") == "花园路"


def test_a_category_that_was_shown_stays_as_sure_as_its_own_words_make_it() -> None:
    read = understood(BUS, "inform_detail", category=AIR)
    again = heard_again({"category1": "交通运输", "category2": "公共交通", "text": BUS}, read)
    assert (again.category1, again.category2, again.text) == (*TRAFFIC, BUS)
    assert again.confidence["category1"] == 0.0 and "category2" not in again.confidence
    same = heard_again({"category1": "环境保护", "category2": None, "text": BUS}, read)
    assert (same.category2, same.confidence["category1"]) == ("环境污染", 0.8)
