"""A document of the knowledge base: its passages, what may be done to its status, its versions."""

from collections.abc import Sequence
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from assistant.staff.labels import document_status, local_time, validity
from assistant.staff.pages import document_edit, document_versions
from assistant.staff.pages.document_moves import Moves
from assistant.staff.pages.feedback import draw_feedback
from assistant.staff.pages.parts import Text, box, card, empty, facts, frame, link, tag
from assistant.staff.pages.phrasings import PhrasingCard
from assistant.staff.pages.visit import Visit, staff_href
from kb.documents import Document, Passage
from kb.versions import VersionInfo, author

_VERSIONS_SHOWN = 10


def register() -> None:
    ui.page("/knowledge/{document_id}", response_timeout=15)(document_page)
    document_edit.register()
    document_versions.register()


async def document_page(request: Request, document_id: str) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "文件"):
        found = await visit.services.kb.get(document_id)
        if found is None:
            empty("没有这份文件", "它可能已被删除，请回到知识库。")
            return
        with box("page-head"), box("crumbs"):
            link("知识库", staff_href("knowledge"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", found.document.title)
        await DocumentView(visit, document_id).open(found.document, found.passages)
        await PhrasingCard(visit, document_id).open()
        await draw_feedback(visit, document_id)


class DocumentView:
    """A stored document with its passages, the operations its status allows, and its versions."""

    def __init__(self, visit: Visit, document_id: str) -> None:
        self.visit = visit
        self.id = document_id

    async def open(self, document: Document, passages: Sequence[Passage]) -> None:
        with box("columns"):
            with card(f"段落（{len(passages)}）", classes="grow"):
                Text("p", "助手按段落查找和引用。发布前请核对切分是否完整、条款号是否正确。", "muted passages-hint")
                for passage in passages:
                    with box("passage"):
                        Text("h3", passage.article or f"第 {passage.ordinal + 1} 段")
                        Text("p", passage.text, "pre")
            with box("side side-wide side-first"):
                self._about = box("card", "section")
                self._versions = box("card", "section")
        self._moves = Moves(self.visit, self.id, self.draw)
        await self.draw(document)

    async def draw(self, document: Document) -> None:
        """Show the document as it is now."""
        kb = self.visit.services.kb
        replaced_by = await kb.get(document.superseded_by) if document.superseded_by else None
        versions = await kb.versions(self.id)
        self._about.clear()
        with self._about:
            self._draw_facts(document)
            if document.superseded_by:
                with box("replaced-by"):
                    Text("span", "替代它的文件", "muted")
                    title = replaced_by.document.title if replaced_by else document.superseded_by
                    link(title, staff_href(f"knowledge/{quote(document.superseded_by)}"))
            with box("form-actions"):
                link("修改", staff_href(f"knowledge/{quote(self.id)}/edit"), "btn btn-plain")
                self._moves.draw(document)
        self._versions.clear()
        with self._versions:
            self._draw_versions(versions)

    def _draw_facts(self, document: Document) -> None:
        name, tone = document_status(
            document.status,
            document.valid_from,
            document.valid_to,
            self.visit.services.kb.today(),
            superseded_by=document.superseded_by,
        )
        with box("line"):
            Text("h2", "文件信息")
            tag(name, tone)
        facts(
            [
                ("发文单位", document.issuer or ""),
                ("文号", document.document_number or ""),
                ("依据", document.legal_basis or ""),
                ("有效期", validity(document.valid_from, document.valid_to)),
                ("类别", document.category or ""),
                ("适用地区", document.region or ""),
                ("适用对象", document.audience or ""),
                ("来源", document.source or ""),
                ("维护人", document.owner or ""),
                ("版本", str(document.version)),
                ("更新", local_time(document.updated_at)),
            ]
        )

    def _draw_versions(self, versions: Sequence[VersionInfo]) -> None:
        Text("h2", "版本")
        if not versions:
            Text("p", "这份文件还没有修改过。第一次修改时会留下现在的样子。", "muted")
            return
        with box(tag="ul"):
            for version in versions[:_VERSIONS_SHOWN]:
                with box("version", "li"):
                    Text("span", f"第 {version.number} 版")
                    Text("span", f"{local_time(version.changed_at)} · {author(version.changed_by)}", "muted")
        if len(versions) > 1:
            newest, before = versions[0].number, versions[1].number
            place = staff_href(f"knowledge/{quote(self.id)}/versions?old={before}&new={newest}")
            with box("form-actions"):
                link("比较和恢复版本", place, "btn btn-plain")
