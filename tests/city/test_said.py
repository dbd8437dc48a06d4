"""What counts as said: messages as residents write them, and the elements that need not be asked any more."""

import pytest

from assistant.city import City
from assistant.elements import said

WAGES, WATER, HEAT = "拖欠工资", "供水", "供热"
MARKET, FOOD = "商贸旅游/市场监管", "卫生计生/食品药品监管"

# (matter, or level1/level2; message; what is said: code → a part of the words that say it)
SAID: list[tuple[str, str, dict[str, str]]] = [
    # water, power, gas, heat
    (WATER, "我们这栋楼停水了，12户人家都没水做饭", {"area": "12户", "outage": "停水"}),
    (WATER, "从周三开始整栋楼都没水", {"since": "从周三开始", "area": "整栋楼", "outage": "没水"}),
    (WATER, "停水三天了，没人通知", {"since": "三天了", "outage": "停水", "notice": "没人通知"}),
    (WATER, "水压从来就不够，洗个澡都难", {"outage": "水压"}),
    (WATER, "家里停水了", {"outage": "停水"}),
    (WATER, "一户一表改造以后水费高得离谱", {"outage": "水费"}),
    (WATER, "我在这小区住了十年了，水一直发黄", {"outage": "发黄"}),
    (WATER, "就我家没水，邻居家都有", {"area": "就我家", "outage": "没水"}),
    (WATER, "我户口在这儿，3号楼停水咋办", {"outage": "停水"}),
    ("供电", "昨晚就停电了，整个小区黑灯瞎火", {"since": "昨晚就停", "area": "整个小区", "outage": "停电"}),
    ("供电", "户号是4101234567，电表走得快", {"account": "4101234567", "outage": "电表"}),
    ("供电", "3天内不给解决我就投诉，老跳闸", {"outage": "跳闸"}),
    ("燃气", "全村都没气，打不着火", {"area": "全村", "outage": "没气"}),
    (HEAT, "暖气不热，屋里才15度，老人受不了", {"room_temp": "15度"}),
    (
        HEAT,
        "暖气费早交了，暖气片冰凉，整个单元都这样",
        {"room_temp": "冰凉", "area": "整个单元", "heat_paid": "暖气费早交"},
    ),
    (HEAT, "俺家暖气不中", {}),
    # city services
    ("路灯", "花园路这儿有3盏灯不亮", {"lamps": "3盏"}),
    ("路灯", "路灯全都不亮，走夜路害怕", {"lamps": "路灯全"}),
    ("路灯", "路灯坏了没人修", {}),
    ("井盖", "井盖没了，差点掉下去", {"cover_state": "没了"}),
    ("井盖", "门口的雨水井车一过就咣当响", {"cover_state": "咣当", "cover_mark": "雨水井"}),
    ("井盖", "路口井盖有问题", {}),
    ("排水积水", "一下雨门口就积水，能没过脚面", {"water_from": "下雨", "depth": "没过脚面"}),
    ("排水积水", "下水道堵了，粪水往外冒半个月了", {"water_from": "堵了", "since": "半个月了"}),
    ("环境卫生", "装修垃圾堆楼下一个月了", {"rubbish": "装修垃圾", "since": "一个月了"}),
    ("占道经营", "学校门口卖烤肠的一到晚上就占道", {"seller": "卖烤肠", "hours": "晚上"}),
    ("占道经营", "人行道都让占完了，没法走", {}),
    ("公交", "B5路等了四十分钟不来车", {"bus_line": "B5路", "ride_side": "等了四十"}),
    ("公交", "昨天早上坐68路，司机骂人", {"bus_line": "68路", "ride_when": "昨天", "ride_side": "骂"}),
    ("公交", "农业路公交站那趟车太少了", {"ride_side": "太少"}),
    ("公交", "京广路3号院门口没有公交", {}),
    ("地铁", "2号线早高峰挤不上去", {"bus_line": "2号线", "ride_when": "早高峰", "ride_side": "挤"}),
    ("餐饮油烟", "楼下烧烤店每天晚上冒烟，窗户都不敢开", {"shop": "烧烤店", "hours": "晚上"}),
    ("餐饮油烟", "油烟味太大了，一开窗全是味", {}),
    ("违法建设", "楼顶有人正在搭彩钢房", {"built": "彩钢房", "build_state": "正在搭"}),
    ("违法建设", "邻居私自盖了个阳光房，盖好两年了", {"built": "阳光房", "build_state": "盖好", "since": "两年了",
                                            "violator": "邻居"}),
    # noise, pollution
    ("社会生活噪声", "楼下广场舞大妈每天晚上七点到九点放音响", {"noise_source": "广场舞", "hours": "七点到九点"}),
    ("社会生活噪声", "晚上好，我想反映噪音扰民", {}),
    ("社会生活噪声", "楼上半夜拖桌子，孩子又跑又跳", {"noise_source": "楼上", "hours": "半夜"}),
    ("社会生活噪声", "他们一点都不管，吵死人了", {}),
    ("社会生活噪声", "我提两点建议：噪声要管起来", {}),
    ("施工噪声", "工地凌晨两点还在打桩，报了警也没用", {"noise_source": "工地", "hours": "凌晨", "police": "报了警"}),
    ("环境保护/环境污染", "附近的板材厂夜里偷着冒黑烟", {"pollution_source": "板材厂", "hours": "夜里",
                                        "what_happened_to_air": "黑烟"}),
    ("环境保护/环境污染", "空气里一股刺鼻的味，不知道是什么厂排的", {"what_happened_to_air": "刺鼻"}),
    # wages
    (WAGES, "河南宏达建筑公司欠了8个人4万多，3月到6月的工资没发",
     {"employer": "河南宏达建筑公司", "people": "8个人", "wages_amount": "4万多", "wages_period": "3月到6月"}),
    (WAGES, "老板不给工资", {}),
    (WAGES, "我们公司三个月没发工资了", {"wages_period": "三个月"}),
    (WAGES, "我每月工资4000块，老板跑了", {}),
    (WAGES, "包工头姓刘，拖欠我们十几个农民工的血汗钱", {"employer": "包工头姓刘", "people": "十几个农民工"}),
    (WAGES, "总共欠了两万三，就我一个人", {"wages_amount": "两万三", "people": "就我一个人"}),
    (WAGES, "在郑东新区干活，公司不发钱，一个人都没见着", {}),
    (WAGES, "王老板欠俺半年工资", {"employer": "王老板", "wages_period": "半年"}),
    (WAGES, "找了两家公司都说不归他管", {}),
    # property, housing
    ("物业服务", "找物业好几次了都不管", {"asked_property": "物业好几次了都不管"}),
    ("物业服务", "绿城物业公司乱收费，500多户都不满意", {"property_company": "绿城物业公司", "households": "500多户"}),
    ("物业服务", "物业费太高了", {}),
    ("商品房交易", "恒大悦府说好2022年交房，现在停工了",
     {"developer": "恒大悦府", "handover_date": "2022年交房", "site_state": "停工"}),
    ("商品房交易", "开发商不给交房，首付付了30万", {"amount": "30万"}),
    ("房屋租赁", "二房东不退押金1500块，合同签了一年",
     {"landlord": "二房东", "amount": "1500块", "contract": "签了"}),
    ("电梯安全", "电梯三天两头坏，编号A12345", {"lift_fault": "三天两头", "lift_number": "A12345"}),
    ("加装电梯", "一楼不同意，加装电梯卡住了", {"lift_plan": "不同意"}),
    # land
    ("国土资源/土地征收", "2019年征了我家5亩地，补偿款至今没给，协议没签",
     {"land_area": "5亩", "owed": "补偿款", "agreement": "没签", "taken_when": "2019年征"}),
    ("回迁安置", "过渡费停发了，回迁房没盖", {"owed": "过渡费停"}),
    ("国土资源/土地征收", "征地政策想问问", {}),
    # shops, food, school, medicine
    (MARKET, "在拼多多买的手机有问题，花了1299元不给退", {"shop": "拼多多", "amount": "1299元", "demand": "不给退"}),
    (MARKET, "商家骗人，太坑了", {}),
    (MARKET, "一百户人家都知道这家店坑人", {}),
    (MARKET, "买了三千多户主群里推荐的东西", {}),
    (FOOD, "昨天在老孟烩面馆吃完饭全家拉肚子", {"shop": "面馆", "when": "昨天", "felt_ill": "拉肚子"}),
    (FOOD, "蛋糕发霉了", {"food": "发霉"}),
    ("培训机构退费", "星星舞蹈学费交了6800块，人跑路了", {"org": "星星舞蹈", "amount": "6800块", "org_state": "跑路"}),
    ("培训机构退费", "孩子的培训班不给退费", {"org_state": "不给退"}),
    ("健身预付卡", "健身房关门了，卡里还剩两千", {"org_state": "关门", "amount": "两千"}),
    ("教育文体/教育行政管理", "孩子在纬五路一小上三年级，要转学", {"grade": "三年级", "school": "纬五路一小"}),
    ("教育文体/教育行政管理", "我们学校老师打人", {}),
    ("教育文体/考试招生", "想让孩子上郑州外国语中学，今年小升初", {"school": "郑州外国语中学", "grade": "小升初"}),
    ("医疗保险", "居民医保在郑大一附院住院报不了", {"insured": "居民医保", "hospital": "郑大一附院"}),
    ("医疗保险", "医保卡刷不了", {}),
    ("卫生计生/医患纠纷", "上个月在人民医院做手术做坏了", {"hospital": "人民医院", "when": "上个月"}),
    ("卫生计生/医患纠纷", "那家医院态度太差", {}),
    # traffic, post, telephone
    ("停车秩序", "豫A12345堵我家车库门口出不去", {"parking": "出不去", "plate": "豫A12345"}),
    ("停车秩序", "停车的事没人管", {}),
    ("交通运输/出租车管理", "昨晚打车，豫ATX123绕路多收20块",
     {"plate": "豫ATX123", "ride_when": "昨晚", "ride_side": "绕路", "amount": "20块"}),
    ("交通运输/邮政管理", "圆通把我快递弄丢了，单号YT1234567890", {"courier": "圆通", "parcel_number": "YT1234567890"}),
    ("交通运输/邮政管理", "快递一直不到", {}),
    ("科技与信息产业/电信", "移动乱扣话费", {"carrier": "移动"}),
    ("科技与信息产业/电信", "手机信号太差", {}),
    # police, discipline, social matters
    ("政法/社会治安", "前天夜里电动车被偷，已经报警了，警察没来",
     {"when": "前天", "police": "已经报警"}),
    ("政法/社会治安", "要不要报警啊，有人砸我家门", {}),
    ("养犬", "遛狗不拴绳，吓着孩子了", {"dog": "不拴绳"}),
    ("纪检监察/干部作风", "昨天社保大厅3号窗口的人员态度恶劣", {"accused": "3号窗口", "when": "昨天"}),
    ("政法/户籍证件", "办居住证，窗口说材料不够让我回去", {"document": "居住证", "refused_why": "窗口说"}),
    ("民政/社会救助", "低保申请过三次，社区说不够条件", {"applied": "申请过"}),
    ("农村农业/土地承包经营", "村里把我家三亩半地包给别人了，没签合同", {"land_area": "三亩半", "agreement": "没签"}),
    ("劳动和社会保障/城镇职工社会保险", "郑州安图保安服务公司2年没交社保",
     {"employer": "郑州安图保安服务公司", "unpaid_months": "2年没"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message", "expected"), SAID, ids=[message[:16] for _, message, _ in SAID])
def test_what_counts_as_said(city: City, name: str, message: str, expected: dict[str, str]) -> None:
    level1, _, level2 = name.partition("/")
    elements = city.elements_of(level1, level2) if level2 else city.elements_of("", None, name)
    assert elements
    found = said(elements, message)
    assert found.keys() == expected.keys(), found
    for code, words in expected.items():
        assert words in found[code] or found[code] in words


def test_entities_of_the_model_count_too_but_a_general_word_does_not(city: City) -> None:
    elements = city.elements_of("劳动和社会保障", "工资福利", WAGES)
    assert said(elements, "欠钱不还", [{"type": "company", "text": "宏图"}]) == {"employer": "宏图"}
    assert said(elements, "欠钱不还", [{"type": "company", "text": "我们公司"}, {"type": "time", "text": "昨天"}]) == {}


@pytest.mark.parametrize(
    ("time", "tells"),
    [
        ("每天晚上", {"hours"}),
        ("晚上10点到凌晨2点", {"hours"}),
        ("上周三", {"since"}),
        ("三天前", {"since"}),
        ("2019年1月", {"since"}),
        ("昨天晚上", {"since", "hours"}),
    ],
)
def test_how_often_is_not_since_when(city: City, time: str, tells: set[str]) -> None:
    elements = {
        e.code: e for _, entry in city.elements.entries() for e in entry if e.code in ("since", "hours", "when")
    }
    assert said(elements.values(), "", [{"type": "time", "text": time}]).keys() - {"when"} == tells - {"when"}
