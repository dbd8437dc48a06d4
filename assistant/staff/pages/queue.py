"""待接: residents who wait for a person, and the conversations this agent has open."""

from datetime import UTC, datetime

from fastapi import Request
from nicegui import ui

from assistant.conversations.handover import WaitingResident
from assistant.staff.labels import CHANNELS, duration, local_time, resident_name
from assistant.staff.pages.parts import Text, box, button, card, empty, frame, link, tag
from assistant.staff.pages.visit import Visit, staff_href

REFRESH_S = 2.0
# GB/T 33358: a message in a written channel is answered within three minutes.
LONG_WAIT_S = 180


def register() -> None:
    ui.page("/queue", response_timeout=15)(queue_page)


async def queue_page(request: Request) -> None:
    visit = Visit.of(request, "agent")
    with frame(visit, "queue", "待接"):
        Text("h1", "待接居民")
        with box("columns"):
            with card(classes="grow") as waiting_card:
                pass
            with card("我正在接待", classes="side"):
                mine = box("stack")
    shown: list[object] = [None, None]

    async def refresh() -> None:
        moment = datetime.now(UTC)
        waiting = await visit.services.handover.waiting()
        open_ids = await visit.services.handover.taken_by(visit.user.id)
        # Nothing is drawn anew while nothing changed to the eye, so focus stays where it is.
        rows = [(w, duration(_coarse((moment - w.since).total_seconds()))) for w in waiting]
        if shown[0] != rows:
            shown[0] = rows
            waiting_card.clear()
            with waiting_card:
                _waiting_list(visit, rows, moment)
        if shown[1] != open_ids:
            shown[1] = open_ids
            mine.clear()
            with mine:
                _my_conversations(open_ids)

    await refresh()
    ui.timer(REFRESH_S, visit.step(refresh), immediate=False)


def _coarse(seconds: float) -> float:
    return seconds // 10 * 10 if seconds < 60 else seconds // 60 * 60


def _waiting_list(visit: Visit, rows: list[tuple[WaitingResident, str]], moment: datetime) -> None:
    with box("card-head"):
        Text("h2", f"正在等候 {len(rows)} 人" if rows else "正在等候")
        Text("p", "按等候时间排序，自动刷新", "muted")
    if not rows:
        empty("现在没有人等候", "居民要求人工服务时，会自动出现在这里。")
        return
    with box("items", "ul"):
        for waiting, waited in rows:
            _waiting_row(visit, waiting, waited, (moment - waiting.since).total_seconds() > LONG_WAIT_S)


def _waiting_row(visit: Visit, waiting: WaitingResident, waited: str, long: bool) -> None:
    async def take() -> None:
        await visit.services.handover.take(waiting.conversation_id, visit.user.id, visit.user.display_name)
        await visit.audit("conversation.take", waiting.conversation_id)
        ui.navigate.to(f"/conversations/{waiting.conversation_id}")

    with box("item", "li"):
        with box("item-main"):
            with box("line"):
                Text("strong", resident_name(waiting.conversation_id))
                tag(CHANNELS.get(waiting.channel, waiting.channel))
                if waiting.urgent:
                    tag("特急", "bad")
                tag(f"已等 {waited}", "warn" if long else "neutral", hint=f"{local_time(waiting.since)} 起")
            Text("p", waiting.last_text or "（还没有留言）", "clamp")
            if waiting.reason:
                Text("p", f"原因：{waiting.reason}", "muted")
        with box("item-actions"):
            link("查看", staff_href(f"conversations/{waiting.conversation_id}"), "btn btn-plain")
            button("接待", visit.step(take), "primary")


def _my_conversations(conversation_ids: list[str]) -> None:
    if not conversation_ids:
        Text("p", "还没有。点“接待”后会列在这里。", "muted")
    for conversation_id in conversation_ids:
        link(resident_name(conversation_id), staff_href(f"conversations/{conversation_id}"), "list-link")
