"""The ticket form's slots as the draft of a ticket."""

from collections.abc import Mapping
from typing import Any

from actions import reading, same_event, several
from actions.protocol import Turn
from actions.reading import ANONYMOUS, NO_PLACE, UNKNOWN_PLACE
from actions.services import ActionServices
from assistant.tickets.model import TicketDraft


async def draft_of(turn: Turn, slots: Mapping[str, Any], services: ActionServices) -> TicketDraft:
    """Every slot the form requires must be filled but the confirmation."""
    contact, place = str(slots["contact"]), str(slots["place"])
    category1, _, category2 = str(slots["category"]).partition("/")
    anonymous = contact == ANONYMOUS
    phone = None
    if not anonymous:
        phone = await services.requester_phone(turn.conversation_id, contact) or contact
    return TicketDraft(
        request_type=slots["request_type"],
        category1=category1,
        category2=category2 or None,
        title=reading.title_of(several.main_words(slots)),
        description=slots["description"],
        place=None if place in (NO_PLACE, UNKNOWN_PLACE) else place,
        event_time=slots.get("event_time"),
        phone=phone,
        name=None if anonymous else slots.get("contact_name"),
        anonymous=anonymous,
        confidential=bool(slots.get("confidential")),
        urgency=slots.get("urgency") or "一般",
        conversation_id=turn.conversation_id,
        channel=await services.channel(turn.conversation_id),
        confidences=dict(slots.get("confidence") or {}),
        other_matters=several.others(slots),
        elements=dict(slots.get("elements") or {}),
        follows=same_event.followed(slots),
        apart_from=same_event.refused(slots),
    )
