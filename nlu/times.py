"""Chinese expressions of time: 每天晚上, 昨天下午3点, 凌晨两点到五点, 上个月, 2023年5月6日, 三个月前, 夜儿个.

A small grammar of regular expressions: heads (dates, days, weekdays, holidays, seasons, parts of the day) follow one
another, clock times follow them, words such as 从, 开始, 那天, 左右 open and close them, and two make a range.

What belongs to an expression is as authors marked it in `training_data/entities/`: the words that open and close it and
both ends of a range do. 大概 and 到 before it do not, and these are none: a bare length (三天, 两年了), how often alone
(天天, 每月, 长期), 现在, 以前, 那天 alone, an age (今年八十二) and the year a thing was made in (98年的老房子).
"""

from __future__ import annotations

import re


def _any(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


_DIGITS = "零〇○一二两三四五六七八九十"
_FEW = rf"(?:\d{{1,4}}|好?[几多]|[{_DIGITS}百半几数俩仨]{{1,5}}|多|大半|小半)"
_UNIT = r"(?:天|日|晚上?|周|星期|礼拜|月|年)"
_SPELL = rf"{_FEW}来?多?个?多?半?{_UNIT}"  # 两天, 一个礼拜, 三个多月
_WHILE = _any("一?阵子?", "一?段(?:时间|日子)", "一?些日子", "一向")
_1_TO_9 = "[一二三四五六七八九]"
_1_TO_31 = _any("3[01]", r"[12]\d", "0?[1-9]", f"[二三]?十{_1_TO_9}?", f"廿{_1_TO_9}?", _1_TO_9)
_1_TO_12 = f"(?:1[0-2]|0?[1-9]|十[一二]?|{_1_TO_9})"
_TWO = "(?:一二|二三|三四|四五|五六|六七|七八|八九)"  # 十七八号, 七八月

# Dates
_DAY = rf"(?:(?:(?:{_1_TO_31}[、到至~-])?{_1_TO_31}|[二三]?十?{_TWO})[日号](?![楼院线]))"
# 九月十三, 腊月二十几; no amount: 三月二十块.
_NO_AMOUNT = rf"(?![{_DIGITS}百\d几多来个万点元块斤亩人名户次家日号月年天周回趟])"
_DAY_AFTER_MONTH = _any(f"初[{_DIGITS}]", "[二三]?十[一二三四五六七八九几]?", f"廿{_1_TO_9}?", _1_TO_9) + _NO_AMOUNT
_PART_OF_MONTH = "(?:初|[上中下]旬|月?[底末]|中(?![午秋介国心学央间医]))"
_IN_MONTH = _any(_DAY, _DAY_AFTER_MONTH, _PART_OF_MONTH)
_MONTH = (
    rf"(?:(?:农历|阴历|阳历|公历)?(?:{_1_TO_12}|十?{_TWO}|[元正冬腊]|闰{_1_TO_12})月份?"
    rf"(?![租薪费饼供嫂子经亮球卡票报结息销怀]){_IN_MONTH}?)"
)
_LUNAR_DAY = _any(
    "大?年三十",
    "大年(?:二十[一二三四五六七八九]|初[一二三四五六七八九十])",
    "(?:农历|阴历|正月|腊月|年)初[一二三四五六七八九十]",
    "(?<![年月])初[一二三四五六七八九十](?=[晚早夜凌]|上午|下午|中午|那天|开始)",  # elsewhere a school year
)
_LATER = rf"(?={_1_TO_12}月|年?[初底末]|[上下]半年|[春夏秋冬]|开始|的?时候|[买签交办入搬建装]|到现在|至今)"
_YEAR = _any(
    r"(?<!\d)(?:19|20)\d{2}年",
    rf"[一二][零〇○九][{_DIGITS}]{{2}}年",
    r"(?<![\d.])(?:[6-9][\d几]|0\d)年(?![前多来以之后了])",
    rf"(?<![\d了住有近快满等干用第])[12]\d年{_LATER}",
    rf"(?<![{_DIGITS}\d了])(?:[零〇○][{_DIGITS}]|[一二][零〇○三四五六七八九]|二[一二]"
    "|[九八七六][零〇○几一二三四五]|九[六七八九]|八[六七八])年(?![前多来以之后了])",
    "(?:上世纪)?(?:[6-9]0|[六七八九]十)年代[初末中]?",
)
_SEASON_OF_YEAR = "大?[春夏秋冬][天季](?!的?[路街苑园里])"
_PART_OF_YEAR = _any(
    _SEASON_OF_YEAR,
    "年?[初底末](?![一-龥]?期)",
    "[上下]半年",
    "年中",
    "第?[一二三四1-4]季度",
    "[春夏秋冬](?![一-龥]?[路街苑园节])",
)
_DATE = _any(
    rf"{_YEAR}(?:{_MONTH}|{_PART_OF_YEAR})?",
    _LUNAR_DAY,
    r"(?<!\d)(?:19|20)\d{2}[-/.](?:1[0-2]|0?[1-9])[-/.](?:3[01]|[12]\d|0?[1-9])(?!\d)",
    r"(?<!\d)20\d{2}[-/.](?:1[0-2]|0[1-9])(?![\d.-])",
    r"(?<![\d.])(?:1[0-2]|0?[1-9])[./](?:3[01]|[12]\d|0?[1-9])[日号]",
    rf"(?<![{_DIGITS}\d个几])(?!一月(?![份{_DIGITS}\d初底上中下末到至]))(?<!\d年){_MONTH}",
)
# A day without its month; 花园路12号, 五号窗口 and 3号楼 are none.
_LONE_DAY = (
    rf"(?<![\d{_DIGITS}第附路街道巷村弄院里区苑园城庄楼栋座线组屯厂港—-])(?!一日){_DAY}"
    "(?![门铺车单桌馆机厅窗厂库房井泵棚仓柜桥台站店坑公路街巷地栋幢座柱商摊别学文员信码电梯]|出?口)"
)

# Days, weeks, months and years from now
_WEEK = "(?:周|星期|礼拜)"
_WEEKDAY = rf"(?:(?<![一个]){_WEEK}(?:六[周、和]?日|一三五|二四六|[一二三四五六日天末](?![{_DIGITS}]|年|期|岁)))"
_AGE = rf"(?:都|才|已经|快|刚|也|虚岁|周岁|有)*(?:\d{{1,3}}|[{_DIGITS}]{{1,3}})多?(?:周?岁|[，。、,；;！!了]|$)"
_RELATIVE = _any(
    rf"(?:上上?|下下?|这|本)个?{_WEEK}(?:[一二三四五六日天末初底](?![个十]))?",
    rf"(?:上上?|下下?|这|本|当|头)个?月份?{_IN_MONTH}?",
    "(?:上上?|下下?|这|本)个?(?:学期|学年|季度)",
    "[上下]半[年月]",
    "大?[前后]天(?!性)",
    "今明(?:两天|天)?|明后天?|(?:(?<![一-龥])|(?<=[说等再]))过(?:[几两]天|些日子|阵子)|不久前|前不久|翌[日年]",
    "[今明昨][天日晨]",
    "大?[今明昨夜前后]儿个?",
    "(?<![发说证声表申透分提以之])[今明昨夜前]个(?![人体性月])",
    "夜黑(?:儿|了|里)?",
    "[今明昨前当次那]晚上?(?!餐|饭|报)",
    "[今明昨次]早上?(?!餐|饭)",
    "[昨当]夜里?",
    "[次隔转]日|[隔转]天|当[天日](?=[一-龥,，。]|$)|[头前]一天",
    rf"今年(?!{_AGE})|大?[去前明后]年|旧年|头年",
    "年[初底根]|(?<![常全])年关|年[前后](?!面)|年中|月[初底末]|开年",
    rf"(?<!提)[前头](?:[{_DIGITS}]?[几两些三四五俩]|好几)(?:个?{_UNIT}|时候?)|早[几些]年|(?<![提面])前{_WHILE}",
    rf"这(?:些{_UNIT}|好?{_SPELL}(?!级))|这{_WHILE}",
    rf"最近(?:的?这?{_SPELL}|这?{_WHILE})|(?<![离我距])最近(?!的)",
    rf"(?<![了有将附邻靠])近(?:{_SPELL}|期|日|来|些[天日年]|段时间)(?:以?来)?",
    "刚才|刚刚|将才|方才",
    r"第(?:\d|[二三四五六七八九十]+)(?:天|日|年|周|个(?:月|星期|礼拜))(?!了)",
)

# Holidays, seasons, parts of the day
_HOLIDAY = _any(
    "春节|元旦节?|元宵节?|端午节?|中秋节?|重阳节?|腊八节?|七夕节?|中元节|寒衣节|鬼节|除夕|小年(?!轻)",
    "(?<![张李王刘陈杨赵建])(?:清明节?|国庆节?)",
    "圣诞节?|万圣节|感恩节|平安夜|情人节|(?:妇女|三八|劳动|儿童|建军|教师|母亲|父亲|青年|护士)节",
    rf"(?<![{_DIGITS}\d第百千万])(?:五一|六一|七一|八一)(?:劳动节|儿童节|建军节|国庆|节)?(?![{_DIGITS}\d套个])",
    rf"(?<![{_DIGITS}\d第百千万])十一(?=期间|小?长假|假期|黄金周|放假|以[后前来]|之[后前]|[前后那])",
    "双(?:十一|十二|11|12)|(?<![\\d.])618(?![\\d.元块室号路])|逢年过节|过年|双休日|(?:法定)?节假日|节日|工作日|周末",
    "立春|惊蛰|春分|谷雨|立夏|芒种|夏至|小暑|大暑|立秋|处暑|白露|秋分|寒露|霜降|立冬|冬至|小寒|大寒",
    "(?:雨水|小满|小雪|大雪)(?=那天|前后|以后|之前|节气)",
    "[头二中末]伏天?|三[伏九]天|数九(?:寒?天)?",
)
_AFTER_HOLIDAY = "(?!路|街|巷|[乡镇村]|小区|家园|花园|社区|广场)(?:(?:小?长)?假期?|黄金周|放假|节气|夜)?"
_SEASON = _any(
    "刚?[入开][春夏秋冬伏汛](?![路街苑园])",
    _SEASON_OF_YEAR,
    "开学季?|[寒暑]假(?!工)|暑期|(?<![个名产婚病事])假期|上?学期末",
    "汛期|雨季|伏天|[供采]暖[季期]|农忙|麦收|[秋夏]收|三[夏秋]|收麦|割麦|收秋|春运",
    "早晚高峰|[早晚]?高峰期?",
)
_PART = _any(
    "大?(?:后半夜|前半夜|半夜三更|三更半夜|深更半夜|半夜)|深夜|午夜|子夜|五更天?|凌晨|拂晓",
    "大?清早|一?大早上?|一早|大?早晨|大?早上|清晨|早起|早间",
    "(?<![一整])(?<!一个)(?<!整个)(?:上午|下午)(?!茶)|正?中午|正午|午后|午间|半?[前后]?晌午头?|[前后]半?晌|傍晚|傍黑儿?|黄昏|黎明|破晓|傍明|大中午|[上下]半夜",
    "大?晚上|夜晚|夜里|夜间|晚间|大?白天",
    "天(?:不|没|还没|刚|蒙蒙|麻麻)?[亮黑](?![了着])|天?擦黑儿?|麻麻[亮黑]|喝罢汤",
)
_NOT_GREETING = "(?!好(?:$|[^几些多一-龥]|[呀啊吧呢]))"
# What people do at a time of the day, or what happened, tells the time with a word behind it.
_ROUTINE = (
    "(?:上下班|[上下]班|[上放]学|下课|晚自习|早自习|午[休睡]|[早午中晚]饭|吃饭|睡觉|放假|高考|中考|疫情)"
    "(?=的?(?:时候|时间(?!$|[是,，。])|那会儿?|高峰)|期间|以[后前来]|之[后前]|[前后](?![面门院台往来]))"
)
_ONCE = (
    "(?:下大?[雨雪]|刮大?风|出事|搬家|开业|交房|结婚|入住|毕业|天气?刚?[冷热凉暖]|停[水电气暖])"
    "(?=的?那(?:[几两]?天|[晚年]|会儿?|阵))"
)
_THAT_DAY = "(?<![一-龥])(?!.?.?[我你他她俺它这是记像说得都就得在])[一-龥]{2,4}(?=那[天年晚阵])"
_EVENT = _any(
    _ROUTINE,
    _ONCE,
    _THAT_DAY,
    "[大高初][一二三四](?=那年|[上下]学期|暑假|寒假)",
    "饭点",
    "过完年(?!了)|过罢年",
    rf"(?:术后|产后){_SPELL}",
)

# The clock
_HOUR = "(?:2[0-4]|1\\d|0?\\d|[零〇一二两三四五六七八九]|十[一二三四五六七八九]?|二十[一二三四]?)"
_MINUTES = r"(?<!\d)(?:2[0-4]|1\d|0?\d):[0-5]\d(?::[0-5]\d)?(?!\d)"
_AFTER_HOUR = (
    r"(?:钟|整|半|许|来钟|多钟?|[一三]刻|过?[零〇]?(?:\d{1,2}|[零〇一二三四五六七八九十]{1,4})分钟?"
    r"|[二三四五]?十[一二三四五六七八九]?(?![个几多])|[零〇][一二三四五六七八九]|\d{2}(?!\d))*"
)
_CLOCK = _any(_MINUTES, rf"(?!一点[都也儿没不小])[早晚夜]?{_HOUR}{_HOUR}?[点时](?![间候光心评赞击名]){_AFTER_HOUR}")
_NO_POINT = (
    r"(?!\d|[间候光心评赞击名事钱不都也没]|[一二三四五六七八九十]?[、.]"
    "|要求|建议|意见|问题|诉求|原因|希望|疑问|情况|关系|困难|理由|想法|反映)"
)
_SURE_CLOCK = _any(
    _MINUTES,
    rf"(?<![\d.第])(?:2[0-4]|1\d|0?\d)点{_NO_POINT}{_AFTER_HOUR}",
    rf"(?<![\d.])(?:2[0-4]|1\d|0?\d)时(?:\d{{1,2}}分|许|整|(?=[至到])){_AFTER_HOUR}",
    rf"[零〇]点(?![\d一二三四五六七八九]){_AFTER_HOUR}",
    rf"[早晚夜]{_HOUR}点{_AFTER_HOUR}",
    rf"(?<![第{_DIGITS}几提])(?:[二两三四五六七八九]|十[一二]?)点"
    "(?:钟|半|来钟|多钟?|一刻|三刻|[二三四五]十[一二三四五六七八九]?|十五|(?=左右|以[前后]|之[前后]))+",
    rf"(?<=[到至过])(?:[二两三四五六七八九]|十[一二]?|一(?=点(?:钟|半|刻|左右|多)))点(?!多?[要建意问诉原希疑]){_AFTER_HOUR}",
)

_SEASONAL = _any(rf"{_HOLIDAY}{_AFTER_HOLIDAY}", _SEASON, rf"{_PART}{_NOT_GREETING}")
_OFTEN = "每(?:逢|到|个|隔|年|月)*" + _any(
    rf"{_WEEK}[一二三四五六日天末](?![{_DIGITS}])",
    "[晚夜早]上?",
    rf"年|月|天|日|{_WEEK}",
    _DAY,
    f"(?={_SEASONAL}|{_CLOCK})",
)
_HEAD = _any(_OFTEN, _DATE, _RELATIVE, _WEEKDAY, _SEASONAL, _EVENT)
_THEN = _any(
    f"[ 的、和或及与]?{_HEAD}",
    f"[的、和或]?{_DAY}",
    _MONTH,
    f"[ 的]?{_CLOCK}",
    "[晚早夜](?![上餐饭高])|早晚|两天|黑(?:[里家间]|了(?![一半好几整大]))|第[一二三四五六七八]节课?",
)
_END = _any(
    "的?那(?:[几两]?天|一?[晚夜年月]|会儿?|阵子?|段时间|当口)(?:[早晚]上|夜里|[上下]午|中午|凌晨)?",
    "的?时候|的?时间|期间|左右|前后|以来|以[后前]|之[后前]|过后|起(?![来码床诉火飞因])|开始",
    "时(?![间候光常段])|前(?![面门街台院排方脸天年儿边头夜半])|后(?![面门院备来勤边头天期续台])",
)
_TO = "(?:一直)?(?:到|至|-|—|–|~|～)"
_OPEN = _any("自打|自从|打从|一?从|自(?![己动行])", rf"打(?=[今去昨前上入\d{_DIGITS}])", rf"刚过(?=[{_DIGITS}\d])")
_POINT = rf"(?:{_any(_HEAD, _LONE_DAY)}{_THEN}*|{_SURE_CLOCK})"
_LAST = _any(rf"{_any(_HEAD, _DAY)}{_THEN}*", _CLOCK, rf"{_1_TO_31}天", "现在|目前|如今|今")
_LENGTH_AGO = (
    rf"(?<![第\d{_DIGITS}])(?:{_FEW}|个把)(?:来|多)?个?(?:多|半)?(?:小时|钟头|分钟|{_UNIT})(?:多|半)?(?:左右)?"
    "(?:以前|之前|前(?![面门])|以来|以后|之后|后(?=[一-龥，。,]|$)(?![面门来院]))"
)
# Most characters open no time: only where one of those stands that the patterns know, all of them are tried.
_ANY_SIGN = "".join(
    sorted(set(re.findall(r"[一-龥〇○]", re.sub(r"\(\?<?[!=][^()]*\)", "", _OPEN + _POINT + _LENGTH_AGO))))
)
_PATTERN = re.compile(
    rf"(?=[{_ANY_SIGN}\d]|(?<![一-龥])[一-龥]{{2,4}}那)(?:{_OPEN}?{_POINT}{_END}*(?:{_TO}{_LAST}{_END}*)?|{_LENGTH_AGO})"
)

_THING = (
    "(?:[住平瓦]?房(?:子|屋)?|[住老]?楼房?|(?:家属|小|老)?院子?|小区|社区|电梯|[水暖气]?管[道线网]?|线路|设备|桥"
    "|[轿汽]?车)(?![租价市东产贷款管主])"
)
_JUST_A_YEAR = re.compile(f"{_YEAR}(?:左右|前后)?")
_MADE = "(?:那会儿?|就)?(?:建成|建造|修建|竣工|交付|[建盖修造])"
_OF_THAT_YEAR = re.compile(rf"{_MADE}?的(?:老旧?|旧)?{_THING}|的?[老旧](?:{_THING}|家属)")
_A_THING = re.compile(rf"{_THING}[都就还]?是?(?:大概)?$")
_WAS_MADE = re.compile(rf"(?:{_MADE}|买)?的(?![{_DIGITS}\d时候事])")

_HOW_OFTEN = re.compile(rf"每(?:个|到|逢|隔)?(?:天|日|月|年|{_WEEK})")
_JUST_A_DAY = re.compile(_DAY)
_BEFORE_A_DAY = re.compile(r"^$|\W|[到至是的说定约等才就我他她们俺咱你恁]")


def find(text: str) -> list[tuple[int, int]]:
    """(start, end) of every expression of time, in order."""
    found = []
    for match in _PATTERN.finditer(text):
        start, end = match.span()
        if _HOW_OFTEN.fullmatch(text, start, end):
            continue
        if _JUST_A_DAY.fullmatch(text, start, end) and not _BEFORE_A_DAY.match(text[max(start - 1, 0) : start]):
            continue
        if _JUST_A_YEAR.fullmatch(text, start, end) and _tells_age(text, start, end):
            continue
        found.append((start, end))
    return found


def _tells_age(text: str, start: int, end: int) -> bool:
    """Whether a year says how old a thing is, before it ("98年的老房子") or after it ("小区是零五年建的")."""
    before, made = text[max(start - 8, 0) : start], _WAS_MADE.match(text, end)
    alone = made and made.group() != "的" and re.search(r"(?:^|\W)$", before) and re.match(r"$|\W", text[made.end() :])
    return bool(_OF_THAT_YEAR.match(text, end) or (made and _A_THING.search(before)) or alone)
