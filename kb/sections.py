"""Which sections of an entry answer a question: by what the question asks for, its words, and nearness of meaning.

An entry of short sections ("需要的材料", "多久办好") is a form that policy staff fill in. Which entry a question is
about, the search says; which section, the words that name the entry cannot say, because they stand in all of them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kb.documents import Passage
from kb.index import Floats
from kb.words import terms

_ARTICLE = re.compile(r"第.+条")


@dataclass(frozen=True, slots=True)
class Aspect:
    """Something residents ask for: how they say it, and the headings it stands under."""

    name: str
    asked: re.Pattern[str]
    heading: re.Pattern[str]
    text: re.Pattern[str] | None = None
    """What a section must hold to answer it at all, where that can be seen."""

    def fits(self, passage: Passage) -> float:
        """1 under a heading of its own, a half where only the text has it, else 0."""
        if self.heading.search(passage.label or ""):
            return 1.0
        return 0.5 if self.text is not None and self.text.search(passage.text) else 0.0


def _aspect(name: str, asked: str, heading: str, text: str | None = None) -> Aspect:
    return Aspect(name, re.compile(asked), re.compile(heading), re.compile(text) if text else None)


# In this order: what is asked for most exactly comes first, "how" is what is left.
ASPECTS = (
    _aspect(
        "materials",
        r"材料|带(?:什么|啥|哪些|点)|拿(?:什么|啥|哪些)|准备(?:什么|啥|哪些|些)|(?:什么|啥|哪些)(?:证件|证明|手续|东西|资料)|"
        r"要(?:什么|啥|哪些)(?:证|手续|东西)|需(?:要)?提供",
        r"材料|准备|证据|要记下",
    ),
    _aspect("phone", r"电话|(?:联系|咨询|投诉|客服)号码|热线|打哪|咋联系|怎么联系", r"电话|报修|找谁", r"\d{5,}"),
    _aspect(
        "duration",
        r"多久|多长(?:时间|期)?|几天|多少天|(?:几|多少)个?工作日|几个?月能|啥时候(?:能|到|下|出|批)|什么时候(?:能|到|下|出|批)|等(?:多|几)"
        r"|时限|拖了|有效期|到期|过期",
        r"多久|时限|多长|办结|到账|期限|有效期|期间|隔",
    ),
    _aspect(
        "fee",
        r"多少钱|要钱|要不要钱|收(?:不收)?(?:费|钱)|费用|费(?:怎么|咋|在哪)|花(?:多少)?钱|花销|免费|不?要?交钱|贵不贵|工本费|(?<!评)价",
        r"费|收费|价|基本|优惠",
        r"元|费",
    ),
    _aspect(
        "amount",
        r"多少|标准|几倍|比例|额度|金额|最高|最低|发几|能领几|领几|报(?:销)?几|赔几|几只|几个|多大|多高|怎么算|咋算",
        r"多少|标准|怎么算|金额|几|比例|额度|面积|待遇|补贴|补助|基数|年龄|包括",
    ),
    _aspect(
        "when",
        r"几点|什么时候|啥时候|何时|哪天|时间|几月|几号|啥时|周末|夜里|晚上|中午",
        r"几点|什么时候|时间|几月|夜间|夜里|期间|期限|年审|报到",
    ),
    _aspect(
        "where",
        r"哪里|哪儿|在哪|去哪|到哪|往哪|地点|地址|(?:哪个|啥|什么)(?:部门|单位|窗口|地方)|网上|手机上|线上",
        r"哪里|哪儿|在哪|地点|怎么办理|怎么申请|办理方式|办理步骤|怎么",
    ),
    _aspect(
        "who",
        r"找谁|归谁|谁管|谁来管|(?:哪个|什么|啥)(?:部门|单位)|找哪|没人管|该找|投诉|举报|告|反映|不处理|不管|推脱|不理",
        r"谁|投诉|举报|反映|电话|维权|查处|不满意|怎么办",
    ),
    _aspect("punished", r"罚|处罚|后果|会怎样|违法|违规|不.{0,6}会咋", r"罚|后果|查处|处理|会怎样|不能|不准|违"),
    _aspect(
        "conditions",
        r"条件|资格|谁能|谁可以|哪些人|什么人|啥人|符合|够不够|能不能|可不可以|中不中|行不行|可以.{0,10}(?:吗|不|么)|能.{0,12}(?:吗|不|么)"
        r"|要求|什么情况|哪些情况|算不算|算.{0,6}吗|属于",
        r"条件|哪些情况|哪些人|谁能|谁可以|能不能|可以|对象|范围|年龄|什么情况|情形|要不要|哪些算|什么算|不能",
    ),
    _aspect("lost", r"丢了|丢失|不见|忘了|找不到|补办|补领|挂失", r"丢|补办|补领|忘"),
    _aspect(
        "how",
        r"怎么|怎样|咋|如何|流程|步骤|手续|办理|申请|办一下|想办|要办",
        r"怎么办理|怎么申|怎么提|怎么领|怎么交|怎么登|怎么备|怎么报|怎么上|怎么认|怎么查|办理|步骤|流程|在哪里办|在哪里申|向哪里申",
    ),
)
ASKED_OF_ENTRIES = tuple(aspect.name for aspect in ASPECTS if aspect.name not in ("lost", "how"))
# What somebody who asks how to do it also needs, and who gives it in reading order.
_HOW_TO = re.compile(r"条件|材料|准备什么|哪里办|哪里申|怎么办理|怎么申|办理步骤|办理方式|申请流程|多久|时限")
_HOW_TO_CHARS = 330
_HOW = "how"


_UNSAID = 0.6
"""Where no aspect is asked for, or the document is no entry of sections."""


def says(question: str, passages: Sequence[Passage]) -> float:
    """Whether an entry has what is asked of it: 1 under a heading of its own, a half in the text alone, 0 nowhere."""
    asked = [aspect for aspect in ASPECTS if aspect.asked.search(question)]
    if not asked or not is_in_sections(passages, max_chars=10_000):
        return _UNSAID
    return max(aspect.fits(passage) for aspect in asked[:2] for passage in passages)


def asked_of(question: str, passages: Sequence[Passage]) -> frozenset[str]:
    """Which of ASKED_OF_ENTRIES a question asks of an entry of sections; none of another document."""
    if not is_in_sections(passages, max_chars=10_000):
        return frozenset()
    return frozenset(a.name for a in ASPECTS if a.name in ASKED_OF_ENTRIES and a.asked.search(question))


def is_article(label: str | None) -> bool:
    """Whether a place is an article of a law (第七条, 附则 > 第三十条)."""
    return label is not None and _ARTICLE.fullmatch(label) is not None


def is_in_sections(passages: Sequence[Passage], *, max_chars: int) -> bool:
    """Whether a document is made of short sections with headings of their own, and is no law."""
    short = [p for p in passages if p.label and len(p.text) <= max_chars and not is_article(p.label)]
    return len(passages) >= 3 and len(short) >= 0.8 * len(passages) and len({p.label for p in short}) >= 3


def choose(
    question: str,
    question_terms: Sequence[str],
    question_vector: Floats,
    title: str,
    passages: Sequence[Passage],
    vectors: Floats,
    idf: Callable[[str], float],
) -> list[tuple[Passage, float]]:
    """The sections that answer, in reading order, each with its score; usually one, several for "how do I …".

    None where a fee or a telephone number is asked for, and the entry names none.

    Args:
        question_terms: words and character pairs of the question, with what residents' words stand for.
        vectors: of the passages, unit length, shape (len(passages), width); `question_vector` has the same width.
    """
    asked = [aspect for aspect in ASPECTS if aspect.asked.search(question)]
    if asked and asked[0].text is not None and not any(a.fits(passage) for a in asked for passage in passages):
        return []
    named = set(terms(title))
    wanted = {term: idf(term) for term in dict.fromkeys(question_terms) if term not in named}
    total = sum(wanted.values()) or 1.0
    nearness = vectors @ question_vector
    nearness = np.clip((nearness - nearness.mean()) / (nearness.std() + 1e-6), -2.0, 2.0)

    def score(position: int) -> float:
        passage = passages[position]
        heading = passage.label or ""
        in_heading, in_text = set(terms(heading)), set(terms(passage.text))
        by_heading = sum(value for term, value in wanted.items() if term in in_heading) / total
        heading_asked = sum(idf(term) for term in in_heading if term in wanted) / (sum(map(idf, in_heading)) or 1.0)
        by_text = sum(value for term, value in wanted.items() if term in in_text) / total
        by_aspect = max((aspect.fits(passage) * (1.0 - 0.15 * i) for i, aspect in enumerate(asked)), default=0.0)
        return (
            0.6 * by_aspect + 0.8 * by_heading + 0.6 * heading_asked + 0.7 * by_text + 0.18 * float(nearness[position])
        )

    scores = [score(position) for position in range(len(passages))]
    best = int(np.argmax(scores))
    chosen = [best]
    if [aspect.name for aspect in asked] == [_HOW] and _HOW_TO.search(passages[best].label or ""):
        room = _HOW_TO_CHARS - len(passages[best].text)
        for position, passage in enumerate(passages):
            if position != best and _HOW_TO.search(passage.label or "") and len(passage.text) <= room:
                chosen.append(position)
                room -= len(passage.text)
    return [(passages[position], scores[position]) for position in sorted(chosen)]
