"""A document of the knowledge base: upload with its metadata, its passages, publish and suspend."""

import asyncio
import hashlib
from datetime import date
from urllib.parse import quote

from fastapi import Request
from nicegui import ui
from nicegui.events import UploadEventArguments

from assistant.errors import BadInput, MinshengError
from assistant.staff.labels import document_status, local_time, validity
from assistant.staff.login import MAX_UPLOAD_BYTES
from assistant.staff.pages.parts import Text, box, button, card, empty, facts, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from kb.documents import Document, Passage
from kb.importer import read_file
from kb.service import NewDocument

_KINDS = (".md", ".txt", ".docx", ".pdf", ".html", ".htm")


def register() -> None:
    # The fixed address first: the other one matches any id.
    ui.page("/knowledge/new", response_timeout=15)(upload_page)
    ui.page("/knowledge/{document_id}", response_timeout=15)(document_page)


async def upload_page(request: Request) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "上传文件"):
        _crumbs("上传文件")
        UploadForm(visit).open()


class UploadForm:
    """File and metadata; the result is a draft that nobody is answered from until it is published."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._text = ""

    def open(self) -> None:
        with card("1. 选择文件"):
            Text(
                "p", f"支持 Markdown、TXT、Word(docx)、PDF、HTML，最大 {MAX_UPLOAD_BYTES // 1024 // 1024} MB。", "muted"
            )
            self._upload = ui.upload(
                label="点右侧加号选择文件，或拖到这里",
                auto_upload=True,
                max_file_size=MAX_UPLOAD_BYTES,
                on_upload=self.visit.step(self._received),
                on_rejected=lambda: ui.notify("文件类型不支持，或文件太大。", type="warning", position="top"),
            ).props(f'accept="{",".join(_KINDS)}" flat')
            self._status = box("stack upload-status").props('aria-live="polite"')
        with card("2. 填写信息"), box("form"):
            self._title = ui.input("标题（必填）").props("outlined maxlength=300").classes("full")
            self._issuer = ui.input("发文单位（必填）").props("outlined maxlength=120")
            self._number = ui.input("文号").props("outlined maxlength=120")
            self._from = ui.input("生效日期").props("outlined type=date stack-label")
            self._to = ui.input("失效日期（没有可不填）").props("outlined type=date stack-label")
            self._category = ui.select(list(self.visit.services.city.level1), label="类别", clearable=True).props(
                "outlined"
            )
        with box("form-actions"):
            button("保存草稿，查看段落", self.visit.step(self.save), "primary")
            link("取消", staff_href("knowledge"), "btn btn-plain")

    async def _received(self, event: UploadEventArguments) -> None:
        name = event.file.name
        self._text = ""
        # Ready for another file; what became of this one stands below.
        self._upload.reset()
        try:
            read = await _read(name, await event.file.read())
        except MinshengError as error:
            self._tell("无法使用", "bad", error.detail)
            return
        self._text = read.text
        self._tell("已读取", "good", f"{name}，正文 {len(read.text)} 字")
        for field, value in (
            (self._title, read.title),
            (self._issuer, read.issuer),
            (self._number, read.document_number),
            (self._from, read.valid_from),
            (self._to, read.valid_to),
            (self._category, read.category if read.category in self.visit.services.city.level1 else None),
        ):
            if value and not field.value:
                field.value = str(value)

    def _tell(self, state: str, tone: str, words: str) -> None:
        self._status.clear()
        with self._status, box("line"):
            tag(state, tone)
            Text("span", words)

    async def save(self) -> None:
        if not self._text:
            raise BadInput("请先选择一个文件。")
        title, issuer = (self._title.value or "").strip(), (self._issuer.value or "").strip()
        if not title or not issuer:
            raise BadInput("请填写标题和发文单位：居民看到的答复要注明出处。")
        valid_from, valid_to = _day(self._from.value, "生效日期"), _day(self._to.value, "失效日期")
        digest = hashlib.sha256(f"{title}\n{issuer}\n{valid_from}\n{self._text}".encode()).hexdigest()
        draft = await self.visit.services.kb.add_draft(
            NewDocument(
                id=f"doc-{digest[:12]}",
                title=title,
                text=self._text,
                issuer=issuer,
                document_number=(self._number.value or "").strip() or None,
                category=self._category.value or None,
                valid_from=valid_from,
                valid_to=valid_to,
                owner=self.visit.user.name,
            )
        )
        await self.visit.audit("kb.add_draft", draft.document.id)
        ui.navigate.to(f"/knowledge/{quote(draft.document.id)}")


async def _read(name: str, data: bytes) -> NewDocument:
    """The document in a file. Raises MinshengError (Chinese) for one that cannot be read."""
    if not name.lower().endswith(_KINDS):
        raise BadInput("只能上传 md、txt、docx、pdf、html 文件。")
    if len(data) > MAX_UPLOAD_BYTES:
        raise BadInput(f"文件不能超过 {MAX_UPLOAD_BYTES // 1024 // 1024} MB。")
    [document], _ = await asyncio.to_thread(read_file, name, data)
    return document


async def document_page(request: Request, document_id: str) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "文件"):
        found = await visit.services.kb.get(document_id)
        if found is None:
            empty("没有这份文件", "它可能已被删除，请回到知识库。")
            return
        _crumbs(found.document.title)
        DocumentView(visit, document_id, found.passages).open(found.document)


class DocumentView:
    """A stored document with its passages and the operations its status allows."""

    def __init__(self, visit: Visit, document_id: str, passages: list[Passage]) -> None:
        self.visit = visit
        self.id = document_id
        self._passages = passages

    def open(self, document: Document) -> None:
        with box("columns"):
            with card(f"段落（{len(self._passages)}）", classes="grow"):
                Text("p", "助手按段落查找和引用。发布前请核对切分是否完整、条款号是否正确。", "muted passages-hint")
                for passage in self._passages:
                    with box("passage"):
                        Text("h3", passage.article or f"第 {passage.ordinal + 1} 段")
                        Text("p", passage.text, "pre")
            self._about = box("card side side-wide", "section")
        self._draw(document)

    async def publish(self) -> None:
        document = await self.visit.services.kb.publish(self.id)
        await self.visit.audit("kb.publish", self.id)
        self._draw(document)
        ui.notify("已发布，下一个提问就会用到它。", type="positive", position="top")

    async def suspend(self) -> None:
        document = await self.visit.services.kb.suspend(self.id)
        await self.visit.audit("kb.suspend", self.id)
        self._draw(document)
        ui.notify("已停用，助手不再引用它。", type="positive", position="top")

    def _draw(self, document: Document) -> None:
        self._about.clear()
        name, tone = document_status(document.status, document.valid_from, document.valid_to)
        with self._about:
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
                    ("适用", document.audience or ""),
                    ("来源", document.source or ""),
                    ("维护人", document.owner or ""),
                    ("版本", str(document.version)),
                    ("更新", local_time(document.updated_at)),
                ]
            )
            with box("form-actions"):
                if document.status != "published":
                    button("发布", self.visit.step(self.publish), "primary")
                else:
                    button("停用", self.visit.step(self.suspend), "danger")


def _crumbs(title: str) -> None:
    with box("page-head"), box("crumbs"):
        link("知识库", staff_href("knowledge"))
        Text("span", "/").props("aria-hidden=true")
        Text("h1", title)


def _day(value: str | None, name: str) -> date | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BadInput(f"{name}应写成 2026-01-31 这样。") from None
