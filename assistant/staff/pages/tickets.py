"""工单: every ticket with state, unit and deadline; filters that survive a reload because they are in the address."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from assistant.city import City
from assistant.staff.deadlines import deadline_look
from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, button, card, cell, empty, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href
from assistant.tickets.model import TicketView
from assistant.tickets.states import State

REFRESH_S = 5.0
SHOWN = 200
STATES = tuple(str(state) for state in State)
STATE_TONES: dict[str, str] = {
    State.TO_ACCEPT: "warn",
    State.TO_SUPPLEMENT: "warn",
    State.TO_DISPATCH: "warn",
    State.MERGED: "neutral",
    State.RETURNED: "warn",
    State.DISPATCHED: "info",
    State.HANDLING: "info",
    State.TO_CALL_BACK: "good",
    State.CLOSED: "good",
}
URGENCY_TONES = {"特急": "bad", "紧急": "warn"}


def register() -> None:
    ui.page("/tickets", response_timeout=15)(tickets_page)


async def tickets_page(request: Request, state: str = "", q: str = "", overdue: str = "") -> None:
    visit = Visit.of(request, "dispatcher")
    chosen = {"state": state if state in STATES else "", "q": q[:60], "overdue": "1" if overdue == "1" else ""}
    with frame(visit, "tickets", "工单"):
        with box("page-head"):
            Text("h1", "工单")
        with card():
            _filters(visit, chosen)
            table = box()
    shown: list[object] = [None]

    async def refresh() -> None:
        moment = datetime.now(UTC)
        found = await visit.services.tickets.find(
            state=chosen["state"] or None, words=chosen["q"], overdue=bool(chosen["overdue"]), limit=SHOWN
        )
        rows = [_row(visit.services.city, ticket, moment) for ticket in found]
        if rows == shown[0]:
            return
        shown[0] = rows
        table.clear()
        with table:
            _table(rows, truncated=len(found) == SHOWN)

    await refresh()
    ui.timer(REFRESH_S, visit.step(refresh), immediate=False)


def _filters(visit: Visit, chosen: dict[str, str]) -> None:
    async def apply() -> None:
        wanted = {"state": state.value or "", "q": (query.value or "").strip(), "overdue": "1" if late.value else ""}
        ui.navigate.to("/tickets?" + urlencode({k: v for k, v in wanted.items() if v}))

    with box("filters"):
        states = {"": "全部状态", **{name: name for name in STATES}}
        state = ui.select(states, value=chosen["state"], label="状态").props("outlined dense")
        query = ui.input("编号、标题或单位", value=chosen["q"]).props("outlined dense clearable").classes("grow-field")
        late = ui.checkbox("只看超期", value=bool(chosen["overdue"]))
        button("筛选", visit.step(apply), "primary")
        query.on("keydown.enter", visit.step(apply))


def _row(city: City, ticket: TicketView, moment: datetime) -> tuple[Any, ...]:
    look = deadline_look(city, ticket, moment)
    return (
        ticket.number,
        ticket.title,
        f"{ticket.request_type} · {ticket.category1}" + (f" › {ticket.category2}" if ticket.category2 else ""),
        ticket.urgency,
        ticket.state,
        ticket.lead_unit or "待定",
        look,
        local_time(ticket.created_at, moment_now=moment),
    )


def _table(rows: list[tuple[Any, ...]], *, truncated: bool) -> None:
    if not rows:
        empty("没有符合条件的工单", "换一个筛选条件试试。")
        return
    with box("list", "table"):
        with box(tag="thead"), box(tag="tr"):
            for name in ("工单", "状态", "承办单位", "截止", "受理"):
                Text("th", name).props('scope="col"')
        with box(tag="tbody"):
            for number, title, kind, urgency, state, unit, look, created in rows:
                with box(tag="tr"):
                    with box("lead", "td"):
                        with box("line"):
                            link(number, staff_href(f"tickets/{number}"), "mono")
                            if urgency in URGENCY_TONES:
                                tag(urgency, URGENCY_TONES[urgency])
                        Text("p", title, "clamp")
                        Text("p", kind, "muted")
                    with cell("状态"):
                        tag(state, STATE_TONES.get(state, "neutral"))
                    with cell("单位"):
                        Text("span", unit)
                    with cell("截止"):
                        tag(look.text, look.tone)
                    with cell("受理"):
                        Text("span", created, "mono muted")
    note = f"只显示最近的 {SHOWN} 件，请用筛选缩小范围。" if truncated else f"共 {len(rows)} 件"
    Text("p", note, "muted table-foot")
