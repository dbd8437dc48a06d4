"""A place and a matter in one message: "花园路85号院路灯不亮".

The model hears the place in it and reads `inform_place`. Where nobody asked for a place that is half of it: what stands
beside the place is read again by itself, and if it tells of a matter, the message is a request.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actions import reading
from actions.protocol import Heard, Turn
from actions.services import ActionServices
from nlu.runtime import Understanding

DETAILS = ("place", "time", "name", "phone")
DANGER = "report_danger"
_INQUIRY, _REQUEST, _DANGEROUS = "咨询", "求助", "特急"
_TELLS = {"file_request", DANGER, "ticket_urge", "ticket_dissatisfied"}
# A few words without their place are an odd message: the model may take "狗叫" for an insult, and knows its category.
_SURE_OF_CATEGORY = 0.6


async def heard_as_request(turn: Turn, services: ActionServices) -> Turn:
    """The turn, with its message as a request if it tells more than a place; for turns in which none was asked for."""
    message = await as_request(turn.message, services)
    return turn if message is turn.message else replace(turn, message=message)


async def as_request(message: Mapping[str, Any], services: ActionServices) -> Mapping[str, Any]:
    """A parse result of Rasa's; the same object where the message tells only a place, or was read as something else.

    A danger is one though the place hides it ("绿城花园5号楼漏电"). The category is that of the words beside the place,
    which pulls it ("文化路没水" is no matter of culture). Urgency and type stay those of the whole message otherwise;
    only an inquiry it is not, since it asks nothing.
    """
    heard = Heard.of(message)
    if heard.intent != "inform_place":
        return message
    beside = reading.beside(heard, DETAILS)
    if not reading.may_tell_a_matter(beside):
        return message
    again = await asyncio.to_thread(services.reader.read, beside)
    if not _tells(again):
        return message
    read, part = dict(message["understanding"]), again.as_dict()
    sure = dict(read.get("confidence") or {})
    if again.intent.name == DANGER:
        read |= {"urgency": _DANGEROUS, "category": part["category"]}
        sure |= {head: part["confidence"][head] for head in ("category1", "category2", "urgency")}
        understanding = {**read, "confidence": sure}
        return {**message, "intent": {**message["intent"], "name": DANGER}, "understanding": understanding}
    if heard.request_type == _INQUIRY:
        other = again.request_type.name
        read["request_type"] = other if other != _INQUIRY else _REQUEST
        sure["request_type"] = part["confidence"]["request_type"] if other != _INQUIRY else 0.0
    if not heard.matters:  # each of several has its category already
        read["category"] = part["category"]
        sure |= {head: part["confidence"][head] for head in ("category1", "category2")}
    understanding = {**read, "confidence": sure}
    return {**message, "intent": {**message["intent"], "name": "file_request"}, "understanding": understanding}


def _tells(again: Understanding) -> bool:
    intent = again.intent.name
    known = again.category1.confidence >= _SURE_OF_CATEGORY or reading.tells_plainly(again.text)
    return intent in _TELLS or (intent != "inform_place" and known)
