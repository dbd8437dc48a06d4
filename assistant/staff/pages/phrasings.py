"""常见问法: on a document's page, at the hits of the hit test, and for a cluster of questions that found no answer."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, button, card, tag
from assistant.staff.pages.visit import Visit
from kb import places
from kb.phrasings import MOST_CHARS, SOURCES, WHOLE, NewPhrasing, Phrasing, PhrasingReport, Phrasings, numbers_in
from kb.search import Hit
from kb.versions import author

_MOST_OF_A_CLUSTER = 10
# No name of a place.
_NOWHERE = "\n"
Step = Callable[[], Awaitable[None]]


def _phrasings(visit: Visit) -> Phrasings:
    return Phrasings(visit.services.db, visit.services.reader)


class PhrasingCard:
    """The phrasings of a document by place, each with a button that deletes it, and a form for another.

    Those whose place is not there any more come last, with a choice of where they belong now.
    """

    def __init__(self, visit: Visit, document_id: str) -> None:
        self.visit, self.id = visit, document_id

    async def open(self) -> None:
        self._places = await _phrasings(self.visit).places(self.id)
        with card("常见问法", classes="feedback-card"):
            hint = "居民会怎么问，就怎么写；写在能回答它的那一条上。下一个提问起，像它的问题就会先找到那一条。"
            Text("p", hint, "muted passages-hint")
            self._list = box("stack")
            with box("filters"):
                self._text = ui.input("居民的问法").classes("grow-field")
                self._text.props(f"outlined dense maxlength={MOST_CHARS}")
                options = {"": WHOLE, **{place: place for place in self._places}}
                self._place = ui.select(options, value="", label="写在哪一条").props("outlined dense options-dense")
            with box("form-actions"):
                button("添加问法", self.visit.step(self.add), "primary")
        await self.draw()

    async def draw(self) -> None:
        """Show what is stored now."""
        found = await _phrasings(self.visit).listed(self.id)
        self._list.clear()
        with self._list:
            if not found:
                Text("p", "还没有问法。", "muted")
            if any(not one.used and (one.label or "").endswith(places.FORMER) for one in found):
                Text(
                    "p",
                    f"标有“{places.FORMER}”的是改版以前的条款，现在的文件里没有了；它一旦恢复，问法自动回到原处。",
                    "muted",
                )
            for place in dict.fromkeys((one.label, one.used) for one in found):
                self._draw_place(place, [one for one in found if (one.label, one.used) == place])

    async def add(self) -> None:
        text = (self._text.value or "").strip()
        if not text:
            raise BadInput("请先写一句居民会说的话。")
        label = self._place.value or None
        one = await _phrasings(self.visit).add(self.id, label, text, source="staff", by=self.visit.user.name)
        await self.visit.audit("kb.phrasing_add", f"{self.id} {one.id}")
        self._text.set_value("")
        ui.notify("问法已添加，下一个提问就会用到。", type="positive", position="top")
        await self.draw()

    def _draw_place(self, place: tuple[str | None, bool], found: Sequence[Phrasing]) -> None:
        label, used = place
        with box("line"):
            Text("h3", label or WHOLE)
            if not used:
                tag("不止一处，没有用到" if found[0].several else "条款已不存在，没有用到", "warn")
        with box("feedback-list", "ul"):
            for one in found:
                with box("version", "li"):
                    with box():
                        Text("p", one.text)
                        about = (SOURCES.get(one.source, one.source), author(one.actor), local_time(one.created_at))
                        Text("p", " · ".join(about), "muted")
                    button("删除", self.visit.step(self._removing(one))).props(f'aria-label="删除：{_plain(one.text)}"')
        if not used:
            self._draw_attach(label or WHOLE, found)

    def _draw_attach(self, label: str, found: Sequence[Phrasing]) -> None:
        with box("filters"):
            options = {_NOWHERE: "请选择", "": WHOLE, **{place: place for place in self._places}}
            target = ui.select(options, value=_NOWHERE, label=f"“{label}”的问法改写在哪一条")
            target.props("outlined dense options-dense").classes("grow-field")

            async def attach() -> None:
                if target.value == _NOWHERE:
                    raise BadInput("请先选这些问法该写在哪一条。")
                texts = {one.id: one.text for one in found}
                done = await _phrasings(self.visit).attach(list(texts), target.value or None, by=self.visit.user.name)
                await self.visit.audit("kb.phrasing_move", f"{self.id} {done.moved}")
                if done.moved:
                    said = f"已改写 {done.moved} 个问法的位置，下一个提问就会用到。"
                    ui.notify(said, type="positive", position="top")
                if done.gone:
                    named = "、".join(f"“{texts[id_]}”" for id_ in done.gone)
                    told = f"刚被同事删除，没有改写：{named}"
                    ui.notify(told, type="warning", position="top", timeout=8000, close_button="知道了")
                await self.draw()

            button("改到这一条", self.visit.step(attach))

    def _removing(self, one: Phrasing) -> Step:
        async def remove() -> None:
            await _phrasings(self.visit).remove(one.id)
            await self.visit.audit("kb.phrasing_remove", f"{self.id} {one.id}")
            ui.notify("问法已删除。", type="positive", position="top")
            await self.draw()

        return remove


def draw_save(visit: Visit, question: str, hit: Hit) -> None:
    """At a hit of the hit test: a button that attaches the question to the hit's place."""

    async def save() -> None:
        stored = await visit.services.kb.get(hit.document.id)
        passages = stored.passages if stored else []
        names = places.names([passage.article for passage in passages])
        here = [name for name, passage in zip(names, passages, strict=True) if passage.id == hit.passage.id]
        if not here:
            raise BadInput("这份文件刚刚改过，请再提问一次。")
        one = await _phrasings(visit).add(hit.document.id, here[0], question, source="hit_test", by=visit.user.name)
        await visit.audit("kb.phrasing_add", f"{one.document_id} {one.id}")
        ui.notify(f"已记为问法：{one.place}。下一个提问就会用到。", type="positive", position="top")

    with box("form-actions"):
        button("这样问应找到这里", visit.step(save))


class Assigning:
    """A dialog that attaches the questions of a cluster to a place, reworded. Create it where the dialog may stand.

    `done` is called once they are stored and the task is finished.
    """

    def __init__(self, visit: Visit, done: Step) -> None:
        self.visit, self._done = visit, done
        self._task = 0
        self._fields: list[ui.textarea] = []
        with ui.dialog() as self._dialog, box("dialog dialog-wide"):
            Text("h2", "归到已有条款")
            Text("p", "这些问题会记为问法，以后像它们的提问就会找到所选的那一条。", "muted")
            Text("p", "问法一直保存，直到有人删除；提问原文满 90 天就删。", "muted")
            Text("p", "请改掉姓名、门牌等能认出人的字句，不想记的清空即可。", "muted")
            self._questions = box("stack")
            self._document = ui.select({}, label="文件", with_input=True, on_change=visit.step(self._choose))
            self._document.props("outlined dense").classes("edit-box")
            self._place = ui.select({"": WHOLE}, value="", label="条款").props("outlined dense").classes("edit-box")
            with box("form-actions"):
                button("保存问法", visit.step(self.save), "primary")
                button("取消", visit.step(self._close))

    async def open(self, task_id: int, nearest: Sequence[str]) -> None:
        """`nearest`: ids of the documents that are nearest; the first is chosen beforehand."""
        self._task = task_id
        asked = await self.visit.services.kb_health.questions(task_id, limit=_MOST_OF_A_CLUSTER)
        if not asked:
            raise BadInput("这些提问已超过保存期限，不在库里了。")
        documents = await self.visit.services.kb.list_documents()
        options = {document.id: document.title for document in documents if document.status == "published"}
        chosen = next((document for document in nearest if document in options), None)
        self._questions.clear()
        with self._questions:
            self._fields = [
                ui.textarea(f"第 {n} 句", value=question)
                .props(f"outlined dense autogrow maxlength={MOST_CHARS}")
                .classes("edit-box")
                for n, question in enumerate(asked, start=1)
            ]
        self._document.set_options(options, value=chosen)
        await self._choose()
        self._dialog.open()

    async def save(self) -> None:
        if not self._document.value:
            raise BadInput("请选是哪份文件。")
        questions = self._worded()
        label = self._place.value or None
        report = await _phrasings(self.visit).add_all(
            [NewPhrasing(self._document.value, label, question) for question in questions],
            source="unanswered",
            by=self.visit.user.name,
        )
        self._refuse(report)
        await self.visit.audit("kb.phrasing_add", f"{self._document.value} task {self._task}: {report.added}")
        await self.visit.services.kb_health.change(self._task, by=self.visit.user.name, state="已处理")
        await self.visit.audit("kb.finding", f"{self._task} 已处理")
        self._dialog.close()
        ui.notify(f"已记下 {report.added} 个问法，这一条标为已处理。", type="positive", position="top")
        await self._done()

    def _worded(self) -> list[str]:
        """The questions as they stand in the fields. Raises BadInput where none is left or one holds a number."""
        questions = []
        for field in self._fields:
            question = (field.value or "").strip()
            if numbers := numbers_in(question):
                raise BadInput(f"{field.label}里还有电话、证件或银行卡号码（{'、'.join(numbers)}），请删去后再保存。")
            if question:
                questions.append(question)
        if not questions:
            raise BadInput("没有要保存的问法：每一句都清空了。")
        return questions

    def _refuse(self, report: PhrasingReport) -> None:
        if report.refused and not report.added and not report.unchanged:
            raise BadInput(report.refused[0][1])

    async def _choose(self) -> None:
        places = await _phrasings(self.visit).places(self._document.value) if self._document.value else []
        self._place.set_options({"": WHOLE, **{place: place for place in places}}, value="")

    async def _close(self) -> None:
        self._dialog.close()


def _plain(text: str) -> str:
    """Text for an attribute that is set as a string of properties."""
    return text.replace('"', "").replace("'", "").replace("\\", "")
