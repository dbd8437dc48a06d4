"""What residents say in the benchmarks: mixed conversations, about half of the messages call an action."""

import itertools
from collections.abc import Iterator

SCRIPTS: tuple[tuple[str, ...], ...] = (
    ("你好", "公积金怎么提取", "谢谢", "再见"),
    (
        "金水区花园路85号楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽",
        "13{number:09d}",
        "确认提交",
        "谢谢",
        "工单办得怎么样了",
    ),
    ("你能做什么", "居住证怎么办", "需要什么材料", "好的，知道了"),
    ("路灯坏了好几天了", "中原区建设路与桐柏路交叉口", "匿名", "确认提交", "再见"),
    ("在吗", "今天天气怎么样", "养狗要办证吗", "谢谢你"),
    ("小区半夜施工吵得睡不着", "二七区大学路40号院", "13{number:09d}", "确认提交"),
)


def scripts(start: int = 0) -> Iterator[list[str]]:
    """Conversations without end, each with a phone number of its own."""
    for number in itertools.count(start):
        yield [line.format(number=100_000_000 + number) for line in SCRIPTS[number % len(SCRIPTS)]]
