"""Which stretch of the passages found answers a question: runs of clauses, judged by a small learned network.

The candidates are all runs of neighbouring clauses of a passage (cut after commas, colons, full stops, line ends) of at
most MAX_CLAUSES clauses and MAX_CHARS characters. What speaks for one: the question's words in it, before and behind
it, the kind of thing asked for, where it begins and ends, how long it is for this kind of question. The network (one
hidden layer) was fitted to the ROUGE-L of runs with known answers (`python -m kb.learn`).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kb.text import folded
from kb.words import pairs

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SPANS_FILE = Path(__file__).parent / "data" / "spans.json"
MAX_CLAUSES = 24
MAX_CHARS = 360
_CLAUSE = re.compile(r"[^，。！？；：,;!?:\n ]*[，。！？；：,;!?:\n ]+[”’」』）)]*|.+$")
_END = re.compile(r"[。！？；!?;\n][”’」』）)]*\s*$")
_ITEM = re.compile(
    r"^\s*(?:[一二三四五六七八九十]+[是、]|[（(][一二三四五六七八九十\d]+[）)]|\d{1,2}[.、．]|第[一二三四五六七八九十]+[,，])"
)

_AMOUNT = re.compile(r"\d|[百千万亿]元|[一二三四五六七八九十百千万]+(?:个|家|人|名|元|万|亿|倍)")
_TIME = re.compile(r"\d+\s*(?:年|月|日|天|小时|时|个工作日|分钟|周)|工作日|\d{1,2}[:：]\d{2}|期间|以内|以前|之前|后")
_CONTACT = re.compile(r"\d{3,4}[-—]\d{7,8}|\d{5,11}|https?:|www\.|网站|网址|公众号|APP|app|小程序|平台|热线|电话|邮箱")
_PLACE = re.compile(r"路|街|号|大厅|中心|窗口|楼|社区|县|区|市|省|地址|医院")
_QUOTED = re.compile(r"[“《「]")
KINDS: tuple[tuple[str, re.Pattern[str], re.Pattern[str] | None], ...] = (
    ("contact", re.compile(r"电话|号码|热线|联系|网址|网站|域名|公众号|APP|小程序|平台|邮箱|渠道"), _CONTACT),
    (
        "time",
        re.compile(r"多久|多长|几天|何时|什么时候|时间|期限|哪天|几点|截止|哪年|啥时候|几号|多少天|时限|日期"),
        _TIME,
    ),
    (
        "amount",
        re.compile(r"多少|几个|几家|多大|比例|金额|标准|费用|收费|多高|几人|上限|最高|几岁|数量|额度|目标为"),
        _AMOUNT,
    ),
    ("place", re.compile(r"哪里|哪儿|在哪|地点|地址|位置|去哪|哪个市|哪些地|哪个省|哪几个"), _PLACE),
    (
        "name",
        re.compile(r"什么(?:形式|平台|名|文件|系统|机制|活动|模式|方式|行动|工程|基金|产品|政策)|哪个|谁|哪家|哪一|叫"),
        _QUOTED,
    ),
    ("list", re.compile(r"哪些|哪几|几种|分别|包括|举措|措施"), None),
    ("how", re.compile(r"怎么|如何|怎样|咋|流程|步骤|程序|方法"), None),
    ("why", re.compile(r"为什么|原因|为何|目的|意义"), None),
    ("rule", re.compile(r"规定|要求|处罚|条件|对象|范围|标准|注意|应当|应该|应做"), None),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch `text` of passage number `passage`, from clause `first` up to and without `last`; `score` of 0…1."""

    passage: int
    first: int
    last: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Network:
    """score = w2 · tanh(w1 · (x - mean) / scale + b1) + b2."""

    mean: Floats
    scale: Floats
    w1: Floats
    b1: Floats
    w2: Floats
    b2: Floats

    @classmethod
    def from_lists(cls, stored: Mapping[str, Any]) -> "Network":
        """What `as_lists` gave."""
        return cls(**{field.name: np.array(stored[field.name], dtype=np.float32) for field in fields(cls)})

    def as_lists(self) -> dict[str, Any]:
        """For JSON, numbers to five digits."""
        return {
            field.name: np.round(getattr(self, field.name).astype(np.float64), 5).tolist() for field in fields(self)
        }

    def scores(self, x: Floats) -> Floats:
        """Of spans with features (spans, features)."""
        hidden = np.tanh((x - self.mean) / self.scale @ self.w1 + self.b1)
        found: Floats = hidden @ self.w2 + self.b2
        return found


@cache
def shipped(path: Path = SPANS_FILE) -> Network:
    """The network that comes with the program."""
    return Network.from_lists(json.loads(path.read_text(encoding="utf-8")))


def clauses(text: str) -> list[str]:
    """The text cut into clauses; nothing is lost."""
    return [m.group() for m in _CLAUSE.finditer(text) if m.group()]


def best(
    question: str,
    content: Sequence[str],
    passages: Sequence[tuple[str, str, float]],
    idf: Callable[[str], float],
    network: Network | None = None,
) -> Span | None:
    """The best stretch of the passages (heading, text, how well it was found, best first); None where there is none."""
    network = network or shipped()
    found: Span | None = None
    for number, (heading, text, score) in enumerate(passages):
        pieces = clauses(text)
        x, ends = features(question, content, heading, pieces, score, number, idf)
        if not len(x):
            continue
        scores = network.scores(x)
        at = int(np.argmax(scores))
        if found is None or scores[at] > found.score:
            first, last = (int(i) for i in ends[at])
            found = Span(number, first, last, "".join(pieces[first:last]).strip(), float(scores[at]))
    return found


def features(
    question: str,
    content: Sequence[str],
    heading: str,
    pieces: Sequence[str],
    score: float,
    rank: int,
    idf: Callable[[str], float],
) -> tuple[Floats, Ints]:
    """What speaks for every run of clauses of a passage: (runs, features), and its first and last + 1: (runs, 2)."""
    n = len(pieces)
    sizes = np.array([len("".join(piece.split())) for piece in pieces], dtype=np.int64)
    until = np.concatenate(([0], np.cumsum(sizes)))
    first, last = np.triu_indices(n, 1, n + 1)
    length = until[last] - until[first]
    good = (last - first <= MAX_CLAUSES) & (length <= MAX_CHARS) & (length > 1)
    first, last, length = first[good], last[good], length[good]
    plain = [folded(piece) for piece in pieces]

    def share(terms: dict[str, float]) -> tuple[Callable[[Ints, Ints], Floats], npt.NDArray[np.float64]]:
        """Share of weighted terms that occur in a run of clauses."""
        weights = np.array(list(terms.values())) / (sum(terms.values()) or 1.0)
        has = np.array([[term in piece for piece in plain] for term in terms], dtype=np.int32).reshape(len(terms), n)
        counts = np.concatenate((np.zeros((len(terms), 1), np.int32), np.cumsum(has, axis=1)), axis=1)
        return (
            lambda a, b: (weights @ (counts[:, b] > counts[:, a])).astype(np.float32),
            weights @ has if len(terms) else np.zeros(n),
        )

    words_in, by_clause = share({word: idf(word) for word in content})
    pairs_in, _ = share({pair: idf(pair) for pair in dict.fromkeys(pairs(folded(question)))})
    ends = np.array([bool(_END.search(piece)) for piece in pieces] or [False])
    stops = np.concatenate(([0], np.cumsum(ends)))
    # The sentence a clause belongs to, and where that begins and ends.
    sentence = np.concatenate(([0], np.cumsum(ends)[:-1])) if n else np.zeros(0, np.int64)
    begin_of = np.searchsorted(sentence, sentence, side="left")
    end_of = np.searchsorted(sentence, sentence, side="right")
    begin, end = begin_of[first], end_of[last - 1]
    zero = np.zeros_like(first)
    colon = np.array([piece.rstrip().endswith(("：", ":")) for piece in pieces])
    items = np.concatenate(([0], np.cumsum([bool(_ITEM.match(piece)) for piece in pieces])))
    is_item = np.diff(items).astype(bool)
    in_heading = folded(heading)
    total = sum(map(idf, content)) or 1.0
    above = sum(idf(word) for word in content if word in in_heading) / total
    asked = [bool(kind.search(question)) for _, kind, _ in KINDS]
    shaped = []
    for (_, _, shape), wanted in zip(KINDS, asked, strict=True):
        if shape is not None:
            count = np.concatenate(([0], np.cumsum([bool(shape.search(piece)) for piece in pieces])))
            has = (count[last] > count[first]).astype(np.float32)
            shaped += [has * wanted, has * (1 - wanted)]
    size = np.log(length).astype(np.float32)
    last_clause = last - 1
    before = np.maximum(first - 1, 0)
    after = np.minimum(last, n - 1)
    columns: list[npt.NDArray[np.generic]] = [
        words_in(first, last),
        words_in(begin, first),
        words_in(last, end),
        words_in(begin, end),
        words_in(np.maximum(begin_of[begin_of[first] - 1], 0) * (begin > 0), begin),
        words_in(zero, first),
        words_in(zero, zero + n),
        pairs_in(first, last),
        pairs_in(begin, first),
        pairs_in(begin, end),
        by_clause[first],
        by_clause[last_clause],
        by_clause[before] * (first > 0),
        by_clause[after] * (last < n),
        np.full(len(first), above),
        np.full(len(first), score),
        np.full(len(first), min(rank, 5) / 5),
        size,
        size**2 / 5,
        (last - first) / 10,
        first == begin,
        last == end,
        (stops[last] - stops[first]) / 5,
        first == 0,
        last == n,
        (first > 0) & colon[before],
        colon[last_clause],
        is_item[first],
        (last < n) & is_item[after],
        (items[last] - items[first]) / 5,
        length / max(int(until[-1]), 1),
        *shaped,
        np.full(len(first), min(len(question), 40) / 40),
    ]
    for wanted in asked:
        columns += [np.full(len(first), wanted), size * wanted, (first == begin) * wanted, (last == end) * wanted]
    x = np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)
    return x, np.stack((first, last), axis=1)
