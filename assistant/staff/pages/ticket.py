"""One ticket: what was asked, who acts until when and why, its history, and the operations of the built-in desk."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from nicegui import ui
from sqlalchemy import select

from assistant.db.models import DeskRequest, OutboxRow
from assistant.dispatch.desk import OPEN_STATES, REASON_CODES, STATE_NAMES
from assistant.errors import BadInput, NotAllowed, NotFound
from assistant.staff.deadlines import DeadlineLook, deadline_look
from assistant.staff.labels import CHANNELS, local_time, percent, resident_name
from assistant.staff.pages.operations import Operations
from assistant.staff.pages.parts import Text, box, button, card, empty, facts, frame, link, tag
from assistant.staff.pages.same_event import SameEventCard
from assistant.staff.pages.tickets import STATE_TONES, URGENCY_TONES
from assistant.staff.pages.visit import Visit, staff_href
from assistant.tickets.errors import TicketChanged
from assistant.tickets.model import HistoryEntry, TicketView
from assistant.tickets.outgoing import also_concerns
from assistant.tickets.replay import asked_until
from assistant.tickets.states import TRANSITIONS

REFRESH_S = 2.0
_SOLVED: dict[bool | None, str] = {True: "已解决", False: "没有解决"}
_SATISFIED: dict[bool | None, str] = {True: "满意", False: "不满意"}
SHOW_REQUESTER_S = 60
_SENT = {"create": "派单", "supplement": "补充", "urge": "催办", "withdraw": "撤单"}
_OUTBOX = {
    "pending": ("等待发送", "warn"),
    "sending": ("正在发送", "info"),
    "sent": ("已送达", "good"),
    "dead": ("发送失败", "bad"),
}


def register() -> None:
    ui.page("/tickets/{number}", response_timeout=15)(ticket_page)


async def ticket_page(request: Request, number: str) -> None:
    visit = Visit.of(request, "dispatcher")
    with frame(visit, "tickets", f"工单 {number}"):
        if await visit.services.tickets.get(number) is None:
            empty("没有这张工单", "请检查编号，或回到工单列表。")
            return
        view = TicketPage(visit, number)
        view.open()
        await view.refresh()
        ui.timer(REFRESH_S, visit.step(view.refresh), immediate=False)


class TicketPage:
    """Draws a ticket anew only when something about it changed."""

    def __init__(self, visit: Visit, number: str) -> None:
        self.visit = visit
        self.number = number
        self._drawn: dict[str, object] = {}
        self._request_id: str | None = None
        self._version = self._seen = 0

    def open(self) -> None:
        with box("page-head"), box("crumbs"):
            link("工单", staff_href("tickets"))
            Text("span", "/").props("aria-hidden=true")
            Text("h1", self.number, "mono")
        with box("columns"):
            with box("grow"):
                self._request = card_box()
                self._judgement = card_box()
                self._history = card_box()
            with box("side"):
                self._handling = card_box()
                self._desk = card_box()
                self._same_event = SameEventCard(self.visit, self.number)
                with card("诉求人"):
                    self._requester = box("stack")
                    with self._requester:
                        self._offer_reveal()
        self._operations = Operations(self.visit, self.number, self.refresh)
        with ui.dialog() as self._resolve_dialog, box("dialog"):
            Text("h2", "办结并答复居民")
            self._reply = ui.textarea("公开答复（居民会看到）").props("outlined stack-label autogrow maxlength=4000")
            with box("form-actions"):
                button("确认办结", self.visit.step(self.resolve), "primary")
                ui.button("取消", on_click=self._resolve_dialog.close, color=None).props("flat no-caps").classes("btn")
        with ui.dialog() as self._return_dialog, box("dialog"):
            Text("h2", "退单")
            self._reason = ui.select(list(REASON_CODES), label="退单原因").props("outlined")
            self._note = ui.textarea("说明（内部）").props("outlined stack-label autogrow maxlength=1000")
            with box("form-actions"):
                button("确认退单", self.visit.step(self.give_back), "danger")
                ui.button("取消", on_click=self._return_dialog.close, color=None).props("flat no-caps").classes("btn")

    async def refresh(self) -> None:
        ticket = await self.visit.services.tickets.get(self.number)
        if ticket is None:
            raise NotFound("没有找到这张工单。")
        await self._same_event.refresh(ticket)
        outbox, desk = await self._dispatched()
        look = deadline_look(self.visit.services.city, ticket, datetime.now(UTC))
        at_desk = desk is not None and desk.desk_state in OPEN_STATES
        self._version = ticket.version
        if self._changed("ticket", ticket):
            self._draw_request(ticket)
            self._draw_judgement(ticket)
            self._draw_history(ticket)
        if self._changed("handling", (ticket.version, look, at_desk)):
            self._draw_handling(ticket, look, at_desk=at_desk)
        if self._changed("desk", (outbox, desk.desk_state if desk else None)):
            self._draw_desk(outbox, desk)

    def _changed(self, card: str, shown: object) -> bool:
        """Whether a card shows something else now: a button that is drawn anew loses the click on its way."""
        if self._drawn.get(card) == shown:
            return False
        self._drawn[card] = shown
        return True

    async def _dispatched(self) -> tuple[list[tuple[str, str, int]], DeskRequest | None]:
        """What was sent of this ticket, and the desk's request where the built-in desk got it."""
        async with self.visit.services.db.read() as session:
            rows = await session.scalars(
                select(OutboxRow).where(OutboxRow.ticket_number == self.number).order_by(OutboxRow.id)
            )
            sent = list(rows)
        # A ticket that was returned or reopened has several requests at the desk: the newest counts.
        remote_id = next((row.remote_id for row in reversed(sent) if row.operation == "create" and row.remote_id), None)
        self._request_id = remote_id
        desk = await self.visit.services.desk.get(remote_id) if remote_id else None
        return [(row.operation, row.state, row.attempts) for row in sent], desk

    # --- what the desk does ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Whoever acts now has seen the ticket as it is drawn."""
        self._seen = self._version

    def _open(self, dialog: ui.dialog) -> Callable[[], None]:
        def opened() -> None:
            self._look()
            dialog.open()

        return opened

    async def accept(self) -> None:
        self._look()
        await self._operate("desk.accept", lambda i, actor: self.visit.services.desk.accept(i, actor=actor))
        ui.notify("已签收。", type="positive", position="top")

    async def resolve(self) -> None:
        reply = (self._reply.value or "").strip()
        if not reply:
            raise BadInput("请填写给居民的公开答复。")
        await self._operate(
            "desk.resolve", lambda i, actor: self.visit.services.desk.resolve(i, public_reply=reply, actor=actor)
        )
        self._resolve_dialog.close()
        ui.notify("已办结，答复会发到居民的会话里。", type="positive", position="top")

    async def give_back(self) -> None:
        reason, note = self._reason.value, (self._note.value or "").strip()
        if not reason:
            raise BadInput("请选择退单原因。")
        await self._operate(
            "desk.return",
            lambda i, actor: self.visit.services.desk.return_request(i, reason_code=reason, note=note, actor=actor),
        )
        self._return_dialog.close()
        ui.notify("已退单，等待重新派遣。", type="positive", position="top")

    async def _operate(self, event: str, work: Callable[[str, str], Awaitable[object]]) -> None:
        if self._request_id is None:
            raise BadInput("这张工单还没有送达派遣台，请稍候。")
        ticket = await self.visit.services.tickets.get(self.number)
        if ticket is not None and ticket.version != self._seen:
            await self.refresh()
            raise TicketChanged(ticket.state)
        try:
            await work(self._request_id, self.visit.user.name)
        except Exception:
            await self.visit.audit(event, self.number, success=False)
            raise
        await self.visit.audit(event, self.number)
        await self.refresh()

    # --- the requester ---------------------------------------------------------------------------------------------

    def _offer_reveal(self) -> None:
        if "dispatcher" not in self.visit.user.roles:
            Text("p", "您的角色不能查看联系方式。", "muted")
            return
        Text("p", "联系方式默认隐藏，每次查看都会留下记录。", "muted")
        button("查看联系方式", self.visit.step(self.reveal))

    async def reveal(self) -> None:
        # Administrators open this page too; the phone is for those who have to call.
        if "dispatcher" not in self.visit.user.roles:
            await self.visit.audit("ticket.reveal_requester", self.number, success=False)
            raise NotAllowed
        await self.visit.audit("ticket.reveal_requester", self.number)
        requester = await self.visit.services.tickets.reveal_requester(self.number)
        self._requester.clear()
        with self._requester:
            rows = [("姓名", requester.name or ""), ("电话", requester.phone or "")]
            if any(value for _, value in rows):
                facts(rows)
                Text("p", f"{SHOW_REQUESTER_S} 秒后自动隐藏。", "muted")
            else:
                Text("p", "居民没有留下联系方式。", "muted")
            ui.timer(SHOW_REQUESTER_S, self._hide, once=True)

    def _hide(self) -> None:
        self._requester.clear()
        with self._requester:
            self._offer_reveal()

    # --- drawing ---------------------------------------------------------------------------------------------------

    def _draw_request(self, ticket: TicketView) -> None:
        self._request.clear()
        with self._request:
            with box("line"):
                tag(ticket.request_type, "info")
                tag(ticket.category1 + (f" › {ticket.category2}" if ticket.category2 else ""))
                if ticket.urgency in URGENCY_TONES:
                    tag(ticket.urgency, URGENCY_TONES[ticket.urgency])
                if ticket.anonymous:
                    tag("匿名", "warn")
                if ticket.confidential:
                    tag("要求保密", "warn")
            Text("h2", ticket.title, "ticket-title")
            Text("p", ticket.description, "pre ticket-text")
            names = self.visit.services.city.elements.names()
            facts(
                [
                    ("地点", ticket.place or ""),
                    ("发生时间", ticket.event_time or ""),
                    *((names.get(code, code), told) for code, told in ticket.elements.items()),
                    ("另涉及", also_concerns(ticket.other_matters)),
                    ("受理", local_time(ticket.created_at)),
                ]
            )
            if ticket.conversation_id and self.visit.user.has_role("agent"):
                link(
                    f"打开会话（{resident_name(ticket.conversation_id)}）",
                    staff_href(f"conversations/{ticket.conversation_id}"),
                    "ticket-link",
                )

    def _draw_judgement(self, ticket: TicketView) -> None:
        """What the models were sure of and which words decided, for whoever has to check it."""
        sure, judgement = ticket.confidences, ticket.judgement
        by_rule = "rule" in sure
        words = judgement.words if judgement else {}
        candidates = judgement.candidates if judgement else ()
        model = sure.get("model") or (judgement.model_version if judgement else None)
        category = "按险情类型确定" if by_rule else _percent(sure, "category1")
        self._judgement.clear()
        with self._judgement:
            Text("h2", "判断依据")
            facts(
                [
                    ("分类", f"{ticket.category1} {category}".strip() + _because(words.get("category"))),
                    (
                        "细类",
                        f"{ticket.category2 or '不确定'} {'' if by_rule else _percent(sure, 'category2')}".strip(),
                    ),
                    ("备选细类", "、".join(f"{name.replace('/', ' › ')} {percent(p)}" for name, p in candidates)),
                    (
                        "紧急程度",
                        f"{ticket.urgency} {_percent(sure, 'urgency')}".strip() + _because(words.get("urgency")),
                    ),
                    ("模型版本", str(model or "")),
                ]
            )
            if judgement is None:
                Text("p", "起作用的字句还没有整理。", "muted")
            elif not any(words.values()):
                Text("p", "没有哪句话特别起作用。", "muted")

    def _draw_history(self, ticket: TicketView) -> None:
        self._history.clear()
        with self._history:
            Text("h2", "办理过程")
            with box("timeline", "ol"):
                for entry in ticket.history:
                    with box(tag="li"):
                        with box("line"):
                            Text("strong", TRANSITIONS[entry.operation].label)
                            tag(entry.to_state, STATE_TONES.get(entry.to_state, "neutral"))
                            Text("span", local_time(entry.at), "muted mono")
                        if entry.reason_code:
                            Text("p", f"原因：{entry.reason_code}")
                        if entry.note:
                            Text("p", entry.note, "muted pre")
                        if entry.public_reply:
                            Text("p", f"答复居民：{entry.public_reply}", "pre")
                        for told in _told(entry):
                            Text("p", told, "muted")
                        for name in entry.evidence:
                            _evidence(name)

    def _draw_handling(self, ticket: TicketView, look: DeadlineLook, *, at_desk: bool) -> None:
        self._handling.clear()
        with self._handling:
            Text("h2", "办理")
            with box("line"):
                tag(ticket.state, STATE_TONES.get(ticket.state, "neutral"))
                tag(look.text, look.tone)
            asked = asked_until(ticket.history)
            facts(
                [
                    ("主办", ticket.lead_unit or "待定"),
                    ("协办", "、".join(ticket.assisting_units)),
                    ("截止", local_time(ticket.due_at)),
                    ("申请延期到", local_time(asked) if asked else ""),
                    ("先行处理到", local_time(ticket.handler_until) if ticket.handler_until else ""),
                    ("派单依据", ticket.routing.reason if ticket.routing.review else ""),
                    ("把握", percent(ticket.routing.confidence) + ("，需人工核对" if ticket.routing.review else "")),
                    ("渠道", CHANNELS.get(ticket.channel, ticket.channel)),
                    ("居民回访", _callback(ticket)),
                ]
            )
            self._operations.draw(ticket, at_desk=at_desk)

    def _draw_desk(self, outbox: list[tuple[str, str, int]], desk: DeskRequest | None) -> None:
        self._desk.clear()
        with self._desk:
            Text("h2", "派遣台")
            for operation, state, attempts in outbox:
                text, tone = _OUTBOX.get(state, (state, "neutral"))
                with box("line"):
                    Text("span", _SENT.get(operation, operation))
                    tag(f"{text}({attempts} 次)" if attempts > 1 else text, tone)
            if desk is None:
                Text("p", "还没有可以操作的诉求。", "muted")
                return
            Text("p", f"单位侧状态：{STATE_NAMES[desk.desk_state]}")
            if desk.desk_state in OPEN_STATES:
                with box("form-actions"):
                    if desk.desk_state == "received":
                        button("签收", self.visit.step(self.accept), "primary")
                    ui.button("办结", on_click=self._open(self._resolve_dialog), color=None).props(
                        "unelevated"
                    ).classes("btn btn-plain")
                    ui.button("退单", on_click=self._open(self._return_dialog), color=None).props("unelevated").classes(
                        "btn btn-danger"
                    )


def _told(entry: HistoryEntry) -> list[str]:
    """What a step changed beside the state, where it is not in its text."""
    changes, told = entry.changes, []
    if entry.operation != "submit":
        if unit := changes.get("unit"):
            told.append(f"单位：{unit}")
        if until := changes.get("until"):
            told.append(f"延期到：{local_time(datetime.fromisoformat(until))}")
        if changes.get("merged_into"):
            told.append(f"并入工单：{changes['merged_into']}")
    if entry.operation in ("close", "reopen", "rate"):
        told += [
            text for text in (_SOLVED.get(changes.get("solved")), _SATISFIED.get(changes.get("satisfied"))) if text
        ]
    return told


def _callback(ticket: TicketView) -> str:
    said = (_SOLVED.get(ticket.solved), _SATISFIED.get(ticket.satisfied), ticket.callback_comment)
    return "，".join(part for part in said if part)


def _evidence(name: str) -> None:
    if name.startswith(("http://", "https://")):
        link(name, name).props('target=_blank rel="noopener noreferrer"')
    else:
        Text("p", f"佐证：{name}", "muted")


def _percent(confidences: dict[str, Any], name: str) -> str:
    value = confidences.get(name)
    return percent(value) if isinstance(value, int | float) else ""


def _because(words: Sequence[str] | None) -> str:
    return "，凭" + "".join(f"“{word}”" for word in words) if words else ""


def card_box() -> ui.element:
    return box("card", "section")
