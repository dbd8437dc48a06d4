"""References that lead nowhere: an article that a document does not have, a document that is no longer in force."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kb.documents import Document
from kb.health.facts import number
from kb.health.finding import Entry, Finding, Quote, owner_of
from kb.text import folded, sentences

_N = "[〇零一二两三四五六七八九十百千0-9]+"
_ARTICLE = re.compile(rf"第({_N})条(?:之({_N}))?")
_LABEL = re.compile(rf"第({_N})条(?:之({_N}))?")
_OWN = "本(?:法|条例|办法|规定|细则|规则|章程|决定|规程)"
_TOKEN = re.compile(rf"《(?P<title>[^《》]{{3,80}})》|(?P<own>{_OWN})|(?P<article>第{_N}条(?:之{_N})?)")
# "依照行政处罚法第四十二条", "原条例第八条": of another document, whose title is not in quotes.
_OTHERS = re.compile(r"(?:法|条例|办法|规定|细则|规则|章程|解释|意见|通知|决定)$")
_ELSEWHERE = re.compile("该|原|旧|其|上述")
# What may lie between two articles of one list.
_LINK = re.compile(r"[、和或及与至到,，]|以及|或者|第" + _N + r"[款项]|\s|规定|的")
# A sentence that ends or changes a document names it on purpose.
_ENDS = re.compile("废止|停止执行|停止施行|不再执行|失效|作废|修改为|修正|修订|取代|代替|替代")
_LED = re.compile(r"(?:依照|按照|根据|违反|符合|适用|除|见|有|按|依|与|遵守|执行|参照|前款和|前款、)$")
_FEWEST_ARTICLES = 3
_COMPLETE = 0.9
_SHORT_TITLE = 6

Article = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Target:
    """What a title leads to."""

    in_force: Document | None
    ended: Document | None


def dead_references(entries: Sequence[Entry], documents: Sequence[Document], today: date) -> Iterator[Finding]:
    """Dead references in the entries in force.

    `documents`: all there are, so that a cited one that has ended is known; one that is not in the base is left alone.
    """
    articles = {entry.document.id: _articles(entry) for entry in entries}
    targets = _targets(documents, today)
    seen: set[str] = set()
    for entry in entries:
        for finding in _of_entry(entry, articles, targets):
            if finding.key not in seen:
                seen.add(finding.key)
                yield finding


def _of_entry(
    entry: Entry, articles: Mapping[str, frozenset[Article]], targets: Mapping[str, _Target]
) -> Iterator[Finding]:
    document = entry.document
    texts = [(Quote.of(document, p, text), text) for p in entry.passages for text in sentences(p.text)]
    if document.legal_basis:
        texts.append((Quote(document.id, document.title, "依据", document.legal_basis), document.legal_basis))
    own_title = _title(document.title)
    for quote, text in texts:
        if _ENDS.search(text):
            continue
        for title, article, span in _references(text, document_has_articles=bool(articles[document.id])):
            own = not title or _title(title) == own_title
            target = _Target(document, None) if own else targets.get(_title(title))
            if target is None:
                continue
            if target.in_force is None and target.ended is not None:
                yield _ended(document, quote, target.ended)
            elif target.in_force is not None and article is not None:
                known = articles.get(target.in_force.id, frozenset())
                if known and article not in known:
                    yield _missing(document, quote, target.in_force, text[slice(*span)])


def _references(text: str, *, document_has_articles: bool) -> Iterator[tuple[str, Article | None, tuple[int, int]]]:
    """Titles ("" is the document itself) with the article, or None where the document as a whole is named."""
    subject: str | None = "" if document_has_articles else None
    settled, end = False, 0
    for token in _TOKEN.finditer(text):
        between = text[end : token.start()]
        if token["title"]:
            subject, settled = token["title"], True
            yield subject, None, token.span()
        elif token["own"]:
            subject, settled = ("" if document_has_articles else None), True
        elif token.start() == 0:
            # The article's own number at the head of its text.
            subject = "" if document_has_articles else None
        else:
            if not (settled and not _LINK.sub("", between)):
                subject = _unnamed(between, document_has_articles)
                settled = subject is not None
            if subject is not None:
                yield subject, _article(token["article"]), token.span()
        end = token.end()


def _unnamed(before: str, document_has_articles: bool) -> str | None:
    """Whose article it is that stands without a title: the document's own, if a verb leads to it."""
    before = before.rstrip()
    if not document_has_articles or _OTHERS.search(before) or _ELSEWHERE.search(before[-6:]):
        return None
    return "" if _LED.search(before) else None


def _articles(entry: Entry) -> frozenset[Article]:
    """The articles of a document that is cut by articles, and completely so; else none."""
    found = {_article(p.label) for p in entry.passages if p.label and _LABEL.fullmatch(p.label)}
    numbers = {n for n, _ in found}
    if len(numbers) < _FEWEST_ARTICLES or len(numbers) < _COMPLETE * max(numbers):
        return frozenset()
    return frozenset(found)


def _article(label: str) -> Article:
    match = _ARTICLE.match(folded(label))
    assert match is not None
    return int(number(match[1])), int(number(match[2])) if match[2] else 0


def _targets(documents: Sequence[Document], today: date) -> dict[str, _Target]:
    table: dict[str, _Target] = {}
    for document in documents:
        title = _title(document.title)
        known = table.get(title, _Target(None, None))
        if document.in_force(today):
            table[title] = _Target(document, known.ended)
        elif document.status in ("expired", "superseded") or (document.valid_to or today) < today:
            table[title] = _Target(known.in_force, document)
    return {title: target for title, target in table.items() if len(title) >= _SHORT_TITLE}


def _title(title: str) -> str:
    """A title as it is compared: "中华人民共和国" and what stands in brackets at the end left out."""
    plain = re.sub(r"\s|[《》]", "", folded(title)).removeprefix("中华人民共和国")
    return re.sub(r"\([^()]*\)$", "", plain)


def _ended(document: Document, quote: Quote, cited: Document) -> Finding:
    state = {"superseded": "已被替代", "expired": "已失效"}.get(cited.status, f"{cited.valid_to} 已到期")
    return Finding(
        "dead_reference",
        (document.id, cited.id),
        (document.id, cited.id),
        f"《{document.title}》还在引用《{cited.title}》，后者{state}",
        (quote,),
        owner_of(document),
    )


def _missing(document: Document, quote: Quote, cited: Document, article: str) -> Finding:
    where = "文中" if cited.id == document.id else f"《{cited.title}》里"
    return Finding(
        "dead_reference",
        (document.id, quote.article or "", cited.id, article),
        tuple(dict.fromkeys((document.id, cited.id))),
        f"《{document.title}》{quote.article or ''}引用{article}，{where}没有这一条",
        (quote,),
        owner_of(document),
    )
