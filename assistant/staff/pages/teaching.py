"""教它新事: categories and intents that staff add with examples, tried out, judged by their report, put in use."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from nicegui import ui

from assistant.additions.model import (
    KINDS,
    LIVE,
    MAX_NAME_CHARS,
    MAX_REPLY_CHARS,
    OFF,
    TRIED,
    AdditionView,
    NewAddition,
)
from assistant.errors import NotFound
from assistant.staff.labels import INTENTS, local_time
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, facts, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from nlu.extend import Kind
from nlu.trial import LEAST, MOST

REFRESH_S = 5.0
PROGRESS_S = 0.3
_TONES = {TRIED: "info", LIVE: "good", OFF: "neutral"}


def register() -> None:
    ui.page("/teaching", response_timeout=15)(teaching_page)
    ui.page("/teaching/{addition_id}", response_timeout=15)(addition_page)


async def teaching_page(request: Request, of: int | None = None) -> None:
    """The list and the form; `of` names an addition whose values fill the form."""
    visit = Visit.of(request, "editor")
    with frame(visit, "teaching", "教它新事"):
        with box("page-head"):
            Text("h1", "教它新事")
        Text(
            "p",
            "助手没学过的事，写下居民会怎么说，几十秒就能学会：先试训，看看有没有把别的认错，再启用。",
            "muted lead-in",
        )
        with box("columns"):
            with card("教过的事", classes="grow"):
                table = box()
            form = TeachingForm(visit)
            with card("教一件新的", classes="side teach-form"):
                form.open()
        listing = AdditionList(visit, table)
        await listing.refresh()
        if of is not None:
            form.fill(await visit.services.additions.get(of))
        ui.timer(REFRESH_S, visit.step(listing.refresh), immediate=False)


class AdditionList:
    """All additions; drawn anew only when something changed."""

    def __init__(self, visit: Visit, place: ui.element) -> None:
        self.visit, self._place = visit, place
        self._shown: object = None

    async def refresh(self) -> None:
        found = await self.visit.services.additions.list()
        shown = [(view.id, view.state, view.changed_at) for view in found]
        if shown == self._shown:
            return
        self._shown = shown
        self._place.clear()
        with self._place:
            _table(found)


def _table(additions: list[AdditionView]) -> None:
    if not additions:
        empty("还没有教过什么", f"在右边写下名称和至少 {LEAST} 句例句。")
        return
    with box("list", "table"):
        with box(tag="thead"), box(tag="tr"):
            for name in ("名称", "状态", "例句", "更新"):
                Text("th", name).props('scope="col"')
        with box(tag="tbody"):
            for view in additions:
                with box(tag="tr"):
                    with box("lead", "td"):
                        link(view.name, staff_href(f"teaching/{view.id}"))
                        Text("p", _about(view), "muted")
                    with cell("状态"):
                        tag(view.state, _TONES[view.state])
                    with cell("例句"):
                        Text("span", f"{len(view.examples)} 句", "mono")
                    with cell("更新"):
                        Text("span", local_time(view.changed_at), "mono muted")


def _about(view: AdditionView) -> str:
    parts = [KINDS[view.kind], view.level1, view.unit, view.reply]
    return " · ".join(part for part in parts if part)[:60]


class TeachingForm:
    """What to teach; the button tries it out and leads to the report."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._done: tuple[str, float] = ("", 0.0)

    def open(self) -> None:
        city = self.visit.services.city
        units = [name for name, unit in city.units.items() if unit.kind != "district"]
        with box("stack"):
            self._kind = ui.radio(dict(KINDS), value="intent", on_change=self._draw_kind).props("inline")
            self._name = ui.input("名称").props(f"outlined maxlength={MAX_NAME_CHARS}")
            with box("stack") as self._category:
                self._level1 = ui.select(list(city.level1), label="一级类别").props("outlined")
                self._unit = ui.select(units, label="承办单位", with_input=True).props("outlined")
            with box("stack") as self._intent:
                self._reply = ui.textarea("答复（助手原样说给居民）").props(
                    f"outlined stack-label autogrow maxlength={MAX_REPLY_CHARS}"
                )
            self._examples = ui.textarea(f"例句，每行一句（{LEAST} 到 {MOST} 句）").props(
                'outlined stack-label input-class="teach-examples"'
            )
            with box("stack teach-progress") as self._progress:
                self._words = Text("p", "", "muted").props('role="status"')
                self._bar = ui.linear_progress(0.0, show_value=False).props("instant-feedback")
            with box("form-actions"):
                button("试训", self.visit.step(self.trial), "primary")
        self._progress.set_visibility(False)
        self._draw_kind()

    def fill(self, view: AdditionView) -> None:
        """Show a stored addition, to change its examples and try again."""
        self._kind.value, self._name.value = view.kind, view.name
        self._level1.value, self._unit.value = view.level1 or None, view.unit or None
        self._reply.value, self._examples.value = view.reply, "\n".join(view.examples)
        self._draw_kind()

    async def trial(self) -> None:
        new = NewAddition(
            kind=_kind(self._kind.value),
            name=self._name.value or "",
            examples=tuple((self._examples.value or "").splitlines()),
            level1=self._level1.value or "",
            unit=self._unit.value or "",
            reply=self._reply.value or "",
        )
        self._done = ("准备", 0.0)
        self._show_progress()
        self._progress.set_visibility(True)
        timer = ui.timer(PROGRESS_S, self._show_progress)
        try:
            view = await self.visit.services.additions.trial(new, self.visit.user.name, self._tell)
        finally:
            timer.cancel()
            self._progress.set_visibility(False)
        await self.visit.audit("addition.trial", str(view.id))
        ui.navigate.to(f"/teaching/{view.id}")

    def _tell(self, words: str, share: float) -> None:
        # Called from the thread that learns: the page looks by itself.
        self._done = (words, share)

    def _show_progress(self) -> None:
        words, share = self._done
        self._words.set_text(f"{words}… {round(share * 100)}%")
        self._bar.value = share

    def _draw_kind(self) -> None:
        is_category = self._kind.value == "category"
        self._category.set_visibility(is_category)
        self._intent.set_visibility(not is_category)


def _kind(value: str) -> Kind:
    if value == "category":
        return "category"
    return "intent"


async def addition_page(request: Request, addition_id: str) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "teaching", "教它新事"):
        try:
            view = await visit.services.additions.get(int(addition_id))
        except (NotFound, ValueError):
            empty("没有这一条", "它可能已被删除，请回到教它新事。")
            return
        with box("page-head"), box("crumbs"):
            link("教它新事", staff_href("teaching"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", view.name)
        with box("columns"):
            with card("试训报告", classes="grow"):
                _draw_report(view.report)
            about = box("card side side-wide", "section")
        AdditionSide(visit, about).draw(view)


class AdditionSide:
    """What an addition is, and the buttons its state allows."""

    def __init__(self, visit: Visit, place: ui.element) -> None:
        self.visit, self._place = visit, place
        self._id = 0

    def draw(self, view: AdditionView) -> None:
        self._id = view.id
        self._place.clear()
        with self._place:
            with box("line"):
                Text("h2", KINDS[view.kind])
                tag(view.state, _TONES[view.state])
            facts(
                [
                    ("名称", view.name),
                    ("一级类别", view.level1),
                    ("承办单位", view.unit),
                    ("服务代码", view.code),
                    ("答复", view.reply),
                    ("模型", view.model_version),
                    ("更新", f"{local_time(view.changed_at)}，{view.changed_by}"),
                ]
            )
            with box("form-actions"):
                if view.state == LIVE:
                    button("停用", self.visit.step(self.disable), "danger")
                else:
                    button("启用", self.visit.step(self.enable), "primary")
                    link("改例句再试", staff_href(f"teaching?of={view.id}"), "btn btn-plain")
            Text("h3", f"例句（{len(view.examples)}）").classes("teach-heading")
            with box("teach-sentences", "ul"):
                for example in view.examples:
                    Text("li", example)

    async def enable(self) -> None:
        view = await self.visit.services.additions.enable(self._id, self.visit.user.name)
        await self.visit.audit("addition.enable", str(view.id))
        self.draw(view)
        ui.notify("已启用，下一句话就会用到它。", type="positive", position="top")

    async def disable(self) -> None:
        view = await self.visit.services.additions.disable(self._id, self.visit.user.name)
        await self.visit.audit("addition.disable", str(view.id))
        self.draw(view)
        ui.notify("已停用，助手不再这样认。", type="positive", position="top")


def _draw_report(report: Mapping[str, Any]) -> None:
    if problem := report.get("problem"):
        with box("answer answer-none"):
            Text("p", problem)
        return
    bad = bool(report["worse"]) or report["found"] < report["examples"]
    with box("answer answer-none" if bad else "answer"):
        Text("p", report["summary"], "pre")
    facts(
        [
            ("认出例句", f"{report['found']} / {report['examples']}（每句都是拿掉它再学一遍之后认的）"),
            ("对照校准句", f"{report['compared']} 句，学习时都没用过"),
            ("用时", f"{report['seconds']} 秒，对照 {report['learned_against']} 句训练句学习"),
        ]
    )
    if report["missed"]:
        Text("h3", f"没认出的例句（{len(report['missed'])}）").classes("teach-heading")
        with box("teach-sentences", "ul"):
            for sentence in report["missed"]:
                Text("li", sentence)
    _draw_changes("被它抢走的句子", report["worse"])
    _draw_changes("变好的句子", report["better"])
    if report["classes"]:
        Text("h3", "哪一类变了多少").classes("teach-heading")
        with box("list", "table"):
            with box(tag="thead"), box(tag="tr"):
                for name in ("类", "校准句", "F1 之前", "F1 之后"):
                    Text("th", name).props('scope="col"')
            with box(tag="tbody"):
                for effect in report["classes"]:
                    with box(tag="tr"):
                        with box("lead", "td"):
                            Text("span", _name(effect["label"]))
                        with cell("校准句"):
                            Text("span", str(effect["rows"]), "mono")
                        with cell("F1 之前"):
                            Text("span", f"{effect['before']:.3f}", "mono")
                        with cell("F1 之后"):
                            tone = "bad" if effect["after"] < effect["before"] else "good"
                            tag(f"{effect['after']:.3f}", tone)


def _draw_changes(title: str, changes: list[dict[str, str]]) -> None:
    if not changes:
        return
    Text("h3", f"{title}（{len(changes)}）").classes("teach-heading")
    for change in changes:
        with box("passage"):
            Text("p", change["text"])
            right = ""
            if change["right"].strip("/"):
                was_right = change["before"] == change["right"]
                right = "，原来认得对" if was_right else f"，原来也不对，应为“{_name(change['right'])}”"
            Text("p", f"{_name(change['before'])} → {_name(change['after'])}{right}", "muted")


def _name(label: str) -> str:
    return INTENTS.get(label, label.strip("/"))
