"""Rules of our own for what a reply means, where the question asked before it says more than the words do.

Pure functions over short Chinese texts. They decide what the form accepts; nothing here is taken for a place or a
number only because a question was asked (Rasa's `from_text` would take "取消" for an address).
"""

import re

from actions.protocol import Heard

ANONYMOUS = "匿名"
NO_PLACE = "不涉及具体地点"
UNKNOWN_PLACE = "未能说明"

_EDGES = re.compile(r"^[\s，,。.！!？?；;：:、]+|[\s，,。.！!？?；;：:、]+$")
_MASKED_PHONE = re.compile(r"(?<!\d)\d{3}\*{4}\d{4}(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)(?:0\d{2,3}[-\s]?)?\d{7,8}(?!\d)")
_HOTLINE = re.compile(r"(?<!\d)(?:400|800)[-\s]?\d{3}[-\s]?\d{4}(?!\d)")

_PLACE_LEAD = re.compile(
    r"^(?:哦|噢|嗯+|好的?|是的?|对|那个|具体)?[，,、\s]*"
    r"(?:(?:具体)?(?:地址|地点|位置|地方)(?:就?是|在|为|[:：])?|就?在|位于|我(?:们)?(?:家)?(?:就)?(?:住)?在)[\s:：，,]*"
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
_HAN = re.compile(r"[\u3400-\u9fff]")
_VAGUE_PLACE = re.compile(
    r"^(?:在)?(?:我们?|咱们?|俺们?|他们?)?(?:这个?|那个?|本|该|一个)?"
    r"(?:家|屋里|家里|楼上|楼下|楼里|门口|门前|小区|小区里|小区门口|附近|旁边|隔壁|对面|这里|这儿|这边|那里|那边"
    r"|路边|路上|村里|单位|公司|学校|工地|店里|我市|本市|市里|区里)$"
)
_NOWHERE = re.compile(
    r"没有?(?:什么)?(?:具体|特定|固定)?的?(?:地点|地址|位置|地方)|不涉及|(?:全|整个)(?:市|省|国|城)|到处都|哪里都|各个?(?:区|地方)|网上|线上"
)
_DONT_KNOW = re.compile(
    r"不知道|不清楚|说不清|说不上|记不清|记不得|忘了|不记得|不晓得|不太?确定|不方便(?:说|透露)|不想说|不愿意?说|不告诉"
)

_REFUSES_CONTACT = re.compile(
    r"没有?(?:电话|手机|号码|联系方式|座机)|不(?:想|愿意?|方便|便|要|能|打算|用|需要)?(?:说|给|留|透露|提供|告诉|填|联系)"
    r"|(?:保密|隐私)|^(?:没有|没|无|不|不行|不用|不用了|不要|不想|不方便|跳过|不了)$"
)
_ANONYMOUS = re.compile(r"匿名|不(?:想|要|愿意?)?(?:留|透露|公开)(?:姓名|名字|身份|真名)")
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
    places = [trim(_whole_address(heard.text, int(entity["start"]), int(entity["end"]))) for entity in marked]
    places = [place for place in places if len(place) >= 2 and not _VAGUE_PLACE.match(place)]
    return max(places, key=len, default=None)


def _whole_address(text: str, start: int, end: int) -> str:
    """A marked stretch with the district before it and the house number behind it, where the model left them out."""
    before = _DISTRICT_BEFORE.search(text[:start])
    behind = _NUMBER_BEHIND.match(text[end:])
    return text[before.start() if before else start : end + (behind.end() if behind else 0)]


def names_city_or_district(place: str) -> bool:
    """开封市鼓楼广场, 中牟县…, 金水区…; a 小区, a 社区 or a 市场 is none."""
    return bool(_CITY_OR_DISTRICT.match(place))


def place_from_reply(text: str) -> str | None:
    """A reply to "where?" as a place, without "就在…" around it; None if it does not look like one."""
    candidate = trim(_PLACE_LEAD.sub("", trim(text)))
    candidate = trim(_PLACE_TAIL.sub("", candidate)) or candidate
    if not 2 <= len(candidate) <= 80 or _NOT_A_PLACE.search(candidate) or _VAGUE_PLACE.match(candidate):
        return None
    return candidate if _PLACE_SIGN.search(candidate) else None


def place_as_last_resort(text: str) -> str | None:
    """After the question was asked twice: any short statement, so that nobody is asked for ever."""
    candidate = trim(_PLACE_LEAD.sub("", trim(text)))
    words = len(_HAN.findall(candidate)) >= 2
    return candidate if words and len(candidate) <= 40 and not _NOT_A_PLACE.search(candidate) else None


def says_nowhere(text: str) -> bool:
    """全市都有, 没有具体地点: the matter has no single place."""
    return bool(_NOWHERE.search(text))


def does_not_know(text: str) -> bool:
    return bool(_DONT_KNOW.search(text))


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


def refuses_contact(text: str) -> bool:
    return bool(_REFUSES_CONTACT.search(trim(text)))


def wants_anonymity(text: str) -> bool:
    return bool(_ANONYMOUS.search(text)) and not _NOT_ANONYMOUS.search(text)


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
