"""The phrasings that come with a city: each is brought once, and not again where staff removed it.

What was brought is read from the phrasings themselves (`Phrasings.ever_had`), so that a start that is killed anywhere
is taken up by the next one, and a city that is older than its file of phrasings gets them, too.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from assistant.db.session import Database
from kb import phrasing_files, store
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
    own = [replace(everything[entry.id], title=entry.title) for entry in entries if entry.id in everything]
    by_title = phrasing_files.placed([row for row in rows if not row.docid and row.title in titles], own)
    by_id = phrasing_files.placed([row for row in rows if row.docid], list(everything.values()))
    _tell_of_the_unknown(by_id.unknown, folder)
    phrasings = Phrasings(db, encoder)
    new = await _never_brought(phrasings, [*by_title.found, *by_id.found])
    report = await phrasings.add_all(new, source="import", by=SEEDED)
    if refused:
        remedy = f"`minsheng kb phrasings import` of the files in {folder} says what is wrong with each line"
        log.warning("kb_phrasings_unreadable", lines=len(refused), remedy=remedy)
    if report.added or report.refused:
        # Staff may have changed an entry so that it has the place no longer.
        log.info("kb_phrasings_seeded", added=report.added, without_place=len(report.refused))
    return [*refused, *by_title.refused, *by_id.refused, *report.refused]


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
    keys = [(new.document_id, digest(new.text)) for new in found]
    # A question may stand at several places of a document.
    wanted = Counter(keys)
    had = await phrasings.ever_had(list({document_id for document_id, _ in keys}))
    return [new for new, key in zip(found, keys, strict=True) if had.get(key, 0) < wanted[key]]


async def _documents(db: Database) -> dict[str, Document]:
    async with db.read() as session:
        return {document.id: document for document in await store.documents(session)}
