"""Change a document, its fields and its text: each saving is a version; who was slower loses nothing."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.pages.document_versions import draw_comparison
from assistant.staff.pages.parts import Text, box, button, card, empty, frame, link
from assistant.staff.pages.visit import Visit, staff_href
from kb.documents import FIELD_NAMES, Document
from kb.errors import DocumentChanged
from kb.versions import Version, author

_DAYS = ("valid_from", "valid_to")
_LIMITS = {"title": 300, "source": 500, "region": 80, "category": 80, "owner": 80}
_ORDER = (
    "title",
    "issuer",
    "document_number",
    "valid_from",
    "valid_to",
    "region",
    "audience",
    "category",
    "owner",
    "legal_basis",
    "source",
)
_LONG = ("title", "legal_basis", "source")
# How long after the last key the browser sends what was typed: a long text is not sent with every key.
_DEBOUNCE_MS = 400


def register() -> None:
    ui.page("/knowledge/{document_id}/edit", response_timeout=15)(edit_page)


async def edit_page(request: Request, document_id: str) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "修改文件"):
        found = await visit.services.kb.get(document_id)
        if found is None:
            empty("没有这份文件", "它可能已被删除，请回到知识库。")
            return
        with box("page-head"), box("crumbs"):
            link("知识库", staff_href("knowledge"))
            Text("span", "/").props("aria-hidden=true")
            link(found.document.title, staff_href(f"knowledge/{quote(document_id)}"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", "修改")
        EditForm(visit, found.document).open(await visit.services.kb.version(document_id))


class EditForm:
    """All fields and the text. What differs from the version that was opened is saved, nothing else."""

    def __init__(self, visit: Visit, document: Document) -> None:
        self.visit, self._document = visit, document
        self._version = 0
        self._opened: dict[str, str] = {}
        self._inputs: dict[str, Any] = {}

    def open(self, version: Version) -> None:
        self._version, self._opened = version.number, _written(version)
        self._conflict = box("conflict").props('aria-live="assertive"')
        with card("文件信息"), box("form"):
            for name in _ORDER:
                self._inputs[name] = self._input(name, FIELD_NAMES[name])
        with card("正文"):
            Text("p", "按条、按小标题切成段落；改好保存，系统会重新切分。", "muted passages-hint")
            self._inputs["text"] = (
                ui.textarea("正文", value=self._opened["text"])
                .props(f'outlined autogrow debounce={_DEBOUNCE_MS} input-class="edit-text"')
                .classes("edit-box")
            )
        published = self._document.status == "published"
        with box("form-actions"):
            button("保存，下一个提问起生效" if published else "保存", self.visit.step(self.save), "primary")
            link("不保存，返回", staff_href(f"knowledge/{quote(self._document.id)}"), "btn btn-plain")

    def _input(self, name: str, label: str) -> Any:
        value = self._opened[name]
        if name == "category":
            known = list(self.visit.services.city.level1)
            options = known if not value or value in known else [value, *known]
            return ui.select(options, value=value or None, label=label, clearable=True).props("outlined")
        props = "outlined type=date stack-label" if name in _DAYS else f"outlined maxlength={_LIMITS.get(name, 120)}"
        if name == "legal_basis":
            props = "outlined autogrow"
        field = ui.input(label, value=value).props(props)
        return field.classes("full") if name in _LONG else field

    async def save(self) -> None:
        try:
            document = await self.visit.services.kb.edit(
                self._document.id, self._changes(), base_version=self._version, by=self.visit.user.name
            )
        except DocumentChanged as error:
            await self._show_conflict(error)
            return
        await self.visit.audit("kb.edit", document.id)
        ui.navigate.to(f"/knowledge/{quote(document.id)}")

    def _typed(self, name: str) -> str:
        return str(self._inputs[name].value or "").replace("\r\n", "\n")

    def _touched(self) -> list[str]:
        return [name for name, opened in self._opened.items() if self._typed(name).strip() != opened.strip()]

    def _changes(self) -> dict[str, object]:
        changes: dict[str, object] = {}
        for name in self._touched():
            typed = self._typed(name).strip()
            if name in _DAYS:
                changes[name] = _day(typed, FIELD_NAMES[name])
            else:
                changes[name] = typed if name in ("title", "text") else typed or None
        return changes

    async def _show_conflict(self, error: DocumentChanged) -> None:
        """Tell what a colleague changed; what was not touched here becomes theirs, what was typed stays."""
        kb = self.visit.services.kb
        touched = self._touched()
        theirs = await kb.version(self._document.id)
        comparison = await kb.compare(self._document.id, self._version, theirs.number)
        newest = _written(theirs)
        both = [n for n in touched if newest[n] != self._opened[n] and newest[n].strip() != self._typed(n).strip()]
        for name, value in newest.items():
            if name not in touched and value != self._opened[name]:
                self._show(name, value)
        self._version, self._opened = theirs.number, newest
        self._conflict.clear()
        with self._conflict, card("您打开之后，这份文件被改过"):
            Text("p", error.detail)
            Text("p", _advice(both, author(error.by)))
            draw_comparison(comparison)
        ui.run_javascript("document.querySelector('.conflict').scrollIntoView({block: 'start'})")
        ui.notify("这份文件刚被别人改过，还没有保存。请看页面上方。", type="warning", position="top", timeout=8000)

    def _show(self, name: str, value: str) -> None:
        field = self._inputs[name]
        if name == "category" and value and value not in field.options:
            field.set_options([value, *field.options])
        field.set_value(value or (None if name == "category" else ""))


def _advice(both: list[str], other: str) -> str:
    if not both:
        return "您和对方改的不是同一处：对方的修改已经并入下面的表单。核对后再点一次保存即可。"
    names = "、".join("正文" if name == "text" else FIELD_NAMES[name] for name in both)
    return f"{names}两人都改了：再点一次保存，以您填写的为准，{other}的那一版留在“版本”里，随时可以找回。"


def _written(version: Version) -> dict[str, str]:
    fields: Mapping[str, Any] = version.fields
    written = {name: str(fields[name]) if fields[name] else "" for name in FIELD_NAMES}
    return written | {"text": version.text.replace("\r\n", "\n")}


def _day(written: str, name: str) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise BadInput(f"{name}应写成 2026-01-31 这样。") from None
