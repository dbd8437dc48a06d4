"""Rules of our own for what a reply means, where the question asked before it says more than the words do.

Pure functions over short Chinese texts. They decide what the form accepts; nothing here is taken for a place or a
number only because a question was asked (Rasa's `from_text` would take "取消" for an address).
"""

import re
from collections.abc import Collection

from actions.protocol import Heard

ANONYMOUS = "匿名"
NO_PLACE = "不涉及具体地点"
UNKNOWN_PLACE = "未能说明"

_EDGES = re.compile(r"^[\s，,。.！!？?；;：:、]+|[\s，,。.！!？?；;：:、]+$")
_MASKED_PHONE = re.compile(r"(?<!\d)\d{3}\*{4}\d{4}(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)(?:0\d{2,3}[-\s]?)?\d{7,8}(?!\d)")
_HOTLINE = re.compile(r"(?<!\d)(?:400|800)[-\s]?\d{3}[-\s]?\d{4}(?!\d)")

# 就业局, 在建工地 and 住建局 are names; 建设路 is a street.
_PLACE_LEAD = re.compile(
    r"^(?:(?:[哦噢呃]|嗯+|(?:好的?|是的?|对|那个|具体)[，,、\s]+)[，,、\s]*"
    r"|(?:好的?|是的?|对|那个|具体)?(?:(?:具体)?(?:地址|地点|位置|地方(?=就?[是在]|[为:：\s]))(?:就?是|在|为|[:：])?"
    r"|(?:[我俺咱]们?)?家?(?:就(?![业医诊学餐])|还是|是(?!的)|在(?!建(?:小区|工地|工程|项目|楼|的|中))|住(?!建[局委厅部大]|[院房宅友总])|位于)+)[\s:：，,]*)+"
)
_PLACE_TAIL = re.compile(r"(?:这里|这儿|那里|那儿|这边|那边)?(?:吧|呢|啊|呀|哈|的)?$")
_PLACE_SIGN = re.compile(
    r"[省市区县镇乡村庄屯寨组路街道巷弄里胡同桥站楼栋幢座号室门口院苑园城府邸湾岗坡沟河湖渠港场店馆厅所校厂库塔庙坊]"
    r"|广场|大厦|小区|单元|社区|公寓|家属|路口|交叉|对面|旁边?|附近|隔壁|楼下|中心|超市|医院|学校|公园|地铁|公交|高速"
    r"|东侧|西侧|南侧|北侧|东头|西头|南头|北头|东边|西边|南边|北边|十字"
)
_NOT_A_PLACE = re.compile(
    r"[?？]|怎么|怎样|什么|为什么|为啥|咋|吗$|呢$|多少|几点|几天|能不能|可不可以|是不是|有没有|请问|凭什么"
    r"|不知道|不清楚|不晓得|不想|不要|不用|不说|不告诉|没有|谢谢|你好|您好|再见|投诉|举报|办理|政策|你们|转人工|算了|取消"
    r"|[<>{}\[\]\\]|[不没坏漏堵吵臭脏乱很被]|太[大小吵差多少黑]|老是|总是|一直|天天|了$"
)
_DISTRICT_BEFORE = re.compile(r"(?:[\u4e00-\u9fff]{2,3}市)?[\u4e00-\u9fff]{2,4}(?:新区|[区县])$")
_CITY_OR_DISTRICT = re.compile(
    r"[\u4e00-\u9fff]{2,3}市(?![场政民])|[\u4e00-\u9fff]{1,4}县|[\u4e00-\u9fff]{1,4}(?<![小社园])区"
)
_NUMBER_BEHIND = re.compile(
    r"(?:(?:\d+|[一二三四五六七八九十百]+)"
    r"(?:号院|号楼(?![上下道里前后])|号|弄|巷|栋|幢|座|单元|期|楼|层|室))+"
)
# Where the model cuts a name off: 交通路与陇|海路口, 医院西|门.
_CUT_ROAD = re.compile(r"[与和][\u4e00-\u9fff]{1,2}$")
_REST_OF_ROAD = re.compile(r"[\u4e00-\u9fff]{0,2}?(?:路|街|大道)(?:交叉)?口?")
_REST = re.compile(r"(?<=\d号)楼(?![上下道里前后])|(?<=[东西南北])门|(?<=站)口|(?:交叉|(?<=[路街道])路?)口")
_SEVERAL = 4
# What holds a numbered part comes before it: 12号院 3号楼 2单元 5层.
_NUMBERED = re.compile(r"(?:\d+|[一二三四五六七八九十百]+)(号院?(?!楼)|弄|巷|期|号楼|[栋幢座]|单元|[楼层]|室)")
_HELD_BY = {
    part: rank for rank, parts in enumerate(("弄巷", "号", "期", "栋幢座", "单", "楼层", "室")) for part in parts
}
_HAN = re.compile(r"[\u3400-\u9fff]")
_VAGUE_PLACE = re.compile(
    r"^(?:在)?(?:我们?|咱们?|俺们?|他们?)?(?:这个?|那个?|本|该|一个)?"
    r"(?:家|屋里|家里|楼上|楼下|楼里|门口|门前|小区|小区里|小区门口|附近|旁边|隔壁|对面|这里|这儿|这边|那里|那边"
    r"|[整全][个栋条幢]?(?:楼|小区|院子?|村|路|街|单元)|路边|路上|村里|单位|公司|学校|工地|店里|我市|本市|市里|区里)$"
)
_NOWHERE = re.compile(
    r"没有?(?:什么)?(?:具体|特定|固定)?的?(?:地点|地址|位置|地方)|不涉及|(?:全|整个)(?:市|省|国|城)|到处都|哪里都|各个?(?:区|地方)|网上|线上"
)
_DONT_KNOW = re.compile(
    r"不知道|不清楚|说不[清上好准]|记不清|记不得|忘了|不记得|不晓得|不太?确定|不方便(?:说|透露)|不想说|不愿意?说|不告诉"
)

# Words around a place, a name or a number: a message that holds no others beside it tells only that.
_AROUND_A_DETAIL = re.compile(
    r"你好|您好|好的|好吧|行吧|可以|快点|知道|确认|没错|没问题|喂|请问|麻烦|谢谢|就是|还是|(?:都|已经|刚才|不是)*[跟给和]你们?[说讲]过?了?[吗嘛]?|刚才|我们?|[俺咱]们?|[你您他]们?"
    r"|这[里儿边个]?|那[里儿边个家]?|具体|大概|事情|发生|(?:工地|事发)?(?:地址|地点|位置|地方|地(?=就))|[村街路]名|门牌号?"
    r"|几号楼?|居民|业主|住户|电话|手机|号码|叫|姓|免贵|门口|楼[上下道里]|路口|交叉口?"
    r"|[东西南北中上下左右前后里外旁对][面边侧头角门]|附近|隔壁|向?[东西南北]|\d+米?"
    r"|[住家在就是的里了呢啊吧呀嗯哦呃说从往与和跟到有]|[^\u3400-\u9fffA-Za-z]"
)
# 那个井盖, 西北角那个报刊亭, 负一层停车场: more of the place, unless it says what is wrong there.
_MORE_OF_A_PLACE = re.compile(
    r"^那[个家座栋条块棵][\u3400-\u9fff]{1,3}$|[里外上下前后旁边面角侧头口处]那[个家座栋条块棵][\u3400-\u9fff]{1,6}$"
    r"|[场店馆厅楼口站园院桥巷街路村区校超市](?:[里上下][面边头]?|旁边|附近)?$"
)

_CALLED = re.compile(r"(?:称呼|喊|叫)(?:我|俺)?|就(?:行|好|中|可以|成)|怎么(?:称呼|叫)都(?:行|可以)")
_REFUSES_CONTACT = re.compile(
    r"没有?(?:电话|手机|号码|联系方式|座机)|不(?:想|愿意?|方便|便|要|能|打算|用|需要)?(?:说|给|留|透露|提供|告诉|填|联系)"
    r"|(?:保密|隐私)|^(?:没有|没|无|不|不行|不用|不用了|不要|不想|不方便|跳过|不了)$"
)
_WHY_A_NUMBER = re.compile(
    r"(?:凭啥|凭什么|为啥|为什么|咋还|干嘛|干啥|做什么).{0,6}(?:电话|手机|号码?|联系)|(?:电话|手机|号码?).{0,3}(?:干嘛|干啥|做什么|有啥用)"
)
_SOMEBODYS_NUMBER = re.compile(
    r"(?:儿子|闺女|女儿|孩子|老伴|老公|媳妇|爱人|孙子|孙女|邻居|家里|家人|亲戚|朋友|别人)的?(?:电话|手机|号|座机)"
)
# Before and behind the name of who speaks: 我叫…, 联系人：…, 王强 138…
_INTRODUCES = re.compile(
    r"(?:(?:^|[我俺])叫|[我俺]是(?:[^，,。；;的]{0,10}(?:业主|居民|住户|村民|租户|家长))?|[叫喊]我|称呼我|我的?名字[叫是]?|姓名[是为]?|[我俺]姓|免贵姓|^姓"
    r"|(?:(?<![\u4e00-\u9fff])|(?<=[我俺])|(?<=[我俺]的))联系人(?:是|为|找|写)?|(?<!被)[反投][映诉]人|本人)[:：，,（(\s]{0,2}$"
)
# Somebody else, also in a message that is read as one about the contact: 我联系过物业王主任; 物业不管，叫…; 王强的妈妈.
_OF_SOMEBODY_ELSE = re.compile(
    r"(?:联系(?!人|电话|方式|手机|号码)|[找问打]过)[^，,。；;！!\s]*$|^(?=[^，,。；;！!、\s]*[\u4e00-\u9fff]{3})(?!您?你?好)[^我俺姓]*[，,。；;！!、\s]叫[^，,。；;！!、\s]*$"
    r"|被[反投][映诉]人[^，,。；;！!、]*$"
)
_BELONGS_TO = re.compile(r"的(?!电话|手机|号|联系|名)[\u4e00-\u9fff]{2}")
_OPENS = re.compile(r"(?:^|[，,。；;！!、\s])$")
_SOMEBODY = "某某"
_OWN_NUMBER = re.compile(
    r"(?:(?:^|[^\u4e00-\u9fff]|[我俺]的?|本人|联系|家里|请|某某的?)(?:电话|手机|号码?|手机号码?|联系方式|座机|固话|回电|微信)(?:号码?)?(?:是|为)?|某某|[我俺]是?)[:：，,、（(\s]{0,2}$"
)
_LEAVES_A_NUMBER = re.compile(r"(?:留(?:个|一个|下)?|打我|联系我|找我)(?:的?(?:电话|手机|号码?))?吧?[:：，,、\s]{0,2}$")
_THEN_A_NUMBER = re.compile(r"[，,、:：\s]{0,2}(?:的?(?:电话|手机|号码)|1\d{2}[\d*])")
_NAME = r"(?:真?实?姓名|名字|真名|大名|身份)"
# One's own wish, not what somebody else does: 有人匿名发短信, 保安不登记姓名, 小票不写名字.
_ANONYMOUS = re.compile(
    r"(?<!有人)(?<![他她它被])(?<!对方)匿名(?![电短]|信[^息访]|者|群|评论)"
    rf"|(?:^|[，,。；;！!、\s]|[我俺咱]|我们|本人|想|请|可以|能)不(?:想|要|愿意?)?(?:留|透露|公开){_NAME}"
    r"|(?:别|勿|不要|不想|不愿意?|不能|不准|不许|[我俺咱]不|我们不|本人不|可以不|^不)(?:要|想|再|能)?"
    rf"(?:写|留|登记?|填|记|提|用|出现|显示)[上出]?(?:[我俺]们?|本人|自己)?的?{_NAME}"
    rf"|不(?:再)?(?:写|留|登记?|填|记|提|用|出现|显示)[上出]?(?:[我俺]们?|本人|自己)的?{_NAME}"
)
_NOT_ANONYMOUS = re.compile(r"(?:不|别|不用|不要|不想|不需要|无需)匿名|实名")
_CONFIDENTIAL = re.compile(
    r"保密|(?:别|不要|不能|勿|请勿|千万别)(?:告诉|让|透露|泄露|跟)[^。！？]{0,12}(?:我|本人|信息|身份|姓名|知道)"
)

_EMPTY_REQUEST = re.compile(
    r"你好|您好|12345|请问|麻烦|帮忙?|一下|我们?|想|要|需要|投诉|举报|反映|反应|求助|建议|表扬|咨询|登记|提交|提|写|填|办|报"
    r"|工单|诉求|意见|问题|事情|情况|事儿?|有|一个|一件|个|件|点|些|啊|呀|吧|呢|的|了|给|可以|能|吗|再|新|另外"
    r"|[\s，,。.！!？?；;：:、~～]"
)
_TYPE_WORDS = ("举报", "投诉", "表扬", "建议", "求助", "咨询")

_SALUTATION = re.compile(
    r"^(?:尊敬的|敬爱的|亲爱的)?[^，,。！!：:\n]{0,14}(?:领导|市长|书记|局长|主任|同志|您好|你好|好)们?[，,。！!：:\s]*$"
)
_SENTENCE = re.compile(r"[^。！!？?\n；;]+")
TITLE_CHARS = 40

_CORRECTION = re.compile(
    r"(?:应该是|应当是|应为|改成|改为|改到|改作|换成|换为|更正为|更正成|其实是|正确的是|(?<!不)而?是(?!不是|说|我|写|搞|弄))"
    r"[\s:：，,]*(.+)$"
)
_FIELDS = (
    ("place", re.compile(r"地址|地点|位置|地方|门牌")),
    ("event_time", re.compile(r"时间|日期|几点|哪天")),
    ("contact", re.compile(r"电话|手机|号码|联系|姓名|名字|匿名")),
    ("description", re.compile(r"内容|描述|说明|问题|情况|经过")),
)


def trim(text: str) -> str:
    """The text without spaces and punctuation at its ends."""
    return _EDGES.sub("", text)


# --- place ---------------------------------------------------------------------------------------------------------


def place_in(heard: Heard) -> str | None:
    """The place of the event in a message: the most exact of the first places the model marked."""
    marked = [entity for entity in heard.entities if entity.get("type") == "place"][:4]
    places = [without_lead(_whole_address(heard.text, int(entity["start"]), int(entity["end"]))) for entity in marked]
    places = [place for place in places if len(place) >= 2 and not _VAGUE_PLACE.match(place)]
    return max(places, key=len, default=None)


def _whole_address(text: str, start: int, end: int) -> str:
    """A marked stretch with the district before it and the house number behind it, where the model left them out."""
    before = _DISTRICT_BEFORE.search(text[:start])
    rest = _REST_OF_ROAD.match(text, end) if _CUT_ROAD.search(text[start:end]) else None
    rest = rest or _REST.match(text, end) or _NUMBER_BEHIND.match(text, end)
    return text[before.start() if before else start : rest.end() if rest else end]


def names_city_or_district(place: str) -> bool:
    """开封市鼓楼广场, 中牟县…, 金水区…; a 小区, a 社区 or a 市场 is none."""
    return bool(_CITY_OR_DISTRICT.match(place))


def without_lead(text: str) -> str:
    """A place without the words that lead to it: 就在…, 是…, 我家住…."""
    return trim(_PLACE_LEAD.sub("", trim(text)))


def place_from_reply(text: str) -> str | None:
    """A reply to "where?" as a place, without "就在…" around it; None if it does not look like one."""
    candidate = without_lead(text)
    candidate = trim(_PLACE_TAIL.sub("", candidate)) or candidate
    if not 2 <= len(candidate) <= 80 or _NOT_A_PLACE.search(candidate) or _VAGUE_PLACE.match(candidate):
        return None
    return candidate if _PLACE_SIGN.search(candidate) else None


def place_as_last_resort(text: str) -> str | None:
    """After the question was asked twice: any short statement, so that nobody is asked for ever."""
    candidate = without_lead(text)
    words = len(_HAN.findall(candidate)) >= 2
    return candidate if words and len(candidate) <= 40 and not _NOT_A_PLACE.search(candidate) else None


def says_nowhere(text: str) -> bool:
    """全市都有, 没有具体地点: the matter has no single place."""
    return bool(_NOWHERE.search(text))


def does_not_know(text: str) -> bool:
    return bool(_DONT_KNOW.search(text))


def is_only_a_house(place: str) -> bool:
    """3号楼2单元: which one, but not where."""
    return bool(_NUMBER_BEHIND.fullmatch(place))


def with_house(known: str, house: str) -> str:
    """The known place with this house in place of its own: 经三路12号院3号楼, 5号楼 → 经三路12号院5号楼.

    What holds the house stays, what lay in the other one goes.
    """
    told = _NUMBERED.match(house)
    behind = _NUMBER_BEHIND.search(known)
    if told is None or behind is None or behind.end() != len(known):
        return f"{known}{house}"
    for part in _NUMBERED.finditer(known, behind.start()):
        if _rank(part) >= _rank(told):
            return f"{known[: part.start()]}{house}"
    return f"{known}{house}"


def _rank(part: re.Match[str]) -> int:
    return _HELD_BY["栋" if part[1] == "号楼" else part[1][0]]


def beside(heard: Heard, kinds: Collection[str]) -> str:
    """What a message says beside the entities of these kinds."""
    known = [entity for entity in heard.entities if entity.get("type") in kinds]
    told = {at for entity in known for at in range(int(entity["start"]), int(entity["end"]))}
    return trim("".join(letter for at, letter in enumerate(heard.text) if at not in told))


def holds_only(heard: Heard, kinds: Collection[str]) -> bool:
    """Whether a message is entities of these kinds and the words around them ("我姓王，电话138…")."""
    found = any(heard.first(kind) for kind in kinds)
    return found and not _AROUND_A_DETAIL.sub("", _DONT_KNOW.sub("", beside(heard, kinds)))


def may_tell_a_matter(words: str) -> bool:
    """Whether words beside a place may be more than a part of it ("门口", "那个加油站", "具体门牌不知道")."""
    words = _DONT_KNOW.sub("", words)
    if not _AROUND_A_DETAIL.sub("", words):
        return False
    return bool(_NOT_A_PLACE.search(words)) or not _MORE_OF_A_PLACE.search(words)


def tells_beside_a_name(words: str) -> bool:
    """Whether words beside a name or number are more than a way to give it ("叫我…就行")."""
    return len(_AROUND_A_DETAIL.sub("", _CALLED.sub("", words))) >= 2


def tells_plainly(words: str) -> bool:
    """Whether several words stand beside a place, and none that a place could hold ("高空抛物")."""
    return len(_AROUND_A_DETAIL.sub("", words)) >= _SEVERAL and not _PLACE_SIGN.search(words)


# --- contact -------------------------------------------------------------------------------------------------------


def phone_in(heard: Heard) -> str | None:
    """A phone number in a message, as written: masked (`138****5678`), or a short landline that was left as it is."""
    text = heard.text
    for pattern in (_MASKED_PHONE, _HOTLINE):
        if match := pattern.search(text):
            return match[0]
    for phone in heard.all("phone"):
        if _MASKED_PHONE.search(phone) or _LANDLINE.fullmatch(phone.strip()):
            return phone.strip()
    return None


def phone_from_reply(text: str) -> str | None:
    """A reply to "which number?": also a landline without area code."""
    for pattern in (_MASKED_PHONE, _HOTLINE, _LANDLINE):
        if match := pattern.search(text):
            return match[0]
    return None


def asks_why_a_number(text: str) -> bool:
    return bool(_WHY_A_NUMBER.search(text))


def offers_another_number(text: str) -> bool:
    """没有电话，只有儿子的号: somebody else's will do."""
    return bool(_SOMEBODYS_NUMBER.search(text))


def own_name(heard: Heard) -> str | None:
    """The name by which a resident introduces themselves; "物业的焦经理" is somebody else's."""
    for entity in heard.entities:
        if entity.get("type") != "name":
            continue
        before, behind = heard.text[: int(entity["start"])], heard.text[int(entity["end"]) :]
        about_them = heard.intent == "inform_contact" and not _OF_SOMEBODY_ELSE.search(before)
        signs = about_them or _INTRODUCES.search(before) or (_OPENS.search(before) and _THEN_A_NUMBER.match(behind))
        if signs and not _BELONGS_TO.match(behind):
            return str(entity["text"])
    return None


def without_identity(text: str, names: Collection[str], phones: Collection[str]) -> str:
    """The text without its writer's own name and number, where it gives them as their own: 我叫某某."""
    for name in names:
        for match in reversed([*re.finditer(re.escape(name), text)]):
            before, behind = text[: match.start()], text[match.end() :]
            if _INTRODUCES.search(before) or (_OPENS.search(before) and _THEN_A_NUMBER.match(behind)):
                text = f"{before}{_SOMEBODY}{behind}"
    for phone in phones:
        for match in reversed([*re.finditer(re.escape(phone), text)]):
            if _OWN_NUMBER.search(text[: match.start()]):
                text = f"{text[: match.start()]}{_SOMEBODY}{text[match.end() :]}"
    return text


def refuses_contact(text: str) -> bool:
    return bool(_REFUSES_CONTACT.search(trim(text)))


def wants_anonymity(text: str) -> bool:
    return bool(_ANONYMOUS.search(text)) and not _NOT_ANONYMOUS.search(text)


def gives_own_number(heard: Heard) -> bool:
    """Whether a number is told as the writer's own: 还是留个电话吧138****5678, 打我138****5678."""
    phone = phone_in(heard)
    before = heard.text[: heard.text.find(phone)] if phone else ""
    return bool(phone) and bool(_OWN_NUMBER.search(before) or _LEAVES_A_NUMBER.search(before))


def wants_confidentiality(text: str) -> bool:
    return bool(_CONFIDENTIAL.search(text))


def has_digits(text: str, at_least: int) -> bool:
    return sum(c.isdigit() for c in text) >= at_least


# --- the request ---------------------------------------------------------------------------------------------------


def says_what_happened(text: str) -> bool:
    """Whether something is left of "我要投诉一下" when the empty words are gone."""
    return len(_EMPTY_REQUEST.sub("", text)) >= 2


def named_type(text: str) -> str | None:
    """The request type, where a short message says it itself (我要举报)."""
    if len(text) > 12:
        return None
    return next((kind for kind in _TYPE_WORDS if kind in text), None)


def title_of(description: str) -> str:
    """The first sentence that says something, at most 40 characters: the title of the ticket."""
    sentences = [trim(sentence) for sentence in _SENTENCE.findall(description)]
    sentences = [sentence for sentence in sentences if sentence]
    spoken = [sentence for sentence in sentences if not _SALUTATION.match(sentence)]
    first = next(iter(spoken or sentences), description.strip())
    if len(first) <= TITLE_CHARS:
        return first
    head = first[:TITLE_CHARS]
    comma = max(head.rfind("，"), head.rfind(","))
    return head[:comma] if comma >= 8 else head[: TITLE_CHARS - 1] + "…"


def shorten(text: str, limit: int) -> str:
    """The text on one line, with its end cut off beyond `limit` characters."""
    flat = re.sub(r"\s+", " ", text).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


# --- corrections ---------------------------------------------------------------------------------------------------


def field_named(text: str) -> str | None:
    """The field a resident wants to change, where a message names it."""
    return next((name for name, pattern in _FIELDS if pattern.search(text)), None)


def corrected_value(text: str) -> str | None:
    """What follows "应该是" or "改成"."""
    match = _CORRECTION.search(trim(text))
    return trim(match[1]) if match and trim(match[1]) else None
