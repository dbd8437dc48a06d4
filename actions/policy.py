"""Questions about rules, benefits and procedures, answered from the knowledge base with its sources."""

import re

import structlog

from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices

log = structlog.get_logger()
ACTIONS = Catalogue()

# "那要多少钱" makes sense only with the question before it.
_FOLLOWS_UP = re.compile(
    r"^(?:那|那么|还|它|这个|这种|另外|然后|需要|要|多久|多长|多少钱|在哪|去哪|到哪|哪里|什么条件|啥条件|有啥条件|咋办|怎么办)"
)
_FOLLOW_UP_CHARS = 14
_FOLLOWED = 4
_TOPIC_CHARS = 60


@ACTIONS.action("action_answer_policy")
async def answer_policy(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Answer, or say honestly that nothing was found, and offer what helps then."""
    offers = ("转人工",) if turn.form else ("登记工单", "转人工")
    try:
        answer = await services.answer(turn.text, after=_topic(turn))
    except Exception as error:
        log.error("answer_failed", error=type(error).__name__)
        reply.say("政策库这会儿查不了，我不想随便答您。可以稍后再问，或者现在转人工。", *offers)
        return
    if answer.outcome == "answered":
        reply.say(answer.text, *offers, custom={"citations": [citation.as_dict() for citation in answer.citations]})
    else:
        reply.say(answer.text, *offers)


def _topic(turn: Turn) -> str:
    """The question that this one goes on from, past others that did; empty for one that stands by itself."""
    if not _goes_on(turn.text):
        return ""
    for before in turn.previous_messages()[:_FOLLOWED]:
        text = str(before.get("text") or "").strip()
        if (before.get("intent") or {}).get("name") != "ask_policy" or len(text) > _TOPIC_CHARS:
            break
        if not _goes_on(text):
            return text
    return ""


def _goes_on(text: str) -> bool:
    return len(text) <= _FOLLOW_UP_CHARS and _FOLLOWS_UP.match(text) is not None
