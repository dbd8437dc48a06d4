"""Whether a question is about the rules of another city than those whose documents the base holds.

The names are those of provinces and cities of prefecture level (`data/places.txt`). A name counts only where it says
whose rules are asked for: not as a road ("南阳路"), and not where somebody or something moves between two places
("从洛阳转学", "外地户口办居住证"), which our own rules are about.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kb.text import folded

_FILE = Path(__file__).parent / "data" / "places.txt"
_NO_PLACE = "[路街道巷桥站村寨湾店园楼厂里菜话人]|大学|学院|医院|银行|签注|通行证|户口|身份证|车牌|牌照"
_HERE = re.compile("这边|这里|这儿|咱这|我们这|俺这|本地|本市|当地|河南省|全省|全国")
_BETWEEN = re.compile(
    "异地|外地|外省|外市|跨省|跨市|转移|转学|转院|转诊|转到|转回|转入|转出|转来|迁|落户|居住证|暂住|备案|来自|老家|过户|调到|调来|从"
    "|[在去到].{1,4}(?:住院|看病|就医|就诊|打工|上学|读书|工作|上班|出差|旅游|买的)"
)


@cache
def _provinces() -> dict[str, list[str]]:
    """Province → its cities, as people call them."""
    lines = [line for line in _FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {province: cities.split() for province, _, cities in (line.partition(":") for line in lines)}


@cache
def _names() -> re.Pattern[str]:
    found = [name for province, cities in _provinces().items() for name in (province, *cities)]
    ordered = "|".join(sorted(map(re.escape, found), key=len, reverse=True))
    return re.compile(f"({ordered})(?!{_NO_PLACE})")


def another_place(question: str, regions: Iterable[str]) -> str | None:
    """The place whose rules are asked for, where the base has none of it; None where it has, or none is named.

    Args:
        regions: what the documents in force name as their region ("郑州市"). Without any, nothing is another place.
    """
    own = [region for region in regions if region]
    if not own:
        return None
    plain = folded(question)
    if _HERE.search(plain) or _BETWEEN.search(plain):
        return None
    here = {name for region in own for name in _names_of(region)}
    if any(name in plain for name in here):
        return None
    found = _names().search(plain)
    return found[1] if found else None


@cache
def _names_of(region: str) -> frozenset[str]:
    """What a region is called: 郑州市 → 郑州 and its province, 河南."""
    names = {re.sub("[省市区县]$", "", part) for part in re.findall(".+?(?:省|市|区|县|$)", region) if part}
    names |= {province for province, cities in _provinces().items() if names & set(cities)}
    return frozenset(name for name in names if len(name) > 1)
