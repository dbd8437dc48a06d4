"""Entities with a form: found as residents write them, and not found where they only look alike."""

import itertools

import pytest

from nlu import names, patterns


def found(text: str, kind: str) -> list[str]:
    return [text[f.start : f.end] for f in patterns.find(text) if f.type == kind]


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("电话13812345678", "13812345678"),
        ("打138****5678找我", "138****5678"),
        ("我的号是138-1234-5678。", "138-1234-5678"),
        ("座机 0371-67181234", "0371-67181234"),
        ("客服4001234567", "4001234567"),
        ("１３８１２３４５６７８", "１３８１２３４５６７８"),
        ("幺三八零零零零一二三四", "幺三八零零零零一二三四"),
        ("电话67181234", "67181234"),
        ("+86 13812345678", "+86 13812345678"),
    ],
)
def test_telephones_are_found(text: str, phone: str) -> None:
    assert found(text, "phone") == [phone]


@pytest.mark.parametrize("text", ["金额138123456789元", "订单20240501000123", "花了13800块", "410105199003071234", ""])
def test_other_numbers_are_no_telephones(text: str) -> None:
    assert found(text, "phone") == []


@pytest.mark.parametrize("card", ["410105199003071234", "41010519900307123X", "410101********1234", "410105900307123"])
def test_identity_cards_are_found(card: str) -> None:
    assert found(f"身份证{card}，谢谢", "id_card") == [card]


@pytest.mark.parametrize("text", ["410105199013071234", "999999999999999999999", "4101051990030712345"])
def test_impossible_cards_are_not(text: str) -> None:
    assert found(text, "id_card") == []


@pytest.mark.parametrize("plate", ["豫A12345", "豫AD12345", "京A·F0236", "豫a9k88c"])
def test_plates_are_found(plate: str) -> None:
    assert found(f"{plate}天天堵门", "plate") == [plate]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("工单号2024050100012", "2024050100012"),
        ("查一下MS20240601-0008", "MS20240601-0008"),
        ("编号是：ZZ-20240601-000123吗", "ZZ-20240601-000123"),
    ],
)
def test_ticket_numbers_are_found(text: str, number: str) -> None:
    assert found(text, "ticket_number") == [number]


def test_a_masked_telephone_is_never_a_ticket_number() -> None:
    assert found("号码138****5678", "ticket_number") == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("我叫王建国，住这儿", "王建国"),
        ("我姓刘 电话186****2233", "刘"),
        ("李女士", "李女士"),
        ("姓名陈红 手机152****8080", "陈红"),
        ("本人周强，电话136****7766", "周强"),
        ("物业的焦经理态度很差", "焦经理"),
        ("快递员小阮把包裹扔门口", "小阮"),
        ("老耿头的抚恤金还没发", "老耿头"),
        ("司机岑建平绕路", "岑建平"),
        ("户主车晓东，电表欠费", "车晓东"),
        ("联系人（令狐静）15900004471", "令狐静"),
        ("身份证丢了，扈改花，住桥北", "扈改花"),
        ("我姓王", "王"),
        ("免贵姓李", "李"),
        ("俺姓欧阳，住二楼", "欧阳"),
        ("我姓靳，靳大海", "靳大海"),
        ("叫我老张就行", "老张"),
        ("叫我张姐吧", "张姐"),
    ],
)
def test_names_are_found_after_a_cue(text: str, name: str) -> None:
    assert found(text, "name") == [name]


@pytest.mark.parametrize(
    "text",
    [
        "班主任在群里收钱",
        "公安局长信箱在哪",
        "包工头跑了",
        "小程序打不开",
        "环卫大姐很辛苦",
        "老板没发工资",
        "任何老师都不管",
        "前任主任定的",
        "谢谢师傅",
        "单位不给办",
        "包工头姓王 十几个人",
        "叫我别管",
        "叫我等着",
    ],
)
def test_surnames_that_are_words_are_no_names(text: str) -> None:
    assert found(text, "name") == []


def test_a_name_that_was_cut_off_gets_its_title_or_last_letter_back() -> None:
    assert names.complete("物业焦经理说的", 2, 3) == 5
    assert names.complete("有个岑建平欠钱", 2, 4) == 5
    assert names.complete("有个岑建平欠钱", 2, 5) == 5


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("每天晚上油烟很大", "每天晚上"),
        ("几个小年轻打架，就是昨晚十点", "昨晚十点"),
        ("交了618元，昨天还停水", "昨天"),
        ("没想到一点用都没有，从上周三开始", "从上周三开始"),
        ("十一假期没人管", "十一假期"),
        ("昨天下午3点在那儿", "昨天下午3点"),
        ("凌晨两点到五点一直施工", "凌晨两点到五点"),
        ("上个月交的钱", "上个月"),
        ("2023年5月6日上午9:30停的", "2023年5月6日上午9:30"),
        ("从早上六点到晚上十点没停", "从早上六点到晚上十点"),
        ("两年前买的房", "两年前"),
        ("夜儿个黑了一夜", "夜儿个"),
        ("每周三停水", "每周三"),
        ("周末和节假日都来", "周末和节假日"),
        ("晚上八点半以后", "晚上八点半以后"),
        ("刚才还有", "刚才"),
        ("星期一到星期五", "星期一到星期五"),
        ("从去年腊月二十三到今年五月", "从去年腊月二十三到今年五月"),
        ("十七八号来过人", "十七八号"),
        ("家属楼的水十三号起就断了", "十三号起"),
        ("国庆放假前说好的", "国庆放假前"),
        ("下大雨那天淹了", "下大雨那天"),
        ("晚八点到第二天早八点在换班", "晚八点到第二天早八点"),
        ("每天天不亮就放鸽子", "每天天不亮"),
        ("大概是中秋前后", "中秋前后"),
        ("一零年下岗的", "一零年"),
        ("最近半个月没热水", "最近半个月"),
        ("昨儿夜里偷的", "昨儿夜里"),
        ("每周二和周四晚上七点半跳舞", "每周二和周四晚上七点半"),
        ("他明年一月退休", "明年一月"),
        ("打从2015年就没分过红", "打从2015年"),
        ("22:40左右听见响", "22:40左右"),
        ("这俩月没收垃圾", "这俩月"),
        ("小区是零五年建的，去年开始漏水", "去年开始"),
        ("2019年盖的棚子一直没拆", "2019年"),
        ("2020年的房租没退", "2020年"),
        ("2023年年底交的房", "2023年年底"),
    ],
)
def test_times_are_found(text: str, time: str) -> None:
    assert found(text, "time") == [time]


@pytest.mark.parametrize(
    "text",
    [
        "提三点要求",
        "一点都不管",
        "7天无理由退货",
        "3号楼5单元",
        "花园路12号",
        "全家5口人",
        "有什么建议",
        "五号窗口的人",
        "我今年八十二，耳背",
        "下水道堵了三天了",
        "停水四十分钟",
        "早上好",
        "一晌卖六百斤",
        "一星期来两回",
        "提前三天说",
        "一千八一个月",
        "一日游没资质",
        "98年的老房子",
        "零几年建的小区",
        "2005年盖的楼",
        "八十年代的老楼",
        "小区是零五年建的",
        "2000年左右建的，管道都锈了",
    ],
)
def test_what_only_looks_like_a_time_is_none(text: str) -> None:
    assert found(text, "time") == []


def test_email_is_found() -> None:
    assert found("发到zhang.san@example.com就行", "email") == ["zhang.san@example.com"]


def test_spans_never_overlap_and_fit_the_text() -> None:
    text = "我叫李强，电话13812345678，身份证410105199003071234，豫A12345昨天下午三点停在门口，工单号MS20240601-0008"
    spans = patterns.find(text)
    assert {span.type for span in spans} == {"name", "phone", "id_card", "plate", "time", "ticket_number"}
    for before, after in itertools.pairwise(spans):
        assert before.end <= after.start


@pytest.mark.timeout(120)  # a runaway pattern would need hours
@pytest.mark.parametrize("unit", ["1", "一", "13", "点到", "A1", "每天", "*", "1月1日"])
def test_hostile_repetition_ends(unit: str) -> None:
    assert all(0 <= span.start < span.end <= len(unit) * 5000 for span in patterns.find(unit * 5000))


@pytest.mark.parametrize("text", ["孩子天天咳嗽", "每天都这样", "常年没人管"])
def test_how_often_alone_does_not_say_when(text: str) -> None:
    assert [found for found in patterns.find(text) if found.type == "time"] == []
