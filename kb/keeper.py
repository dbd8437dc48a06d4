"""Keeps the index in memory up to date with the database, and a copy of it in a file.

A change costs what changed: the passages of changed documents go into a small segment beside the large one, and the old
ones are masked out. When the small segment has grown, both are merged in the background and the file is written anew.
At the start the file is mapped and what changed since is added from the database, which alone is the truth: a file that
is missing, damaged or of another encoder is made again.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.session import Database
from kb import index_file, phrasings, reading, store
from kb.documents import Document
from kb.index import Floats
from kb.nearest import FLAT_UP_TO
from kb.phrasing_index import Phrased
from kb.search import Encoder, Snapshot
from kb.segment import Segment, search_text

log = structlog.get_logger()

FILE = "passages.index"
_MERGED_FROM = 1_000
_MERGED_AT_LATEST = 5_000
_DOCUMENTS_AT_ONCE = 200
# Statement by statement is quicker up to so many changed documents; beyond, all are read.
_READ_ONE_BY_ONE = 50
_TRIES = 3
_RECALL_QUESTIONS = 128
_LEFT_BEHIND_S = 3600.0


class IndexKeeper:
    """One a process. `folder`: where the file lies (None: no file)."""

    def __init__(self, db: Database, encoder: Encoder, *, folder: Path | None, embed_batch: int) -> None:
        self._db = db
        self._encoder = encoder
        self._path = folder / FILE if folder else None
        self._batch = embed_batch
        self._snapshot: Snapshot | None = None
        self._stamps: dict[str, object] = {}
        self._phrasings: tuple[object, Sequence[Phrased]] = (None, ())
        self._loading = asyncio.Lock()
        self._merging: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        return self._snapshot is not None

    async def current(self) -> Snapshot:
        """The index as of the database's revision now."""
        snapshot = self._snapshot
        if snapshot is not None and snapshot.revision == await self._revision():
            return snapshot
        async with self._loading:
            # Whoever held the lock before may have loaded what is wanted here.
            for _ in range(_TRIES):
                snapshot = self._snapshot
                revision = await self._revision()
                if snapshot is not None and snapshot.revision == revision:
                    break
                snapshot = await self._caught_up(snapshot, revision)
                self._snapshot = snapshot
            assert snapshot is not None
            self._merge_if_grown(snapshot)
            return snapshot

    async def settled(self) -> None:
        """Wait until nothing is merged or written in the background."""
        if self._merging is not None:
            await asyncio.gather(self._merging, return_exceptions=True)

    async def _revision(self) -> int:
        async with self._db.read() as session:
            return await store.revision(session)

    async def _caught_up(self, old: Snapshot | None, revision: int) -> Snapshot:
        started = time.monotonic()
        segments: list[Segment] = list(old.segments) if old else await self._from_file()
        async with self._db.read(consistent=True) as session:
            states = await reading.states(session)
            documents = await self._documents(old, states, session)
            stamp = await phrasings.stamp(session)
        if stamp != self._phrasings[0]:
            self._phrasings = stamp, await self._read_phrasings()
        phrased = self._phrasings[1]
        keys = {id_: state.key for id_, state in states.items()}

        def seen() -> Snapshot:
            return Snapshot(documents, segments, keys, phrasings=phrased, revision=revision)

        snapshot = await asyncio.to_thread(seen)
        fresh = [id_ for id_ in keys if id_ in documents and not snapshot.has(id_)]
        embedded = 0
        if fresh:
            made, embedded = await self._made(fresh)
            snapshot = await asyncio.to_thread(_grown, snapshot, made, not segments)
        log.info(
            "kb_loaded",
            revision=revision,
            documents=len(documents),
            passages=len(snapshot),
            changed=len(fresh),
            embedded=embedded,
            from_file=old is None and bool(segments),
            seconds=round(time.monotonic() - started, 3),
        )
        return snapshot

    async def _documents(
        self, old: Snapshot | None, states: dict[str, reading.State], session: AsyncSession
    ) -> dict[str, Document]:
        """Documents as they are now; read are only those that changed."""
        known = old.documents if old else {}
        changed = [id_ for id_, state in states.items() if id_ not in known or self._stamps.get(id_) != state.stamp]
        if len(changed) > _READ_ONE_BY_ONE:
            documents = {d.id: d for d in await store.documents(session, searchable=True) if d.id in states}
        else:
            documents = {id_: known[id_] for id_ in states if id_ in known}
            for id_ in changed:
                found = await store.document(session, id_)
                if found is not None:
                    documents[id_] = found
        self._stamps = {id_: state.stamp for id_, state in states.items()}
        return documents

    async def _read_phrasings(self) -> list[Phrased]:
        """All phrasings; vectors of another encoder are made anew and stored."""
        async with self._db.read() as session:
            found, missing = await phrasings.searched(session, self._encoder.encoder_id)
        for start in range(0, len(missing), self._batch):
            part = missing[start : start + self._batch]
            made = await asyncio.to_thread(self._encoder.embed, [text for _, text in part], "query")
            vectors = dict(zip(part, made.astype(np.float16), strict=True))
            async with self._db.begin() as session:
                await phrasings.keep_vectors(session, vectors, self._encoder.encoder_id)
        if missing:
            async with self._db.read() as session:
                found, _ = await phrasings.searched(session, self._encoder.encoder_id)
        return found

    async def _from_file(self) -> list[Segment]:
        if self._path is None:
            return []
        try:
            segment = await asyncio.to_thread(index_file.load, self._path, self._encoder.encoder_id)
        except index_file.IndexFileBroken as error:
            log.warning("kb_index_file_made_again", reason=str(error))
            return []
        return [segment] if segment is not None else []

    async def _made(self, ids: Sequence[str]) -> tuple[list[Segment], int]:
        """Segments of the documents, and how many vectors had to be made; those are stored."""
        segments, embedded = [], 0
        for start in range(0, len(ids), _DOCUMENTS_AT_ONCE):
            async with self._db.read(consistent=True) as session:
                found = await reading.stored(session, ids[start : start + _DOCUMENTS_AT_ONCE], self._encoder.encoder_id)
            embedded += await self._embed_missing(found)
            segments.append(await asyncio.to_thread(_segment, found))
        return segments, embedded

    async def _embed_missing(self, found: Sequence[reading.Stored]) -> int:
        missing = [
            (document, passage)
            for document in found
            for passage in document.passages
            if passage.id not in document.vectors
        ]
        for start in range(0, len(missing), self._batch):
            part = missing[start : start + self._batch]
            texts = [search_text(document.title, p.article, p.text) for document, p in part]
            made = await asyncio.to_thread(self._encoder.embed, texts, "passage")
            for (document, passage), vector in zip(part, made, strict=True):
                document.vectors[passage.id] = vector
            async with self._db.begin() as session:
                ids = [(passage.id, passage.text) for _, passage in part]
                await store.keep_vectors(session, ids, list(made), self._encoder.encoder_id)
        return len(missing)

    def _merge_if_grown(self, snapshot: Snapshot) -> None:
        if self._merging is not None and not self._merging.done():
            return
        sizes = [len(segment) for segment in snapshot.segments]
        if not sizes:
            return
        beside = sum(sizes[1:])
        dead = sum(sizes) - len(snapshot)
        grown = beside > max(_MERGED_FROM, min(sizes[0] // 10, _MERGED_AT_LATEST)) or dead > max(
            _MERGED_FROM, sizes[0] // 4
        )
        unsaved = self._path is not None and not self._path.exists()
        if grown or unsaved:
            self._merging = asyncio.create_task(self._merge(snapshot, grown))

    async def _merge(self, snapshot: Snapshot, grown: bool) -> None:
        started = time.monotonic()
        try:
            segment = await asyncio.to_thread(self._merged, snapshot) if grown else snapshot.segments[0]
            if grown:
                async with self._loading:
                    # What changed meanwhile lies in the small segment of now, which stays beside.
                    now = self._snapshot or snapshot
                    segments = [segment, *now.segments[1:]]
                    self._snapshot = await asyncio.to_thread(
                        Snapshot,
                        now.documents,
                        segments,
                        now.keys,
                        phrasings=now.phrasings,
                        revision=now.revision,
                    )
            if self._path is not None:
                await asyncio.to_thread(self._save, self._path, segment)
        except OSError as error:
            log.warning("kb_index_not_saved", error=str(error))
        except Exception:
            # The index in memory is whole; the next change tries again.
            log.exception("kb_merge_failed")
        else:
            log.info("kb_merged", passages=len(segment), merged=grown, seconds=round(time.monotonic() - started, 3))

    def _merged(self, snapshot: Snapshot) -> Segment:
        parts = [snapshot.alive(i) for i in range(len(snapshot.segments))]
        return Segment.merged(snapshot.segments, parts, self._questions(snapshot))

    def _questions(self, snapshot: Snapshot) -> Floats | None:
        if len(snapshot) <= FLAT_UP_TO:
            return None
        return self._encoder.embed(max(snapshot.segments, key=len).openings(_RECALL_QUESTIONS), "query")

    def _save(self, path: Path, segment: Segment) -> None:
        index_file.sweep(path, older_than=time.time() - _LEFT_BEHIND_S)
        index_file.save(path, segment, self._encoder.encoder_id)


def _segment(found: Sequence[reading.Stored]) -> Segment:
    vectors = [document.vectors[passage.id] for document in found for passage in document.passages]
    width = len(vectors[0]) if vectors else 1
    return Segment.of(
        [(d.id, d.key, d.title, d.passages) for d in found],
        np.array(vectors, dtype=np.float32).reshape(len(vectors), width),
    )


def _grown(snapshot: Snapshot, made: Sequence[Segment], first: bool) -> Snapshot:
    """The snapshot with new segments: as the large one where there is none yet, else within the small one."""
    beside = [] if first else list(snapshot.segments[1:])
    kept = [] if first else [snapshot.alive(i) for i in range(1, len(snapshot.segments))]
    new = [*beside, *made]
    masks = [*kept, *(np.ones(len(segment), dtype=np.bool_) for segment in made)]
    small = Segment.merged(new, masks)
    segments = [small] if first else [snapshot.segments[0], small]
    return Snapshot(
        snapshot.documents, segments, snapshot.keys, phrasings=snapshot.phrasings, revision=snapshot.revision
    )
