"""Find the sentences of the found passages that answer a question. Sentences are taken as they are, never changed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb.documents import Passage
from kb.search import Hit, Query, Snapshot
from kb.sections import choose, is_in_sections
from kb.text import folded, sentences
from kb.words import query_terms, words

MAX_QUOTE_CHARS = 220
_PASSAGES = 6

_AMOUNT = re.compile(r"\d[\d.,]*\s*(?:元|万|亿|%|％|倍|岁|人|份|个|家|平方米|公里|米|分)|[百千万]元")
_TIME = re.compile(r"\d+\s*(?:年|月|日|天|小时|个工作日|分钟|周)|工作日|\d{1,2}[:：]\d{2}")
_PHONE = re.compile(r"\d{3,4}[-—]\d{7,8}|\d{7,11}|12\d{3}|热线|电话")
_PLACE = re.compile(r"路|街|号|大厅|中心|窗口|楼|社区|县|区|地址")
_WEB = re.compile(r"https?:|www\.|网站|网址|公众号|APP|app|小程序|平台")

# What a question asks for → how a sentence looks that has it.
_ASKED: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"电话|号码|热线|怎么联系|打哪"), _PHONE),
    (re.compile(r"网址|网站|域名|公众号|APP|app|小程序|平台|邮箱"), _WEB),
    (re.compile(r"多久|多长|几天|何时|什么时候|时间|期限|哪天|几点|截止|哪年|啥时候|几号|多少天"), _TIME),
    (re.compile(r"多少|几个|几家|多大|比例|金额|标准|费用|收费|多高|几人|上限|最高|几岁"), _AMOUNT),
    (re.compile(r"哪里|哪儿|在哪|地点|地址|位置|去哪"), _PLACE),
)
_MANY = re.compile(
    r"哪些|什么材料|材料|条件|流程|步骤|措施|怎么|如何|怎样|咋|为什么|原因|要求|内容|方式|几种|举措|任务|政策"
)


@dataclass(frozen=True, slots=True)
class Quote:
    """Text as it stands in a passage, and how well it answers (0…1 and a little more)."""

    hit: Hit
    text: str
    score: float


def extract(query: Query, hits: Sequence[Hit], snapshot: Snapshot, *, max_chars: int = MAX_QUOTE_CHARS) -> list[Quote]:
    """The sentences that answer, in reading order, from the document of the best hit.

    Of an entry made of sections, the sections asked for; else the best-fitting run of sentences of the passages found.
    A short passage under a heading, or a short article of a law, is quoted whole: its lines belong together.
    """
    if not hits:
        return []
    entry, vectors = snapshot.with_vectors(hits[0].document.id)
    if is_in_sections(entry, max_chars=max_chars):
        chosen = choose(
            query.asked,
            query_terms(query.asked),
            query.vector,
            hits[0].document.title,
            entry,
            vectors,
            snapshot.index.idf,
        )
        found = {hit.passage.id: hit for hit in hits}
        return [
            Quote(found.get(passage.id) or Hit(hits[0].document, passage, 0.0, 0.0, 0.0), passage.text, score)
            for passage, score in chosen
        ]
    question, idf = query.text, snapshot.index.idf
    wanted = {w: idf(w) for w in query.content}
    looks_right = [shape for asked, shape in _ASKED if asked.search(question)]
    many = bool(_MANY.search(question)) and not looks_right
    best: tuple[float, Hit, list[str], int] | None = None
    document = hits[0].document.id
    for hit in [h for h in hits[:_PASSAGES] if h.document.id == document]:
        lines = sentences(hit.passage.text)
        for i, line in enumerate(lines):
            score = _fit(line, hit, wanted, looks_right)
            if best is None or score > best[0]:
                best = (score, hit, lines, i)
    if best is None:
        return []
    score, hit, lines, at = best
    if hit.passage.article and len(hit.passage.text) <= max_chars:
        return [Quote(hit, hit.passage.text, score)]
    return [Quote(hit, _run(lines, at, many, max_chars), score)]


def _fit(line: str, hit: Hit, wanted: dict[str, float], looks_right: Sequence[re.Pattern[str]]) -> float:
    """How well a sentence answers: share of the question's words it has, the kind of thing asked for, its passage."""
    total = sum(wanted.values()) or 1.0
    here = set(words(line))
    near = set(words(hit.document.title)) | set(words(hit.passage.article or ""))
    covered = sum(v for w, v in wanted.items() if w in here) / total
    above = sum(v for w, v in wanted.items() if w in near and w not in here) / total
    shape = sum(0.15 for pattern in looks_right if pattern.search(line))
    return covered + 0.3 * above + shape + 0.4 * hit.score


def _run(lines: Sequence[str], at: int, many: bool, max_chars: int) -> str:
    """The sentence, and where a list or a way of doing is asked for those that follow, as far as the room goes."""
    end = at + 1
    if many or lines[at].endswith(("：", ":")):
        while end < len(lines) and sum(map(len, lines[at : end + 1])) <= max_chars:
            end += 1
    return "".join(lines[at:end])


def covered_share(
    content: Sequence[str], passages: Sequence[Passage], title: str, idf: Callable[[str], float]
) -> float:
    """Share of the question's content words, weighted by rarity, that occur in the passages or the title: 0…1."""
    wanted = {w: idf(w) for w in content}
    if not wanted:
        return 0.0
    text = folded(title + "\n" + "\n".join(f"{p.article or ''}\n{p.text}" for p in passages))
    return sum(v for w, v in wanted.items() if w in text) / sum(wanted.values())
