"""Asking for a person."""

from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices

ACTIONS = Catalogue()


@ACTIONS.action("action_request_human")
async def request_human(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Put the resident into the queue. Works in the middle of everything; a form that is open waits."""
    reason = "危险情况" if turn.slots.get("danger_ticket") else "居民要求"
    ahead = await services.request_human(turn.conversation_id, reason)
    waiting = f"您前面还有{ahead}位，请稍等。" if ahead else "马上就到您，请稍等。"
    draft = "刚才填的内容都留着，座席能看到。" if turn.form == "ticket_form" else "您刚才说的座席都能看到，不用重复。"
    reply.say(f"好的，正在为您转接人工座席。{waiting}{draft}", custom={"handover": {"reason": reason}})
