"""Whole conversations: a real Rasa with the project's domain, rules and actions; only the reading is scripted."""

import pytest

from tests.dialogue.conftest import Talk

pytestmark = pytest.mark.engine

COMPLAINT = "金水区花园路85号楼下烧烤店每天晚上油烟很大,我家孩子一直咳嗽"
PLACE = "金水区花园路85号"
HOUSING = ("城乡建设", "住房保障与房地产")
MUNICIPAL = ("城乡建设", "城市建设和市政管理")


async def begin(talk: Talk) -> str:
    return await talk.say(COMPLAINT, "file_request", place=PLACE, time="每天晚上")


async def to_summary(talk: Talk) -> str:
    await begin(talk)
    return await talk.say("138****5678", "inform_contact", phone="138****5678")


async def submitted(talk: Talk) -> str:
    """A conversation with a ticket; returns its number."""
    await to_summary(talk)
    await talk.say("确认提交")
    ticket = talk.replies[-1].ticket
    assert ticket is not None
    return str(ticket["number"])


def notes(talk: Talk, number: str) -> list[str]:
    return [text for known, text in talk.services.tickets.notes if known == number]


async def test_a_complaint_in_one_go_asks_only_for_the_contact(talk: Talk) -> None:
    answer = await begin(talk)
    assert "联系电话" in answer and "哪里" not in answer
    assert "匿名" in talk.buttons
    answer = await talk.say("138****5678", "inform_contact", phone="138****5678")
    for words in ("投诉", "环境保护 - 大气污染", "烧烤店", PLACE, "每天晚上", "138****5678"):
        assert words in answer
    assert talk.buttons == ["确认提交", "修改", "取消"]
    answer = await talk.say("确认提交")
    ticket = talk.replies[-1].ticket
    assert ticket is not None and ticket["number"] in answer
    assert "金水区城市管理局" in answer and "11月27日（周五）18:00" in answer
    draft = talk.services.tickets.drafts[f"{talk.id}:0:1"]
    assert (draft.place, draft.event_time, draft.phone) == (PLACE, "每天晚上", "13812345678")
    assert draft.title == "金水区花园路85号楼下烧烤店每天晚上油烟很大,我家孩子一直咳嗽"


async def test_confirming_twice_makes_one_ticket(talk: Talk) -> None:
    number = await submitted(talk)
    answer = await talk.say("确认提交")
    assert number in answer and "提交过了" in answer
    assert len(await talk.services.tickets.find(conversation_id=talk.id)) == 1


async def test_an_empty_request_is_asked_for_everything_one_by_one(talk: Talk) -> None:
    assert "发生了什么" in await talk.say("我要投诉", "file_request")
    answer = await talk.say("小区门口夜里总有人放音响", "file_request", category=("环境保护", "环境污染"))
    assert "哪里" in answer and "电话" not in answer
    assert "电话" in await talk.say("二七塔那儿")  # not understood as a place by the model
    assert "请您核对" in await talk.say("匿名")
    await talk.say("确认提交")
    draft = talk.services.tickets.drafts[f"{talk.id}:0:1"]
    assert draft.anonymous and draft.phone is None and draft.place == "二七塔"


@pytest.mark.parametrize(
    ("words", "intent"), [("没有电话", "nlu_fallback"), ("不想说", "deny"), ("不方便留号码", "chitchat")]
)
async def test_refusing_a_number_leads_to_an_anonymous_ticket(talk: Talk, words: str, intent: str) -> None:
    await begin(talk)
    answer = await talk.say(words, intent)
    assert "匿名登记" in answer and "请您核对" in answer and "联系方式：匿名" in answer


async def test_wishes_are_answered_before_the_next_question(talk: Talk) -> None:
    await talk.say("楼上漏水", "file_request")
    answer = await talk.say("不想留电话", "anonymous")
    assert answer.index("匿名登记") < answer.index("哪里")
    answer = await talk.say("别告诉物业是我说的", "confidential")
    assert answer.index("保密") < answer.index("哪里")


async def test_a_number_that_is_too_short_is_not_taken(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("138123", "inform_contact")
    assert "不完整" in answer and "请您核对" not in answer
    assert "请您核对" in await talk.say("65121234", "inform_contact")


async def test_a_question_in_the_middle_is_answered_and_the_form_goes_on(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("公积金怎么提取", "ask_policy")
    assert "可以提取住房公积金" in answer and "联系电话" in answer
    assert talk.replies[0].citations[0]["article"] == "第八条"
    assert "匿名" in talk.buttons and "登记工单" not in talk.buttons


@pytest.mark.parametrize(
    ("words", "intent", "expected"),
    [
        ("你们几点上班", "ask_service_hours", "24小时"),
        ("会不会泄露我的信息", "ask_privacy", "加密"),
        ("多久能办好", "ask_process", "时限"),
        ("要钱吗", "ask_fee", "不收费"),
        ("能发照片吗", "ask_attachment", "文字"),
        ("字太小看不清", "ask_accessibility", "长辈版"),
        ("你是机器人吗", "bot_identity", "不是真人"),
        ("你能做什么", "bot_capability", "我能帮您"),
        ("今天天气怎么样", "out_of_scope", "帮不上"),
        ("你真笨", "insult", "转人工"),
        ("答非所问", "complain_bot", "转人工"),
        ("谢谢啊", "thank", "不客气"),
        ("在不在呀", "greet", "您好"),
        ("吃了吗您", "chitchat", "聊天"),
        ("这回明白了", "feedback_helpful", "反馈"),
        ("啥？再说一遍", "repeat", "联系电话"),
        ("哼哼哈哈", "nlu_fallback", "没听明白"),
    ],
)
async def test_everything_else_is_answered_in_the_middle_too(
    talk: Talk, words: str, intent: str, expected: str
) -> None:
    await begin(talk)
    answer = await talk.say(words, intent)
    assert expected in answer and "联系电话" in answer
    # And alone, with nothing to go on with (a repetition has nothing to repeat but the same question).
    alone = Talk(talk.client, talk.services, f"{talk.id}-alone")
    assert (expected if intent != "repeat" else "还没说") in await alone.say(words, intent)
    assert "联系电话" not in "".join(reply.text for reply in alone.replies)


async def test_what_means_something_else_before_the_ticket(talk: Talk) -> None:
    await begin(talk)
    assert "还没有提交" in await talk.say("拜拜", "goodbye")
    answer = await talk.say("我的单子到哪了", "ticket_progress")
    assert "还没有提交" in answer and "联系电话" in answer
    assert "不登记了" in await talk.say("我不投诉了撤了吧", "ticket_withdraw")
    assert "再见" in await talk.say("拜拜", "goodbye")
    assert "还没有登记过" in await talk.say("我的单子到哪了", "ticket_progress")


async def test_a_request_that_may_be_a_danger_is_warned_of(talk: Talk) -> None:
    answer = await talk.say("楼道里燃气管好像在漏", "file_request", urgency="特急")
    assert answer.index("燃气总阀") < answer.index("哪里")


async def test_a_complaint_about_refusing_is_no_refusal(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("老板态度差还不给我们看营业执照也不给说法", "file_request")
    assert "匿名登记" not in answer and "联系电话" in answer


async def test_never_mind_ends_the_form_without_a_question(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("算了", "cancel")
    assert "不登记了" in answer and "?" not in answer and "？" not in answer
    assert await talk.services.tickets.find(conversation_id=talk.id) == []
    # The next request starts from nothing.
    answer = await talk.say("路灯不亮", "file_request", category=("城乡建设", None))
    assert "哪里" in answer


async def test_a_person_at_any_time(talk: Talk) -> None:
    assert "转接人工" in await talk.say("转人工")
    assert talk.replies[0].handover == {"reason": "居民要求"}
    await begin(talk)
    answer = await talk.say("转人工")
    assert "转接人工" in answer and "联系电话" not in answer
    assert (talk.id, "居民要求") in talk.services.waiting
    # Back from the person, the form goes on where it was.
    assert "请您核对" in await talk.say("138****5678", "inform_contact", phone="138****5678")


async def test_a_correction_shows_the_summary_again(talk: Talk) -> None:
    await to_summary(talk)
    answer = await talk.say("地址写错了，应该是农业路10号", "correct", place="农业路10号")
    assert "地点：农业路10号" in answer and "确认提交" in talk.buttons
    await talk.say("修改")
    assert "改地点" in talk.buttons
    assert "哪里" in await talk.say("改地点", "correct")
    assert "地点：东风路3号院" in await talk.say("东风路3号院", "inform_place", place="东风路3号院")
    await talk.say("不对", "deny")
    assert "什么时候" in await talk.say("改时间", "correct")
    assert "时间：上周六夜里" in await talk.say("上周六夜里", "inform_detail", time="上周六夜里")
    await talk.say("修改")
    assert "联系电话" in await talk.say("改联系方式", "correct")
    answer = await talk.say("0371-6512****", "nlu_fallback")
    await talk.say("匿名")
    assert "联系方式：匿名" in "\n".join(reply.text for reply in talk.replies)
    await talk.say("修改")
    assert "发生了什么" in await talk.say("改内容", "correct")
    assert "内容：楼下饭店排烟管正对着我家窗户" in await talk.say("楼下饭店排烟管正对着我家窗户", "file_request")


async def test_a_correction_before_the_summary(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("地址写错了，应该是花园路86号", "correct", place="花园路86号")
    assert "联系电话" in answer
    assert "地点：花园路86号" in await talk.say("匿名")


async def test_a_corrected_place_keeps_the_district_said_before(talk: Talk) -> None:
    await talk.say("楼上天天装修", "file_request", time="天天", category=("环境保护", "环境污染"))
    await talk.say("二七区大学路40号院", "inform_place", place="二七区大学路40号院")
    await talk.say("匿名")
    assert "地点：二七区某某巷42号院" in await talk.say("应该是某某巷42号院", "correct", place="某某巷42号院")
    assert "地点：金水区花园路1号" in await talk.say("应该是金水区花园路1号", "correct", place="金水区花园路1号")
    # 绿城社区 lies in 二七区, but a part of a name does not outweigh what the resident said.
    answer = await talk.say("应该是绿城小区3号楼", "correct", place="绿城小区3号楼")
    assert "地点：金水区绿城小区3号楼" in answer
    assert "地点：开封市鼓楼广场" in await talk.say("应该是开封市鼓楼广场", "correct", place="开封市鼓楼广场")


async def test_what_is_no_account_of_anything_is_no_description(talk: Talk) -> None:
    assert "发生了什么" in await talk.say("我要反映问题")
    answer = await talk.say("你是机器人吗", "bot_identity")
    assert "哪里" not in answer and "发生了什么" in answer
    assert "哪里" in await talk.say("楼下垃圾堆成山", "nlu_fallback")


async def test_a_time_that_is_corrected_is_no_place(talk: Talk) -> None:
    await talk.say("楼上天天装修", "file_request", time="天天", category=("环境保护", "环境污染"))
    assert "哪里" in await talk.say("时间写错了，应该是周末", "correct")
    await talk.say("东风路3号院", "inform_place", place="东风路3号院")
    answer = await talk.say("匿名")
    assert "时间：周末" in answer and "地点：东风路3号院" in answer


async def test_a_resident_who_does_not_know_the_place_is_not_asked_for_ever(talk: Talk) -> None:
    await talk.say("河里昨天起好多死鱼", "file_request", category=("环境保护", "环境污染"), time="昨天起")
    assert "大概" in await talk.say("不知道", "nlu_fallback")
    assert "联系电话" in await talk.say("说不清", "nlu_fallback")
    await talk.say("匿名")
    await talk.say("确认提交")
    assert talk.services.tickets.drafts[f"{talk.id}:0:1"].place is None


async def test_going_on_without_a_place(talk: Talk) -> None:
    await talk.say("河里昨天起好多死鱼", "file_request", category=("环境保护", "环境污染"), time="昨天起")
    await talk.say("不想说", "deny")
    assert "联系电话" in await talk.say("行，就这样提交吧", "affirm")
    answer = await talk.say("匿名")
    assert "地点：未能说明" in answer


async def test_more_about_the_matter_goes_into_the_description(talk: Talk) -> None:
    await talk.say("楼上漏水", "file_request", category=HOUSING)
    await talk.say("已经漏了半个月了，物业来看过两次都没修好", "file_request", category=HOUSING)
    assert "哪里" in "".join(reply.text for reply in talk.replies)
    await talk.say("经三路26号院", "inform_place", place="经三路26号院")
    assert "物业来看过两次" in await talk.say("匿名")


async def test_a_whole_letter_becomes_a_ticket_in_one_go(talk: Talk) -> None:
    letter = (
        "尊敬的市长：\n您好！我们小区门口的路坑坑洼洼好几年了。"
        + "下雨天积水，老人摔倒过好几次，反映多次没人管。" * 200
    )
    answer = await talk.say(letter, "ask_policy", request_type="求助", category=("城乡建设", None))
    assert "哪里" in answer
    await talk.say("中原路和桐柏路交叉口", "inform_place", place="中原路和桐柏路交叉口")
    answer = await talk.say("匿名")
    assert len(answer) < 500
    await talk.say("确认提交")
    draft = talk.services.tickets.drafts[f"{talk.id}:0:1"]
    assert draft.description == letter.strip()
    assert draft.title == "我们小区门口的路坑坑洼洼好几年了"


async def test_a_question_without_an_answer_becomes_a_ticket_without_being_told_again(talk: Talk) -> None:
    await talk.say("企业复工要什么手续", "ask_policy", request_type="咨询", category=("经济管理", None))
    assert talk.buttons == ["登记工单", "转人工"]
    assert "联系电话" in await talk.say("登记工单")
    assert "内容：企业复工要什么手续" in await talk.say("匿名")


async def test_what_was_not_understood_can_be_registered_as_it_is(talk: Talk) -> None:
    await talk.say("咕噜咕噜楼下那家店呀呀呀", "nlu_fallback")
    assert "我要反映问题" in talk.buttons
    assert "哪里" in await talk.say("我要反映问题")
    assert "几点" in await talk.say("东风路3号院", "inform_place", place="东风路3号院")
    assert "联系电话" in await talk.say("跳过")
    assert "内容：咕噜咕噜楼下那家店呀呀呀" in await talk.say("匿名")


async def test_a_story_about_no_ticket_of_ours_is_a_request(talk: Talk) -> None:
    story = "我们小区没暖气的事催了物业和热力公司十几次，到现在都没人管，老人冻病了"
    assert "哪里" in await talk.say(story, "ticket_urge", request_type="求助", category=MUNICIPAL)
    assert "多少度" in await talk.say("东风路3号院", "inform_place", place="东风路3号院")
    assert "小区" in await talk.say("最多12度", "nlu_fallback")
    assert "开始" in await talk.say("整栋楼")
    assert "联系电话" in await talk.say("跳过")
    assert "没暖气" in await talk.say("匿名")
    assert "工单号" in await talk.say("确认提交")


async def test_a_question_that_goes_on_is_asked_together(talk: Talk) -> None:
    await talk.say("公积金怎么提取", "ask_policy")
    await talk.say("那要什么材料", "ask_policy")
    assert talk.services.questions[-1] == "公积金怎么提取 那要什么材料"
    await talk.say("要多久", "ask_policy")
    assert talk.services.questions[-1] == "公积金怎么提取 要多久"
    await talk.say("去哪办居住证", "ask_policy")
    assert talk.services.questions[-1] == "去哪办居住证"
    await talk.say("这个要钱不", "ask_policy")
    assert talk.services.questions[-1] == "去哪办居住证 这个要钱不"


async def test_cost_and_time_are_of_the_matter_that_was_asked_about_just_now(talk: Talk) -> None:
    assert "不收费" in await talk.say("要多少钱", "ask_fee")
    await talk.say("公积金怎么提取", "ask_policy")
    await talk.say("要多久", "ask_process")
    assert talk.services.questions[-1] == "公积金怎么提取 要多久"
    await talk.say("那要多少钱", "ask_fee")
    assert talk.services.questions[-1] == "公积金怎么提取 那要多少钱"
    assert "当场给您工单号" in await talk.say("你们办投诉是个什么流程", "ask_process")
    assert "不收费" in await talk.say("那要钱不", "ask_fee"), "a question about the hotline goes on from one about it"


async def test_two_readings_are_asked_back_and_what_may_be_asked_next_is_offered(talk: Talk) -> None:
    for question in ("中原区高龄津贴怎么领", "二七区高龄津贴怎么领", "公积金提取要什么材料"):
        talk.services.reader.teach(question, "ask_policy")
    answer = await talk.say("高龄津贴怎么领", "ask_policy")
    assert "哪一种" in answer and "转人工" in talk.buttons
    assert talk.replies[0].buttons[0] == {"title": "中原区", "payload": "中原区高龄津贴怎么领"}
    assert talk.replies[0].buttons[1] == {"title": "二七区", "payload": "二七区高龄津贴怎么领"}
    await talk.say("公积金怎么提取", "ask_policy")
    # What the model would not read as a question is not offered: a button must do what it says.
    assert "公积金提取要什么材料" in talk.buttons and "公积金提取要多久到账" not in talk.buttons


async def test_a_knowledge_base_that_is_away_is_said_so(talk: Talk) -> None:
    talk.services.broken = True
    try:
        answer = await talk.say("生育津贴怎么领", "ask_policy")
    finally:
        talk.services.broken = False
    assert "查不了" in answer and "转人工" in talk.buttons


async def test_tickets_that_cannot_be_stored_are_submitted_later(talk: Talk) -> None:
    await to_summary(talk)
    talk.services.tickets.broken = True
    try:
        answer = await talk.say("确认提交")
    finally:
        talk.services.tickets.broken = False
    assert "没能提交" in answer and "确认提交" in talk.buttons
    assert "工单号" in await talk.say("确认提交")
    assert len(await talk.services.tickets.find(conversation_id=talk.id)) == 1


async def test_a_time_that_cannot_be_is_said_and_left_out(talk: Talk) -> None:
    await to_summary(talk)
    talk.services.reader.teach("时间是2099年1月1日", "correct", time="2099年1月1日")
    await talk.say("时间是2099年1月1日")
    answer = await talk.say("确认提交")
    assert "还没有到" in answer and "请您核对" in answer and "没能提交" not in answer
    assert "工单号" in await talk.say("确认提交")


# --- after the ticket ----------------------------------------------------------------------------------------------


async def test_progress_urge_and_dissatisfaction(talk: Talk) -> None:
    number = await submitted(talk)
    answer = await talk.say("查工单进度")
    assert number in answer and "金水区城市管理局" in answer and "已经派给" in answer
    assert "催办" in await talk.say("催办") and notes(talk, number) == ["催办"]
    answer = await talk.say("你们根本没管", "ticket_dissatisfied")
    assert "抱歉" in answer and "转人工" in talk.buttons
    assert notes(talk, number)[-1] == "居民对办理情况不满意：你们根本没管"


async def test_the_result_is_judged_by_the_resident(talk: Talk) -> None:
    number = await submitted(talk)
    talk.services.tickets.resolve(number, "已责令安装油烟净化器。")
    assert "已责令安装" in await talk.say("查工单进度")
    assert "重新办理" in await talk.say("没有解决")
    talk.services.tickets.resolve(number, "已安装。")
    assert "已结案" in await talk.say("已经解决了")
    assert talk.services.tickets.tickets[number].state == "已结案"


async def test_a_supplement_at_once_or_after_a_question(talk: Talk) -> None:
    number = await submitted(talk)
    assert number in await talk.say("补充一下，他们昨晚一直开到两点", "ticket_add")
    assert "请说要补充" in await talk.say("补充情况")
    assert number in await talk.say("对面的饭店也一样", "nlu_fallback")
    assert notes(talk, number) == ["补充一下，他们昨晚一直开到两点", "对面的饭店也一样"]


async def test_a_supplement_that_is_given_up(talk: Talk) -> None:
    number = await submitted(talk)
    await talk.say("补充情况")
    assert number in await talk.say("算了", "cancel")
    assert notes(talk, number) == []


async def test_a_supplement_without_a_ticket(talk: Talk) -> None:
    assert "还没有登记过" in await talk.say("我要补充", "ticket_add")
    assert "还没有登记过" in await talk.say("我要补充", "ticket_add")


async def test_a_withdrawal_is_asked_back_once(talk: Talk) -> None:
    number = await submitted(talk)
    assert "确定要撤回" in await talk.say("我不投诉了撤了吧", "ticket_withdraw")
    assert "继续办理" in await talk.say("不撤回")
    assert talk.services.tickets.tickets[number].state == "已派遣"
    await talk.say("我不投诉了撤了吧", "ticket_withdraw")
    assert "撤回" in await talk.say("确认撤回")
    assert talk.services.tickets.tickets[number].state == "已撤单"


async def test_a_withdrawal_said_twice_is_meant(talk: Talk) -> None:
    number = await submitted(talk)
    await talk.say("我不投诉了撤了吧", "ticket_withdraw")
    assert "撤回" in await talk.say("确认撤销", "ticket_withdraw")
    assert talk.services.tickets.tickets[number].state == "已撤单"


async def test_a_yes_to_something_else_withdraws_nothing(talk: Talk) -> None:
    number = await submitted(talk)
    await talk.say("我不投诉了撤了吧", "ticket_withdraw")
    await talk.say("公积金怎么提取", "ask_policy")
    await talk.say("好的", "affirm")
    assert talk.services.tickets.tickets[number].state == "已派遣"


async def test_a_correction_after_the_ticket_goes_to_the_unit(talk: Talk) -> None:
    number = await submitted(talk)
    assert number in await talk.say("地址写错了，应该是花园路86号", "correct", place="花园路86号")
    assert notes(talk, number) == ["更正：地址写错了，应该是花园路86号"]
    await talk.say("别告诉他们是我说的", "confidential")
    assert "保密" in notes(talk, number)[-1]


async def test_a_ticket_of_somebody_else_needs_the_phone(talk: Talk) -> None:
    number = await submitted(talk)
    other = Talk(talk.client, talk.services, f"{talk.id}-other")
    text = f"查一下{number}"
    answer = await other.say(text, "ticket_progress", ticket_number=number)
    assert "后四位" in answer and "油烟" not in answer
    text = f"{number} 后四位0000"
    assert "没有查到" in await other.say(text, "ticket_progress", ticket_number=number)
    text = f"{number} 后四位5678"
    assert "油烟" in await other.say(text, "ticket_progress", ticket_number=number)
    for guess in range(5):
        await other.say(f"{number} 后四位000{guess}", "ticket_progress", ticket_number=number)
    answer = await other.say(text, "ticket_progress", ticket_number=number)
    assert "好几次" in answer and "油烟" not in answer


async def test_details_nobody_asked_for(talk: Talk) -> None:
    assert "什么问题" in await talk.say("昨天晚上十点", "inform_detail", time="昨天晚上十点")
    number = await submitted(talk)
    assert number in await talk.say("昨天晚上十点", "inform_detail", time="昨天晚上十点")
    assert talk.buttons == ["补充情况", "我要反映问题"]
    assert number in await talk.say("补充情况")
    assert notes(talk, number) == ["昨天晚上十点"]


async def test_a_story_that_was_taken_for_a_detail_is_a_request(talk: Talk) -> None:
    assert "哪里" in await talk.say("路灯不亮好几天了", "inform_detail", time="好几天", category=MUNICIPAL)
    assert "几盏" in await talk.say("农业路", "inform_place", place="农业路")
    assert "联系电话" in await talk.say("整条路")
    assert "内容：路灯不亮好几天了" in await talk.say("匿名")


async def test_a_place_alone_opens_a_request(talk: Talk) -> None:
    assert "发生了什么" in await talk.say("郑州市二七区大学路40号", "inform_place", place="郑州市二七区大学路40号")
    answer = await talk.say("下水道堵了臭得很", "file_request", category=MUNICIPAL)
    assert "联系电话" in answer
    assert "大学路40号" in await talk.say("匿名")


LAMPS = "金水区花园路85号院路灯整排不亮，昨天晚上开始的"


async def lamps_out(talk: Talk) -> str:
    """Place, matter and time in the first message, which the model reads as a place."""
    talk.services.reader.teach("路灯整排不亮，的", "file_request", category=MUNICIPAL, request_type="求助")
    known = {"place": "金水区花园路85号院", "time": "昨天晚上开始", "category": ("民政", "区划地名")}
    return await talk.say(LAMPS, "inform_place", request_type="咨询", **known)


async def test_a_place_told_with_its_matter_is_a_request(talk: Talk) -> None:
    answer = await lamps_out(talk)
    assert "我记下了" in answer
    for asked in ("发生了什么", "哪里", "几盏"):
        assert asked not in answer
    answer = await talk.say("匿名")
    for words in ("求助（城乡建设 - 城市建设和市政管理）", LAMPS, "地点：金水区花园路85号院", "时间：昨天晚上开始"):
        assert words in answer


async def test_who_introduces_themselves_is_asked_what_happened(talk: Talk) -> None:
    answer = await talk.say("免贵姓李，叫我老李就行", "inform_contact", name="老李", category=MUNICIPAL)
    assert "发生了什么" in answer and "我记下了" not in answer
    assert "哪里" in await talk.say("下水道堵了三天了", "file_request", category=MUNICIPAL)


async def test_what_is_told_beside_the_place_is_kept(talk: Talk) -> None:
    await talk.say("物业什么都不管", "file_request", category=HOUSING)
    await talk.say("经三路12号楼下水道堵了三天了", "file_request", category=MUNICIPAL, place="经三路12号楼")
    answer = await talk.say("匿名")
    assert "地点：经三路12号楼" in answer and "补充：经三路12号楼下水道堵了三天了" in answer


async def test_a_place_with_its_matter_answers_what_happened(talk: Talk) -> None:
    assert "发生了什么" in await talk.say("我要投诉", "file_request")
    talk.services.reader.teach("楼下水道堵了", "file_request", category=MUNICIPAL)
    answer = await talk.say("经三路12号楼下水道堵了", "inform_place", place="经三路12号")
    assert "发生了什么" not in answer and "哪里" not in answer
    await talk.say("跳过")
    answer = await talk.say("匿名")
    assert "类型：投诉" in answer and "内容：经三路12号楼下水道堵了" in answer and "地点：经三路12号" in answer


async def test_the_place_that_comes_to_mind_at_last_is_taken(talk: Talk) -> None:
    await talk.say("垃圾没人清", "file_request", category=MUNICIPAL)
    await talk.say("不知道", "deny")
    await talk.say("不知道", "deny")
    told = "我想起来了，是花园路85号院垃圾没人清"
    await talk.say(told, "file_request", category=MUNICIPAL, place="花园路85号院")
    assert "地点：花园路85号院" in await talk.say("匿名")


async def test_who_declines_hears_what_no_ticket_holds(talk: Talk) -> None:
    await to_summary(talk)
    talk.services.reader.teach("路灯不亮", "file_request", category=MUNICIPAL)
    await talk.say("经三路12号路灯不亮", "inform_place", place="经三路12号")
    await talk.say("确认提交")
    answer = await talk.say("先不登记")
    assert "路灯不亮" in answer and "没有写进刚才的工单" in answer and "原话都在" not in answer


async def test_another_matter_waits_and_does_not_move_the_first_one(talk: Talk) -> None:
    await to_summary(talk)
    talk.services.reader.teach("路灯不亮", "file_request", category=MUNICIPAL)
    told = "经三路12号路灯不亮"
    answer = await talk.say(told, "inform_place", place="经三路12号")
    assert "另一件事我也记下了" in answer and f"地点：{PLACE}" in answer and "路灯" not in answer
    answer = await talk.say("确认提交")
    assert "工单号" in answer and told in answer and "登记另一件事" in talk.buttons
    assert "几盏" in await talk.say("登记另一件事")
    answer = await talk.say("一盏", "nlu_fallback")
    assert f"内容：{told}" in answer and "地点：经三路12号\n" in answer and "138****5678" in answer


async def test_a_place_right_after_a_danger_belongs_to_it(talk: Talk) -> None:
    await begin(talk)
    await talk.say("快来人啊楼道着火了", "report_danger")
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    answer = await talk.say("经三路12号院", "inform_place", place="经三路12号院")
    assert ticket.number in answer and "发生了什么" not in answer and "继续登记" in talk.buttons
    assert notes(talk, ticket.number) == ["地点：经三路12号院"]
    assert "联系电话" in await talk.say("继续登记")
    assert f"地点：{PLACE}" in await talk.say("匿名")


async def test_a_place_with_a_call_for_help_belongs_to_the_danger_too(talk: Talk) -> None:
    await begin(talk)
    await talk.say("快来人啊楼道着火了", "report_danger")
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    talk.services.reader.teach("5楼有老人走不动", "file_request", category=MUNICIPAL)
    await talk.say("花园路87号院5楼有老人走不动", "inform_place", place="花园路87号院")
    assert notes(talk, ticket.number) == ["地点：花园路87号院5楼有老人走不动"]


@pytest.mark.parametrize("asked_where", [False, True])
async def test_a_danger_is_heard_though_its_place_hides_it(talk: Talk, asked_where: bool) -> None:
    talk.services.reader.teach("漏电", "report_danger", urgency="特急")
    if asked_where:
        assert "哪里" in await talk.say("物业什么都不管", "file_request", category=HOUSING)
    answer = await talk.say("绿城花园5号楼漏电", "inform_place", place="绿城花园5号楼")
    assert "具体地点" not in answer and "联系电话" not in answer and "工单号" in answer
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert (ticket.urgency, ticket.place) == ("特急", "绿城花园5号楼")


async def test_a_matter_told_with_name_and_number_is_kept(talk: Talk) -> None:
    told = "我叫王强，电话138****5678，楼道灯坏了"
    known = {"name": "王强", "phone": "138****5678", "category": MUNICIPAL}
    answer = await talk.say(told, "inform_contact", **known)
    assert "发生了什么" not in answer and "哪里" in answer


async def test_who_asks_why_and_wants_no_name_is_not_asked_again(talk: Talk) -> None:
    await begin(talk)
    assert "匿名登记" in await talk.say("为啥要电话啊，匿名就行", "anonymous")


async def test_who_changes_nothing_after_all_can_submit(talk: Talk) -> None:
    await to_summary(talk)
    assert "要改哪一项" in await talk.say("修改")
    assert "工单号" in await talk.say("确认提交")


async def test_why_a_number_is_wanted(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("凭啥要电话", "nlu_fallback")
    assert "给您回话" in answer and talk.buttons == ["匿名"]


async def test_words_that_ask_on_are_understood_after_a_policy_answer(talk: Talk) -> None:
    assert "没听明白" in await talk.say("要带啥", "nlu_fallback")
    await talk.say("公积金怎么提取", "ask_policy")
    answer = await talk.say("要带啥", "nlu_fallback")
    assert talk.services.questions[-1] == "公积金怎么提取 要带啥" and "抱歉" not in answer


async def test_where_a_place_was_asked_for_a_long_answer_stays_a_place(talk: Talk) -> None:
    assert "哪里" in await talk.say("井盖没了，写着雨字", "file_request", category=MUNICIPAL)
    place = "花园路85号院门口, 路灯底下那个井盖"
    talk.services.reader.teach("门口, 路灯底下那个井盖", "file_request", category=MUNICIPAL)
    await talk.say(f"就在{place}", "inform_place", place="花园路85号院")
    answer = await talk.say("匿名")
    assert f"地点：{place}" in answer and "内容：井盖没了，写着雨字\n" in answer


async def test_a_long_place_is_no_account_of_anything(talk: Talk) -> None:
    place = "郑州市中原区建设西路118号院5号楼3单元，就是那个老棉纺厂家属院"
    assert "发生了什么" in await talk.say(place, "inform_place", place="郑州市中原区建设西路118号院5号楼3单元")


async def test_a_place_with_its_matter_is_remembered_behind_another_question(talk: Talk) -> None:
    number = await submitted(talk)
    talk.services.tickets.ask(number, "请说清是几号楼。")
    assert number in await lamps_out(talk)
    answer = await talk.say("我要反映问题")
    assert "我记下了" in answer and "哪里" not in answer and "发生了什么" not in answer


async def test_the_contact_is_who_speaks_and_nobody_else(talk: Talk) -> None:
    await talk.say(f"{PLACE}物业的焦经理乱收停车费", "file_request", place=PLACE, name="焦经理", category=HOUSING)
    for _ in range(3):
        if "联系电话" in "".join(reply.text for reply in talk.replies):
            break
        await talk.say("跳过")
    assert "联系电话" in await talk.say("我姓王", "inform_contact", name="王")
    answer = await talk.say("138****5678", "inform_contact", phone="138****5678")
    assert "联系方式：王 138****5678" in answer


async def test_who_began_with_name_and_number_is_not_asked_again(talk: Talk) -> None:
    known = {"name": "王", "phone": "138****5678"}
    await talk.say("我姓王，电话138****5678", "inform_contact", **known)
    await talk.say("你好", "greet")
    answer = await begin(talk)
    assert "联系方式：王 138****5678" in answer


async def test_a_few_words_in_place_of_a_number_are_kept(talk: Talk) -> None:
    await begin(talk)
    assert "联系电话" in await talk.say("窗户都没法开", "file_request")
    assert "联系电话" in await talk.say("好的好的", "inform_detail")
    answer = await talk.say("匿名")
    assert "补充：窗户都没法开" in answer and "好的好的" not in answer


async def test_name_and_number_are_no_account_of_anything(talk: Talk) -> None:
    answer = await talk.say("我姓王，电话138****5678", "file_request", name="王", phone="138****5678")
    assert "发生了什么" in answer and "请您核对" not in answer


async def test_a_house_alone_is_a_part_of_the_known_place(talk: Talk) -> None:
    told = "经三路12号院3号楼旁边烧烤店每天晚上油烟很大"
    await talk.say(told, "file_request", place="经三路12号院3号楼", time="每天晚上")
    assert "地点：经三路12号院3号楼\n" in await talk.say("匿名")
    assert "地点：经三路12号院3号楼\n" in await talk.say("在3号楼底下", "inform_place", place="3号")
    assert "地点：经三路12号院5号楼\n" in await talk.say("是5号楼", "inform_place", place="5号楼")
    assert "地点：经三路12号院5号楼\n" in await talk.say("整栋楼", "inform_place", place="整栋楼")


async def test_more_at_the_summary_is_never_lost(talk: Talk) -> None:
    await to_summary(talk)
    assert "补充：还养了三条大狗" in await talk.say("还养了三条大狗", "file_request")
    assert "确认提交\n" not in await talk.say("可以登记了", "file_request")


async def test_a_wish_for_confidentiality_is_no_wish_to_stay_anonymous(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("你们保密啊，别告诉楼下是我说的", "confidential")
    assert "会对您的身份保密" in answer and "匿名登记" not in answer and "联系电话" in answer


async def test_somebody_elses_number_will_do(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("俺没有电话，只有儿子的号", "inform_detail")
    assert "家里人" in answer and "匿名登记" not in answer
    answer = await talk.say("138****5678", "inform_contact", phone="138****5678")
    assert "联系方式：138****5678" in answer and "补充" not in answer


async def test_what_was_left_open_belongs_to_the_new_request(talk: Talk) -> None:
    number = await submitted(talk)
    assert number in await talk.say("楼上半夜总是咚咚响", "inform_detail", time="半夜")
    joined = "楼上半夜总是咚咚响，老房子不隔音"
    talk.services.reader.teach(joined, "file_request", category=HOUSING, time="半夜")
    assert "哪里" in await talk.say("老房子不隔音", "file_request", category=HOUSING)
    await talk.say("东风路3号院", "inform_place", place="东风路3号院")
    await talk.say("跳过")
    await talk.say("跳过")
    answer = await talk.say("匿名")
    assert f"内容：{joined}" in answer and "时间：半夜" in answer


# --- danger --------------------------------------------------------------------------------------------------------


async def test_a_danger_is_answered_first_and_has_its_ticket_at_once(talk: Talk) -> None:
    answer = await talk.say("我家厨房有煤气味", "report_danger", urgency="特急")
    assert answer.index("打开门窗") < answer.index("工单号") < answer.index("具体地点")
    assert "转人工" in talk.buttons
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert ticket.urgency == "特急"
    answer = await talk.say("文化路97号院3号楼", "inform_place", place="文化路97号院3号楼")
    assert "已经加到" in answer
    assert notes(talk, ticket.number) == ["地点：文化路97号院3号楼"]


async def test_a_danger_with_its_place_asks_nothing(talk: Talk) -> None:
    answer = await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    assert "119" in answer and "具体地点" not in answer
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert ticket.place == "经三路26号" and notes(talk, ticket.number) == []


async def test_a_danger_wins_over_a_form_which_can_be_taken_up_again(talk: Talk) -> None:
    await begin(talk)
    answer = await talk.say("快来人啊楼道着火了", "report_danger")
    assert "119" in answer and "联系电话" not in answer
    # The place was said before: it is not asked for, but named.
    assert "具体地点" not in answer and f"地点先按您刚才说的“{PLACE}”" in answer and "继续登记" in talk.buttons
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert ticket.place == PLACE
    assert "联系电话" in await talk.say("继续登记")
    assert "油烟" in await talk.say("匿名")


async def test_a_danger_in_a_form_without_a_place_asks_for_it(talk: Talk) -> None:
    await talk.say("楼上漏水", "file_request")
    assert "具体地点" in await talk.say("快来人啊楼道着火了", "report_danger")
    answer = await talk.say("花园路85号院", "inform_place", place="花园路85号院")
    assert "已经加到" in answer and "继续登记" in talk.buttons
    assert "哪里" in await talk.say("继续登记")


async def test_more_about_a_danger_goes_into_its_ticket(talk: Talk) -> None:
    await talk.say("有人掉河里了快救人", "report_danger")
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    await talk.say("他快不行了", "report_danger")
    assert notes(talk, ticket.number) == ["他快不行了"]
    assert len(await talk.services.tickets.find(conversation_id=talk.id)) == 1
    assert "转接人工" in await talk.say("转人工")
    assert talk.services.waiting[-1] == (talk.id, "危险情况")
    answer = await talk.say("金水河和文化路交叉口", "inform_place", place="金水河和文化路交叉口")
    assert "已经加到" in answer


async def test_the_same_danger_told_again_later_makes_no_second_ticket(talk: Talk) -> None:
    await talk.say("经三路26号着火了", "report_danger", place="经三路26号")
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    await talk.say("火越烧越大了啊", "report_danger")
    assert notes(talk, ticket.number) == ["火越烧越大了啊"]
    await talk.say("门口有人持刀", "report_danger")
    assert len(await talk.services.tickets.find(conversation_id=talk.id)) == 2


async def test_a_place_told_with_more_keeps_what_was_told(talk: Talk) -> None:
    await talk.say("楼上着火了", "report_danger")
    told = "路上井盖也没了，差点掉进去，在嵩山路5号"
    await talk.say(told, "file_request", place="嵩山路5号")
    (ticket,) = await talk.services.tickets.find(conversation_id=talk.id)
    assert notes(talk, ticket.number) == [f"地点：嵩山路5号\n原话：{told}"]


async def test_another_danger_gets_a_ticket_of_its_own(talk: Talk) -> None:
    await talk.say("楼上着火了", "report_danger")
    await talk.say("有人拿刀砍人", "report_danger")
    tickets = await talk.services.tickets.find(conversation_id=talk.id)
    assert sorted(ticket.description for ticket in tickets) == ["有人拿刀砍人", "楼上着火了"]
    # Both may be one emergency: who works on the first ticket hears of the second.
    assert [notes(talk, t.number) for t in tickets if "着火" in t.description] == [["有人拿刀砍人"]]


async def test_a_danger_whose_place_nobody_knows(talk: Talk) -> None:
    await talk.say("地铁里有人拿刀", "report_danger")
    assert "大概位置" in await talk.say("不知道", "nlu_fallback")
    assert "照常处理" in await talk.say("不清楚", "nlu_fallback")


# --- not understood ------------------------------------------------------------------------------------------------


async def test_not_understood_twice_offers_a_person(talk: Talk) -> None:
    answer = await talk.say("咕噜咕噜", "nlu_fallback", others=("ticket_urge",))
    assert "换个说法" in answer and "催办" in talk.buttons
    answer = await talk.say("叽里呱啦", "nlu_fallback")
    assert "还是没明白" in answer and talk.buttons == ["转人工"]
    await talk.say("在不在呀", "greet")
    assert "换个说法" in await talk.say("嘀嘀嗒嗒", "nlu_fallback")


@pytest.mark.parametrize("text", ["/restart", "/deny", '/inform_place{"place": "x"}', "/session_start", "／restart"])
async def test_commands_do_not_exist(talk: Talk, text: str) -> None:
    await begin(talk)
    answer = await talk.say(text)
    assert "没听明白" in answer and "联系电话" in answer
    assert f"地点：{PLACE}" in await talk.say("匿名")


async def test_a_reader_that_fails_is_no_answer(talk: Talk) -> None:
    from assistant.conversations.engine import EngineFailed, EngineUnavailable

    await begin(talk)
    with pytest.raises((EngineFailed, EngineUnavailable)):
        await talk.say("x" * 20_001)
    assert f"地点：{PLACE}" in await talk.say("匿名")


async def test_a_question_that_staff_taught_gets_their_reply_also_within_the_form(talk: Talk) -> None:
    talk.services.taught["无人机登记"] = "先实名登记再飞。"
    assert await talk.say("无人机要登记吗", "无人机登记") == "先实名登记再飞。"
    assert "登记工单" in talk.buttons
    await talk.say("楼下烧烤店油烟很大", "file_request")
    heard = await talk.say("无人机要登记吗", "无人机登记")
    assert heard.startswith("先实名登记再飞。") and "哪里" in heard
    talk.services.taught.clear()
    assert "答不上来" in await talk.say("无人机要登记吗", "无人机登记")
