"""On a ticket's page: tickets that may tell of the same event, what was merged into this one, and undoing it."""

from collections.abc import Awaitable
from functools import partial
from time import monotonic

from nicegui import ui

from assistant.errors import BadInput
from assistant.staff.labels import local_time, percent
from assistant.staff.pages.parts import Text, box, button, link, tag
from assistant.staff.pages.tickets import STATE_TONES
from assistant.staff.pages.visit import Visit, staff_href
from assistant.tickets.model import TicketView
from assistant.tickets.similar import Candidate
from assistant.tickets.states import State, allowed, role_of

__all__ = ["SameEventCard"]

_SHOWN = 5
_LOOK_AGAIN_S = 20.0


class SameEventCard:
    """Create it where it is to stand; `refresh` draws it for the ticket as it is now."""

    def __init__(self, visit: Visit, number: str) -> None:
        self._visit, self._number = visit, number
        self._card = box("card", "section")
        self._drawn: object = None
        self._version = 0
        self._candidates: list[Candidate] = []
        self._look_again_at = 0.0
        with ui.dialog() as self._undo_dialog, box("dialog"):
            Text("h2", "撤销并案")
            self._ground = ui.textarea("理由（内部）").props("outlined stack-label autogrow maxlength=1000")
            with box("form-actions"):
                button("确认撤销", visit.step(self.undo), "danger")
                ui.button("取消", on_click=self._undo_dialog.close, color=None).props("flat no-caps").classes("btn")

    async def refresh(self, ticket: TicketView) -> None:
        followers = await self._visit.services.tickets.followers(self._number)
        if ticket.version != self._version or monotonic() >= self._look_again_at:
            self._candidates = await self._found(ticket)
            self._look_again_at = monotonic() + _LOOK_AGAIN_S
        self._version, candidates = ticket.version, self._candidates
        drawn = (ticket.merged_into, ticket.state, [(each.number, each.state) for each in followers], candidates)
        self._card.set_visibility(bool(ticket.merged_into or followers or candidates))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._card.clear()
        with self._card:
            if ticket.merged_into and ticket.state == State.MERGED:
                self._draw_lead(ticket.merged_into)
            if followers:
                self._draw_followers(followers)
            if candidates:
                self._draw_candidates(candidates)

    async def _found(self, ticket: TicketView) -> list[Candidate]:
        similar = self._visit.services.similar
        operations = {row.operation for row in allowed(State(ticket.state), role_of(self._visit.user.name))}
        if similar is None or "merge" not in operations:
            return []
        return (await similar.find(self._number))[:_SHOWN]

    # --- what a person decides -------------------------------------------------------------------------------------

    async def merge(self, candidate: Candidate) -> None:
        """Into the candidate: the older of two leads, so that the time told to the first caller holds."""
        ticket = await self._visit.services.tickets.get(self._number)
        lead, other = candidate.number, self._number
        if ticket is not None and (ticket.created_at, ticket.number) < (candidate.created_at, candidate.number):
            lead, other = other, lead
        reason = "，".join(candidate.reasons)
        seen = self._version if other == self._number else None
        key = f"{other}:merge:{lead}:{ticket.version if ticket else 0}"
        await self._audited(
            "ticket.merge",
            self._visit.services.tickets.merge(other, lead, reason, key=key, actor=self._visit.user.name, seen=seen),
        )
        ui.notify(f"已并入{lead}，两位居民都会收到办理结果。", type="positive", position="top")

    async def keep_apart(self, candidate: Candidate) -> None:
        await self._audited(
            "ticket.keep_apart",
            self._visit.services.tickets.perform(
                self._number,
                "keep_apart",
                into=candidate.number,
                key=f"{self._number}:apart:{candidate.number}",
                actor=self._visit.user.name,
            ),
        )
        ui.notify("已记下，不再提示。", type="positive", position="top")

    async def undo(self) -> None:
        ground = (self._ground.value or "").strip()
        if not ground:
            raise BadInput("请写明为什么撤销并案。")
        await self._audited(
            "ticket.unmerge",
            self._visit.services.tickets.unmerge(
                self._number,
                ground,
                key=f"{self._number}:unmerge:{self._version}",
                actor=self._visit.user.name,
                seen=self._version,
            ),
        )
        self._undo_dialog.close()
        ui.notify("已撤销并案，本单单独办理。", type="positive", position="top")

    async def _audited(self, event: str, work: Awaitable[TicketView]) -> None:
        try:
            await work
        except Exception:
            await self._visit.audit(event, self._number, success=False)
            raise
        await self._visit.audit(event, self._number)
        self._look_again_at = 0.0
        ticket = await self._visit.services.tickets.get(self._number)
        if ticket is not None:
            await self.refresh(ticket)

    # --- drawing ---------------------------------------------------------------------------------------------------

    def _draw_lead(self, lead: str) -> None:
        Text("h2", "已并案")
        with box("line"):
            Text("span", "随这张工单一起办理：")
            link(lead, staff_href(f"tickets/{lead}"), "mono")
        with box("form-actions"):
            ui.button("撤销并案", on_click=self._undo_dialog.open, color=None).props("unelevated no-caps").classes(
                "btn btn-plain"
            )

    def _draw_followers(self, followers: list[TicketView]) -> None:
        Text("h2", f"共 {1 + len(followers)} 人反映")
        with box("stack", "ul"):
            for follower in followers:
                with box("line", "li"):
                    link(follower.number, staff_href(f"tickets/{follower.number}"), "mono")
                    tag(follower.state, STATE_TONES.get(follower.state, "neutral"))
                    Text("span", local_time(follower.created_at), "muted")

    def _draw_candidates(self, candidates: list[Candidate]) -> None:
        Text("h2", "可能是同一件事")
        for candidate in candidates:
            with box("stack"):
                with box("line"):
                    link(candidate.number, staff_href(f"tickets/{candidate.number}"), "mono")
                    tag(f"把握 {percent(candidate.score)}", "info")
                    tag(candidate.state, STATE_TONES.get(candidate.state, "neutral"))
                Text("p", candidate.title)
                callers = f"，已有 {candidate.callers} 人反映" if candidate.callers > 1 else ""
                Text("p", "、".join(candidate.reasons) + callers, "muted")
                with box("form-actions"):
                    button("并案", partial(self._visit.step(self.merge), candidate), "plain")
                    button("不是同一件事", partial(self._visit.step(self.keep_apart), candidate), "plain")
