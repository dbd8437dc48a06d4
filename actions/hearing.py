"""From the language model's reading to the parse result that Rasa keeps.

A text is only ever classified as text: there is no command syntax. What a button says is understood exactly, and a
message as long as a letter is a request, since nobody writes a page of small talk.
"""

import re
from typing import Any

from actions.buttons import BUTTONS
from nlu.extend import CITY_QUESTION
from nlu.labels import FALLBACK, INTENTS
from nlu.runtime import Understanding

LETTER_CHARS = 120
# What is not understood but this long still tells of something.
UNCLEAR_CHARS = 40
# What a long message may be besides a request.
_LETTER_INTENTS = {
    "file_request",
    "report_danger",
    "correct",
    "ticket_add",
    "ticket_withdraw",
    "ticket_urge",
    "ticket_dissatisfied",
}
# A matter that is only asked about is looked up, not filed; the answer offers a ticket where nothing is found.
_LOOKED_UP = {"file_request", "inform_place"}
# Hours, fees and ways of an office sound like those of the hotline, and services that answer like the assistant.
_ABOUT_US = {"ask_service_hours", "ask_fee", "ask_process", "complain_bot", "bot_capability", "repeat"}
_SURE = 0.5
_QUESTION = re.compile(
    r"[?？]\s*$|(?:吗|呢|么)\s*$|多少|哪些|哪[个种里儿家天]|在哪$|什么|怎么|怎样|咋|如何|是否|几[个天号点]|能不能|可不可以"
)
_WANTS_A_TICKET = re.compile(r"(?:请|麻烦)?[你您]?(?:帮我|给我|替我)?(?:登记|提交|转)(?:成|为|个|一个|一下|张)?工单吧?")
_EDGES = re.compile(r"^[\s，。！？!?,.～~“”\"'【】\[\]]+|[\s，。！？!?,.～~“”\"'【】\[\]]+$")


def intent_of(understanding: Understanding) -> tuple[str, float]:
    """The intent Rasa acts on, with its confidence: the model's, but for buttons and letters."""
    text = _EDGES.sub("", understanding.text)
    if text in BUTTONS:
        return BUTTONS[text], 1.0
    if _WANTS_A_TICKET.fullmatch(text):
        return "file_request", 1.0
    name = understanding.intent.name
    if len(text) >= (UNCLEAR_CHARS if name == FALLBACK else LETTER_CHARS) and name not in _LETTER_INTENTS:
        return "file_request", understanding.intent.confidence
    asks = understanding.request_type.name == "咨询" and _QUESTION.search(understanding.text) is not None
    about_us = name in _ABOUT_US and understanding.intent.confidence < _SURE
    if (name in _LOOKED_UP or about_us) and asks and len(text) < LETTER_CHARS:
        return "ask_policy", understanding.request_type.confidence
    return name, understanding.intent.confidence


def parse_result(understanding: Understanding) -> dict[str, Any]:
    """Rasa's parse result, kept small since the tracker stores it for good.

    Entities stay out of Rasa's own key: no slot is mapped from one, and each would cost events. The actions read them
    in `understanding`.
    """
    name, confidence = intent_of(understanding)
    if name not in INTENTS and name != FALLBACK:
        # The dialogue knows one intent for all that staff added; the action finds the own name in `understanding`.
        name = CITY_QUESTION
    understood = understanding.as_dict()
    if len(understanding.requests) == 1:
        understood["requests"] = []  # a copy of the text
    return {
        "text": understanding.text,
        "intent": {"name": name, "confidence": round(confidence, 3)},
        "intent_ranking": [
            {"name": label.name, "confidence": round(label.confidence, 3)} for label in understanding.intent_ranking[:4]
        ],
        "entities": [],
        "understanding": understood,
    }
