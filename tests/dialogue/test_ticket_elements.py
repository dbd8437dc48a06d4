"""What a category needs beside place and contact, an event that others reported, and the callback: on a real Rasa."""

import pytest

from actions.services import SimilarEvent
from assistant.tickets.model import TicketDraft
from tests.dialogue.conftest import Talk
from tests.dialogue.test_conversations import MUNICIPAL, submitted

pytestmark = pytest.mark.engine

WAGES = ("劳动和社会保障", "工资福利")
POLLUTION = ("环境保护", "环境污染")
PLACE = "金水区花园路85号"


def draft(talk: Talk) -> TicketDraft:
    return talk.services.tickets.drafts[f"{talk.id}:0:1"]


def said_in(talk: Talk) -> str:
    return "\n".join(reply.text for reply in talk.replies)


async def no_water(talk: Talk) -> str:
    """A form that asks since when the water is away."""
    return await talk.say(f"{PLACE}停水了", "file_request", category=MUNICIPAL, place=PLACE, request_type="求助")


async def test_what_is_missing_is_asked_one_thing_at_a_time(talk: Talk) -> None:
    answer = await no_water(talk)
    assert "什么时候开始" in answer and "整栋楼" not in answer and "联系电话" not in answer
    assert talk.buttons == ["跳过"]
    answer = await talk.say("今天早上", "inform_detail", time="今天早上")
    assert "整栋楼" in answer and talk.buttons == ["就我一家", "整栋楼", "整个小区", "附近一大片", "跳过"]
    assert "联系电话" in await talk.say("整栋楼")
    answer = await talk.say("匿名")
    assert "时间：今天早上" in answer and "影响范围：整栋楼" in answer and answer.count("今天早上") == 1
    await talk.say("确认提交")
    assert draft(talk).elements == {"since": "今天早上", "area": "整栋楼", "outage": "停水"}
    assert draft(talk).event_time == "今天早上"


async def test_a_whole_story_is_asked_nothing(talk: Talk) -> None:
    story = "俺在郑东新区干活，河南宏达建筑公司欠了8个人4万多，3月到6月的工资一直没发"
    answer = await talk.say(story, "file_request", category=WAGES, place="郑东新区")
    assert "联系电话" in answer
    answer = await talk.say("匿名")
    for line in ("单位：河南宏达建筑公司", "欠薪金额：4万多", "涉及人数：8个人"):
        assert line in answer
    await talk.say("确认提交")
    assert draft(talk).elements.keys() == {"employer", "wages_period", "wages_amount", "people"}


async def test_a_company_that_the_model_marked_is_not_asked_for(talk: Talk) -> None:
    text = "金水区宏图欠我三个月工资，一共两万块"
    assert "联系电话" in await talk.say(text, "file_request", category=WAGES, place="金水区", company="宏图")
    await talk.say("匿名")
    await talk.say("确认提交")
    assert draft(talk).elements["employer"] == "宏图"


async def test_a_sum_is_no_company(talk: Talk) -> None:
    told = "金水区有人拖欠我们八个人三个月工资"
    assert "哪个公司" in await talk.say(told, "file_request", category=WAGES, place="金水区")
    answer = await talk.say("一共十二万", "inform_detail")
    assert "记下了" in answer and "哪个公司" in answer
    assert "联系电话" in await talk.say("宏图劳务", "inform_detail")
    answer = await talk.say("匿名")
    assert "单位：宏图劳务" in answer and "欠薪金额：十二万" in answer


@pytest.mark.parametrize(
    ("words", "intent"),
    [
        ("跳过", None),
        ("不知道", "nlu_fallback"),
        ("这个不太清楚", "chitchat"),
        ("不想说", "deny"),
        ("记不清了", "deny"),
    ],
)
async def test_who_does_not_know_is_never_asked_twice(talk: Talk, words: str, intent: str | None) -> None:
    await no_water(talk)
    answer = await talk.say(words, intent)
    assert "整栋楼" in answer and "什么时候" not in answer
    assert "联系电话" in await talk.say(words, intent)
    answer = await talk.say("匿名")
    assert "影响范围" not in answer
    await talk.say("确认提交")
    assert draft(talk).elements == {"outage": "停水"}


async def test_one_reply_may_tell_everything(talk: Talk) -> None:
    await no_water(talk)
    assert "联系电话" in await talk.say("从周三开始，12户都没水", "inform_detail")
    await talk.say("匿名")
    await talk.say("确认提交")
    assert draft(talk).elements["area"] == "12户"
    assert "周三" in draft(talk).elements["since"]


async def test_the_place_said_again_is_the_place_and_no_answer(talk: Talk) -> None:
    await no_water(talk)
    exact = f"{PLACE}3号楼"
    assert "什么时候" in await talk.say(exact, "inform_place", place=exact)
    await talk.say("跳过")
    await talk.say("跳过")
    await talk.say("匿名")
    await talk.say("确认提交")
    assert draft(talk).place == exact and "since" not in draft(talk).elements and "area" not in draft(talk).elements


async def lamps(talk: Talk) -> str:
    """A form that asks how many lamps."""
    return await talk.say("大学路66号的路灯不亮", "file_request", category=MUNICIPAL, place="大学路66号")


@pytest.mark.parametrize(
    ("words", "known", "line"),
    [
        ("大学路66号院门口", {"place": "大学路66号院"}, "地点：大学路66号院门口"),
        ("在文化路3号楼", {"place": "文化路3号楼"}, "地点：文化路3号楼"),
        ("昨天晚上的", {"time": "昨天晚上"}, "时间：昨天晚上"),
        ("我电话是138****5678", {"phone": "138****5678"}, "138****5678"),
        ("我叫王强", {"name": "王强"}, "路灯"),
    ],
)
async def test_a_detail_is_no_number(talk: Talk, words: str, known: dict[str, str], line: str) -> None:
    await lamps(talk)
    answer = await talk.say(words, "inform_place" if "place" in known else "nlu_fallback", **known)
    assert "几盏" in answer and "记下了" in answer
    answer = await talk.say("好几盏")
    assert "是一两盏" not in answer
    if "联系电话" in answer:
        answer = await talk.say("匿名")
    assert line in answer and "路灯数量：好几盏" in answer


async def test_a_part_of_the_known_place_does_not_replace_it(talk: Talk) -> None:
    await lamps(talk)
    await talk.say("大学路", "inform_place", place="大学路")
    await talk.say("跳过")
    assert "地点：大学路66号\n" in await talk.say("匿名")


async def test_a_place_said_again_in_anger_is_no_answer(talk: Talk) -> None:
    await lamps(talk)
    answer = await talk.say("都跟你说了大学路66号", "inform_place", place="大学路66号")
    assert "几盏" in answer
    await talk.say("跳过")
    assert "路灯数量" not in await talk.say("匿名")


async def test_the_digits_of_an_address_are_no_time(talk: Talk) -> None:
    await no_water(talk)
    answer = await talk.say("陇海路168号院也停了", "file_request", place="陇海路168号院")
    assert "没记准" in answer and "什么时候" in answer


async def test_an_answer_that_comes_late_is_taken(talk: Talk) -> None:
    await talk.say("大学路66号下雨积水", "file_request", category=MUNICIPAL, place="大学路66号", request_type="求助")
    answer = await talk.say("到膝盖", "out_of_scope")
    assert "帮不上" not in answer and "联系电话" in answer
    assert "积水深度：到膝盖" in await talk.say("匿名")


async def test_a_place_that_says_how_far_it_reaches_is_an_answer(talk: Talk) -> None:
    await no_water(talk)
    await talk.say("昨天", "inform_detail", time="昨天")
    assert "联系电话" in await talk.say("3号楼", "inform_place", place="3号楼")


async def test_a_reply_that_does_not_fit_is_asked_for_once_more_only(talk: Talk) -> None:
    await no_water(talk)
    answer = await talk.say("水费可没少收俺们哩", "file_request")
    assert "没记准" in answer and "什么时候" in answer
    assert "整栋楼" in await talk.say("物业也不管", "file_request")


async def test_a_question_in_the_middle_is_answered_and_the_question_comes_again(talk: Talk) -> None:
    await no_water(talk)
    answer = await talk.say("公积金怎么提取", "ask_policy")
    assert "可以提取住房公积金" in answer and "什么时候开始" in answer
    assert "没记准" not in answer
    answer = await talk.say("转人工")
    assert "转接人工" in answer and "什么时候" not in answer
    assert "整栋楼" in await talk.say("昨天晚上停的", "inform_detail", time="昨天晚上")


async def test_the_rest_of_the_form_goes_on_in_the_middle(talk: Talk) -> None:
    await no_water(talk)
    answer = await talk.say("地址错了，应该是花园路86号", "correct", place="花园路86号")
    assert "什么时候开始" in answer
    answer = await talk.say("我电话138****5678", "inform_contact", phone="138****5678")
    assert "什么时候开始" in answer
    await talk.say("昨天", "inform_detail", time="昨天")
    answer = await talk.say("整个小区")
    assert "花园路86号" in answer and "138****5678" in answer and "影响范围：整个小区" in answer


async def test_a_draft_is_dropped_in_the_middle_and_leaves_nothing(talk: Talk) -> None:
    await no_water(talk)
    await talk.say("整栋楼")
    assert "不登记了" in await talk.say("算了", "cancel")
    answer = await talk.say("农业路一盏路灯不亮了", "file_request", category=MUNICIPAL, place="农业路")
    assert "联系电话" in answer  # one lamp: said
    assert "影响范围" not in await talk.say("匿名")


async def test_elements_are_corrected_at_the_summary(talk: Talk) -> None:
    story = "郑东新区宏达建筑公司欠了8个人4万多，3月到6月的工资没发"
    await talk.say(story, "file_request", category=WAGES, place="郑东新区")
    answer = await talk.say("匿名")
    assert "涉及人数：8个人" in answer
    answer = await talk.say("人数改成15个", "correct")
    assert "涉及人数：15个" in answer and "8个人\n" not in answer
    assert "单位：宏图劳务" in await talk.say("公司名字写错了，应该是宏图劳务", "correct")
    assert "欠薪金额：5万" in await talk.say("不对，应该是5万块", "deny")
    await talk.say("确认提交")
    assert draft(talk).elements["people"] == "15个"
    assert draft(talk).elements["employer"] == "宏图劳务"


@pytest.mark.parametrize("kind", ["咨询", "表扬", "建议"])
async def test_inquiries_praise_and_proposals_need_nothing_more(talk: Talk, kind: str) -> None:
    answer = await talk.say(
        f"{PLACE}停水的事我有话说", "file_request", category=MUNICIPAL, place=PLACE, request_type=kind
    )
    assert "联系电话" in answer


async def test_a_danger_is_asked_nothing_and_a_form_goes_on_after_it(talk: Talk) -> None:
    answer = await talk.say(f"{PLACE}停水了还冒烟", "file_request", category=MUNICIPAL, place=PLACE, urgency="特急")
    assert "联系电话" in answer
    other = Talk(talk.client, talk.services, f"{talk.id}-other")
    await no_water(other)
    answer = await other.say("快来人啊楼道着火了", "report_danger")
    assert "119" in answer and "什么时候开始" not in answer
    assert "什么时候开始" in await other.say("继续登记")


async def test_a_new_account_is_judged_anew(talk: Talk) -> None:
    await no_water(talk)
    await talk.say("跳过")
    await talk.say("跳过")
    await talk.say("匿名")
    await talk.say("修改")
    await talk.say("改内容", "correct")
    answer = await talk.say("楼下饭店油烟大", "file_request", category=POLLUTION)
    assert "几点" in answer
    answer = await talk.say("中午和晚上", "inform_detail")
    assert "发生时段：中午和晚上" in answer or "时间：中午和晚上" in answer


# --- what others reported already ----------------------------------------------------------------------------------

EVENT = SimilarEvent("ZZ2026112205990001", 23, "郑州水务", "处置中")


@pytest.fixture
def known_event(talk: Talk) -> SimilarEvent:
    talk.services.known_events[PLACE] = EVENT
    return EVENT


async def to_offer(talk: Talk) -> str:
    await talk.say(f"{PLACE}整栋楼从昨天开始停水", "file_request", category=MUNICIPAL, place=PLACE)
    return await talk.say("匿名")


async def test_an_event_that_others_reported_is_followed(talk: Talk, known_event: SimilarEvent) -> None:
    answer = await to_offer(talk)
    assert "已有23人反映，郑州水务正在处理" in answer and known_event.number in answer and "请您核对" not in answer
    assert talk.buttons == ["一起跟进", "不是同一件事", "转人工"]
    answer = await talk.say("一起跟进")
    assert "请您核对" in answer and f"一起跟进：工单{known_event.number}" in answer
    await talk.say("确认提交")
    assert draft(talk).follows == known_event.number
    talk.services.known_events.clear()


async def test_another_matter_is_filed_as_usual_and_not_asked_about_again(
    talk: Talk, known_event: SimilarEvent
) -> None:
    await to_offer(talk)
    answer = await talk.say("公积金怎么提取", "ask_policy")
    assert "已有23人反映" in answer  # the question waits
    answer = await talk.say("不是同一件事")
    assert "请您核对" in answer and "已有" not in answer
    answer = await talk.say("人数不对，应该是整个小区", "correct")
    assert "已有" not in answer and "请您核对" in answer
    await talk.say("确认提交")
    assert draft(talk).follows is None
    talk.services.known_events.clear()


async def test_another_place_is_another_event(talk: Talk, known_event: SimilarEvent) -> None:
    await to_offer(talk)
    await talk.say("好的", "affirm")
    answer = await talk.say("地址写错了，应该是金水区文化路9号", "correct", place="金水区文化路9号")
    assert "请您核对" in answer and "一起跟进" not in answer
    await talk.say("确认提交")
    assert draft(talk).follows is None
    talk.services.known_events.clear()


async def test_a_search_that_fails_stops_nobody(talk: Talk, known_event: SimilarEvent) -> None:
    talk.services.broken = True
    try:
        assert "请您核对" in await to_offer(talk)
    finally:
        talk.services.broken = False
        talk.services.known_events.clear()


# --- the callback and the unit's question --------------------------------------------------------------------------


async def resolved(talk: Talk) -> str:
    number = await submitted(talk)
    talk.services.tickets.resolve(number, "已处理。")
    return number


def callbacks(talk: Talk, number: str) -> list[tuple[bool | None, bool | None, str | None]]:
    return [tuple(said) for known, *said in talk.services.tickets.callbacks if known == number]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "intent", "satisfied", "comment"),
    [
        ("满意", None, True, None),
        ("不满意", None, False, None),
        ("一般", None, None, "一般"),
        ("师傅来得挺快，不错", "file_request", True, "师傅来得挺快，不错"),
    ],
)
async def test_solved_and_how_it_was(
    talk: Talk, words: str, intent: str | None, satisfied: bool | None, comment: str | None
) -> None:
    number = await resolved(talk)
    answer = await talk.say("已经解决了")
    assert "已结案" in answer and "满意吗" in answer and talk.buttons == ["满意", "一般", "不满意"]
    assert callbacks(talk, number) == [(True, None, None)]  # nothing is lost if nobody answers
    assert "谢谢" in await talk.say(words, intent)
    assert callbacks(talk, number)[1:] == [(None, satisfied, comment)]
    assert "不客气" in await talk.say("谢谢", "thank")


async def test_a_question_about_satisfaction_is_asked_once(talk: Talk) -> None:
    number = await resolved(talk)
    await talk.say("已经解决了")
    answer = await talk.say("公积金怎么提取", "ask_policy")
    assert "满意吗" not in answer and "住房公积金" in answer
    assert "工单" in await talk.say("查工单进度")
    assert callbacks(talk, number) == [(True, None, None)]


async def test_solved_and_a_new_matter_at_once(talk: Talk) -> None:
    await resolved(talk)
    await talk.say("已经解决了")
    answer = await talk.say("农业路路灯整条路都不亮", "file_request", category=MUNICIPAL, place="农业路")
    assert "我记下了" in answer and "联系电话" in answer


async def test_who_says_how_it_was_is_not_asked(talk: Talk) -> None:
    number = await resolved(talk)
    answer = await talk.say("解决了，很满意", "feedback_helpful")
    assert "已结案" in answer and "满意吗" not in answer
    assert callbacks(talk, number) == [(True, True, None)]


async def test_not_solved_and_why(talk: Talk) -> None:
    number = await resolved(talk)
    answer = await talk.say("没有解决")
    assert "重新办理" in answer and "哪儿没解决" in answer
    assert callbacks(talk, number) == [(False, None, "没有解决")]
    answer = await talk.say("晚上还是冒烟", "file_request", category=POLLUTION)
    assert "记下了" in answer and "登记" not in answer
    assert (number, "没有解决的原因：晚上还是冒烟") in talk.services.tickets.notes


async def test_not_solved_without_a_reason(talk: Talk) -> None:
    await resolved(talk)
    await talk.say("没有解决")
    notes = list(talk.services.tickets.notes)
    assert "谢谢" in await talk.say("跳过")
    assert talk.services.tickets.notes == notes
    assert "再见" in await talk.say("拜拜", "goodbye")


async def test_not_solved_with_the_reason_in_it_is_not_asked(talk: Talk) -> None:
    number = await resolved(talk)
    words = "没有解决，晚上十点以后还是呛得睡不着"
    assert "哪儿没解决" not in await talk.say(words, "ticket_dissatisfied")
    assert callbacks(talk, number) == [(False, None, words)]


async def test_a_danger_interrupts_the_callback(talk: Talk) -> None:
    await resolved(talk)
    await talk.say("没有解决")
    answer = await talk.say("快来人啊楼道着火了", "report_danger")
    assert "119" in answer and "工单号" in answer


@pytest.mark.parametrize(
    ("words", "intent"),
    [("三楼东户", "nlu_fallback"), ("编号是0371", "inform_detail"), ("路灯在桥头", "file_request")],
)
async def test_words_for_a_unit_that_waits_are_offered_as_the_answer(talk: Talk, words: str, intent: str) -> None:
    number = await submitted(talk)
    talk.services.tickets.ask(number, "请说清是几号楼。")
    answer = await talk.say(words, intent)
    assert number in answer and "请说清是几号楼" in answer and "哪里" not in answer
    assert talk.buttons == ["补充情况", "我要反映问题"]
    assert number in await talk.say("补充情况")
    assert (number, words) in talk.services.tickets.notes


async def test_a_new_matter_is_not_taken_for_the_answer(talk: Talk) -> None:
    number = await submitted(talk)
    talk.services.tickets.ask(number, "请说清是几号楼。")
    await talk.say("农业路的井盖没了好几天，写着雨字", "file_request", category=MUNICIPAL, place="农业路")
    answer = await talk.say("我要反映问题")
    assert "联系电话" in answer
    assert "井盖没了" in await talk.say("匿名")
