"""The versions of a document: two side by side in words, and going back to an earlier one."""

from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, frame, link
from assistant.staff.pages.visit import Visit, staff_href
from kb.compare import Comparison, Gap, Line, shortened
from kb.errors import DocumentNotFound
from kb.versions import VersionInfo, author

_MARKS = {"added": "＋ 新增", "removed": "－ 删去", "same": "未变"}
_TAGS = {"added": "ins", "removed": "del", "same": "span"}


def register() -> None:
    ui.page("/knowledge/{document_id}/versions", response_timeout=15)(versions_page)


async def versions_page(request: Request, document_id: str, old: int = 0, new: int = 0) -> None:
    """`old`, `new`: the versions to compare; left out, the newest and the one before it."""
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "版本"):
        kb = visit.services.kb
        try:
            versions = await kb.versions(document_id)
            title = (await kb.version(document_id)).fields["title"]
        except DocumentNotFound:
            empty("没有这份文件", "它可能已被删除，请回到知识库。")
            return
        with box("page-head"), box("crumbs"):
            link("知识库", staff_href("knowledge"))
            Text("span", "/").props("aria-hidden=true")
            link(title, staff_href(f"knowledge/{quote(document_id)}"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", "版本")
        if len(versions) < 2:
            empty("只有一版", "改过之后，可以在这里比较。")
            return
        await VersionsView(visit, document_id, versions).open(old, new)


class VersionsView:
    """Choose two versions, read what differs, bring one back."""

    def __init__(self, visit: Visit, document_id: str, versions: list[VersionInfo]) -> None:
        self.visit, self.id, self._versions = visit, document_id, versions

    async def open(self, old: int, new: int) -> None:
        names = {
            v.number: f"第 {v.number} 版（{local_time(v.changed_at)}，{author(v.changed_by)}）" for v in self._versions
        }
        newest, before = self._versions[0].number, self._versions[1].number
        with card("比较两版"):
            with box("filters"):
                self._old = ui.select(names, value=old if old in names else before, label="从")
                self._new = ui.select(names, value=new if new in names else newest, label="到")
                for choice in (self._old, self._new):
                    choice.props("outlined").classes("grow-field")
                    choice.on_value_change(self.visit.step(self.compare))
            self._result = box().props('aria-live="polite"')
        with card("恢复"):
            Text("p", "把选中的一版重新用作现在的内容。会成为新的一版，现在的样子也留着。", "muted diff-sum")
            with box("filters"):
                earlier = {number: name for number, name in names.items() if number != newest}
                self._back = ui.select(earlier, value=before, label="恢复到").props("outlined").classes("grow-field")
            button("恢复成这一版", self.visit.step(self.restore), "plain")
        await self.compare()

    async def compare(self) -> None:
        comparison = await self.visit.services.kb.compare(self.id, int(self._old.value), int(self._new.value))
        self._result.clear()
        with self._result:
            draw_comparison(comparison)

    async def restore(self) -> None:
        newest = self._versions[0].number
        await self.visit.services.kb.restore(
            self.id, int(self._back.value), base_version=newest, by=self.visit.user.name
        )
        await self.visit.audit("kb.edit", self.id)
        ui.navigate.to(f"/knowledge/{quote(self.id)}")


def draw_comparison(comparison: Comparison) -> None:
    """What differs, for reading without colours: every sentence says whether it came or went."""
    if comparison.same:
        Text("p", "两版相同。", "muted")
        return
    if comparison.fields:
        with box("list diff-fields", "table"):
            with box(tag="thead"), box(tag="tr"):
                for name in ("信息", "原来", "改为"):
                    Text("th", name).props('scope="col"')
            with box(tag="tbody"):
                for change in comparison.fields:
                    with box(tag="tr"):
                        with box("lead", "td"):
                            Text("strong", change.label)
                        with cell("原来"):
                            Text("span", change.before or "（空）")
                        with cell("改为"):
                            Text("span", change.after or "（空）")
    if not comparison.added and not comparison.removed:
        Text("p", "正文没有变。", "muted")
        return
    Text("p", f"正文新增 {comparison.added} 句，删去 {comparison.removed} 句；句中变了的字有下划线。", "muted diff-sum")
    with box("diff", "ul"):
        for line in shortened(comparison.lines):
            _draw_line(line)


def _draw_line(line: Line | Gap) -> None:
    if isinstance(line, Gap):
        Text("li", f"… {line.count} 句没有变 …", "diff-gap")
        return
    with box(f"diff-{line.kind}", "li"):
        Text("span", _MARKS[line.kind], "diff-mark")
        with box("diff-text", _TAGS[line.kind]):
            for text, differs in line.parts or ((line.text, False),):
                Text("b" if differs else "span", text)
