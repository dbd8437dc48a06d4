"""Whether a sentence says nothing but what the quoted passages say: a check by words, figures and negations.

Made for text of a language model that was asked to say quotes in other words. A sentence is compared with runs of
neighbouring clauses of one quote. Some run must have all of its figures with their units and bounds, and no other
figure of those units; as many negations; its offices, strong words (必须, 只能, 一律) and Latin letters; and nearly
all of its other words. The same must hold for each of its clauses, so that what is true of one thing is not said of
another. When in doubt a sentence is not supported: the quotes stand ready to be shown instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from kb.health.facts import number
from kb.text import folded
from kb.words import synonyms, words

# Measured on tests/kb/rephrased.jsonl (docs/decisions/0005-knowledge-base.md).
SHARE = 0.9
_LOST_OF_A_CLAUSE = 0.66
_LONGEST_RUN = 8
_SHORT_RUN = 3
_PART = re.compile(r"[;!?。\n]+")
_CLAUSE = re.compile(r"[,;:!?。、\n]+")
_TITLE = re.compile("《([^《》]+)》")
_LATIN = re.compile(r"[a-z][a-z0-9.]*")
_OTHER_SCRIPT = re.compile(r"[^\W\d_a-z\u3007\u3400-\u9fff\uf900-\ufaff]")

_N = r"(?:\d[\d,]*(?:\.\d+)?|[〇零一二两三四五六七八九十百千]+)"
_PHONE = re.compile(r"(?<![\d-])\d{3,4}-\d{3,4}-?\d{4}(?!\d)|(?<![\d-])0\d{2,3}-\d{7,8}(?!\d)")
_UNIT = "工作日|自然日|周岁|平方米|立方米|公里|摄氏度|小时|分钟|季度|日|天|周|月|年|岁|元|%"
_FIGURE = re.compile(rf"(百分之)?({_N})(万|亿)?余?多?(?:个?({_UNIT}))?")
_NO_FIGURE = re.compile(
    "一次性|统一|同一|唯一|一致|一律|一般|一并|一旦|一定|一起|一些|一样|一体|之一|进一步|万一|一下|另一|任一|百姓|千万"
)
_SAME_UNIT = {"天": "日", "自然日": "日", "周岁": "岁"}
_BOUNDS = (
    ("min", "不得?低于|不得?少于|不小于|至少|最少|最低", "及?以上"),
    ("max", "不得?超过|不得?高于|不多于|至多|最多|最高|最长", "以内|之内|内|及?以下"),
    ("less", "低于|不足|不满|未满|少于|小于|不到", ""),
    ("more", "超过|高于|多于|大于", ""),
    ("min", "年?满", ""),
    ("before", "", "之?前|以前"),
    ("after", "", "之?后|以后|起"),
)
_BEFORE = [(name, re.compile(f"(?:{before})[^,。;0-9]{{0,3}}$")) for name, before, _ in _BOUNDS if before]
_SINCE = [("before", re.compile("前,?$")), ("after", re.compile("后,?$"))]
_AFTER = [(name, re.compile(after)) for name, _, after in _BOUNDS if after]
_COMPARED = re.compile("不得?低于|不得?少于|不小于|不得?超过|不得?高于|不多于|不足|不满|未满|不到")

# One way of saying no, so that 免费 and 不收费 are the same.
_SAME_NO = [
    (re.compile("免费"), "不收费"),
    (re.compile("免(?=[交收缴])"), "不"),
    (re.compile("无需|无须|毋须|不用|不必|不需要?|不须"), "不需"),
    (re.compile("不能够?|不可以?|禁止|严禁|不准|不许|不予"), "不得"),
    (re.compile("没有|并无"), "没"),
]
_NO_NEGATION = re.compile(
    "不动产|未成年|无障碍|无人机|非机动车|非营运|不论|不管|无论|不仅|不但|不只|是否|不同|未来|别人|非常"
)
_EXCEPTIONS = ("除外", "例外", "除")
_NEGATION = re.compile("[不没无未非勿免]|别(?=[去带交再急])|除外|例外|除(?=.{1,20}外)|暂停|停止|取消|拒绝")
_MUST = re.compile("必须|应当|应该|务必|一定要|[^无不毋]须(?!知)")
# What of these a sentence says, its quote must say, too.
_STRONG = [
    _MUST,
    re.compile("只能|仅|只(?!要)|才(?=能|可)"),
    *map(
        re.compile,
        ["全部|所有|任何|任意|一律", "终身|永久|长期", "全额|全免", "自动", "优先", "加急", "保证|承诺|肯定"],
    ),
    *map(
        re.compile,
        ["每[日天]", "每周", "每月", "每季", "每年", "半年", "当场|当天|当日|立即|即时", "次年|次日", "工作日"],
    ),
    *map(re.compile, ["本市|本地", "外地|外省|外市"]),
]
_MAY = re.compile("可以?(?!能)|允许")
_OFFICE = re.compile(
    "(?:[局所委厅院站处会馆队部科]|中心|部门|窗口|街道|社区|公司|银行|机关|政府|平台|网站|程序|公众号|客户端|学校|网点|柜台)$"
)
_PAPER = re.compile("(?:[证书簿卡表照单件]|证明|材料)$")
_NAMED = re.compile(f"{_OFFICE.pattern}|{_PAPER.pattern}")
_EITHER = re.compile("([\u3400-\u9fff]{2})或者?([\u3400-\u9fff]{2})")
# Words that add nothing to what they stand with; negations and bounds among them are compared by themselves.
_NEUTRAL_WORDS = (
    "请 需要 需 不需 要 可以 可 能 会 也 还 就 并 并且 以及 同时 另外 此外 其中 即 即可 如果 如 若 的话 情况 "
    "具体 相关 进行 所 则 且 再 后 时 应 不 没 无 未 得 不得 不能 或 或者 与 和 至 到 去 向 给 让 用 来 另 里 "
    "还要 还需 还可 也要 也可 也需 都可 均可 已 已经 均 都 只 只要 便 办理 这项 该项 业务 事项 根据 按照 依据 "
    "按 打 年满 低于 高于 超过 至少 最多 不足 不满 未满 以上 以下 以内 之内 少于 大于 小于 不到 才 才能 可在 "
    "可到 通过 方式 包括 带 带上 携带 带好 拿 拿着 本人 自己 而且 但 但是 不过 因此 之后 之前 然后 先 满 内 "
    "起"
)
_NEUTRAL = frozenset(_NEUTRAL_WORDS.split())
_INJECTED = re.compile(
    "忽略.{0,8}(?:以上|上面|之前|前面|上述|此前|所有).{0,12}|无视.{0,6}(?:指令|要求|规则|提示)|系统提示词?|你现在是|请?你?扮演"
    r"|ignore\s+(?:all\s+|any\s+|the\s+)*(?:previous|above|prior)|system\s*prompt|<\|?(?:im_start|system|assistant)|disregard",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A quote and what it stands under: `heading` may name its matter, but proves no figure and no negation."""

    text: str
    title: str
    heading: str = ""


@dataclass(frozen=True, slots=True)
class _Figure:
    bound: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring clauses, or a sentence that is compared with them.

    `around`: words of title and heading that stand nowhere in the quote, and may be said with every run. `start`:
    where the run begins. `short`: it lies within one part of a sentence, and is short enough for a single clause to be
    compared with.
    """

    text: str
    figures: list[_Figure]
    negations: int
    exceptions: int
    around: frozenset[str] = frozenset()
    start: int = 0
    short: bool = False

    @classmethod
    def of(cls, text: str, around: frozenset[str] = frozenset(), start: int = 0, short: bool = False) -> "_Run":
        figures = _figures(text)
        negations = _NEGATION.findall(_without_comparing(text))
        exceptions = sum(found in _EXCEPTIONS for found in negations)
        return cls(text, figures, len(negations) - exceptions, exceptions, around, start, short)


class Sources:
    """The quotes, prepared for comparing."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._titles = {_same(source.title) for source in sources}
        self._whole = "\n".join(_same(source.text) for source in sources)
        self._quotes = [_Run.of(_same(source.text)) for source in sources]
        self._runs: list[_Run] = []
        for source in sources:
            self._runs += _runs(source, len(self._runs))
        self._short = [run for run in self._runs if run.short]

    def support(self, sentence: str, *, share: float = SHARE) -> bool:
        """Whether the sentence says nothing but what stands in the quotes."""
        text = _same(sentence)
        if text.rstrip().endswith("?") or _OTHER_SCRIPT.search(text):
            return False
        for title in _TITLE.findall(text):
            if title not in self._titles and f"《{title}》" not in self._whole:
                return False
        text = _TITLE.sub("", text)
        clauses = _clauses(text)
        if not any(_content(clause) or _figures(clause) for clause in clauses):
            return False
        said = _Run.of(text)
        if not any(_holds(said, run, share, whole=True) for run in self._runs):
            return False
        # Each clause stands in the quotes, and they follow each other there as they do here.
        reached = 0
        for clause in map(_Run.of, clauses):
            starts = [
                run.start for run in self._short if run.start >= reached and _holds(clause, run, share, whole=False)
            ]
            if not starts:
                return False
            reached = min(starts)
        return True

    def kept_in(self, text: str, essential: Sequence[str]) -> bool:
        """Whether the text leaves out nothing that must not be left out.

        All figures and negations of the quotes; of their `essential` parts every paper and office, too, and something
        of each clause. A resident who is told of two of three papers comes in vain.
        """
        said = _Run.of(_same(text))
        for quote in self._quotes:
            if set(quote.figures) - set(said.figures):
                return False
        if sum(quote.negations for quote in self._quotes) > said.negations:
            return False
        if sum(quote.exceptions for quote in self._quotes) > said.exceptions:
            return False
        for clause in (clause for part in essential for clause in _clauses(_same(part))):
            wanted = _content(clause)
            lost = [word for word in wanted if not _stands(word, said)]
            if len(lost) > _LOST_OF_A_CLAUSE * len(wanted) or any(_NAMED.search(word) for word in lost):
                return False
        return True


def gives_orders(text: str) -> bool:
    """Whether a text speaks to a language model, as no regulation does: it must not be given to one."""
    return _INJECTED.search(folded(text)) is not None


def _holds(said: _Run, run: _Run, share: float, *, whole: bool) -> bool:
    units = {figure.unit for figure in said.figures}
    if set(said.figures) != {figure for figure in run.figures if figure.unit in units}:
        return False
    if not _in_order(said, run):
        return False
    alike = (said.negations, said.exceptions) == (run.negations, run.exceptions)
    if not (alike if whole else _negated_alike(said, run) and _follow_alike(said, run)):
        return False
    if any(pattern.search(said.text) and not pattern.search(run.text) for pattern in _STRONG):
        return False
    if _MAY.search(said.text) and _MUST.search(run.text) and not (_MUST.search(said.text) or _MAY.search(run.text)):
        return False
    if "或" in said.text and "或" not in run.text:
        return False
    for left, right in _EITHER.findall(run.text):
        if left in said.text and right in said.text and "或" not in said.text:
            return False
    if any(letters not in run.text for letters in _LATIN.findall(said.text)):
        return False
    wanted = _content(said.text)
    missing = [word for word in wanted if not _stands(word, run)]
    if any(_OFFICE.search(word) for word in missing):
        return False
    return len(missing) <= (1 - share) * len(wanted)


def _in_order(said: _Run, run: _Run) -> bool:
    """The figures follow each other as they do in the run: "一级 500 元" is not made of "一级 300 元，二级 500 元"."""
    wanted, there = said.figures, iter(run.figures)
    return all(figure in there for figure in wanted)


def _negated_alike(said: _Run, run: _Run) -> bool:
    """Each negated thing of the run that is said is said with a negation, and nothing else is negated."""
    mine, theirs = _negated(said.text), _negated(run.text)
    if (
        said.negations > run.negations
        or said.exceptions > run.exceptions
        or not all(any(set(m) & set(t) for t in theirs) or not m for m in mine)
    ):
        return False
    spared = (t for t in theirs if t and t[0] in said.text)
    return all(any(set(m) & set(t) for m in mine) for t in spared)


def _follow_alike(said: _Run, run: _Run) -> bool:
    """The words follow each other as in the run: who must do something is not who it is done for."""
    reached = 0
    for word in _content(said.text):
        if word in run.text:
            reached = run.text.find(word, reached)
            if reached < 0:
                return False
    return True


def _negated(text: str) -> list[list[str]]:
    """For each negation the words behind it that it may be about, at most two, in its clause; the nearest first."""
    found = []
    for clause in _clauses(_without_comparing(text)):
        found += [
            _content(clause[match.end() : match.end() + 12])[:2]
            for match in _NEGATION.finditer(clause)
            if match[0] not in _EXCEPTIONS
        ]
    return found


def _runs(source: Source, first: int) -> Iterator[_Run]:
    parts = [_clauses(part) for part in _PART.split(_same(source.text))]
    clauses = [(clause, number) for number, part in enumerate(parts) for clause in part]
    own = _same(source.text)
    # What the quote itself tells apart (生活补贴, 护理补贴) is not taken from a title that names both.
    around = frozenset(word for word in _content(_same(f"{source.title}\n{source.heading}")) if word not in own)
    for length in range(1, min(_LONGEST_RUN, len(clauses)) + 1):
        for start in range(len(clauses) - length + 1):
            run = clauses[start : start + length]
            short = length <= _SHORT_RUN and run[0][1] == run[-1][1]
            yield _Run.of(",".join(clause for clause, _ in run), around, first + start, short)


def _clauses(text: str) -> list[str]:
    return [part for part in (part.strip() for part in _CLAUSE.split(text)) if part]


def _same(text: str) -> str:
    """One way of writing, and one of saying no."""
    text = re.sub("[“”\"'‘’「」()]", "", folded(text))
    text = re.sub(r"(?<![a-z])[ \t]+|[ \t]+(?![a-z])", "", text)
    for pattern, plain in _SAME_NO:
        text = pattern.sub(plain, text)
    return text


def _without_comparing(text: str) -> str:
    return _NO_NEGATION.sub(lambda m: "□" * len(m[0]), _COMPARED.sub(lambda m: "□" * len(m[0]), text))


def _figures(text: str) -> list[_Figure]:
    found: list[tuple[int, _Figure]] = [
        (match.start(), _Figure("", re.sub(r"\D", "", match[0]), "电话")) for match in _PHONE.finditer(text)
    ]
    rest = _PHONE.sub(lambda m: "□" * len(m[0]), text)
    rest = _NO_FIGURE.sub(lambda m: "□" * len(m[0]), rest)
    for match in _FIGURE.finditer(rest):
        percent, written, many, unit = match.groups()
        unit = "%" if percent else unit or ""
        long = written[0] == "0" or (written.isdigit() and len(written) > 6)
        value = written if long else f"{number(written) * {'万': 1e4, '亿': 1e8}.get(many or '', 1.0):g}"
        found.append((match.start(), _Figure(_bound(rest, match), value, _SAME_UNIT.get(unit, unit))))
    return [figure for _, figure in sorted(found, key=lambda item: item[0])]


def _bound(text: str, match: re.Match[str]) -> str:
    """What stands before and behind a number, each only if it is near: "min", "after max" (受理后 15 日内)."""
    before, after = text[max(0, match.start() - 8) : match.start()], text[match.end() :]
    found = {name for name, pattern in _AFTER if pattern.match(after)}
    found |= {name for name, pattern in _SINCE if pattern.search(before)}
    found |= set(next(([name] for name, pattern in _BEFORE if pattern.search(before)), []))
    return " ".join(sorted(found))


def _content(text: str) -> list[str]:
    """The words that say something, each once; figures and what bounds them are compared by themselves."""
    bare = _FIGURE.sub(" ", _PHONE.sub(" ", text))
    return [word for word in dict.fromkeys(words(bare)) if word not in _NEUTRAL and not _LATIN.fullmatch(word)]


def _stands(word: str, run: _Run) -> bool:
    if word in run.around or word in run.text or any(other in run.text for other in _equals(word)):
        return True
    if len(word) > 1 and word[0] in _NEUTRAL and word[1:] in run.text:  # "会按", cut as one word
        return True
    return len(word) > 2 and all(word[i : i + 2] in run.text for i in range(len(word) - 1))


@cache
def _equals(word: str) -> tuple[str, ...]:
    """What documents say for it, where that is one word."""
    meant = synonyms().get(word, ())
    return meant if len(meant) == 1 else ()
