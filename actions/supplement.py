"""The supplement form: adding to a ticket that exists."""

import re

from actions.follow_up import answering, ticket_meant
from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from assistant.errors import MinshengError

ACTIONS = Catalogue()

_LEAVES = {
    "cancel",
    "request_human",
    "report_danger",
    "ask_policy",
    "ask_privacy",
    "ask_process",
    "ask_fee",
    "ask_attachment",
    "ask_service_hours",
    "ask_accessibility",
    "ticket_progress",
    "ticket_withdraw",
    "ticket_urge",
    "thank",
    "goodbye",
    "greet",
}
_EMPTY = re.compile(
    r"我?(?:还|再|想|要|需要|有)*(?:补充|添加|增加|追加)(?:一下|一点|一些|点|些|情况|说明|内容|材料|信息|两句|几句|到|给|工单)*"
    r"|[A-Z]{2}\d[\d-]*|[\s，,。.！!：:；;]"
)


@ACTIONS.action("validate_supplement_form")
async def fill(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Find the ticket, then take what is to be added."""
    if not turn.is_new_message:
        if not turn.form_stays_silent:
            reply.utter("utter_supplement_wanted")
        return
    if turn.asked is None:
        ticket = await ticket_meant(turn, services, reply, in_state="待补充")
        if ticket is None:
            reply.put(supplement=None, requested_slot=None)
            return
        reply.put(subject_ticket=ticket.number, supplement=_told(turn))
    elif turn.intent in ("affirm", "deny"):
        reply.put(supplement=None)
    elif turn.intent not in _LEAVES:
        reply.put(supplement=turn.text)
    if reply.events and reply.slots_after(turn).get("supplement") is None:
        reply.utter("utter_supplement_wanted")


def _told(turn: Turn) -> str | None:
    """What is to be added, where the first message holds it, or the one before, which we asked back about."""
    if says_something(turn.text):
        return turn.text
    if turn.ran_in_previous_turn("action_ticket_detail") or answering(turn, turns_ago=1):
        return next((str(message.get("text")) for message in turn.previous_messages()), None)
    return None


def says_something(text: str) -> bool:
    """Whether a message holds more than the wish to add something."""
    return len(_EMPTY.sub("", text)) >= 3


@ACTIONS.action("action_add_supplement")
async def add(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Write the supplement into the ticket. Nothing to do when no ticket was found."""
    number, text = turn.slots.get("subject_ticket"), turn.slots.get("supplement")
    if not number or not text:
        return
    reply.put(subject_ticket=None, supplement=None)
    try:
        ticket = await services.tickets.add_supplement(str(number), str(text), key=turn.key, actor="resident")
    except MinshengError as error:
        reply.say(error.detail, "转人工")
        return
    reply.put(last_ticket=ticket.number)
    reply.say(
        services.city.text("ticket_supplemented", number=ticket.number, unit=ticket.lead_unit),
        custom={"ticket": ticket.public()},
    )
