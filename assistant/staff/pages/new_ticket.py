"""登记工单: the agent files a ticket out of a conversation. The form asks for what the category needs, in its order."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from assistant.city import City
from assistant.city_models import REQUEST_TYPES, URGENCIES
from assistant.db.models import Message
from assistant.elements import Element, said
from assistant.errors import BadInput
from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, button
from assistant.staff.pages.visit import Visit
from assistant.tickets.matter import Matters
from assistant.tickets.model import TicketDraft

# What a resident says that is no part of an account.
_NOT_TOLD = frozenset(
    {"greet", "goodbye", "thank", "affirm", "deny", "cancel", "repeat", "bot_identity", "bot_capability", "chitchat"}
    | {"request_human", "insult", "complain_bot", "feedback_helpful", "ticket_progress", "ticket_urge", "ask_policy"}
    | {
        "inform_contact",
        "anonymous",
        "confidential",
        "ask_service_hours",
        "ask_privacy",
        "ask_process",
        "ask_fee",
        "ask_attachment",
        "ask_accessibility",
    }
)
_TELLS = ("file_request", "report_danger")
_MASKED_PHONE = re.compile(r"(?<!\d)\d{3}\*{4}\d{4}(?!\d)")
_MAX_DESCRIPTION = 4000
_TITLE_CHARS = 40
_WAIT_S = 0.4


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transcript tells already; texts are masked. `entities` of every message that tells something."""

    description: str = ""
    request_type: str = "求助"
    category1: str | None = None
    category2: str | None = None
    urgency: str = "一般"
    place: str = ""
    time: str = ""
    name: str = ""
    phone: str = ""
    confidences: Mapping[str, Any] = field(default_factory=dict)
    entities: Sequence[Mapping[str, Any]] = ()


def heard_in(transcript: Sequence[Message]) -> Heard:
    """From the resident's messages after the last ticket: the account, and what the model read in it."""
    last_ticket = max((message.id for message in transcript if message.ticket), default=0)
    new = [message for message in transcript if message.sender == "resident" and message.id > last_ticket]
    told = [message for message in new if _intent(message) not in _NOT_TOLD and message.text.strip()]
    entities = [entity for message in told for entity in (message.understanding or {}).get("entities") or ()]
    first: dict[str, str] = {}
    for entity in entities:
        first.setdefault(str(entity.get("type")), str(entity.get("text") or ""))
    telling = next((m.understanding for m in told if _intent(m) in _TELLS and m.understanding), {})
    category = telling.get("category") or {}
    phones = [phone for message in new for phone in _MASKED_PHONE.findall(message.text)]
    return Heard(
        description="\n".join(message.text.strip() for message in told)[:_MAX_DESCRIPTION],
        request_type=telling.get("request_type") or "求助",
        category1=category.get("level1"),
        category2=category.get("level2"),
        urgency=telling.get("urgency") or "一般",
        place=first.get("place", ""),
        time=first.get("time", ""),
        name=first.get("name", ""),
        phone=phones[-1] if phones else "",
        confidences=telling.get("confidence") or {},
        entities=entities,
    )


def _intent(message: Message) -> str:
    intent = (message.understanding or {}).get("intent", "")
    return str(intent.get("name", "") if isinstance(intent, dict) else intent)


class TicketForm:
    """A dialog; `filed` is called when a ticket was made. Each opening has a key: two clicks make one ticket."""

    def __init__(self, visit: Visit, conversation_id: str, channel: str, filed: Callable[[], Awaitable[None]]) -> None:
        self.visit, self._conversation_id, self._channel, self._filed = visit, conversation_id, channel, filed
        self._city: City = visit.services.city
        self._matters = Matters(self._city)
        self._heard = Heard()
        self._key = ""
        self._shown: tuple[Element, ...] | None = None
        self._inputs: dict[str, Any] = {}
        self._dialog = ui.dialog()
        with self._dialog:
            self._box = box("dialog dialog-wide")

    async def open(self) -> None:
        transcript = await self.visit.services.handover.transcript(self._conversation_id)
        self._heard, self._key = heard_in(transcript), f"staff:{uuid.uuid4()}"
        self._shown, self._inputs = None, {}
        self._box.clear()
        with self._box:
            self._draw()
        self._draw_elements()
        self._dialog.open()

    def _draw(self) -> None:
        heard = self._heard
        Text("h2", "登记工单")
        names = [f"{level1}/{level2}" for level1, level2 in self._city.categories]
        known = f"{heard.category1}/{heard.category2 or '其他'}"
        with box("form"):
            self._category = ui.select(
                names,
                label="类别（可输入文字查找）",
                value=known if known in names else None,
                with_input=True,
                on_change=self._draw_elements,
            ).props("outlined")
            self._category.classes("full")
            self._request_type = ui.select(list(REQUEST_TYPES), label="类型", value=heard.request_type).props(
                "outlined"
            )
            self._urgency = ui.select(list(URGENCIES), label="紧急程度", value=heard.urgency).props("outlined")
            self._place = ui.input("地点", value=heard.place).props("outlined maxlength=400").classes("full")
            self._elements = box("form full elements").props('aria-live="polite"')
            self._description = (
                ui.textarea("内容", value=heard.description)
                .props(f'outlined stack-label autogrow maxlength={_MAX_DESCRIPTION} debounce="{int(_WAIT_S * 1000)}"')
                .classes("full")
                .on_value_change(self._draw_elements)
            )
            self._name = ui.input("姓名", value=heard.name).props("outlined maxlength=60")
            self._phone = ui.input("电话", value=heard.phone).props("outlined maxlength=20")
            self._anonymous = ui.checkbox("匿名")
            self._confidential = ui.checkbox("要求保密")
        with box("form-actions"):
            button("提交工单", self.visit.step(self.submit), "primary")
            ui.button("取消", on_click=self._dialog.close, color=None).props("flat no-caps").classes("btn")

    def _draw_elements(self) -> None:
        """The elements of the category, in their order; what is said already stands in them, what was typed stays."""
        elements = self._needed()
        if elements == self._shown:
            return
        typed = {code: control.value for code, control in self._inputs.items() if control.value}
        told = said(elements, f"{self._description.value}\n{self._place.value}", self._heard.entities)
        self._shown, self._inputs = elements, {}
        self._elements.clear()
        with self._elements:
            for element in elements:
                value = typed.get(element.code) or told.get(element.code) or ""
                self._inputs[element.code] = _control(element, value)

    def _needed(self) -> tuple[Element, ...]:
        level1, _, level2 = (self._category.value or "").partition("/")
        if not level1:
            return ()
        matter = self._matters.named(level1, level2, self._description.value or "")
        return self._city.elements_of(level1, level2, matter)

    async def submit(self) -> None:
        draft = await self._draft()
        user = self.visit.user
        ticket = await self.visit.services.tickets.submit(draft, key=self._key, actor=user.name)
        await self.visit.audit("ticket.submit", ticket.number)
        self._dialog.close()
        words = self._city.text(
            "ticket_created", number=ticket.number, unit=ticket.lead_unit, due=local_time(ticket.due_at)
        )
        await self.visit.services.handover.reply(
            self._conversation_id, user.id, words, user.display_name, ticket=ticket.public()
        )
        ui.notify(f"已登记，工单号 {ticket.number}。", type="positive", position="top")
        await self._filed()

    async def _draft(self) -> TicketDraft:
        level1, _, level2 = (self._category.value or "").partition("/")
        if not level1:
            raise BadInput("请先选择类别。")
        description = (self._description.value or "").strip()
        anonymous = bool(self._anonymous.value)
        is_models = (level1, level2) == (self._heard.category1, self._heard.category2)
        return TicketDraft(
            request_type=self._request_type.value,
            category1=level1,
            category2=level2 or None,
            title=description.split("\n")[0][:_TITLE_CHARS],
            description=description,
            place=(self._place.value or "").strip() or None,
            event_time=self._event_time(),
            phone=None if anonymous else await self._raw_phone(),
            name=None if anonymous else (self._name.value or "").strip() or None,
            anonymous=anonymous,
            confidential=bool(self._confidential.value),
            urgency=self._urgency.value,
            conversation_id=self._conversation_id,
            channel=self._channel,
            confidences=dict(self._heard.confidences) if is_models else {},
            elements={code: str(control.value) for code, control in self._inputs.items() if control.value},
        )

    def _event_time(self) -> str | None:
        by_time = (e.code for e in self._shown or () if "time" in e.entities)
        typed = next((str(self._inputs[code].value) for code in by_time if self._inputs[code].value), None)
        return typed or self._heard.time or None

    async def _raw_phone(self) -> str:
        phone = (self._phone.value or "").strip()
        if "*" not in phone:
            return phone
        raw = await self.visit.services.private_value(self._conversation_id, phone)
        if raw is None:
            raise BadInput("没有找到这个遮盖号码的原号，请重新填写电话。")
        return raw


def _control(element: Element, value: str) -> Any:
    """`value` may be in words that are none of the answers offered."""
    label = element.name if element.required else f"{element.name}（知道就填）"
    if element.values:
        options = list(dict.fromkeys([*element.values, *([value] if value else [])]))
        control: Any = ui.select(
            options, label=label, value=value or None, with_input=True, new_value_mode="add-unique"
        )
        control.props("outlined clearable")
    else:
        control = ui.input(label, value=value).props("outlined maxlength=60")
    return control.props(f'hint="{element.question}"')
