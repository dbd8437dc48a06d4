"""体检: what is wrong with the knowledge base, each finding a task with a state and an owner."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import quote

import structlog
from fastapi import Request
from nicegui import ui

from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, button, card, empty, frame, link, tag
from assistant.staff.pages.phrasings import Assigning
from assistant.staff.pages.visit import Visit, staff_href
from kb.health.finding import KIND_NAMES, KINDS
from kb.health.tasks import BY_ITSELF, OPEN, STATES, Task

log = structlog.get_logger()

REFRESH_S = 3.0
SHOWN = 50
_TONES = {"待处理": "warn", "处理中": "info", "已处理": "good", "不处理": "neutral"}
_KIND_TONES = {"expired": "bad", "contradiction": "bad", "feedback": "bad", "expiring": "warn", "unanswered": "warn"}
_MOVES = {
    "待处理": (("处理中", "开始处理"), ("已处理", "处理好了"), ("不处理", "不用处理")),
    "处理中": (("已处理", "处理好了"), ("待处理", "放回去"), ("不处理", "不用处理")),
    "已处理": (("待处理", "重新打开"),),
    "不处理": (("待处理", "重新打开"),),
}
_UNSETTLED, _ALL = "未处理", "全部"
Refresh = Callable[[], Awaitable[None]]
_running: set[asyncio.Task[object]] = set()


def register() -> None:
    ui.page("/health", response_timeout=15)(health_page)


async def health_page(request: Request) -> None:
    visit = Visit.of(request, "editor")

    async def begin() -> None:
        await _start(visit)

    with frame(visit, "knowledge", "知识库体检"):
        with box("page-head"):
            with box("crumbs"):
                link("知识库", staff_href("knowledge"))
                Text("span", "/").props("aria-hidden=true")
                Text("h1", "体检")
            with box("page-actions"):
                start = button("现在体检", visit.step(begin), "primary")
        Text("p", "每天夜里自动体检一次。修好了的，下次体检自动关闭；又出现的，自动重新打开。", "muted lead-in")
        tasks = TaskList(visit, start)
        tasks.open()
        await tasks.refresh()
        ui.timer(REFRESH_S, visit.step(tasks.refresh), immediate=False)


async def _start(visit: Visit) -> None:
    health = visit.services.kb_health
    if health.running:
        ui.notify("体检正在进行。", type="info", position="top")
        return
    work: asyncio.Task[object] = asyncio.create_task(health.check())
    _running.add(work)
    work.add_done_callback(_ended)
    await visit.audit("kb.health", "all")
    ui.notify("开始体检，文件多时要几分钟，可以先做别的。", type="positive", position="top")


def _ended(work: asyncio.Task[object]) -> None:
    _running.discard(work)
    if not work.cancelled() and (error := work.exception()):
        # The page says that it failed; the text of an error may hold what a resident asked.
        log.error("kb_health_failed", error=type(error).__name__)


class TaskList:
    """The findings with their filters; only what changed is drawn anew: a click or half a name is never lost."""

    def __init__(self, visit: Visit, start: ui.button) -> None:
        self.visit = visit
        self._start = start
        self._shown: object = None
        self._cards: dict[int, tuple[Task, ui.element]] = {}

    def open(self) -> None:
        async def changed() -> None:
            await self.refresh()

        self._assigning = Assigning(self.visit, self.refresh)
        with card():
            self._summary = box("stack health-summary").props('aria-live="polite"')
            with box("filters"):
                kinds = {"": "全部种类", **KIND_NAMES}
                self._kind = ui.select(kinds, value="", label="种类", on_change=self.visit.step(changed))
                self._kind.props("outlined dense").classes("health-kind")
                states = [_UNSETTLED, *STATES, _ALL]
                self._state = ui.select(states, value=_UNSETTLED, label="状态", on_change=self.visit.step(changed))
                self._state.props("outlined dense")
            self._list = box()
            self._note = box()

    async def refresh(self) -> None:
        health = self.visit.services.kb_health
        self._start.set_text("正在体检……" if health.running else "现在体检")
        self._start.set_enabled(not health.running)
        counts = await health.counts()
        states = {_UNSETTLED: OPEN, _ALL: STATES}.get(self._state.value, (self._state.value,))
        kinds = [self._kind.value] if self._kind.value else []
        found = await health.tasks(kinds=kinds, states=states, limit=SHOWN + 1)
        titles = await health.titles({document for task in found for document in task.documents})
        self._draw_cards(found[:SHOWN], titles)
        shown = (counts, health.last, health.failed, len(found))
        if shown == self._shown:
            return
        self._shown = shown
        self._summary.clear()
        with self._summary:
            self._draw_summary(counts)
        self._note.clear()
        with self._note:
            if not found:
                empty("没有要处理的", "可以换个筛选条件，或点“现在体检”。")
            elif len(found) > SHOWN:
                Text("p", f"只显示最新的 {SHOWN} 条，请用筛选缩小范围。", "muted table-foot")

    def _draw_cards(self, found: list[Task], titles: dict[str, str]) -> None:
        for gone in self._cards.keys() - {task.id for task in found}:
            self._cards.pop(gone)[1].delete()
        for place, task in enumerate(found):
            known = self._cards.get(task.id)
            if known is not None and _as_shown(known[0]) == _as_shown(task):
                continue
            if known is None:
                with self._list:
                    card_of_task = box("finding", "article")
                card_of_task.move(self._list, place)
            else:
                card_of_task = known[1]
                card_of_task.clear()
            self._cards[task.id] = task, card_of_task
            with card_of_task:
                self._draw(task, titles)

    def _draw_summary(self, counts: dict[tuple[str, str], int]) -> None:
        last = self.visit.services.kb_health.last
        if self.visit.services.kb_health.failed:
            with box("line"):
                tag("没有完成", "bad")
                Text("span", "上一次体检中途出错，下面还是以前的结果。请再试一次；还不行，请联系管理员。")
        with box("line"):
            for kind in KINDS:
                if number := sum(counts.get((kind, state), 0) for state in OPEN):
                    tag(f"{KIND_NAMES[kind]} {number}", _KIND_TONES.get(kind, "neutral"))
        if last is not None:
            at, report = last
            Text(
                "p",
                f"{local_time(at)} 体检：{report.documents} 份有效文件，{report.passages} 个段落，"
                f"用时 {report.seconds:.0f} 秒。"
                f"新发现 {report.new} 条，重新出现 {report.reopened} 条，自动关闭 {report.closed} 条。",
                "muted",
            )

    def _draw(self, task: Task, titles: dict[str, str]) -> None:
        with box("line"):
            tag(KIND_NAMES.get(task.kind, task.kind), _KIND_TONES.get(task.kind, "neutral"))
            tag(task.state, _TONES.get(task.state, "neutral"))
            Text("span", f"{local_time(task.found_at)} 发现{_changed(task)}", "muted")
        Text("h3", task.summary)
        places = task.detail.get("quotes", [])
        for place in places:
            with box("finding-quote"):
                if place.get("document"):
                    title = f"《{place['title']}》{place.get('article') or ''}"
                    link(title, staff_href(f"knowledge/{quote(place['document'])}"))
                Text("p", place.get("text", ""), "pre")
        if not any(place.get("document") for place in places):
            self._draw_documents(task, titles)
        with box("finding-actions"):
            owner = ui.input("负责人", value=task.owner or "").props("outlined dense maxlength=80")
            owner.on("blur", self.visit.step(self._owning(task.id, owner)))
            owner.on("keydown.enter", self.visit.step(self._owning(task.id, owner)))
            if task.kind == "unanswered" and task.state in OPEN:
                button("归到已有条款", self.visit.step(self._assigned(task)))
            for state, name in _MOVES.get(task.state, ()):
                kind = "primary" if state == "已处理" else "plain"
                button(name, self.visit.step(self._moving(task.id, state)), kind)

    def _draw_documents(self, task: Task, titles: dict[str, str]) -> None:
        known = [document for document in task.documents if document in titles]
        if not known:
            return
        with box("line"):
            Text("span", "最接近的文件：" if task.kind == "unanswered" else "文件：", "muted")
            for document in known:
                link(f"《{titles[document]}》", staff_href(f"knowledge/{quote(document)}"), "finding-link")

    def _assigned(self, task: Task) -> Refresh:
        async def assign() -> None:
            await self._assigning.open(task.id, task.documents)

        return assign

    def _moving(self, task_id: int, state: str) -> Refresh:
        async def move() -> None:
            await self.visit.services.kb_health.change(task_id, by=self.visit.user.name, state=state)
            await self.visit.audit("kb.finding", f"{task_id} {state}")
            await self.refresh()

        return move

    def _owning(self, task_id: int, field: ui.input) -> Refresh:
        async def own() -> None:
            name = (field.value or "").strip()
            task, card_of_task = self._cards[task_id]
            if name == (task.owner or ""):
                return
            # The card stays as it is: the next click is on its way.
            changed = await self.visit.services.kb_health.change(task_id, by=self.visit.user.name, owner=name)
            self._cards[task_id] = changed, card_of_task
            await self.visit.audit("kb.finding", f"{task_id} owner")
            ui.notify("负责人已保存。", type="positive", position="top")

        return own


def _as_shown(task: Task) -> Task:
    return replace(task, seen_at=task.found_at)


def _changed(task: Task) -> str:
    if task.changed_by is None:
        return ""
    return f" · {local_time(task.changed_at)} {'自动更新' if task.changed_by == BY_ITSELF else task.changed_by}"
