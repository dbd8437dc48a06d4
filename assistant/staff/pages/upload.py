"""Upload into the knowledge base: what a file holds is shown as passages first, then stored as drafts."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

from fastapi import Request
from nicegui import ui
from nicegui.events import UploadEventArguments

from assistant.errors import BadInput
from assistant.staff.login import MAX_UPLOAD_BYTES
from assistant.staff.pages.parts import Text, box, button, card, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from kb.documents import NewDocument
from kb.importer import FileReading
from kb.passages import Piece, split
from kb.service import ImportReport
from kb.sheets import TEMPLATE_NAME, template
from kb.untrusted import read_untrusted

_KINDS = (".md", ".txt", ".docx", ".pdf", ".html", ".htm", ".xlsx", ".csv", ".jsonl", ".zip")
# Refused, but with the way out: the browser's own "wrong type" would not tell it.
_TOLD_HOW = (".doc", ".wps", ".docm", ".rtf", ".xls", ".et", ".xlsm", ".ppt", ".pptx", ".ofd", ".rar", ".7z")
_OF_MANY = (".xlsx", ".csv", ".jsonl", ".zip")
_SHOWN_DOCUMENTS = 30
_SHOWN_PASSAGES = 40
_SHOWN_REFUSED = 10
_OPEN_UP_TO = 1
# Threads of their own: archives that take minutes must not keep those that answer residents.
_READERS = ThreadPoolExecutor(2, thread_name_prefix="upload")
_MEGABYTES = MAX_UPLOAD_BYTES // 1024 // 1024


def register() -> None:
    ui.page("/upload", response_timeout=15)(upload_page)


async def upload_page(request: Request) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "上传文件"):
        with box("page-head"), box("crumbs"):
            link("知识库", staff_href("knowledge"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", "上传文件")
        UploadForm(visit).open()


class UploadForm:
    """A file, its metadata and its passages; the result are drafts that nobody is answered from until published."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._documents: list[NewDocument] = []
        self._many = False
        self._latest: UploadEventArguments | None = None
        self._filled: dict[int, str | None] = {}

    def open(self) -> None:
        with card("1. 选择文件"):
            Text(
                "p",
                f"Word（docx）、PDF、网页、Markdown、TXT，或成批的问答表（xlsx、csv）、zip；最大 {_MEGABYTES} MB。",
                "muted",
            )
            with box("line upload-template"):
                Text("span", "成批的问答请按模板填写，一行一条：", "muted")
                button("下载问答模板", self._download)
            self._upload = ui.upload(
                label="点右侧加号选择文件，或拖到这里",
                auto_upload=True,
                max_file_size=MAX_UPLOAD_BYTES,
                on_upload=self.visit.step(self._received),
                on_rejected=lambda: ui.notify(
                    f"文件类型不支持，或超过 {_MEGABYTES} MB。", type="warning", position="top"
                ),
            ).props(f'accept="{",".join((*_KINDS, *_TOLD_HOW))}" flat')
            self._status = box("stack upload-status").props('aria-live="polite"')
        with card("2. 填写信息"):
            self._hint = Text("p", "", "muted passages-hint")
            self._hint.set_visibility(False)
            with box("form"):
                self._title = ui.input("标题（必填）").props("outlined maxlength=300").classes("full")
                self._issuer = ui.input("发文单位（必填）").props("outlined maxlength=120")
                self._number = ui.input("文号").props("outlined maxlength=120")
                self._from = ui.input("生效日期").props("outlined type=date stack-label")
                self._to = ui.input("失效日期（没有可不填）").props("outlined type=date stack-label")
                self._category = ui.select(list(self.visit.services.city.level1), label="类别", clearable=True).props(
                    "outlined"
                )
        with card("3. 核对段落") as self._check:
            self._passages = box("stack")
        self._check.set_visibility(False)
        with box("form-actions"):
            button("保存草稿，查看段落", self.visit.step(self.save), "primary")
            link("取消", staff_href("knowledge"), "btn btn-plain")
        self._result = box("stack").props('aria-live="polite"')

    async def _download(self) -> None:
        ui.download.content(await asyncio.to_thread(template), TEMPLATE_NAME)

    async def _received(self, event: UploadEventArguments) -> None:
        name = event.file.name
        self._documents, self._latest = [], event
        # Ready for another file; what became of this one stands below.
        self._upload.reset()
        for shown in (self._status, self._passages, self._result):
            shown.clear()
        self._check.set_visibility(False)
        with self._status, box("line"):
            ui.spinner(size="sm")
            Text("span", f"正在读取 {name}……")
        data = await event.file.read()
        reading, pieces = await asyncio.get_running_loop().run_in_executor(_READERS, _read, name, data)
        if self._latest is not event:
            # Another file was chosen meanwhile, and only one may be what is shown and saved.
            return
        self._documents = reading.documents
        self._many = Path(name).suffix.lower() in _OF_MANY
        self._tell(name, reading)
        if reading.documents:
            self._fill(reading.documents[0])
            self._show_passages(pieces)

    def _tell(self, name: str, reading: FileReading) -> None:
        self._status.clear()
        with self._status:
            if reading.documents:
                size = sum(len(document.text) for document in reading.documents)
                what = f"{len(reading.documents)} 份，" if self._many else ""
                _line("已读取", "good", f"{name}，{what}正文 {size} 字")
            for note in reading.notes:
                _line("注意", "warn", note.text if note.name == name else f"{note.name}：{note.text}")
            for refused in reading.refused[:_SHOWN_REFUSED]:
                _line("无法使用", "bad", refused.detail)
            if len(reading.refused) > _SHOWN_REFUSED:
                _line("无法使用", "bad", f"还有 {len(reading.refused) - _SHOWN_REFUSED} 处，改好后请再传一次。")

    def _fill(self, read: NewDocument) -> None:
        """What the file says of itself, where nobody has written something; nothing of the file before remains."""
        self._title.set_visibility(not self._many)
        self._number.set_visibility(not self._many)
        self._hint.set_visibility(self._many)
        if self._many:
            self._hint.set_text("文件里各条自己写了的，以文件为准；没有写的，用这里填的。")
        for field, value in (
            (self._title, read.title),
            (self._issuer, read.issuer),
            (self._number, read.document_number),
            (self._from, read.valid_from),
            (self._to, read.valid_to),
            (self._category, read.category if read.category in self.visit.services.city.level1 else None),
        ):
            if not field.value or field.value == self._filled.get(field.id):
                field.value = self._filled[field.id] = str(value) if value and not self._many else None

    def _show_passages(self, pieces: list[list[Piece]]) -> None:
        """What would be stored, before it is."""
        self._check.set_visibility(True)
        with self._passages:
            Text("p", "助手按段落查找和引用。切得不对，请改原文再传。", "muted")
            for document, cut in zip(self._documents, pieces, strict=False):
                with box("preview", "details") as details:
                    if len(self._documents) <= _OPEN_UP_TO:
                        details.props("open")
                    Text("summary", f"{document.title}（{len(cut)} 段）")
                    for number, piece in enumerate(cut[:_SHOWN_PASSAGES], start=1):
                        with box("passage"):
                            Text("h3", piece.article or f"第 {number} 段")
                            Text("p", piece.text, "pre")
                    if len(cut) > _SHOWN_PASSAGES:
                        Text("p", f"还有 {len(cut) - _SHOWN_PASSAGES} 段，保存后可以看全部。", "muted")
            if len(self._documents) > len(pieces):
                Text("p", f"还有 {len(self._documents) - len(pieces)} 份没有列出。", "muted")

    async def save(self) -> None:
        if not self._documents:
            raise BadInput("请先选择一个文件。")
        if self._many:
            await self._save_many()
        else:
            await self._save_one()

    async def _save_one(self) -> None:
        title, issuer = _written(self._title), _written(self._issuer)
        if not title or not issuer:
            raise BadInput("请填写标题和发文单位：居民看到的答复要注明出处。")
        read = self._documents[0]
        valid_from, valid_to = self._days()
        digest = hashlib.sha256(f"{title}\n{issuer}\n{valid_from}\n{read.text}".encode()).hexdigest()
        document = replace(
            read,
            id=f"doc-{digest[:12]}",
            title=title,
            issuer=issuer,
            document_number=_written(self._number),
            category=self._category.value or None,
            valid_from=valid_from,
            valid_to=valid_to,
            status=None,
            owner=self.visit.user.name,
        )
        draft = await self.visit.services.kb.add_draft(document, by=self.visit.user.name)
        await self.visit.audit("kb.add_draft", draft.document.id)
        ui.navigate.to(f"/knowledge/{quote(draft.document.id)}")

    async def _save_many(self) -> None:
        issuer, category = _written(self._issuer), self._category.value or None
        if not issuer and any(not document.issuer for document in self._documents):
            raise BadInput("有的条目没有写发文单位，请在这里填写：居民看到的答复要注明出处。")
        valid_from, valid_to = self._days()
        documents = [
            replace(
                document,
                issuer=document.issuer or issuer,
                category=document.category or category,
                valid_from=document.valid_from or valid_from,
                valid_to=document.valid_to or valid_to,
                owner=document.owner or self.visit.user.name,
            )
            for document in self._documents
        ]
        self._result.clear()
        with self._result:
            count = Text("p", f"正在保存 0 / {len(documents)}……", "muted")
            bar = ui.linear_progress(0, show_value=False).props("instant-feedback")

        def step(done: int, total: int) -> None:
            bar.value = done / max(total, 1)
            count.set_text(f"正在保存 {done} / {total}……")

        saved = self._latest
        report = await self.visit.services.kb.import_documents(
            documents, publish=False, progress=step, by=self.visit.user.name
        )
        await self.visit.audit("kb.import_drafts", f"{report.added + report.updated} of {len(documents)}")
        if self._latest is saved:
            self._documents = []
        self._report(report)

    def _report(self, report: ImportReport) -> None:
        self._result.clear()
        with self._result, card("已保存为草稿"):
            Text(
                "p",
                f"新增 {report.added} 份，更新 {report.updated} 份，未变 {report.unchanged} 份，"
                f"共 {report.passages} 个段落。发布前请逐份核对。",
            )
            for refused in report.refused[:_SHOWN_REFUSED]:
                _line("没有保存", "bad", f"{refused.name}：{refused.reason}")
            if len(report.refused) > _SHOWN_REFUSED:
                Text("p", f"还有 {len(report.refused) - _SHOWN_REFUSED} 份没有保存。", "muted")
            with box("form-actions"):
                link("回到知识库", staff_href("knowledge"), "btn btn-primary")

    def _days(self) -> tuple[date | None, date | None]:
        return _day(self._from.value, "生效日期"), _day(self._to.value, "失效日期")


def _read(name: str, data: bytes) -> tuple[FileReading, list[list[Piece]]]:
    """What a file holds, and the passages of the documents that are shown."""
    reading = read_untrusted(name, data)
    return reading, [split(document.text, document.title) for document in reading.documents[:_SHOWN_DOCUMENTS]]


def _line(state: str, tone: str, words: str) -> None:
    with box("line"):
        tag(state, tone)
        Text("span", words)


def _written(field: ui.input) -> str | None:
    return (field.value or "").strip() or None


def _day(value: str | None, name: str) -> date | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BadInput(f"{name}应写成 2026-01-31 这样。") from None
