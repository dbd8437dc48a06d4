"""未送达: what a destination would not take, with the reason, and sending it again."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from nicegui import ui

from assistant.db.models import OutboxRow, now
from assistant.dispatch.outbox import Depth, Outbox
from assistant.staff.labels import duration, local_time
from assistant.staff.pages.parts import Text, box, button, card, empty, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href

REFRESH_S = 5.0
SHOWN = 200
# A healthy destination takes a ticket within seconds.
LONG_WAIT_S = 300
Refresh = Callable[[], Awaitable[None]]
OPERATIONS = {"create": "派单", "supplement": "补充", "urge": "催办", "withdraw": "撤单"}


def register() -> None:
    ui.page("/undelivered", response_timeout=15)(undelivered_page)


async def undelivered_page(request: Request) -> None:
    visit = Visit.of(request, "dispatcher")
    outbox = Outbox(visit.services.db)
    with frame(visit, "undelivered", "未送达"):
        with box("page-head"):
            Text("h1", "未送达")
            actions = box("page-actions")
        with card():
            summary = box("line")
            listing = box()
    shown: list[object] = [None]

    async def refresh() -> None:
        depth, rows = await outbox.depth(at=now()), await outbox.dead(limit=SHOWN)
        state = (depth.by_state, depth.oldest_s // 60, [row.id for row in rows])
        if state == shown[0]:
            return
        shown[0] = state
        for part in (actions, summary, listing):
            part.clear()
        with summary:
            _depth(depth)
        with listing:
            _rows(visit, outbox, rows, depth.by_state["dead"], refresh)
        if rows:
            with actions:
                button(f"全部重新发送（{depth.by_state['dead']}）", visit.step(again), "primary")

    async def again() -> None:
        count = await outbox.replay_all(at=now())
        await visit.audit("outbox.replay_all", str(count))
        ui.notify(f"已重新排队 {count} 条。", type="positive", position="top")
        await refresh()

    await refresh()
    ui.timer(REFRESH_S, visit.step(refresh), immediate=False)


def _depth(depth: Depth) -> None:
    waiting = depth.by_state["pending"] + depth.by_state["sending"]
    tag(f"正在发送 {waiting}")
    if waiting and depth.oldest_s >= LONG_WAIT_S:
        tag(f"最早的已等 {duration(depth.oldest_s)}，对方可能连不上，系统会自动重试", "warn")


def _rows(visit: Visit, outbox: Outbox, rows: list[OutboxRow], total: int, refresh: Refresh) -> None:
    if not rows:
        empty("没有放弃发送的工单", "连不上时系统自动重试一天；被对方拒收、或一天没送到的，会列在这里。")
        return
    with box("items", "ul"):
        for row in rows:
            _row(visit, outbox, row, refresh)
    if total > len(rows):
        Text("p", f"只显示最近 {len(rows)} 条，共 {total} 条。", "muted")


def _row(visit: Visit, outbox: Outbox, row: OutboxRow, refresh: Refresh) -> None:
    async def again() -> None:
        if await outbox.replay(row.id, at=now()):
            await visit.audit("outbox.replay", f"{row.ticket_number}:{row.id}")
            ui.notify("已重新排队。", type="positive", position="top")
        await refresh()

    with box("item", "li"):
        with box("item-main"):
            with box("line"):
                link(row.ticket_number, staff_href(f"tickets/{row.ticket_number}"), "mono")
                tag(OPERATIONS.get(row.operation, row.operation), "info")
                tag(f"目的地 {row.destination}")
                tag(f"试过 {row.attempts} 次", hint=f"{local_time(row.created_at)} 起")
            Text("p", row.last_error or "原因不明", "clamp")
        with box("item-actions"):
            button("重新发送", visit.step(again), "plain")
