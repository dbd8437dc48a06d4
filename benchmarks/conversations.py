"""What residents say in the benchmarks: mixed conversations, about half of the messages call an action.

No two residents say quite the same, so that no side answers from what it remembers of another conversation.
"""

import itertools
from collections.abc import Iterator

SCRIPTS: tuple[tuple[str, ...], ...] = (
    ("你好", "{ask}公积金怎么提取{please}", "谢谢", "再见"),
    (
        "金水区花园路{house}号楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽{please}",
        "13{number:09d}",
        "确认提交",
        "谢谢",
        "工单办得怎么样了",
    ),
    ("你能做什么", "{ask}居住证怎么办{please}", "需要什么材料{please}", "好的，知道了"),
    ("{ask}一盏路灯坏了好几天了{please}", "中原区建设路{house}号附近", "匿名", "确认提交", "再见"),
    ("在吗", "今天天气怎么样", "{ask}养狗要办证吗{please}", "谢谢你"),
    ("小区半夜施工吵得睡不着{please}", "二七区大学路{house}号院", "13{number:09d}", "确认提交"),
)
_ASK = ("", "请问", "你好，", "问一下", "麻烦问下", "想问问", "咨询一下", "哎，", "那个", "您好，请问", "打听一下")
_PLEASE = (
    "",
    "啊",
    "呀",
    "，谢谢",
    "，急",
    "，麻烦了",
    "，帮帮忙",
    "呢",
    "，拜托",
    "，快点回我",
    "。",
    "，在线等",
    "！",
)


def scripts(start: int = 0) -> Iterator[list[str]]:
    """Conversations without end, each with a phone number, a house number and manners of its own."""
    for number in itertools.count(start):
        said = {
            "number": 100_000_000 + number,
            "house": number % 997 + 1,
            "ask": _ASK[number // len(SCRIPTS) % len(_ASK)],
            "please": _PLEASE[number // len(SCRIPTS) % len(_PLEASE)],
        }
        yield [line.format(**said) for line in SCRIPTS[number % len(SCRIPTS)]]
