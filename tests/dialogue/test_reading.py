import pytest

from actions import reading
from actions.protocol import Heard
from tests.dialogue.fakes import understood


def heard(text: str, **entities: str) -> Heard:
    understanding = understood(text, "file_request", **entities).as_dict()
    return Heard.of({"text": text, "intent": {"name": "file_request"}, "understanding": understanding})


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("花园路85号", "花园路85号"),
        ("就在二七塔那儿", "二七塔"),
        ("在丹尼斯百货对面", "丹尼斯百货对面"),
        ("我家住在正商小区3号楼", "正商小区3号楼"),
        ("地址：郑东新区商务外环路", "郑东新区商务外环路"),
        ("哦，地址是中原路和桐柏路交叉口吧", "中原路和桐柏路交叉口"),
        ("惠济区迎宾路", "惠济区迎宾路"),
        ("太康路", "太康路"),
        ("地铁1号线燕庄站", "地铁1号线燕庄站"),
        ("就花园路85号院", "花园路85号院"),
        ("就是在花园路85号院那儿", "花园路85号院"),
        ("嗯俺就住花园路85号院", "花园路85号院"),
        ("是的，花园路85号", "花园路85号"),
        ("具体在花园路", "花园路"),
        ("在建工地门口", "在建工地门口"),
        ("就业局对面", "就业局对面"),
        ("住建局门口", "住建局门口"),
        ("我家住在建设路3号院", "建设路3号院"),
        ("在建设路与桐柏路口", "建设路与桐柏路口"),
        ("住建设西路7号", "建设西路7号"),
        ("就在在建小区门口", "在建小区门口"),
        ("住友公寓", "住友公寓"),
        ("好又多超市门口", "好又多超市门口"),
        ("地方税务局门口", "地方税务局门口"),
        ("我们小区", None),
        ("楼下", None),
        ("取消", None),
        ("不想说", None),
        ("转人工", None),
        ("你们几点上班？", None),
        ("居住证怎么办理", None),
        ("没有电话", None),
        ("不知道", None),
        ("好", None),
        ("谢谢", None),
        ("路灯坏了", None),
        ("小区太吵", None),
        ("<b>花园路</b>", None),
        ('/inform{"place":"花园路"}', None),
    ],
)
def test_a_reply_is_a_place_only_when_it_looks_like_one(reply: str, place: str | None) -> None:
    assert reading.place_from_reply(reply) == place


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("二七塔那儿", "二七塔那儿"),
        ("丹尼斯", "丹尼斯"),
        ("不告诉你", None),
        ("为啥要问", None),
        ("/restart", None),
        ("<script>", None),
        ("abc", None),
    ],
)
def test_asked_again_more_is_taken_for_a_place(reply: str, place: str | None) -> None:
    assert reading.place_as_last_resort(reply) == place


def test_the_most_exact_place_is_taken() -> None:
    text = "我住金水区，金水区花园路85号楼下太吵"
    found = understood(text, "file_request", place="金水区花园路85号")
    message = {"text": text, "intent": {"name": "file_request"}, "understanding": found.as_dict()}
    assert reading.place_in(Heard.of(message)) == "金水区花园路85号"
    assert reading.place_in(heard("我们小区太吵", place="我们小区")) is None
    assert reading.place_in(heard("太吵")) is None


@pytest.mark.parametrize(
    ("text", "marked", "place"),
    [
        ("金水区花园路85号楼下烧烤店", "花园路", "金水区花园路85号"),
        ("中原区建设路12号3单元楼道", "建设路", "中原区建设路12号3单元"),
        ("大学路三号院门口", "大学路", "大学路三号院"),
        ("文化路的路灯", "文化路", "文化路"),
        ("二七区交通路与陇海路口积水", "二七区交通路与陇", "二七区交通路与陇海路口"),
        ("农业路和文化路交叉口信号灯坏了", "农业路和文化路", "农业路和文化路交叉口"),
        ("省人民医院西门占道", "省人民医院西", "省人民医院西门"),
        ("就花园路85号院垃圾成堆", "就花园路85号院", "花园路85号院"),
    ],
)
def test_a_place_is_completed_from_what_stands_beside_it(text: str, marked: str, place: str) -> None:
    assert reading.place_in(heard(text, place=marked)) == place


@pytest.mark.parametrize(
    ("known", "house", "place"),
    [
        ("经三路12号院3号楼", "5号楼", "经三路12号院5号楼"),
        ("经三路12号院3号楼", "2单元", "经三路12号院3号楼2单元"),
        ("经三路12号院3号楼2单元", "5号楼", "经三路12号院5号楼"),
        ("绿城花园二期3号楼", "5号楼2单元", "绿城花园二期5号楼2单元"),
        ("花园路85号院", "87号院", "花园路87号院"),
        ("花园路85号院", "3号楼", "花园路85号院3号楼"),
        ("绿城花园", "3号楼", "绿城花园3号楼"),
    ],
)
def test_another_house_of_the_same_place(known: str, house: str, place: str) -> None:
    assert reading.with_house(known, house) == place


@pytest.mark.parametrize("text", ["没有具体地点", "全市都这样", "到处都是", "网上买的东西"])
def test_some_matters_have_no_place(text: str) -> None:
    assert reading.says_nowhere(text)


@pytest.mark.parametrize(
    "text", ["没有电话", "没手机", "不想说", "不想留", "不方便透露", "不留了", "没有", "不用联系我", "跳过", "不告诉你"]
)
def test_refusing_a_number(text: str) -> None:
    assert reading.refuses_contact(text)


@pytest.mark.parametrize("text", ["138****5678", "我姓王", "打我电话", "好的", "公积金怎么提取"])
def test_not_refusing_a_number(text: str) -> None:
    assert not reading.refuses_contact(text)


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("我电话138****5678", "138****5678"),
        ("037****5678", "037****5678"),
        ("65121234", "65121234"),
        ("400-123-4567", "400-123-4567"),
        ("138123", None),
        ("2026年11月", None),
        ("没有", None),
    ],
)
def test_a_number_in_a_reply(text: str, phone: str | None) -> None:
    assert reading.phone_from_reply(text) == phone


def test_a_masked_number_anywhere_is_a_phone_but_other_digits_are_not() -> None:
    assert reading.phone_in(heard("路灯坏了，联系138****5678")) == "138****5678"
    assert reading.phone_in(heard("快递单号65121234丢了")) is None
    assert reading.phone_in(heard("电话65121234", phone="65121234")) == "65121234"


@pytest.mark.parametrize(
    ("text", "name", "own"),
    [
        ("我叫王强", "王强", True),
        ("叫我老张就行", "老张", True),
        ("免贵姓李", "李", True),
        ("联系人：周女士", "周女士", True),
        ("李强，138****5678，路灯不亮", "李强", True),
        ("物业的焦经理态度很差", "焦经理", False),
        ("包工头叫王强，工资没给", "王强", False),
        ("打荀经理电话不接", "荀经理", False),
        ("联系人 杜娟 187****6543", "杜娟", True),
        ("我的联系人是周女士", "周女士", True),
        ("联系焦经理", "焦经理", False),
        ("我联系过物业王主任，他不管", "王主任", False),
        ("请联系焦经理处理", "焦经理", False),
        ("不愿意留联系方式", "方式", False),
        ("物业的联系人是焦经理", "焦经理", False),
        ("小区物业不管，叫什么金科物业", "金科物业", False),
        ("小区物业不管，叫金科物业", "金科物业", False),
        ("有个小伙子 叫小丁", "小丁", False),
        ("被投诉人：焦经理", "焦经理", False),
        ("我是王强的妈妈", "王强", False),
        ("我是王强，电话138****5678", "王强", True),
    ],
)
def test_whose_name_it_is(text: str, name: str, own: bool) -> None:
    assert reading.own_name(heard(text, name=name)) == (name if own else None)


@pytest.mark.parametrize(
    ("text", "name", "own"),
    [
        ("名字写周先生", "周先生", True),
        ("就写陈师傅吧", "陈师傅", True),
        ("王建国", "王建国", True),
        ("我是3号楼的，叫王强", "王强", True),
        ("姓司马 两个字的姓 叫司马兰", "司马兰", True),
        ("联系焦经理", "焦经理", False),
        ("请联系王强 138****5678", "王强", False),
        ("我联系过物业王主任", "王主任", False),
        ("我找过村里的王主任", "王主任", False),
        ("物业不管，叫焦大海", "焦大海", False),
        ("我是王强的妈妈", "王强", False),
    ],
)
def test_whose_name_it_is_in_a_message_about_the_contact(text: str, name: str, own: bool) -> None:
    understanding = understood(text, "inform_contact", name=name).as_dict()
    message = {"text": text, "intent": {"name": "inform_contact"}, "understanding": understanding}
    assert reading.own_name(Heard.of(message)) == (name if own else None)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("我叫王强，电话138****5678，物业的王强不管", "我叫某某，电话某某，物业的王强不管"),
        ("王强，138****5678，路灯不亮", "某某，某某，路灯不亮"),
        ("对方用诈骗电话138****5678打给我", "对方用诈骗电话138****5678打给我"),
        ("我的手机号138****5678", "我的手机号某某"),
    ],
)
def test_an_account_without_its_writer(text: str, left: str) -> None:
    assert reading.without_identity(text, ["王强"], ["138****5678"]) == left


@pytest.mark.parametrize(
    ("text", "place", "tells"),
    [
        ("花园路85号院路灯不亮", "花园路85号院", True),
        ("经三路12号楼下水道堵了", "经三路12号", True),
        ("上街区中心路36号违建", "上街区中心路36号", True),
        ("花园路85号院停车场没人管", "花园路85号院", True),
        ("你好，我家住在花园路85号院门口", "花园路85号院", False),
        ("大学路那个加油站", "大学路", False),
        ("二七万达广场负一层停车场", "二七万达广场", False),
        ("中牟县官渡镇，具体村名说不好", "中牟县官渡镇", False),
        ("花园路85号院", "花园路85号院", False),
        ("就花园路85号院", "花园路85号院", False),
        ("花园路85号院那个井盖", "花园路85号院", False),
        ("高新区科学大道西北角那个报刊亭", "高新区科学大道", False),
        ("花园路85号院那个门卫骂人", "花园路85号院", True),
        ("花园路85号院垃圾成堆那家店乱倒", "花园路85号院", True),
        ("那家烧烤油烟熏人，花园路85号院", "花园路85号院", True),
        ("那个，花园路85号院垃圾成堆", "花园路85号院", True),
        ("那个，花园路85号院", "花园路85号院", False),
    ],
)
def test_what_stands_beside_a_place(text: str, place: str, tells: bool) -> None:
    assert reading.may_tell_a_matter(reading.beside(heard(text, place=place), ("place",))) is tells


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("我要匿名", True),
        ("匿名举报", True),
        ("不想透露姓名", True),
        ("不要写我名字", True),
        ("别写上我的名字", True),
        ("不要登记我的真实姓名", True),
        ("别写错我的名字", False),
        ("别告诉物业我的名字", False),
        ("不用匿名", False),
        ("我实名举报", False),
        ("路坏了", False),
    ],
)
def test_anonymity(text: str, wanted: bool) -> None:
    assert reading.wants_anonymity(text) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("请替我保密", True), ("别告诉物业是我投诉的", True), ("不要透露我的信息", True), ("没人告诉我们停水", False)],
)
def test_confidentiality(text: str, wanted: bool) -> None:
    assert reading.wants_confidentiality(text) is wanted


@pytest.mark.parametrize("text", ["我要投诉", "你好，我想反映一个问题", "我要举报！", "登记工单", "帮我提个建议吧"])
def test_a_request_without_content(text: str) -> None:
    assert not reading.says_what_happened(text)


@pytest.mark.parametrize("text", ["投诉噪音", "路灯不亮", "我要举报隔壁群租", "希望加一趟公交"])
def test_a_request_with_content(text: str) -> None:
    assert reading.says_what_happened(text)


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("路灯坏了。晚上很黑。", "路灯坏了"),
        ("尊敬的市长：\n您好！我是一名老师。", "我是一名老师"),
        ("领导好！学校门口堵车", "学校门口堵车"),
        ("A市公交乱停\n每天都停在路口。", "A市公交乱停"),
        (
            "今年以来我们小区的物业服务越来越差，电梯经常坏，保洁也不来，大家意见很大却没有人管",
            "今年以来我们小区的物业服务越来越差，电梯经常坏，保洁也不来",
        ),
        ("很" * 60, "很" * 39 + "…"),
        ("您好！", "您好"),
        ("！！！", "！！！"),
    ],
)
def test_the_title_is_the_first_sentence_that_says_something(description: str, title: str) -> None:
    assert reading.title_of(description) == title


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("金水区花园路1号", True),
        ("开封市鼓楼广场", True),
        ("中牟县青年路", True),
        ("郑东新区商务外环路", True),
        ("绿城小区3号楼", False),
        ("汝河路社区门口", False),
        ("百荣市场东门", False),
        ("大学路42号院", False),
    ],
)
def test_a_place_with_its_city_or_district(place: str, named: bool) -> None:
    assert reading.names_city_or_district(place) is named


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("地址写错了，应该是农业路10号", "农业路10号"),
        ("把地点改成东风路3号院。", "东风路3号院"),
        ("不是花园路，是农业路", "农业路"),
        ("时间不对，其实是上周六", "上周六"),
        ("地址错了", None),
        ("改地点", None),
    ],
)
def test_what_a_correction_says(text: str, value: str | None) -> None:
    assert reading.corrected_value(text) == value


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("改地点", "place"),
        ("时间不对", "event_time"),
        ("换个电话", "contact"),
        ("内容写少了", "description"),
        ("不对", None),
    ],
)
def test_which_field_is_meant(text: str, field: str | None) -> None:
    assert reading.field_named(text) == field


@pytest.mark.parametrize(
    ("text", "kind"), [("我要投诉", "投诉"), ("匿名举报", "举报"), ("路灯坏了", None), ("投诉" * 10, None)]
)
def test_a_short_request_may_name_its_type(text: str, kind: str | None) -> None:
    assert reading.named_type(text) == kind
