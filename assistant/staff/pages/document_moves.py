"""The buttons that change the status of a document: what the table in `kb.lifecycle` allows, and what each asks for."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.pages.parts import Text, box, button
from assistant.staff.pages.visit import Visit
from kb import lifecycle
from kb.documents import Document
from kb.lifecycle import Role, Transition
from kb.phrasings import Phrasings, told_of_left_behind

_KINDS = {"publish": "primary", "resume": "primary", "suspend": "danger", "expire": "danger"}
_SAID = {
    "publish": "已发布，下一个提问就会用到它。",
    "resume": "已恢复，下一个提问就会用到它。",
    "suspend": "已停用，助手不再引用它。",
    "expire": "已标为失效，助手不再引用它。",
    "reinstate": "已恢复有效，下一个提问就会用到它。",
    "undo_supersede": "已撤销替代，失效日期恢复为替代之前的。",
}


class Moves:
    """Create it where its dialog may stand. `done` is called with the document after a step."""

    def __init__(self, visit: Visit, document_id: str, done: Callable[[Document], Awaitable[None]]) -> None:
        self.visit, self.id, self._done = visit, document_id, done
        with ui.dialog() as self._dialog:
            self._form = box("dialog")

    def draw(self, document: Document) -> None:
        """The buttons, here."""
        for transition in lifecycle.allowed(document, Role.EDITOR):
            button(
                transition.label,
                self.visit.step(self._clicked(document, transition)),
                _KINDS.get(transition.operation, "plain"),
            )

    def _clicked(self, document: Document, transition: Transition) -> Callable[[], Awaitable[None]]:
        async def clicked() -> None:
            if "successor" in transition.required:
                await self._ask_for_successor(document, transition)
            elif "until" in transition.required:
                self._ask_for_day(document, transition)
            else:
                await self._take(transition)

        return clicked

    async def _take(self, transition: Transition, *, successor: str | None = None, until: date | None = None) -> None:
        document = await self.visit.services.kb.move(
            self.id, transition.operation, by=self.visit.user.name, successor=successor, until=until
        )
        await self.visit.audit(f"kb.{transition.operation}", self.id)
        left = await self._left_behind(transition)
        self._dialog.close()
        # Before the page is drawn anew: the button goes, and nothing can be said in its place any more.
        ui.notify(_said(transition, document), type="positive", position="top")
        if left:
            told = told_of_left_behind(left)
            ui.notify(told, type="warning", position="top", timeout=8000, close_button="知道了")
        await self._done(document)

    async def _left_behind(self, transition: Transition) -> dict[str, int]:
        if transition.operation not in lifecycle.CHANGES_SUCCESSOR:
            return {}
        return await Phrasings(self.visit.services.db, self.visit.services.reader).left_behind(self.id)

    async def _ask_for_successor(self, document: Document, transition: Transition) -> None:
        kb = self.visit.services.kb
        today = kb.today()
        choices = {
            other.id: f"{other.title}（{other.document_number or other.issuer or other.id}）"
            for other in await kb.list_documents()
            if other.id != self.id and other.status_on(today) == "published" and not other.superseded_by
        }

        async def save() -> None:
            await self._take(transition, successor=chosen.value, until=_day(until.value))

        self._form.clear()
        with self._form:
            Text("h2", "由新文件替代")
            Text("p", f"《{document.title}》不再引用；有人问起过去某一天的规定时，仍按它作答。")
            if not choices:
                Text("p", "知识库里没有别的已发布的文件。请先上传并发布新文件。", "muted")
            chosen = ui.select(choices, label="新文件（须已发布）", with_input=True).props("outlined")
            until = ui.input("旧文件最后有效的一天").props("outlined type=date stack-label")
            Text("p", "不填，就是新文件生效的前一天。", "muted")
            self._actions("确定替代", save)
        self._dialog.open()

    def _ask_for_day(self, document: Document, transition: Transition) -> None:
        async def save() -> None:
            await self._take(transition, until=_day(until.value))

        yesterday = self.visit.services.kb.today() - timedelta(days=1)
        self._form.clear()
        with self._form:
            Text("h2", "标为失效")
            Text("p", "失效后不再引用；有人问起过去某一天的规定时，仍按它作答。")
            until = ui.input("最后有效的一天", value=str(min(document.valid_to or yesterday, yesterday))).props(
                "outlined type=date stack-label"
            )
            self._actions("确定失效", save)
        self._dialog.open()

    def _actions(self, label: str, save: Callable[[], Awaitable[None]]) -> None:
        with box("form-actions"):
            button(label, self.visit.step(save), "primary")
            ui.button("取消", on_click=self._dialog.close, color=None).props("flat no-caps").classes("btn")


def _said(transition: Transition, document: Document) -> str:
    if transition.operation == "undo_supersede" and document.status == "suspended":
        return "已撤销替代。它在替代之前是停用的，仍然停用。"
    if transition.operation != "supersede":
        return _SAID[transition.operation]
    if document.status == "published":
        return f"已安排：{document.valid_to} 以前仍按它作答，之后由新文件替代。"
    return "已由新文件替代，助手不再引用它。"


def _day(written: str | None) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise BadInput("日期应写成 2026-01-31 这样。") from None
