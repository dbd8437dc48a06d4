"""退单: what units gave back, whether it falls, and what the responsibility matrix should learn of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from nicegui import ui

from assistant.errors import NotFound
from assistant.returns.cases import ReturnCase
from assistant.returns.model import KINDS, LIVE, NEW, OFF, REJECTED, TRIED, UNDECIDED, ProposalView
from assistant.returns.report import FALLING, RISING, STEADY, TOO_FEW, Report, Trend, UnitReport
from assistant.staff.labels import duration, local_time
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, facts, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href

SHOWN = 50
SPANS = {8: "八周", 12: "十二周", 26: "半年"}
_TONES = {NEW: "warn", TRIED: "info", LIVE: "good", REJECTED: "neutral", OFF: "neutral"}
_TRENDS = {FALLING: "good", RISING: "bad", STEADY: "neutral", TOO_FEW: "neutral"}
# Figure, its words, and what it is a share of.
_FIGURES = (
    ("top1", "首选对", "cases"),
    ("top3", "前三有对的", "cases"),
    ("automatic", "自动派出", "cases"),
    ("right", "自动派出里派对的", "automatic"),
)


def register() -> None:
    ui.page("/returns", response_timeout=30)(returns_page)
    ui.page("/returns/{proposal_id}", response_timeout=15)(proposal_page)


async def returns_page(request: Request, weeks: int = 8) -> None:
    visit = Visit.of(request, "dispatcher")
    learning = visit.services.learning
    weeks = weeks if weeks in SPANS else 8
    since = datetime.now(UTC) - timedelta(weeks=weeks - 1)
    report = await learning.report(since.astimezone(visit.services.city.zone).date())
    cases = await learning.cases(since)
    with frame(visit, "returns", "退单"):
        with box("page-head"):
            Text("h1", "退单")
            with box("page-actions"):
                _span(visit, weeks)
        with box("columns"):
            with box("grow stack"):
                with card("退得多了还是少了"):
                    _draw_whole(report)
                with card("各单位"):
                    _draw_units(report)
                with card("最近的退单"):
                    CaseList(visit).draw(cases[:SHOWN])
            with card("矩阵的修改建议", classes="side side-wide"):
                ProposalList(visit).draw(await learning.proposals())


def _span(visit: Visit, weeks: int) -> None:
    async def change() -> None:
        ui.navigate.to(f"/returns?weeks={span.value}")

    span = ui.select(SPANS, value=weeks, label="时间", on_change=visit.step(change)).props("outlined dense")


def _draw_whole(report: Report) -> None:
    whole = report.whole
    if not whole.total.returned:
        empty("这段时间没有退单")
        return
    facts(
        [
            ("退回", f"{whole.total.returned} 件，派出 {whole.total.dispatched} 件{_of(whole)}"),
            ("近四周", _compared(whole.trend)),
            ("裁定用时", duration(whole.median_hours * 3600) + "（中位数）" if whole.median_hours is not None else ""),
            ("等待裁定", f"{whole.waiting} 件" if whole.waiting else ""),
        ]
    )
    _chart(whole)


def _of(unit: UnitReport) -> str:
    return f"，退单率 {unit.total.rate:.1%}" if unit.total.rate is not None else ""


def _compared(trend: Trend) -> str:
    """The four weeks beside the four before, and whether chance alone would do that."""
    counts = (
        f"{trend.after.returned} / {trend.after.dispatched} 件，之前四周 "
        f"{trend.before.returned} / {trend.before.dispatched} 件"
    )
    chance = f"，偶然的可能 {trend.p:.1%}" if trend.p is not None else ""
    return f"{trend.words}（{counts}{chance}）"


def _chart(unit: UnitReport) -> None:
    """Returns per week as bars; each bar says its figures to a screen reader, too."""
    most = max((week.share.returned for week in unit.weeks), default=0) or 1
    with box("weeks", "ul").props('aria-label="每周退单"'):
        for week in unit.weeks:
            words = f"{week.monday:%m-%d} 起一周：派出 {week.share.dispatched} 件，退回 {week.share.returned} 件"
            with box("week", "li").props(f'title="{words}"'):
                Text("span", str(week.share.returned), "week-count")
                box("week-bar").style(f"height: {round(96 * week.share.returned / most)}px")
                Text("span", f"{week.monday:%m-%d}", "week-name")


def _draw_units(report: Report) -> None:
    if not report.units:
        empty("没有单位退过单")
        return
    with box("list", "table"):
        _head("单位", "派出", "退回", "退单率", "近四周")
        with box(tag="tbody"):
            for unit in report.units:
                with box(tag="tr"):
                    with box("lead", "td"):
                        Text("span", unit.unit)
                        Text("p", "，".join(f"{reason} {n}" for reason, n in unit.reasons.items()), "muted")
                    with cell("派出"):
                        Text("span", str(unit.total.dispatched), "mono")
                    with cell("退回"):
                        Text("span", str(unit.total.returned), "mono")
                    with cell("退单率"):
                        Text("span", f"{unit.total.rate:.1%}" if unit.total.rate is not None else "—", "mono")
                    with cell("近四周"):
                        tag(unit.trend.words, _TRENDS[unit.trend.words], hint=_compared(unit.trend))


def _head(*names: str) -> None:
    with box(tag="thead"), box(tag="tr"):
        for name in names:
            Text("th", name).props('scope="col"')


class CaseList:
    """Single returns with their rulings; of one that was ruled on, the matrix can be made to learn."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._number = ""

    def draw(self, cases: Sequence[ReturnCase]) -> None:
        self._open_dialog()
        if not cases:
            empty("没有退单")
            return
        with box("list", "table"):
            _head("工单", "退单", "裁定", "")
            with box(tag="tbody"):
                for case in cases:
                    self._row(case)

    def _row(self, case: ReturnCase) -> None:
        async def ask() -> None:
            await self.ask(case.number)

        with box(tag="tr"):
            with box("lead", "td"):
                link(case.number, staff_href(f"tickets/{case.number}"), "mono")
                Text("p", case.ticket.title, "clamp")
            with cell("退单"):
                Text("p", case.unit)
                Text("p", f"{case.reason_code} · {local_time(case.at)}", "muted")
            with cell("裁定"):
                if case.ruling is not None:
                    Text("p", case.ruled_unit or "")
                    Text("p", f"{case.ruling.note or ''} · {case.ruling.actor}", "muted")
                else:
                    tag("等待裁定" if case.waiting else "没有裁定", "warn" if case.waiting else "neutral")
            with cell(""):
                if case.ruling is not None and case.ruled_unit != case.unit:
                    button("学这一件", self.visit.step(ask))

    def _open_dialog(self) -> None:
        with ui.dialog() as self._dialog, box("dialog"):
            Text("h2", "学这一件")
            Text("p", "这件事属于哪个事项？找出的词可以再改，试算、启用之前什么都不变。", "muted")
            self._matter = ui.select([], label="事项").props("outlined")
            with box("form-actions"):
                button("找建议", self.visit.step(self.learn), "primary")

    async def ask(self, number: str) -> None:
        matters = await self.visit.services.learning.matters_for(number)
        if not matters:
            await self.visit.services.learning.propose_one(number)  # says why there is nothing
        self._number = number
        self._matter.set_options(matters, value=matters[0])
        self._dialog.open()

    async def learn(self) -> None:
        made = await self.visit.services.learning.propose_one(self._number, self._matter.value)
        await self.visit.audit("routing.propose", self._number)
        ui.navigate.to(f"/returns/{made[0].id}")


class ProposalList:
    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def draw(self, proposals: Sequence[ProposalView]) -> None:
        Text("p", "裁定和职责矩阵不一致、两件以上说的是一回事，就能提出一条建议。先试算，再由人决定。", "muted")
        with box("form-actions"):
            button("找新的建议", self.visit.step(self.look), "primary")
        for view in proposals:
            with box("passage"):
                with box("line"):
                    link(KINDS[view.change.kind], staff_href(f"returns/{view.id}"))
                    tag(view.state, _TONES[view.state])
                Text("p", view.change.in_words)
                Text("p", f"{len(view.numbers)} 件退单 · {local_time(view.created_at)}", "muted")

    async def look(self) -> None:
        made = await self.visit.services.learning.propose()
        if made:
            ui.navigate.to("/returns")
        else:
            ui.notify("没有新的建议：裁定还没有两件说到一处。", position="top")


async def proposal_page(request: Request, proposal_id: str) -> None:
    visit = Visit.of(request, "dispatcher")
    with frame(visit, "returns", "矩阵的修改建议"):
        try:
            view = await visit.services.learning.get(int(proposal_id))
        except (NotFound, ValueError):
            empty("没有这一条", "请回到退单页。")
            return
        with box("page-head"), box("crumbs"):
            link("退单", staff_href("returns"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", KINDS[view.change.kind])
        with box("columns"):
            report = box("card grow", "section")
            about = box("card side side-wide", "section")
        await ProposalPage(visit, report, about).draw(view)


class ProposalPage:
    """One proposal: what it changes, how the trial went, and the buttons its state allows."""

    def __init__(self, visit: Visit, report: ui.element, about: ui.element) -> None:
        self.visit, self._report, self._about = visit, report, about
        self._id = 0

    async def draw(self, view: ProposalView) -> None:
        self._id = view.id
        is_open = view.change.kind != "example" and view.state in UNDECIDED
        matters = await self.visit.services.learning.matters_of(view) if is_open else []
        self._report.clear()
        with self._report:
            if view.change.kind == "example":
                _draw_examples(view)
            else:
                Text("h2", "试算")
                _draw_report(view.report)
        self._about.clear()
        with self._about:
            self._draw_about(view, matters)

    def _draw_about(self, view: ProposalView, matters: list[str]) -> None:
        change = view.change
        with box("line"):
            Text("h2", change.in_words)
            tag(view.state, _TONES[view.state])
        decided = f"{local_time(view.decided_at)}，{view.decided_by}" if view.decided_by else ""
        facts([("原来的事项", change.before), ("应属事项", change.matter), ("决定", decided)])
        if matters:
            with box("stack hit-actions"):
                self._matter = ui.select(matters, value=change.matter, label="应属事项").props("outlined")
                self._words = ui.input("用词，用顿号隔开", value="、".join(change.words)).props("outlined stack-label")
            with box("form-actions"):
                button("改成这样", self.visit.step(self.revise))
        with box("form-actions"):
            self._buttons(view)
        Text("h3", f"来自退单（{len(view.numbers)}）").classes("teach-heading")
        with box("teach-sentences", "ul"):
            for number in view.numbers:
                with box(tag="li"):
                    link(number, staff_href(f"tickets/{number}"), "mono")

    def _buttons(self, view: ProposalView) -> None:
        if view.state == LIVE:
            button("停用", self.visit.step(self.disable), "danger")
            return
        is_example = view.change.kind == "example"
        if not is_example:
            button("试算" if view.report is None else "重新试算", self.visit.step(self.try_out), "plain")
        if is_example:
            button("采纳", self.visit.step(self.enable), "primary")
        elif view.report is not None:
            button("启用", self.visit.step(self.enable), "primary")
        if view.state != REJECTED:
            button("驳回", self.visit.step(self.reject), "danger")

    async def revise(self) -> None:
        words = (self._words.value or "").replace("，", "、").replace(" ", "、").split("、")
        view = await self.visit.services.learning.revise(self._id, words, self._matter.value)
        await self.visit.audit("routing.revise", str(self._id))
        await self.draw(view)

    async def try_out(self) -> None:
        view = await self.visit.services.learning.try_out(self._id)
        await self.visit.audit("routing.try", str(self._id))
        await self.draw(view)

    async def enable(self) -> None:
        view = await self.visit.services.learning.enable(self._id, self.visit.user.name)
        await self.visit.audit("routing.enable", str(self._id))
        await self.draw(view)
        words = "已采纳，下次训练时导出。" if view.change.kind == "example" else "已启用，下一张工单就按它派。"
        ui.notify(words, type="positive", position="top")

    async def reject(self) -> None:
        view = await self.visit.services.learning.reject(self._id, self.visit.user.name)
        await self.visit.audit("routing.reject", str(self._id))
        await self.draw(view)
        ui.notify("已驳回，不再从这些退单里提这条建议。", position="top")

    async def disable(self) -> None:
        view = await self.visit.services.learning.disable(self._id, self.visit.user.name)
        await self.visit.audit("routing.disable", str(self._id))
        await self.draw(view)
        ui.notify("已停用，派单照原来的矩阵。", type="positive", position="top")


def _draw_report(report: Mapping[str, Any] | None) -> None:
    if report is None:
        empty("还没有试算", "试算把冻结的测试集和这些退单用改前、改后的矩阵各派一遍。")
        return
    before, after = report["before"], report["after"]
    if report["is_worse"]:
        with box("answer answer-bad").props('role="alert"'):
            Text("p", f"测试集变差了：{len(report['worse'])} 条不如从前，{len(report['better'])} 条变好。")
    elif before["cases"]:
        with box("answer"):
            Text("p", f"测试集没有变差：{len(report['better'])} 条变好，{len(report['worse'])} 条不如从前。")
    else:
        with box("answer answer-none"):
            Text("p", "城市目录里没有冻结的测试集，只看得出这些退单会派到哪里。")
    if before["cases"]:
        with box("list", "table"):
            _head(f"测试集（{before['cases']} 条）", "之前", "之后")
            with box(tag="tbody"):
                for name, words, of in _FIGURES:
                    _figure_row(words, (before[name], before[of]), (after[name], after[of]))
    _draw_ids("不如从前的", report["worse"], "bad")
    _draw_ids("变好的", report["better"], "good")
    Text("h3", "这些退单会派到哪里").classes("teach-heading")
    with box("list", "table"):
        _head("工单", "之前", "之后")
        with box(tag="tbody"):
            for row in report["returned"]:
                with box(tag="tr"):
                    with box("lead", "td"):
                        link(row["number"], staff_href(f"tickets/{row['number']}"), "mono")
                        Text("p", f"裁定：{row['ruled']}", "muted")
                    with cell("之前"):
                        Text("span", row["before"])
                    with cell("之后"):
                        tag(row["after"], "good" if row["after"] == row["ruled"] else "warn")


def _figure_row(words: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    """`before`, `after`: a count and what it is a share of."""
    was, now = (count / total if total else 0.0 for count, total in (before, after))
    with box(tag="tr"):
        with box("lead", "td"):
            Text("span", words)
        with cell("之前"):
            Text("span", f"{before[0]} / {before[1]}（{was:.1%}）", "mono")
        with cell("之后"):
            tag(f"{after[0]} / {after[1]}（{now:.1%}）", "bad" if now < was else "good" if now > was else "neutral")


def _draw_ids(title: str, ids: Sequence[str], tone: str) -> None:
    if not ids:
        return
    Text("h3", f"{title}（{len(ids)}）").classes("teach-heading")
    with box("line"):
        for identifier in ids:
            tag(identifier, tone)


def _draw_examples(view: ProposalView) -> None:
    Text("h2", "例句")
    Text("p", "采纳后用 minsheng tickets examples 导出，放进训练数据，下次训练时学。号码已隐去。", "muted")
    with box("teach-sentences", "ul"):
        for example in view.change.examples:
            Text("li", example.text)
