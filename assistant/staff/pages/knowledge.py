"""知识库: all documents with status and validity, and a box that shows what the chat would answer."""

from collections.abc import Iterable, Sequence
from datetime import date
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.labels import DOCUMENT_STATUS, document_status, local_time, percent, validity
from assistant.staff.pages.cases import SaveCase
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, frame, link, tag
from assistant.staff.pages.phrasings import draw_save
from assistant.staff.pages.visit import Visit, staff_href
from kb.answer import Answer
from kb.documents import Document
from kb.search import NO_FILTERS, Filters

REFRESH_S = 5.0
SHOWN = 100
_HITS = 5
_OUTCOMES = {"answered": ("会这样回答", "good"), "ask": ("会反问", "warn"), "not_found": ("没有找到", "warn")}
_STEPS = {
    "prepare": "读懂问题",
    "place": "看问的是哪里",
    "search": "两种检索并排序",
    "decide": "判断答不答",
    "extract": "摘取句子",
    "compose": "写成答复",
    "suggest": "想好下一问",
    "rephrase": "换成好懂的说法",
}
_ENDS = {
    "ok": "完成",
    "nothing_asked": "没有可查的词",
    "another_place": "问的是别处的规定",
    "nothing_in_force": "没有有效的文件",
    "answer": "作答",
    "ask": "有两种理解，反问",
    "below_threshold": "把握不够",
    "quoted": "找到句子",
    "not_said": "文件里没有写",
    "off": "没有启用，用原文",
    "used": "采用",
    "partly": "去掉原文没有说的句子，其余采用",
    "dropped": "与原文不符或有遗漏，用原文",
    "failed": "语言模型没有答上来，用原文",
}


def register() -> None:
    ui.page("/knowledge", response_timeout=15)(knowledge_page)


async def knowledge_page(request: Request) -> None:
    visit = Visit.of(request, "editor")
    with frame(visit, "knowledge", "知识库"):
        with box("page-head"):
            Text("h1", "知识库")
            with box("page-actions"):
                link("体检", staff_href("health"), "btn btn-plain")
                link("回归用例", staff_href("cases"), "btn btn-plain")
                link("上传文件", staff_href("upload"), "btn btn-primary")
        with box("columns"):
            with card(classes="grow"):
                listing = DocumentList(visit)
                listing.open()
            with card("试一试", classes="side side-wide"):
                HitTest(visit).open(await visit.services.kb.list_documents())
        await listing.refresh()
        ui.timer(REFRESH_S, visit.step(listing.refresh), immediate=False)


class DocumentList:
    """The list with its filters; read anew only where the base, the day or a filter is another."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._seen: object = None
        self._shown: object = None

    def open(self) -> None:
        async def changed() -> None:
            await self.refresh()

        with box("filters"):
            statuses = {"": "全部状态", **{key: name for key, (name, _) in DOCUMENT_STATUS.items()}}
            self._status = ui.select(statuses, value="", label="状态", on_change=self.visit.step(changed))
            self._status.props("outlined dense")
            self._words = ui.input("标题、文号或发文单位", on_change=self.visit.step(changed))
            self._words.props("outlined dense clearable debounce=250").classes("grow-field")
        self._table = box()

    async def refresh(self) -> None:
        kb = self.visit.services.kb
        words = (self._words.value or "").strip().lower()
        # Before the documents: what changes in between is seen the next time. Validity depends on the day.
        seen = (await kb.revision(), kb.today(), self._status.value, words)
        if seen == self._seen:
            return
        found = [
            document
            for document in await kb.list_documents()
            if (not self._status.value or document.status == self._status.value)
            and words in f"{document.title} {document.document_number or ''} {document.issuer or ''}".lower()
        ]
        # What an editor is working on comes first.
        found.sort(key=lambda d: (d.status != "draft", d.title))
        rows = found[:SHOWN]
        self._seen = seen
        shown = (rows, len(found), kb.today())
        if shown == self._shown:
            return
        self._shown = shown
        self._table.clear()
        with self._table:
            _table(rows, len(found), kb.today())


def _table(documents: list[Document], total: int, today: date) -> None:
    if not documents:
        empty("没有符合条件的文件", "可以点“上传文件”新增。")
        return
    with box("list", "table"):
        with box(tag="thead"), box(tag="tr"):
            for name in ("文件", "状态", "有效期", "更新"):
                Text("th", name).props('scope="col"')
        with box(tag="tbody"):
            for document in documents:
                name, tone = document_status(
                    document.status,
                    document.valid_from,
                    document.valid_to,
                    today,
                    superseded_by=document.superseded_by,
                )
                about = [document.issuer, document.document_number, document.category]
                with box(tag="tr"):
                    with box("lead", "td"):
                        link(document.title, staff_href(f"knowledge/{quote(document.id)}"))
                        Text("p", " · ".join(x for x in about if x), "muted")
                    with cell("状态"):
                        tag(name, tone)
                    with cell("有效期"):
                        Text("span", validity(document.valid_from, document.valid_to))
                    with cell("更新"):
                        Text("span", local_time(document.updated_at), "mono muted")
    note = f"共 {total} 份" if total <= SHOWN else f"共 {total} 份，显示前 {SHOWN} 份，请用筛选缩小范围。"
    Text("p", note, "muted table-foot")


class HitTest:
    """A question as a resident would ask it, and what the chat would answer right now."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def open(self, documents: Sequence[Document]) -> None:
        """`documents`: what the filters offer is what these say of themselves."""
        Text("p", "像居民那样提问，看看助手现在会怎么答。", "muted")
        self._question = ui.input("问题").props("outlined maxlength=500").classes("hit-question")
        self._question.on("keydown.enter", self.visit.step(self.ask))
        with box("filters"):
            self._as_of = ui.input("按哪一天（留空为今天）").props("outlined dense type=date stack-label")
            self._region = _choice("地区", (document.region for document in documents))
            self._audience = _choice("对象", (document.audience for document in documents))
            self._category = _choice("类别", (document.category for document in documents))
        with box("form-actions hit-actions"):
            button("提问", self.visit.step(self.ask), "primary")
        self._result = box("stack").props('aria-live="polite"')

    async def ask(self) -> None:
        question = (self._question.value or "").strip()
        if not question:
            ui.notify("请先写一个问题。", type="warning", position="top")
            return
        as_of = self._day(self._as_of.value)
        filters = Filters(self._region.value or None, self._audience.value or None, self._category.value or None)
        answer = await self.visit.services.kb.answer(question, as_of=as_of, filters=filters)
        self._result.clear()
        with self._result:
            if as_of:
                Text("p", f"按 {as_of} 这一天有效的规定：", "muted")
            _outcome(answer)
            if as_of is None and filters == NO_FILTERS:
                SaveCase(self.visit, question, answer).open()
            _steps(answer)
            _found(self.visit, question, answer)

    def _day(self, written: str | None) -> date | None:
        try:
            return date.fromisoformat(written) if written else None
        except ValueError:
            raise BadInput("日期应写成 2026-01-31 这样。") from None


def _choice(name: str, values: Iterable[str | None]) -> ui.select:
    options = {"": "不限", **{value: value for value in sorted({value for value in values if value})}}
    return ui.select(options, value="", label=name).props("outlined dense options-dense")


def _outcome(answer: Answer) -> None:
    name, tone = _OUTCOMES[answer.outcome]
    with box("answer" if answer.outcome == "answered" else "answer answer-none"):
        with box("line"):
            tag(name, tone)
            Text("span", f"把握 {percent(answer.confidence)}，{percent(answer.threshold)} 起作答", "muted")
        Text("p", answer.text, "pre")
        if answer.choices:
            Text("p", "选了之后会问：" + "；".join(choice.question for choice in answer.choices), "muted")
        if answer.next_questions:
            Text("p", "还会建议问：" + "；".join(answer.next_questions), "muted")


def _steps(answer: Answer) -> None:
    Text("h3", "经过的步骤")
    with box("list", "table"):
        with box(tag="thead"), box(tag="tr"):
            for name in ("步骤", "结果", "毫秒"):
                Text("th", name).props('scope="col"')
        with box(tag="tbody"):
            for step in answer.steps:
                with box(tag="tr"):
                    with cell("步骤"):
                        Text("span", _STEPS.get(step.name, step.name))
                    with cell("结果"):
                        Text("span", _ENDS.get(step.outcome, step.outcome))
                    with cell("毫秒"):
                        Text("span", f"{step.ms:.1f}", "mono muted")


def _found(visit: Visit, question: str, answer: Answer) -> None:
    if not answer.hits:
        return
    Text("h3", "最接近的段落")
    for place, hit in enumerate(answer.hits[:_HITS], start=1):
        with box("passage"):
            link(f"{place}. {hit.document.title}", staff_href(f"knowledge/{quote(hit.document.id)}"))
            Text("p", f"{hit.article or '正文'} · {validity(hit.document.valid_from, hit.document.valid_to)}", "muted")
            scores = (
                f"向量 {hit.dense:.3f}（第 {hit.dense_rank}）· 词 {hit.sparse:.1f}（第 {hit.sparse_rank}）"
                f"· 合并 {hit.score:.2f}（第 {hit.fused_rank}）"
            )
            Text("p", scores + (f"· 问法 {hit.phrased:.3f}" if hit.phrased else ""), "mono muted")
            Text("p", hit.passage.text, "clamp")
            draw_save(visit, question, hit)
