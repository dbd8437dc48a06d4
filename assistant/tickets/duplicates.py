"""Whether two requests tell of the same event: features of the pair, a logistic model, and the reasons in words.

The model is fitted by `python benchmarks/duplicates.py --fit` and lies in duplicates.json. Above it stands one rule
that no weight can outvote: what cannot be the same place is never the same event.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assistant.sounds import sound
from assistant.tickets.place_keys import Compared, Relation, Spot, compare, without_names

__all__ = [
    "FEATURES",
    "FILE",
    "SPEAKS_AGAINST",
    "Likeness",
    "Report",
    "SameEvent",
    "compare_reports",
    "features",
    "is_narrow",
]

Vector = npt.NDArray[np.float32]

_A_WEEK = timedelta(days=7)
FILE = Path(__file__).with_name("duplicates.json")


@dataclass(frozen=True, slots=True)
class Report:
    """What one resident reported. `vector`: the embedding of `compared_text`, of length 1; None where there is none.

    `inquiry`: a question about rules, which is no event. `matters`: what `compared_text` tells of, of length 1, as by
    `assistant.matters.Matters.profile`; None where nothing was learned of the city's matters.
    """

    text: str
    spot: Spot
    category1: str
    category2: str | None
    at: datetime
    vector: Vector | None = None
    inquiry: bool = False
    matters: Vector | None = None

    @property
    def compared_text(self) -> str:
        """What `vector` is to be the embedding of: the text without the names of the place."""
        return without_names(self.text, self.spot)


@dataclass(frozen=True, slots=True)
class Likeness:
    """`score`: probability that both tell of one event, 0..1. `reasons`: why, in words for people.

    `mergeable`: nothing speaks against merging without a person: the same place with the same numbers, within a week,
    no matter in which everybody has a case of the own, no inquiry.
    """

    score: float
    reasons: tuple[str, ...]
    mergeable: bool = False


class SameEvent:
    """The fitted model. `same`: from this score on a pair is called the same event, and shown to agents; `offer`: from
    here a resident is asked."""

    def __init__(self, stored: Mapping[str, object]) -> None:
        self._weights = _numbers(stored["weights"])
        self._without_matters = _numbers(stored["weights_without_matters"])
        self._bare = _numbers(stored["weights_without_vector"])
        self.same, self.offer = float(str(stored["same"])), float(str(stored["offer"]))

    @classmethod
    @cache
    def load(cls) -> "SameEvent":
        return cls(json.loads(FILE.read_text(encoding="utf-8")))

    def judge(self, one: Report, other: Report, compared: Compared | None = None) -> Likeness:
        """How likely both are the same event, whoever came first. `compared`: of `compare_reports`, where known."""
        compared = compared or compare_reports(one, other)
        if not _possible(one, other, compared):
            return Likeness(0.0, ())
        found = features(one, other, compared)
        weights = self._weights_for(one, other)
        logit = weights["bias"] + sum(weights[name] * found[name] for name in FEATURES if name in weights)
        mergeable = (
            compared.relation is Relation.SAME
            and abs(other.at - one.at) <= _A_WEEK
            and not any(found[name] for name in _BY_PERSON)
            and not (one.inquiry or other.inquiry)
        )
        return Likeness(1 / (1 + math.exp(-logit)), _reasons(one, other, compared, found), mergeable)

    def _weights_for(self, one: Report, other: Report) -> dict[str, float]:
        if one.vector is None or other.vector is None:
            return self._bare
        return self._without_matters if one.matters is None or other.matters is None else self._weights

    @staticmethod
    def is_possible(one: Report, other: Report, compared: Compared | None = None) -> bool:
        """Whether nothing rules it out: neither is an inquiry, and the places do not conflict."""
        return _possible(one, other, compared or compare_reports(one, other))


def _numbers(stored: object) -> dict[str, float]:
    assert isinstance(stored, dict)
    return {name: float(value) for name, value in stored.items()}


def compare_reports(one: Report, other: Report) -> Compared:
    """How the places relate, for the matter told of."""
    return compare(one.spot, other.spot, narrow=is_narrow(one.text, other.text))


def _possible(one: Report, other: Report, compared: Compared) -> bool:
    return compared.relation is not Relation.CONFLICTING and not (one.inquiry and other.inquiry)


# --- features --------------------------------------------------------------------------------------------------------

FEATURES = (
    "cosine", "matter", "shared", "alike", "category2", "place_same", "place_contains", "same_community",
    "other_district", "again", "over", "claim", "own", "personal", "counter",
)  # fmt: skip
SPEAKS_AGAINST = frozenset({"other_district", "again", "over", "claim", "own", "personal", "counter"})
_BY_PERSON = SPEAKS_AGAINST  # where one of these is found, a person decides

# What happens in or before one building, and what reaches a whole estate, in residents' words.
_ONE_BUILDING = re.compile(
    r"电梯|单元|楼道|楼梯|走廊|门厅|过道|隔壁|对门|楼上|楼下|顶楼|顶层|楼顶|屋顶|天台|一楼|二楼|底商|底层|高层|加压泵|水泵|水箱|外墙.{0,3}(?:砖|脱|掉|渗)|墙皮|墙砖|"
    r"渗水|漏水|下水|反水|返水|化粪池|装修(?!队)|邻居|群租|合租|门禁|对讲|快递柜|井盖|我们楼|我楼|俺楼|这栋|本栋|整栋|这座楼|阳台|空调外机|厕所|厨房|"
    r"狗|噪音|高空|住户|租户|租客|麻将|棋牌|跳绳|跑步|弹琴|钢琴|广告牌|飞线|消防栓|消火栓"
)
_ALL_OVER = re.compile(
    r"全村|全小区|全院|全县|全镇|全停|整个(?:小区|院|社区|村|片|大院)|整(?:小区|院|村|条街|片)|小区(?:都|全)|(?:几|十来|多|\d+)栋|栋栋|家家|户户|"
    r"前后(?:几栋|楼|院)|片区|大面积|一片(?:都|全)|楼上楼下都|物业公司|撤场|邻居都|前院后院|里里外外|各栋|每栋|所有(?:楼|业主|住户)"
)
_MANY = re.compile(
    r"停水|停电|停气|断水|断电|断气|没水|没电|没气|没网|来水|送电|来电|供水|供电|天然气|燃气|自来水|暖气|供暖|供热|热力|物业费|维修基金|维修资金|业委会|业主大会|"
    r"开发商|交房|交付|延期|五证|房产证|办证|学区|网签|预售|烂尾|回迁|安置|拆迁|过渡费|补偿|分红|车位|地库|车库|大门|道闸|消防通道|充电桩|垃圾|物业|公交|"
    r"宽带|信号|光缆|臭味|异味|气味|工地|施工|业主|集体|社保|会所|泳池|绿化|水质|水压|广场舞|工厂|厂子|养殖|焚烧|粉尘|扬尘|打桩|夜市|变压器|配电|基站|高压线|路灯|保安|门岗|停车费|"
    r"水费|电费|监控|积水|内涝|污水|蚊|烟囱|闭路|有线电视|幼儿园|公共收益|广告收入|业委|选举|卫生费|管理费"
)
_AGAIN = re.compile(
    r"又|再次|再一次|上回|上次|上个?月|上周|前阵|前些天|前几天才|这次|这回|刚修|才修|修好|新换|才换|半个?月前|不到一个月|第二次|二次|复发|老毛病|"
    r"才过|刚过|没几天|才没几|清了"
)
_SHORT = re.compile(
    r"停水|停电|停气|断水|断电|没水|没电|着火|起火|冒烟|烧了|打架|打起来|翻车|翻了|撞|爆了|爆管|裂了|爆炸|炸了|困|积水|淹|冒水|喷水|堵死|跳闸|泄漏|倒了|砸"
)
_PERSONAL = re.compile(
    r"(?:我|俺)(?:的|老婆|媳妇|爱人|老公|爹|爸|妈|娘|父亲|母亲|老爹|孩子|闺女|儿子|女儿|奶奶|爷爷|弟|哥|姐|妹|家孩子|自己|本人)|本人|"
    r"欠我|扣我|骗我|退我|还我|给我|不给我|我交了|我充|我买|我在|我办|我去|我的"
)
_OWN = frozenset(
    {
        "工资福利", "劳动关系", "劳动保护", "城镇职工社会保险", "城镇居民社会保险", "社会保险", "户籍证件", "市场监管",
        "金融财税", "教育收费", "出租车管理", "医患纠纷", "就业培训", "考试招生", "邮政管理",
    }
)  # fmt: skip
# What is owed or refused to somebody: money, papers, a place at school.
_CLAIM = re.compile(
    r"工资|薪|提成|奖金|加班费|返费|补偿金|合同|仲裁|离职|辞职|辞退|裁员|工伤|户口|落户|身份证|居住证|驾照|驾驶证|行驶证|护照|"
    r"[产本]证|不动产证|房本|产权|结婚证|离婚|出生证|毕业证|档案|公证|过户|办证|社保|医保|公积金|养老金|养老保险|退休|低保|津贴|补贴|补助|"
    r"救助|报销|失业金|生育|保险|理赔|押金|定金|订金|学费|报名|会员卡|充值|预付|办卡|退款|退费|退钱|退货|退换|[给不没]退|退我|赔我|"
    r"退一赔|贷款|房贷|信用卡|征信|存款|转账|利息|买的|买了|网购|订单|寄的|中介|学位|入学|学籍|转学|误诊|手术|病历|违章|罚款|年检|考试"
)
_MYSELF = re.compile(r"我(?!们|市|区|县|省|国|院|村)|俺(?!们|村)|本人")
_TOGETHER = re.compile(
    r"[我俺咱](?:们|村|厂|院)|大家|大伙|全(?:厂|村|班|校|小区)|家长|业主|会员|工友|同事|邻居|村民|居民|几十|几百|上百|多人|多户|好几|"
    r"[一二三四五六七八九十百\d]+多?(?:个人|人|户|家)|都[没不拿在]|跑路|关门|失联|停业|人去楼空|倒闭|卷款|维权|集体|群里"
)
# Where everybody comes with a case of the own. As sounds, which is how a spot is written.
_COUNTER = re.compile(
    sound("车管所|派出所|大厅|窗口|支行|银行|医院|驿站|快递点|社保|医保|学校|公司|法院|法庭|营业厅|服务中心")
)


def is_narrow(one: str, other: str) -> bool:
    """Whether what both tell of happens at one building, so that another building is another event.

    It does unless both speak of what reaches a whole estate, or one does and neither of anything in a building: two
    tickets too many can be merged later, one that was merged wrongly is not missed.
    """
    first, second = _reach(one), _reach(other)
    inside = first.inside or second.inside
    if (first.wide and second.wide) or ((first.wide or second.wide) and not inside):
        return False
    return inside or not (first.many and second.many)


def features(one: Report, other: Report, compared: Compared) -> dict[str, float]:
    """Numbers about a pair, by the names of FEATURES; all near 0..1."""
    first, second = _signs(one.text, one.spot), _signs(other.text, other.spot)
    late = second if other.at >= one.at else first
    later = abs(other.at - one.at) > _SOME_DAYS
    return {
        "cosine": _product(one.vector, other.vector),
        "matter": _product(one.matters, other.matters),
        **_characters(first, second),
        "category2": float(one.category2 is not None and one.category2 == other.category2),
        "place_same": float(compared.relation is Relation.SAME),
        "place_contains": float(compared.relation is Relation.CONTAINS),
        "same_community": float(compared.same_community),
        "other_district": float(compared.other_district),
        "again": float(later and late.again),
        "over": float(later and first.short and second.short),
        # A shop that closed owes to many.
        "claim": float(
            first.claims
            and second.claims
            and (first.himself or second.himself)
            and not (first.of_many and second.of_many)
        ),
        "own": float(one.category2 in _OWN and other.category2 in _OWN),
        "personal": float(first.personal and second.personal),
        "counter": float(first.counter and second.counter),
    }


_SOME_DAYS = timedelta(days=5)
_RARE = 8.5  # of a character that the examples never use
_MUCH = 60.0  # what two long accounts of one event share, in nats
_KNOWN = 4096  # a ticket is compared with many others


def _product(one: Vector | None, other: Vector | None) -> float:
    return 0.0 if one is None or other is None else float(one @ other)


@dataclass(frozen=True, slots=True)
class _Reach:
    wide: bool
    inside: bool
    many: bool


@lru_cache(_KNOWN)
def _reach(text: str) -> _Reach:
    return _Reach(
        wide=_ALL_OVER.search(text) is not None,
        inside=_ONE_BUILDING.search(text) is not None,
        many=_MANY.search(text) is not None,
    )


@dataclass(frozen=True, slots=True)
class _Signs:
    """What one report says by itself. `chars`: those of the text without its place, with their rarities."""

    again: bool
    short: bool
    claims: bool
    himself: bool
    of_many: bool
    personal: bool
    counter: bool
    chars: Mapping[str, float]
    squares: float


@lru_cache(_KNOWN)
def _signs(text: str, spot: Spot) -> _Signs:
    rarity = _rarity()
    chars = {char: rarity.get(char, _RARE) for char in re.sub(r"[^\w]+", "", without_names(text, spot))}
    return _Signs(
        again=_AGAIN.search(text) is not None,
        short=_SHORT.search(text) is not None,
        claims=_CLAIM.search(text) is not None,
        himself=_MYSELF.search(text) is not None,
        of_many=_TOGETHER.search(text) is not None,
        personal=_PERSONAL.search(text) is not None,
        counter=_COUNTER.search(spot.written) is not None,
        chars=chars,
        squares=sum(weight * weight for weight in chars.values()),
    )


def _characters(one: _Signs, other: _Signs) -> dict[str, float]:
    """What the texts share, character by character, each weighed by how rare it is (inverse document frequency)."""
    common = [one.chars[char] for char in one.chars.keys() & other.chars.keys()]
    return {
        "shared": min(sum(common) / _MUCH, 2.0),
        "alike": sum(weight * weight for weight in common) / max(math.sqrt(one.squares * other.squares), 1.0),
    }


@cache
def _rarity() -> dict[str, float]:
    stored = json.loads(FILE.read_text(encoding="utf-8"))["rarity"]
    return {char: float(weight) for weight, chars in stored.items() for char in chars}


# --- in words --------------------------------------------------------------------------------------------------------


def _reasons(one: Report, other: Report, compared: Compared, found: Mapping[str, float]) -> tuple[str, ...]:
    reasons = []
    if compared.same_number:
        reasons.append("同一门牌")
    elif compared.relation is Relation.SAME:
        reasons.append("同一地点")
    elif compared.relation is Relation.CONTAINS:
        reasons.append("地点相符，详略不同")
    elif compared.likeness >= 0.6:
        reasons.append("地点名称相近")
    if found["category2"]:
        reasons.append("相同事项")
    elif found["matter"] >= _CLOSE_MATTER:
        reasons.append("事由相近")
    elif one.category1 == other.category1:
        reasons.append("同一大类")
    if found["cosine"] >= _CLOSE_COSINE or found["alike"] >= _CLOSE_WORDS:
        reasons.append("说法相近")
    reasons.append(_apart(other.at - one.at))
    if found["again"]:
        reasons.append("后一件说是再次发生")
    if found["claim"]:
        reasons.append("可能各有各的诉求")
    return tuple(reasons)


_CLOSE_COSINE, _CLOSE_WORDS, _CLOSE_MATTER = 0.9, 0.5, 0.8


def _apart(gap: timedelta) -> str:
    hours = abs(gap) / timedelta(hours=1)
    if hours < 1:
        return "相差不到1小时"
    return f"相差{round(hours)}小时" if hours < 36 else f"相差{round(hours / 24)}天"
