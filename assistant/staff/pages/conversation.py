"""会话: the transcript as it grows, what the assistant understood, tickets, suggested replies, the editor."""

from typing import Any

from fastapi import Request
from nicegui import ui

from assistant.conversations.transcript import question_of
from assistant.db.models import Conversation, Message
from assistant.errors import NotFound
from assistant.staff.labels import CHANNELS, ENTITIES, INTENTS, JUDGED, SENDERS, local_time, percent, resident_name
from assistant.staff.pages.feedback import Verdicts
from assistant.staff.pages.new_ticket import TicketForm
from assistant.staff.pages.parts import Text, box, button, card, empty, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from assistant.staff.suggest import Suggestion

REFRESH_S = 1.5
_KIND_TONES = {"kb": "good", "past": "info", "city": "neutral"}
_KIND_NAMES = {"kb": "知识库", "past": "历史答复", "city": "常用语"}
_LOW_CONFIDENCE = 0.6


def register() -> None:
    ui.page("/conversations/{conversation_id}", response_timeout=15)(conversation_page)


# Category and urgency of a greeting mean nothing.
_JUDGED_INTENTS = ("file_request", "report_danger", "ask_policy", "nlu_fallback")


async def conversation_page(request: Request, conversation_id: str) -> None:
    visit = Visit.of(request, "agent")
    title = resident_name(conversation_id)
    with frame(visit, "queue", title, wide=True):
        view = ConversationView(visit, conversation_id)
        try:
            await view.open()
        except NotFound:
            empty("没有这个会话", "它可能已被删除，请回到待接列表。")
            return
        await visit.audit("conversation.open", conversation_id)
        ui.timer(REFRESH_S, visit.step(view.refresh), immediate=False)


class ConversationView:
    """The page of one conversation; draws only what is new, so that reading and typing are not disturbed."""

    def __init__(self, visit: Visit, conversation_id: str) -> None:
        self.visit = visit
        self.id = conversation_id
        self._last_message_id = 0
        self._question: str | None = None
        self._standing: object = None
        self._unread: list[Verdicts] = []
        self._ticket_rows: list[tuple[Any, ...]] | None = None

    async def open(self) -> None:
        conversation = await self._conversation()
        with box("page-head"):
            with box("crumbs"):
                link("待接", staff_href("queue"))
                Text("span", "/").props("aria-hidden=true")
                Text("h1", resident_name(self.id))
            tag(CHANNELS.get(conversation.channel, conversation.channel))
            self._head = box("page-actions")
        with box("talk"):
            with box("card talk-main", "section"):
                self._stream = box("stream").props('role="log" aria-live="polite" aria-label="对话记录" tabindex="0"')
                self._editor_box = box("editor")
            with box("talk-side"):
                with card("建议回复"):
                    self._suggestions = box("stack")
                with card("本会话的工单"):
                    self._tickets = box("stack")
        with self._editor_box:
            self._editor = ui.textarea(label="回复内容").props(
                'outlined stack-label autogrow maxlength=2000 input-class="reply"'
            )
            self._editor.classes("reply-box")
            with box("editor-actions"):
                Text("p", "发送前请核对。电话、身份证号发出时会自动遮盖。", "muted")
                button("发送", self.visit.step(self.send), "primary")
            self._editor.on("keydown.ctrl.enter", self.visit.step(self.send))
        with self._suggestions:
            Text("p", "正在查找……", "muted")
        self._ticket_form = TicketForm(self.visit, self.id, conversation.channel, self.refresh)
        await self._draw()

    async def refresh(self) -> None:
        transcript = await self._draw()
        question = question_of(transcript)
        if question != self._question:
            self._question = question
            await self._draw_suggestions(question)

    async def _draw(self) -> list[Message]:
        conversation = await self._conversation()
        transcript = await self.visit.services.handover.transcript(self.id)
        self._draw_standing(conversation)
        self._draw_new(transcript)
        while self._unread:
            await self._unread.pop().load()
        await self._draw_tickets()
        return transcript

    async def send(self) -> None:
        text = (self._editor.value or "").strip()
        if not text:
            ui.notify("请先写回复内容。", type="warning", position="top")
            return
        user = self.visit.user
        await self.visit.services.handover.reply(self.id, user.id, text, user.display_name)
        self._editor.value = ""
        await self.visit.audit("conversation.reply", self.id)
        await self.refresh()

    async def take(self) -> None:
        user = self.visit.user
        await self.visit.services.handover.take(self.id, user.id, user.display_name)
        await self.visit.audit("conversation.take", self.id)
        await self.refresh()

    async def release(self) -> None:
        await self.visit.services.handover.release(self.id, self.visit.user.id)
        await self.visit.audit("conversation.release", self.id)
        ui.navigate.to("/queue")

    async def _conversation(self) -> Conversation:
        async with self.visit.services.db.read() as session:
            conversation = await session.get(Conversation, self.id)
        if conversation is None:
            raise NotFound("没有找到这个会话。")
        return conversation

    def _draw_standing(self, conversation: Conversation) -> None:
        mine = conversation.state == "agent" and conversation.agent_id == self.visit.user.id
        standing = (conversation.state, mine)
        if standing == self._standing:
            return
        self._standing = standing
        self._editor_box.set_visibility(mine)
        self._head.clear()
        with self._head:
            if mine:
                tag("我在接待", "good")
                button("登记工单", self.visit.step(self._ticket_form.open), "primary")
                button("结束，交还助手", self.visit.step(self.release))
            elif conversation.state == "agent":
                tag("其他座席在接待", "warn")
            else:
                tag("正在等候" if conversation.state == "waiting" else "助手在接待", "info")
                button("接待", self.visit.step(self.take), "primary")

    def _draw_new(self, transcript: list[Message]) -> None:
        new = [message for message in transcript if message.id > self._last_message_id]
        if not new:
            return
        self._last_message_id = new[-1].id
        with self._stream:
            for message in new:
                self._draw_message(message)
        ui.run_javascript(f"const s=getHtmlElement({self._stream.id}); if(s) s.scrollTop=s.scrollHeight;")

    def _draw_message(self, message: Message) -> None:
        side = {"resident": "left", "agent": "right", "assistant": "right"}.get(message.sender, "middle")
        with box(f"message message-{side} from-{message.sender}"):
            if side == "middle":
                Text("p", message.text)
                return
            who = message.author if message.sender == "agent" and message.author else SENDERS[message.sender]
            Text("p", f"{who} · {local_time(message.created_at)}", "message-head")
            Text("p", message.text, "bubble")
            verdicts = Verdicts(self.visit, message.id, message.citations or [])
            for number, citation in enumerate(message.citations or []):
                place = f" {citation['article']}" if citation.get("article") else ""
                Text("p", f"依据：《{citation.get('title', '')}》{place}", "muted")
                verdicts.open(number)
            if message.citations:
                self._unread.append(verdicts)
            if message.ticket:
                Text("p", f"工单 {message.ticket.get('number', '')} · {message.ticket.get('state', '')}", "muted")
            if message.sender == "resident" and message.understanding:
                _draw_understanding(message.understanding)
                if message.understanding.get("intent") in _JUDGED_INTENTS:
                    self._offer_reasons(message.text, message.understanding)

    def _offer_reasons(self, text: str, understanding: dict[str, Any]) -> None:
        """The words that decided, found when somebody asks for them."""

        async def show() -> None:
            words = await self.visit.services.explain(text, understanding)
            place.clear()
            with place:
                for what, found in words.items():
                    Text("p", f"{JUDGED[what]}：{''.join(f'“{word}”' for word in found) or '没有哪句话特别起作用'}")

        place = box("reasons").props('aria-live="polite"')
        with place:
            offer = Text("button", "依据", "link-button").props('type="button"')
            offer.props["title"] = "助手凭哪些字句判断分类和紧急程度"
        offer.on("click", self.visit.step(show))

    async def _draw_tickets(self) -> None:
        found = await self.visit.services.tickets.find(conversation_id=self.id, limit=20)
        rows = [(t.number, t.title, t.state, t.lead_unit or "待定", t.due_at) for t in found]
        if rows == self._ticket_rows:
            return
        self._ticket_rows = rows
        self._tickets.clear()
        may_open = self.visit.user.has_role("dispatcher")
        with self._tickets:
            if not rows:
                Text("p", "还没有工单。", "muted")
            for number, title, state, unit, due_at in rows:
                with box("mini-ticket"):
                    with box("line"):
                        if may_open:
                            link(number, staff_href(f"tickets/{number}"), "mono")
                        else:
                            Text("span", number, "mono")
                        tag(state, "info")
                    Text("p", title, "clamp")
                    Text("p", f"{unit} · 截止 {local_time(due_at)}", "muted")

    async def _draw_suggestions(self, question: str) -> None:
        suggestions = await self.visit.bench.suggester.suggest(question)
        self._suggestions.clear()
        with self._suggestions:
            if not suggestions:
                Text("p", "暂时没有合适的建议。", "muted")
            for suggestion in suggestions:
                self._draw_suggestion(suggestion)

    def _draw_suggestion(self, suggestion: Suggestion) -> None:
        async def use() -> None:
            self._editor.value = suggestion.text
            self._editor.run_method("focus")

        item = box("suggestion", "button").props('type="button"')
        with item:
            with box("line"):
                tag(_KIND_NAMES[suggestion.kind], _KIND_TONES[suggestion.kind])
                Text("span", "点击填入", "suggestion-use")
            Text("span", suggestion.text, "suggestion-text")
            Text("span", f"来源：{suggestion.source}", "muted")
        item.on("click", self.visit.step(use))


def _draw_understanding(understanding: dict[str, Any]) -> None:
    """Labels with confidence; what the model is unsure of stands out, because a person decides there."""
    sure = understanding.get("confidence", {})
    category = understanding.get("category", {})
    read = [
        ("意图", INTENTS.get(understanding.get("intent", ""), understanding.get("intent") or "—"), sure.get("intent")),
        ("类型", understanding.get("request_type"), sure.get("request_type")),
        ("分类", category.get("level1"), sure.get("category1")),
        ("细类", category.get("level2"), sure.get("category2")),
        ("紧急程度", understanding.get("urgency"), sure.get("urgency")),
    ]
    if understanding.get("intent") not in _JUDGED_INTENTS:
        read = read[:1]
    with box("understood").props('aria-label="助手的理解"'):
        for name, value, confidence in read:
            if not value:
                continue
            score = f" {percent(confidence)}" if confidence is not None else ""
            unsure = confidence is not None and confidence < _LOW_CONFIDENCE
            urgent = name == "紧急程度" and value == "特急"
            hint = f"{name}" + ("，把握不大，请自行判断" if unsure else "")
            tag(f"{value}{score}", "bad" if urgent else "warn" if unsure else "neutral", hint=hint)
        for other in understanding.get("requests", [])[1:]:
            tag(f"另涉及：{other.get('level1', '')}", "info", hint=other.get("text", ""))
        for entity in understanding.get("entities", [])[:6]:
            name = ENTITIES.get(entity.get("type", ""), "")
            if name:
                tag(f"{name}：{entity.get('text', '')}", "info")
