"""The phrasings that come with a city: each is brought once, and not again where staff removed it.

What was brought is read from the phrasings themselves (`Phrasings.had`), so that a start that is killed anywhere
is taken up by the next one, and a city that is older than its file of phrasings gets them, too.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from assistant.db.session import Database
from kb import phrasing_files, places, store
from kb.documents import Document, NewDocument
from kb.phrasing_files import Refused, Row
from kb.phrasings import NewPhrasing, Phrasings, digest
from kb.search import Encoder
from kb.versions import SEEDED

log = structlog.get_logger()


async def seed(db: Database, encoder: Encoder, folder: Path, entries: Sequence[NewDocument]) -> list[Refused]:
    """Bring what is new in a folder's files; returns what could not be brought, and why, in Chinese.

    `entries`: the city's own. Rows by title are brought to these alone, rows by id to any document.
    """
    rows, refused = await asyncio.to_thread(phrasing_files.read_folder, folder)
    if not rows and not refused:
        return []
    titles = {entry.title for entry in entries}
    everything = await _documents(db)
    # Under the titles that they came with, whatever staff call them today.
    own = {entry.id: replace(everything[entry.id], title=entry.title) for entry in entries if entry.id in everything}
    by_title = phrasing_files.placed([row for row in rows if not row.docid and row.title in titles], list(own.values()))
    by_id = phrasing_files.placed([row for row in rows if row.docid], list((everything | own).values()))
    _tell_of_the_unknown(by_id.unknown, folder)
    phrasings = Phrasings(db, encoder)
    new = await _never_brought(phrasings, [*by_title.found, *by_id.found])
    good, lost = await _placeable(phrasings, new)
    report = await phrasings.add_all(good, source="import", by=SEEDED)
    if refused:
        remedy = f"`minsheng kb phrasings import` of the files in {folder} says what is wrong with each line"
        log.warning("kb_phrasings_unreadable", lines=len(refused), remedy=remedy)
    if report.added or lost:
        # Staff may have changed an entry so that it has the place no longer.
        log.info("kb_phrasings_seeded", added=report.added, without_place=len(lost))
    return [*refused, *by_title.refused, *by_id.refused, *lost, *report.refused]


def _tell_of_the_unknown(rows: Sequence[Row], folder: Path) -> None:
    """One line for each document that is not there, with the first of the rows that name it."""
    first: dict[tuple[str, str], Row] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        key = row.file, row.docid or ""
        first.setdefault(key, row)
        counts[key] += 1
    for (file, document), row in first.items():
        log.warning(
            "kb_phrasings_without_document",
            file=str(folder / file),
            line=row.line,
            rows=counts[file, document],
            document=document,
            remedy="import a document with this id or correct the id; the next start brings the phrasings",
        )


async def _never_brought(phrasings: Phrasings, found: Sequence[NewPhrasing]) -> list[NewPhrasing]:
    """Those that the documents lack, less the questions that staff removed there, wherever in the document."""
    keys = {(new.document_id, new.label, digest(new.text)): new for new in found}
    # A question may stand at several places of a document.
    wanted = Counter((document_id, text) for document_id, _, text in keys)
    kept, removed = await phrasings.had(list({document_id for document_id, _, _ in keys}))
    return [
        new
        for (document_id, _, text), new in keys.items()
        if (document_id, text) not in removed and kept[document_id, text] < wanted[document_id, text]
    ]


async def _placeable(phrasings: Phrasings, found: Sequence[NewPhrasing]) -> tuple[list[NewPhrasing], list[Refused]]:
    """Without those whose place staff have renamed, so that they cost nothing at every start."""
    known = {id_: await phrasings.places(id_) for id_ in {new.document_id for new in found}}
    good, refused = [], []
    for new in found:
        if new.label is None or len(places.find(new.label, known[new.document_id])) == 1:
            good.append(new)
        else:
            refused.append((new.name or new.text, f"文件里没有“{new.label}”，或者不止一处。"))
    return good, refused


async def _documents(db: Database) -> dict[str, Document]:
    async with db.read() as session:
        return {document.id: document for document in await store.documents(session)}
