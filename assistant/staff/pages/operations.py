"""The buttons of a ticket's page: what the table of transitions lets the staff do with it now, and what each asks for.

A dialog remembers the version of the ticket that its reader saw: whoever was slower than a colleague is told.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, time
from typing import Any
from uuid import uuid4

from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.labels import CITY_ZONE, local_time
from assistant.staff.pages.parts import Text, box, button
from assistant.staff.pages.visit import Visit
from assistant.staff.ticket_api import offered
from assistant.tickets.errors import TicketChanged
from assistant.tickets.model import TicketView
from assistant.tickets.replay import asked_until
from assistant.tickets.states import REASON_CODES, State, Transition

__all__ = ["Operations"]

# Drawn elsewhere on the page, or done by the resident.
_ELSEWHERE = frozenset({"unmerge", "keep_apart", "rate"})
# What the desk does where it has the request.
_OF_THE_UNIT = frozenset({"acknowledge", "resolve", "return"})
_ON_EXTENSION = frozenset({"extend", "refuse_extension"})
_PROVEN = frozenset({"resolve", "return", "apply_extension", "extend", "supervise"})
_MAIN = {State.TO_ACCEPT: "accept", State.TO_DISPATCH: "assign", State.TO_CALL_BACK: "close"}
_DANGEROUS = frozenset({"withdraw", "return"})
_DONE = {"assign": "已派单。", "ask": "已请居民补充，计时暂停。", "merge": "已并案。"}
_NOTES = {
    "assign": "理由（内部）",
    "ask": "请居民补充什么（居民会看到）",
    "close": "居民怎么说",
    "reopen": "居民怎么说",
}


class Operations:
    """Create it where its dialogs may stand; `draw` puts the buttons, `done` is called after an operation."""

    def __init__(self, visit: Visit, number: str, done: Callable[[], Awaitable[None]]) -> None:
        self._visit, self._number, self._done = visit, number, done
        with ui.dialog() as self._dialog, box("dialog") as self._form:
            pass

    def draw(self, ticket: TicketView, *, at_desk: bool) -> None:
        """Buttons for what may be done now. `at_desk`: the built-in desk has the request and acts for the unit."""
        left_out: set[str] = set(_ELSEWHERE)
        if at_desk:
            left_out |= _OF_THE_UNIT
        if asked_until(ticket.history) is None:
            left_out |= _ON_EXTENSION
        if ticket.handler_until is None:
            left_out.add("transfer")  # from whom it is with first; another change of unit is 改派
        rows = [row for row in offered(ticket.state) if row.operation not in left_out]
        with box("form-actions"):
            for row in sorted(rows, key=lambda row: row.operation != _MAIN.get(State(ticket.state))):
                self._button(row, ticket)

    def _button(self, row: Transition, ticket: TicketView) -> None:
        async def ask() -> None:
            self._ask(row, ticket)

        waits = ticket.state == State.TO_DISPATCH
        text = "派单" if row.operation == "assign" and waits else row.label
        kind = "danger" if row.operation in _DANGEROUS else "plain"
        if row.operation == _MAIN.get(State(ticket.state)):
            kind = "primary"
        button(text, self._visit.step(ask), kind)

    def _ask(self, row: Transition, ticket: TicketView) -> None:
        """Open the dialog of an operation, for the ticket as it was seen."""
        name = "派单" if row.operation == "assign" else row.label
        # One key for the dialog: a second click on the same says the same.
        key = f"staff:{self._visit.user.id}:{uuid4().hex}"
        self._form.clear()
        with self._form:
            Text("h2", name)
            fields = _Fields(row, ticket, self._visit.services.city.units)

            async def perform() -> None:
                await self._perform(row, key, ticket.version, fields.read())

            with box("form-actions"):
                button(f"确认{name}", self._visit.step(perform), "danger" if row.operation in _DANGEROUS else "primary")
                ui.button("取消", on_click=self._dialog.close, color=None).props("flat no-caps").classes("btn")
        self._dialog.open()

    async def _perform(self, row: Transition, key: str, seen: int, given: dict[str, Any]) -> None:
        visit = self._visit
        try:
            await visit.services.tickets.perform(
                self._number, row.operation, key=key, actor=visit.user.name, seen=seen, **given
            )
        except Exception as error:
            await visit.audit(f"ticket.{row.operation}", self._number, success=False)
            if isinstance(error, TicketChanged):
                self._dialog.close()  # what was decided may not fit any more: the reader looks again
                await self._done()
            raise
        await visit.audit(f"ticket.{row.operation}", self._number)
        self._dialog.close()
        await self._done()
        ui.notify(_DONE.get(row.operation, f"{row.label}：已记录。"), type="positive", position="top")


class _Fields:
    """What the dialog of one operation asks for; `read` gives it, or raises BadInput for what is missing."""

    def __init__(self, row: Transition, ticket: TicketView, units: Collection[str]) -> None:
        self._row = row
        self._inputs: dict[str, Any] = {}
        inputs = self._inputs
        if "unit" in row.required:
            inputs["unit"] = ui.select(sorted(units), label="承办单位", with_input=True).props("outlined")
        if "reason_code" in row.required:
            inputs["reason_code"] = ui.select(list(REASON_CODES), label="退单原因").props("outlined")
        if "into" in row.required:
            inputs["into"] = ui.input("并入的工单号").props("outlined")
        if "until" in row.required:
            applied = asked_until(ticket.history)
            shown = f"（单位申请到 {local_time(applied)}）" if applied else ""
            day = applied.astimezone(CITY_ZONE).date().isoformat() if applied else ""
            inputs["until"] = ui.input(f"延期到哪一天{shown}", value=day).props("outlined stack-label type=date")
        if row.operation == "resolve":
            inputs["public_reply"] = _text("公开答复（居民会看到）", 4000)
        inputs["note"] = _text(_NOTES.get(row.operation, "说明（内部）"), 1000)
        if row.operation in _PROVEN:
            inputs["evidence"] = _text("佐证材料：文件名或网址，一行一个", 2000)
        if row.operation == "close":
            inputs["satisfied"] = ui.select({True: "满意", False: "不满意"}, label="是否满意", clearable=True)
            inputs["satisfied"].props("outlined")

    def read(self) -> dict[str, Any]:
        given = {name: field.value for name, field in self._inputs.items() if field.value not in (None, "")}
        given["evidence"] = [line for line in str(given.get("evidence", "")).splitlines() if line.strip()]
        if self._row.operation == "resolve" and not str(given.get("public_reply", "")).strip():
            raise BadInput("请填写给居民的公开答复。")
        if "until" in given:
            given["until"] = _end_of(given["until"])
        if self._row.operation == "close":
            given["solved"] = True
        return given


def _text(label: str, limit: int) -> ui.textarea:
    return ui.textarea(label).props(f"outlined stack-label autogrow maxlength={limit}")


def _end_of(day: str) -> datetime:
    """The end of the working day."""
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), time(18, 0), CITY_ZONE)
    except ValueError:
        raise BadInput("请按 2026-12-01 这样填写日期。") from None
