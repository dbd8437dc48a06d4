"""What a resident may ask next: the other sections of the entry answered from, each tried out first."""

import re
from collections.abc import Callable, Sequence
from datetime import date

from kb.extract import MAX_QUOTE_CHARS, Quote
from kb.search import Snapshot
from kb.sections import is_in_sections

MOST = 3
_TRIED = 6
_ABOUT = re.compile(r"(?:申请|办理|申领|实施|管理|服务|工作|操作)?(?:指南|须知|说明|办法|细则|问答|规定|通知)$")
_LONGEST_LABEL = 16


def next_questions(
    snapshot: Snapshot,
    quotes: Sequence[Quote],
    answers: Callable[[str, str], bool],
    day: tuple[date, date | None],
) -> list[str]:
    """Up to MOST questions about the document quoted, none about the sections quoted.

    `answers(question, section)`: whether the base answers a question from that section of the document; found out once
    per document, day and snapshot.
    """
    document = quotes[0].hit.document
    key = (document.id, *day)
    known = snapshot.suggested.get(key)
    if known is None:
        passages = snapshot.passages_of(document.id)
        known = []
        if is_in_sections(passages, max_chars=MAX_QUOTE_CHARS):
            labels = dict.fromkeys(p.label for p in passages if p.label and len(p.label) <= _LONGEST_LABEL)
            about = _ABOUT.sub("", document.title) or document.title
            tried = [(label, f"{about}：{label}") for label in list(labels)[: _TRIED + len(quotes)]]
            known = [(label, question) for label, question in tried if answers(question, label)]
        snapshot.suggested[key] = known
    quoted = {quote.hit.passage.label for quote in quotes}
    return [question for label, question in known if label not in quoted][:MOST]
