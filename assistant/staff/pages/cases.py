"""回归用例: questions whose answer must stay right, and keeping one from the hit test."""

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from kb.answer import Answer
from kb.cases import NOT_KNOWN, Case, Cases, Result, expectations

Step = Callable[[], Awaitable[None]]


def register() -> None:
    ui.page("/cases", response_timeout=15)(cases_page)


async def cases_page(request: Request) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "回归用例"):
        view = CaseList(visit)
        with box("page-head"):
            with box("crumbs"):
                link("知识库", staff_href("knowledge"))
                Text("span", "/").props("aria-hidden=true")
                Text("h1", "回归用例")
            with box("page-actions"):
                button("全部重问一遍", visit.step(view.run), "primary")
        Text(
            "p",
            "改了知识库以后重问一遍，看原来答得对的有没有答错。在知识库页“试一试”里提问后可以存为用例。",
            "muted lead-in",
        )
        view.open()
        await view.refresh()


class CaseList:
    """The cases; after a run, what each got, failures first."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._cases = Cases(visit.services.db, partial(visit.services.kb.answer, rephrase=False))
        self._results: dict[int, Result] = {}

    def open(self) -> None:
        with card():
            self._outcome = box("stack").props('aria-live="polite"')
            self._table = box()

    async def refresh(self) -> None:
        cases = await self._cases.listed()
        cases.sort(key=lambda case: self._results[case.id].passed if case.id in self._results else True)
        self._table.clear()
        with self._table:
            if not cases:
                empty("还没有回归用例", "到知识库页“试一试”里提问，再点“存为回归用例”。")
                return
            with box("list", "table"):
                with box(tag="thead"), box(tag="tr"):
                    for name in ("问题", "应当答到", "现在答到", ""):
                        Text("th", name).props('scope="col"')
                with box(tag="tbody"):
                    for case in cases:
                        self._draw(case)

    async def run(self) -> None:
        self._say("正在重问……", "info")
        results = await self._cases.run()
        self._results = {result.case.id: result for result in results}
        wrong = sum(not result.passed for result in results)
        await self.visit.audit("kb.cases_run", f"{len(results)} {wrong}")
        words = f"{len(results)} 条，{len(results) - wrong} 条对，{wrong} 条不对。"
        self._say(words, "bad" if wrong else "good")
        await self.refresh()

    def _say(self, words: str, tone: str) -> None:
        self._outcome.clear()
        with self._outcome, box("line cases-outcome"):
            tag(words, tone)

    def _draw(self, case: Case) -> None:
        result = self._results.get(case.id)
        with box(tag="tr"):
            with box("lead", "td"):
                Text("span", case.question)
            with cell("应当答到"):
                if case.document_id:
                    link(case.expected, staff_href(f"knowledge/{quote(case.document_id)}"))
                else:
                    Text("span", NOT_KNOWN)
            with cell("现在答到"):
                if result is None:
                    Text("span", "还没有问", "muted")
                else:
                    with box("stack"):
                        tag("对" if result.passed else "不对", "good" if result.passed else "bad")
                        if not result.passed:
                            Text("span", result.got)
            with cell(""):
                button("删除", self.visit.step(self._removing(case)))

    def _removing(self, case: Case) -> Step:
        async def remove() -> None:
            await self._cases.remove(case.id)
            await self.visit.audit("kb.case_remove", str(case.id))
            await self.refresh()

        return remove


class SaveCase:
    """Below an answer of the hit test: what the question should be answered from, and a button that keeps it."""

    def __init__(self, visit: Visit, question: str, answer: Answer) -> None:
        self.visit = visit
        self._question = question
        self._choices = expectations(answer)

    def open(self) -> None:
        options = {number: words for number, (_, _, words) in enumerate(self._choices)}
        with box("save-case"):
            self._expected = ui.select(options, value=0, label="这个问题应当答到").props("outlined dense")
            button("存为回归用例", self.visit.step(self.save))

    async def save(self) -> None:
        if self._expected.value is None:
            raise BadInput("请选这个问题应当答到哪里。")
        document, article, _ = self._choices[self._expected.value]
        cases = Cases(self.visit.services.db, partial(self.visit.services.kb.answer, rephrase=False))
        case = await cases.add(self._question, document, article, by=self.visit.user.name)
        await self.visit.audit("kb.case_add", str(case.id))
        ui.notify(f"已存为回归用例：{case.expected}。", type="positive", position="top")
