"""Additions of one application process: teach, put in use, take out of use, and follow what other processes did."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from assistant.additions import store
from assistant.additions.model import KINDS, LIVE, OFF, TRIED, AdditionView, NewAddition, service_code
from assistant.city import City
from assistant.db.models import Addition as AdditionRow
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, MinshengError
from assistant.understanding import CachingReader
from nlu.errors import ExampleError, NluError
from nlu.extend import Addition, ExtendedReader, from_bytes, to_bytes, with_additions
from nlu.heads import Row
from nlu.runtime import Reader
from nlu.trial import Lesson, Progress, Trainer

log = structlog.get_logger()

POLL_S = 2.0
SYSTEM = "system"


class CannotLearn(MinshengError):
    status = 503
    code = "cannot_learn"
    detail = "自带的训练数据读不了，现在没法试训，请联系运维。"


class Additions:
    """Categories and intents that staff added.

    Args:
        db: the migrated database.
        reader: what the application reads with; gets another reader whenever what is in use changes.
        city: gets the categories in use.
        trainer: learns additions.
        changed: called after what is in use has changed in this process.
    """

    def __init__(
        self,
        db: Database,
        reader: CachingReader,
        city: City,
        trainer: Trainer,
        *,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._db, self._reader, self._city, self._trainer, self._changed = db, reader, city, trainer, changed
        self._shipped: Reader = reader.reader
        self._revision = -1
        self._replies: dict[str, str] = {}
        self._teaching = asyncio.Lock()
        self._loading = asyncio.Lock()

    # --- in use ----------------------------------------------------------------------------------------------------

    def reply_to(self, intent: str) -> str | None:
        """What staff wrote as the answer to an added intent; None for one that is not in use."""
        return self._replies.get(intent)

    async def load(self) -> None:
        """Read with what is in use by now; does nothing when it has not changed."""
        async with self._loading:
            async with self._db.read() as session:
                if await store.revision(session) == self._revision:
                    return
            async with self._db.read(consistent=True) as session:
                revision = await store.revision(session)
                rows = await store.rows(session, live=True)
            reader = await asyncio.to_thread(self._reader_with, rows)
            views = [AdditionView.of(row) for row in rows]
            categories = [view for view in views if view.kind == "category"]
            self._city.set_added([view.category() for view in categories], [view.rule() for view in categories])
            self._replies = {view.name: view.reply for view in views if view.kind == "intent"}
            self._reader.swap(reader)
            self._revision = revision
            self._changed()
        log.info("additions_loaded", revision=revision, in_use=len(rows), read=len(reader.additions))

    async def run(self, stop: asyncio.Event) -> None:
        """Learn again what was learned for another model, then follow the changes of other processes."""
        await self.learn_again()
        while not stop.is_set():
            await self.load()
            try:
                await asyncio.wait_for(stop.wait(), POLL_S)
            except TimeoutError:
                continue

    async def learn_again(self) -> None:
        """Learn what is in use, but was learned for another model than the shipped one; nobody waits for it.

        One that can no longer be learned (the model may know it by now) is taken out of use, with the reason.
        """
        async with self._db.read() as session:
            waiting = [row for row in await store.rows(session, live=True) if not self._fits(row)]
        for row in waiting:
            view = AdditionView.of(row)
            try:
                learned, report = await self._learn(view.lesson(), None)
                values: dict[str, Any] = {"learned": to_bytes(learned), "report": report, **self._model()}
                if report["dangers"]:
                    values["state"] = OFF
            except BadInput as error:
                values = {"state": OFF, "report": {"problem": f"模型升级后没能重新学会：{error.detail}"}}
            except CannotLearn:
                continue
            async with self._db.begin() as session:
                await store.count_up(session)
                current = await store.get(session, view.id)
                if current.state == LIVE and not self._fits(current):
                    store.change(current, SYSTEM, **values)
            await self.load()
            log.info("addition_learned_again", addition=view.id, state=values.get("state", LIVE))

    # --- teaching --------------------------------------------------------------------------------------------------

    async def list(self) -> list[AdditionView]:
        """All additions, the last changed first."""
        async with self._db.read() as session:
            views = [AdditionView.of(row) for row in await store.rows(session)]
        return sorted(views, key=lambda view: view.changed_at, reverse=True)

    async def get(self, addition_id: int) -> AdditionView:
        """Raises NotFound."""
        async with self._db.read() as session:
            return AdditionView.of(await store.get(session, addition_id))

    async def trial(self, new: NewAddition, by: str, progress: Progress | None = None) -> AdditionView:
        """Learn an addition and keep it, with its report, for somebody to put in use.

        `progress` is called from another thread. Raises BadInput in the words of who wrote it (names the line of an
        example), Conflict while another trial runs or while one of this name is in use.
        """
        new = new.checked(self._city)
        if self._teaching.locked():
            raise Conflict("正在试训另一条，请等它结束再试。")
        async with self._teaching:
            await self._check_not_live(new)
            learned, report = await self._learn(new.lesson(), progress)
            values = {
                "level1": new.level1 or None,
                "code": service_code(self._city, new.level1, new.name) if new.kind == "category" else None,
                "unit": new.unit or None,
                "reply": new.reply or None,
                "examples": [line for line in (" ".join(raw.split()) for raw in new.examples) if line],
                "learned": to_bytes(learned),
                "report": report,
                "state": TRIED,
                **self._model(),
            }
            async with self._db.begin() as session:
                row = await store.named(session, new.kind, new.name)
                if row is None:
                    row = AdditionRow(kind=new.kind, name=new.name, created_by=by)
                    session.add(row)
                elif row.state == LIVE:
                    raise Conflict(f"“{new.name}”正在使用，请先停用再重新试训。")
                store.change(row, by, **values)
                await session.flush()
                view = AdditionView.of(row)
        log.info("addition_tried", addition=view.id, kind=view.kind, seconds=report["seconds"])
        return view

    async def enable(self, addition_id: int, by: str) -> AdditionView:
        """Put it in use: in this process at once, in others within seconds.

        Raises BadInput when the trial took messages about danger, or was made with another model.
        """
        async with self._db.begin() as session:
            await store.count_up(session)
            row = await store.get(session, addition_id)
            if row.report.get("dangers"):
                raise BadInput("这一条会把险情认错，不能启用。请改掉像险情的例句，再试训。")
            if not self._fits(row):
                raise BadInput("这一条是用以前的模型试训的，请重新试训再启用。")
            store.change(row, by, state=LIVE)
            view = AdditionView.of(row)
        await self.load()
        log.info("addition_enabled", addition=view.id)
        return view

    async def disable(self, addition_id: int, by: str) -> AdditionView:
        """Take it out of use; tickets that have the category keep it."""
        async with self._db.begin() as session:
            await store.count_up(session)
            row = await store.get(session, addition_id)
            store.change(row, by, state=OFF)
            view = AdditionView.of(row)
        await self.load()
        log.info("addition_disabled", addition=view.id)
        return view

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _check_not_live(self, new: NewAddition) -> None:
        async with self._db.read() as session:
            row = await store.named(session, new.kind, new.name)
        if row is not None and row.state == LIVE:
            raise Conflict(f"{KINDS[new.kind]}“{new.name}”正在使用，请先停用再重新试训。")

    async def _learn(self, lesson: Lesson, progress: Progress | None) -> tuple[Row, dict[str, Any]]:
        """Learn beside all others that are in use. Raises BadInput."""
        async with self._db.read() as session:
            rows = [
                row
                for row in await store.rows(session, live=True)
                if (row.kind, row.name) != (lesson.kind, lesson.name)
            ]

        def run() -> tuple[Row, dict[str, Any]]:
            reader = self._reader_with(rows)
            known = [AdditionView.of(row).lesson() for row in rows]
            row, report = self._trainer.trial(reader, lesson, known, progress)
            return row, report.as_dict()

        try:
            return await asyncio.to_thread(run)
        except ExampleError as error:
            raise BadInput(str(error)) from error
        except NluError as error:
            log.error("addition_not_learned", error=str(error))
            raise CannotLearn from error

    def _fits(self, row: AdditionRow) -> bool:
        return row.encoder_id == self._shipped.encoder_id and row.model_version == self._shipped.model_version

    def _model(self) -> dict[str, str]:
        return {"model_version": self._shipped.model_version, "encoder_id": self._shipped.encoder_id}

    def _reader_with(self, rows: Sequence[AdditionRow]) -> ExtendedReader:
        """A reader with those that were learned for the shipped model and can be read."""
        fitting = []
        taken = {kind: set(ExtendedReader(self._shipped, ()).head(kind).labels) for kind in KINDS}
        for row in rows:
            view = AdditionView.of(row)
            if self._fits(row) and view.label not in taken[view.kind]:
                fitting.append(Addition(view.kind, view.name, from_bytes(row.learned), view.level1, str(row.id)))
        return with_additions(self._shipped, fitting)
