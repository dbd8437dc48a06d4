"""The resident of a replay: answers the assistant's questions from a few fixed facts.

It looks at the assistant's last message and its buttons, as a person would, and knows nothing of the dialogue inside.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

MAX_TURNS = 14
PLACE = "金水区花园路85号"
TIME = "上个月开始的"
NAME = "我姓李"
ASK_FOR_TICKET = "请帮我登记成工单"

# Which fact a question asks for: the first pattern found in the last sentence that asks.
_QUESTIONS: tuple[tuple[str, str], ...] = (
    ("phone", r"电话|手机号|号码|联系方式|联系您|回电"),
    ("place", r"地点|地址|位置|哪里|哪儿|什么地方|哪个区|哪条路|在哪"),
    ("time", r"时间|什么时候|哪天|多久了|何时"),
    ("name", r"称呼|姓名|贵姓"),
    ("what", r"什么事|发生了什么|具体情况|具体说|怎么回事|详细"),
)
# Every row is a request of its own, though all are told at one place.
_GO_ON = ("不是同一件事", "确认提交", "确认", "提交", "是", "对", "继续登记", "登记工单", "我要投诉", "提交工单")
_AWAY = re.compile(r"转人工|取消|修改|改|不|重新|撤|匿名|解决|进度")
_NOT_FOUND = re.compile(
    r"没有?(能)?(查到|找到|检索到|收录)|查不到|找不到|未(查到|找到|收录)|暂无|帮不上忙|不(太)?确定|没有把握|答不(了|上)"
)


def honest_not_found(text: str) -> bool:
    """Whether the assistant says that it has no answer."""
    return bool(_NOT_FOUND.search(text))


class Resident:
    """Keeps on until there is a ticket. `nudged`: an answer came first and the resident asked for a ticket."""

    def __init__(self, kind: str, index: int) -> None:
        self.kind = kind
        self.nudged = False
        self.problem = ""
        self._phone = f"139{index:08d}"
        self._said: Counter[str] = Counter()

    def reply(self, messages: Sequence[dict[str, Any]]) -> str | None:
        """What to say next; None when there is nothing sensible left to say (`problem` tells why)."""
        if not messages:
            self.problem = "助手没有回答"
            return None
        if messages[-1]["sender"] != "assistant":
            self.problem = "会话转给了人工"
            return None
        choice = self._choose(messages)
        self._said[choice] += 1
        if self._said[choice] > 3:
            self.problem = "同一句话说了三遍没有进展"
            return None
        return choice

    def _choose(self, messages: Sequence[dict[str, Any]]) -> str:
        text = messages[-1]["text"]
        buttons = [button.get("payload") or button["title"] for button in messages[-1].get("buttons") or []]
        for wanted in _GO_ON:
            if wanted in buttons:
                self.nudged |= wanted in ("登记工单", "我要投诉", "提交工单")
                return wanted
        fact = _asked_for(text)
        if fact is not None:
            return {
                "phone": self._phone,
                "place": PLACE,
                "time": TIME,
                "name": NAME,
                "what": "就是刚才说的那件事，一直没有人管，希望尽快处理",
            }[fact]
        for payload in buttons:
            if not _AWAY.search(payload):
                return str(payload)
        if re.search(r"(对吗|是否|要不要|可以吗|行吗|核对|确认)", text):
            return "是的，确认提交"
        self.nudged = True
        return ASK_FOR_TICKET


def _asked_for(text: str) -> str | None:
    """The fact that the last asking sentence is about."""
    sentences = [part for part in re.split(r"(?<=[。？！?!\n])", text) if part.strip()]
    asking = [s for s in sentences if re.search(r"[？?]|请(问|您|告诉|说|留|提供|补充)|留一?个|说一下|告诉我|麻烦", s)]
    for sentence in reversed(asking or sentences[-1:]):
        for fact, pattern in _QUESTIONS:
            if re.search(pattern, sentence):
                return fact
    return None
