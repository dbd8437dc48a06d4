"""Phrasings whose place their document has no longer, or several times: they are kept, but found by nobody."""

from collections.abc import Iterator, Mapping, Sequence

from kb.documents import Document
from kb.health.finding import Finding, owner_of
from kb.phrasings import Phrasing


def dead_phrasings(phrasings: Sequence[Phrasing], documents: Mapping[str, Document]) -> Iterator[Finding]:
    """A finding for each place that is gone or not plain.

    `documents`: those in force, by id; phrasings of others are not looked at.
    """
    lost: dict[tuple[str, str], list[Phrasing]] = {}
    for one in phrasings:
        if not one.used and one.label is not None and one.document_id in documents:
            lost.setdefault((one.document_id, one.label), []).append(one)
    for (document_id, label), found in lost.items():
        document = documents[document_id]
        state = "不止一处，分不清是哪一处" if found[0].several else "已不存在"
        yield Finding(
            "dead_phrasing",
            (document_id, label),
            (document_id,),
            f"《{document.title}》：{len(found)} 个问法所指的条款“{label}”{state}",
            (),  # what is removed from the document's page is not to stay here
            owner_of(document),
        )
