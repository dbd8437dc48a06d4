"""The callback: after a resident said whether a matter is solved, one question that may be left unanswered.

Solved: is the resident satisfied? Not solved: why not? What was said first is recorded at once; who leaves here has
lost nothing. The slot `callback` holds the ticket's number and what was asked.
"""

import re
from collections.abc import Mapping
from typing import Any

import structlog

from actions import reading
from actions.buttons import BUTTONS
from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from assistant.errors import MinshengError

log = structlog.get_logger()
ACTIONS = Catalogue()

FORM = "callback_form"
TICKET_FORM = "ticket_form"
SATISFIED, WHY = "satisfied", "why"

_LEAVES = {
    "cancel",
    "deny",
    "request_human",
    "report_danger",
    "ask_policy",
    "ask_privacy",
    "ask_process",
    "ask_fee",
    "ask_attachment",
    "ask_service_hours",
    "ask_accessibility",
    "bot_identity",
    "bot_capability",
    "city_question",
    "ticket_progress",
    "ticket_withdraw",
    "thank",
    "goodbye",
    "greet",
}
_NEW_REQUEST = ("我要反映问题", "登记工单", "登记另一件事", "继续登记")
_SKIP = "跳过"
_UNSATISFIED = re.compile(r"不(?:太|是很|怎么|咋|很)?(?:满意|好|行|中)|差(?!不多)|糟|失望|没(?:有)?用|敷衍|太慢")
_SO_SO = re.compile(r"一般|还行|还可以|凑合|马马虎虎|差不多|中不溜|过得去")
_CONTENT = re.compile(r"满意|很?好|不错|棒|赞|谢|中[，。！]?$|可以|快|给力|贴心|负责")


def satisfaction(text: str) -> bool | None:
    """Whether words tell of satisfaction; None for lukewarm and for words that tell nothing of it."""
    if _SO_SO.search(text) and "不满意" not in text:
        return None
    if _UNSATISFIED.search(text):
        return False
    return True if _CONTENT.search(text) else None


def ask(turn: Turn, reply: Reply, number: str, question: str) -> None:
    """Ask once; the form takes the next words."""
    reply.put(callback={"number": number, "asks": question, "turn": turn.number}, callback_answer=None)
    if question == SATISFIED:
        reply.say("这次办得怎么样，您满意吗？", "满意", "一般", "不满意")
    else:
        reply.say("能说说哪儿没解决吗？一句话就行，不想说就点“跳过”。", "跳过", "转人工")
    reply.go_on_with(FORM)


@ACTIONS.action("validate_callback_form")
async def fill(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Take the next words as the answer, unless they are something else; nobody is asked a second time."""
    asked = turn.slots.get("callback")
    if not asked:
        reply.put(callback=None, requested_slot=None)
    elif not turn.is_new_message:
        if asked["turn"] != turn.number:
            reply.put(callback=None, requested_slot=None)
    elif reading.trim(turn.text) == _SKIP or _is_new_request(turn, asked["asks"]):
        reply.put(callback=None, requested_slot=None)
    elif turn.intent not in _LEAVES and not _takes_back(turn):
        reply.put(callback_answer=turn.text)


def _is_new_request(turn: Turn, asked: str) -> bool:
    if reading.trim(turn.text) in _NEW_REQUEST:
        return True
    tells = turn.intent in ("file_request", "inform_place") and satisfaction(turn.text) is None
    return asked == SATISFIED and tells and reading.trim(turn.text) not in BUTTONS


def _takes_back(turn: Turn) -> bool:
    """ "其实没解决" after "解决了", and the other way round."""
    opposite = "ticket_dissatisfied" if turn.slots["callback"]["asks"] == SATISFIED else "feedback_helpful"
    return turn.intent == opposite and "解决" in turn.text


@ACTIONS.action("action_end_callback")
async def end(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Record the answer, if there is one, and say thanks."""
    asked, answer = turn.slots.get("callback"), turn.slots.get("callback_answer")
    reply.put(callback=None, callback_answer=None)
    text = reading.trim(turn.text)
    if asked and answer:
        await _record(turn, services, reply, asked, str(answer))
    elif text == _SKIP or turn.intent == "cancel":
        reply.say("好的，谢谢您的反馈。")
    elif turn.intent in ("file_request", "inform_place"):
        reply.go_on_with(TICKET_FORM)


async def _record(turn: Turn, services: ActionServices, reply: Reply, asked: Mapping[str, Any], answer: str) -> None:
    number = asked["number"]
    try:
        if asked["asks"] == WHY:
            ticket = await services.tickets.add_supplement(
                number, f"没有解决的原因：{answer}", key=turn.key, actor="resident"
            )
            reply.say(f"记下了，已经告诉{ticket.lead_unit}。谢谢您。", "转人工")
            return
        content = satisfaction(answer)
        comment = None if answer in ("满意", "不满意") else answer
        await services.tickets.rate(number, satisfied=content, comment=comment, key=turn.key, actor="resident")
    except MinshengError as error:
        log.warning("callback_not_recorded", error=type(error).__name__)
        reply.say("谢谢您的反馈。")
        return
    if content is False:
        reply.say("谢谢您直说，您的评价我记下了。有什么要和人说的，可以转人工。", "转人工")
    else:
        reply.say("谢谢您的评价，祝您顺心。")
