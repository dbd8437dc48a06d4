"""Whether a draft can become a ticket. The dialogue asks; this decides, whoever calls."""

from dataclasses import replace

from assistant.city import City
from assistant.city_models import REQUEST_TYPES, URGENCIES
from assistant.privacy import mask
from assistant.tickets.errors import IncompleteDraft, InvalidDraft
from assistant.tickets.model import TicketDraft

__all__ = ["checked"]

_TITLE_CHARS, _PLACE_CHARS, _EVENT_TIME_CHARS = 200, 400, 120
_MATTER_CHARS, _OTHER_MATTERS = 500, 8


def checked(draft: TicketDraft, city: City) -> TicketDraft:
    """The draft cleaned, cut to the columns' lengths and masked; an unknown second level becomes None.

    Raises IncompleteDraft with what is missing, InvalidDraft for a type, urgency or first level that is not known.
    """
    missing = [
        name
        for name, absent in (
            ("description", not draft.description.strip()),
            ("request_type", not draft.request_type),
            ("category", not draft.category1),
            ("place", draft.place is not None and not draft.place.strip()),
            ("contact", not draft.anonymous and not (draft.phone or "").strip()),
        )
        if absent
    ]
    if missing:
        raise IncompleteDraft(missing)
    if draft.request_type not in REQUEST_TYPES:
        raise InvalidDraft("诉求类型应为" + "、".join(REQUEST_TYPES) + "之一。")
    if draft.urgency not in URGENCIES:
        raise InvalidDraft("紧急程度应为" + "、".join(URGENCIES) + "之一。")
    if draft.category1 not in city.level1:
        raise InvalidDraft("没有这个类别，请重新选择。")
    known2 = draft.category2 if (draft.category1, draft.category2 or "") in city.categories else None
    description = mask(draft.description.strip())[0]
    title = mask(draft.title.strip())[0] or description.split("\n")[0]
    return replace(
        draft,
        category2=known2,
        title=title[:_TITLE_CHARS],
        description=description,
        place=mask(draft.place.strip())[0][:_PLACE_CHARS] if draft.place else None,
        event_time=mask(draft.event_time.strip())[0][:_EVENT_TIME_CHARS] if draft.event_time else None,
        phone=None if draft.anonymous else "".join((draft.phone or "").split()),
        name=None if draft.anonymous else (draft.name or "").strip() or None,
        other_matters=tuple(
            replace(matter, text=mask(matter.text.strip())[0][:_MATTER_CHARS])
            for matter in draft.other_matters[:_OTHER_MATTERS]
        ),
    )
