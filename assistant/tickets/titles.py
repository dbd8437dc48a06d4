"""Names that residents say in full, as of an estate, a village or a road: whether two of them name two places.

锦绣佳园 and 锦绣花园 are two estates, 河南农大 is a short way to say 河南农业大学. So a name is another one where
neither is the other with characters left out. Characters are compared by sound, more widely than elsewhere: z and zh,
n and l, in and ing are one, as many say them.
"""

import re
from collections.abc import Iterable
from itertools import product

from assistant.sounds import heard

__all__ = ["differ", "title_of"]

_FEWEST = 2  # characters of a name that says anything

_PART = (
    r"工地|项目部|项目|指挥部|配套|幼儿园|托育中心|托育|小学|中学|学校|食堂|超市|便利店|早餐店|饭店|餐厅|酒店|停车场|停车区|"
    r"地下车库|车库|地库|地下|[出入]口?|商铺|商户|门面|底商|大厅|准业主|业主|邻居家?|家长|拆迁户|棚改户|居民|物业|办公室|售楼部|"
    r"大门|车棚|充电棚|快递点|快递柜|驿站|菜鸟|公交站|站台|活动室|活动广场|小广场|小游园|游园|公厕|卫生院|卫生室|服务中心|会所|"
    r"泳池|写字楼|公寓楼?|标段?|工程|路段|桥洞|河堤|河边|湖边|[东西南北]{1,2}[角头侧边区院]|[东西南北一二三四五六七八九十]?组|"
    r"门口|对过|对面|旁边?|附近|口|门|[东西南北]|路边|院里|院内|(?<![号医])院|负?[一二三四五六七八九十]?[楼层]|[A-Z\d][区座组层楼号]*"
)
_GENERIC = r"社区居委会|居委会|村委会|社区|小区|家属院|安置区|安置房|安置小区|安置|回迁|村民组|村"
# What has more than one name, or is the name of what stands beside it.
_LANDMARK = re.compile(
    r"站|机场|医院|附院|大学|学校|小学|中学|校|学院|公园|景区|风景|广场|湖边|湖面|立交|隧道|地下|路|街|环|交|角|市场|转盘|园区|新区|某|"
    r"公司|商场|百货|银行|派出所|大厅|动物园|植物园|那个|的|在"
)
_LANDMARK_END = re.compile(r"(?:河|湖|塔|寺|桥|口|店|馆|厂|中心|大厦|楼|局|厅|洞)$")
_ESTATE_END = re.compile(
    r"(?:花园|[家佳嘉花名]苑|[^公校动物植游陵乐]园|苑|城|府|郡|湾|国际|公馆|邸|墅|世家|家|居|庭|新村|庄|年华|小镇|里|号院?)$"
)
# Builders put their name before that of each of their estates.
_BUILDER = re.compile(
    r"(?:建业|正商|万科|恒大|碧桂园|保利|绿地|融创|康桥|亚星|升龙|永威|鑫苑|正弘|名门|富田|金科|华润|中海|绿都|美盛|海马|锦艺|"
    r"美景|绿城|融侨|融信|中梁|世茂|旭辉|雅居乐|富力|泰宏|和昌|豫发|浩创|瀚海|东润|招商|远洋)(?=..)"
)
_PART_AT_END = re.compile(rf"(?:{_PART})$")
_GENERIC_AT_END = re.compile(rf"(?:{_GENERIC})$")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_BEFORE = re.compile(r"^(?:郑州市?|河南省?|原|老(?=..)|旁边|门口|附近|上的|里的|在)+")


def title_of(raw: str) -> tuple[str, bool] | None:
    """How the name of an estate or a village is heard, and whether its ending says that it is one; None for others.

    `raw`: a name as written, with what was said of a part of the place: 锦江国际花园幼儿园.
    """
    name, marked = _without_parts(raw)
    name = _BEFORE.sub("", name)
    built = _BUILDER.match(name) is not None
    landmark = _LANDMARK.search(name) or (_LANDMARK_END.search(name) and not marked)
    if len(name) < _FEWEST or (landmark and not built) or not _HAN.fullmatch(name):
        return None
    return heard(name), built or marked or _ESTATE_END.search(name) is not None


def _without_parts(raw: str) -> tuple[str, bool]:
    """The name without what ends it, and whether that says that it is an estate or a village.

    Part by part: one pattern for all of them takes exponential time where parts can be read in several ways.
    """
    marked = False
    while True:
        generic = _GENERIC_AT_END.search(raw)
        end = generic or _PART_AT_END.search(raw)
        if end is None:
            return raw, marked
        marked = marked or generic is not None
        raw = raw[: end.start()]


def differ(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether both name something, and nothing that one names is a way to say what the other does; as heard."""
    first, second = list(some), list(others)
    return bool(first and second) and not any(_says(a, b) or _says(b, a) for a, b in product(first, second))


def _says(short: str, long: str) -> bool:
    """Whether `short` is `long` with characters left out."""
    rest = iter(long)
    return all(char in rest for char in short)
