"""Whether a draft can become a ticket. The dialogue asks; this decides, whoever calls."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from assistant.city import City
from assistant.city_models import REQUEST_TYPES, URGENCIES
from assistant.privacy import mask
from assistant.tickets.errors import IncompleteDraft, InvalidDraft
from assistant.tickets.model import TicketDraft

__all__ = ["checked"]

_TITLE_CHARS, _PLACE_CHARS, _EVENT_TIME_CHARS = 200, 400, 120
_MATTER_CHARS, _OTHER_MATTERS = 500, 8
_ELEMENTS, _ELEMENT_NAME_CHARS, _ELEMENT_CHARS = 30, 40, 400
_ATTACHMENTS, _ATTACHMENT_CHARS = 20, 400

# A name of a file, not a path.
_FILE_NAME = re.compile(r"[^\x00-\x1f\x7f/\\:]{1,200}")
# A day and nothing but a time of it: 2026年11月22日, 2026-11-22 晚上8点半左右. No 起, no 到: those tell of more.
_DAY = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})[日号]?"
    r"(?:[\s\d:：点时分半T]|[上下中]午|早上|早晨|晚上|夜里|傍晚|凌晨|左右)*"
)
_CLOCKS_DIFFER = timedelta(hours=1)
# What these ask about may lie ahead.
_LOOK_AHEAD = ("咨询", "建议")


def checked(draft: TicketDraft, city: City, moment: datetime) -> TicketDraft:
    """The draft cleaned, cut to the columns' lengths and masked; an unknown second level becomes None.

    Raises IncompleteDraft with what is missing; InvalidDraft for a type, urgency or first level that is not known,
    coordinates that cannot be, a time after `moment` (zoned) and attachments that are neither address nor file name.
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
    _check_coordinates(draft, city)
    _check_event_time(draft, city, moment)
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
        elements={
            name.strip()[:_ELEMENT_NAME_CHARS]: mask(words.strip())[0][:_ELEMENT_CHARS]
            for name, words in list(draft.elements.items())[:_ELEMENTS]
            if name.strip() and words.strip()
        },
        attachments=_attachments(draft.attachments),
        follows=(draft.follows or "").strip().upper() or None,
    )


def _check_coordinates(draft: TicketDraft, city: City) -> None:
    lat, long = draft.lat, draft.long
    if lat is None and long is None:
        return
    if lat is None or long is None:
        raise InvalidDraft("经度和纬度要一起填。")
    if not (math.isfinite(lat) and math.isfinite(long)):
        raise InvalidDraft("经度和纬度要填数字。")
    if problem := city.coordinate_problem(lat, long):
        raise InvalidDraft(problem)
    if abs(lat) > 90 or abs(long) > 180:
        raise InvalidDraft("纬度应在-90到90之间，经度应在-180到180之间。")


def _check_event_time(draft: TicketDraft, city: City, moment: datetime) -> None:
    # A danger is never held up by how its time was written.
    if draft.event_time is None or draft.request_type in _LOOK_AHEAD or draft.urgency == "特急":
        return
    if _is_ahead(draft.event_time.strip(), city, moment):
        raise InvalidDraft("事情发生的时间还没有到，请核对日期。")


def _is_ahead(text: str, city: City, moment: datetime) -> bool:
    """Whether the text names one day, or moment, that is still to come; False for words that may mean another."""
    today = moment.astimezone(city.zone).date()
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        found = _DAY.fullmatch(text)
        try:
            return found is not None and date(*map(int, found.groups())) > today
        except ValueError:
            return False
    if told.tzinfo is None:
        told = told.replace(tzinfo=city.zone)
    return told > moment + _CLOCKS_DIFFER


def _attachments(given: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in given if name.strip())
    if len(names) > _ATTACHMENTS:
        raise InvalidDraft(f"附件最多{_ATTACHMENTS}个。")
    for name in names:
        if len(name) > _ATTACHMENT_CHARS or not (_is_web_address(name) or _FILE_NAME.fullmatch(name)):
            raise InvalidDraft("附件要写成http或https网址，或者文件名。")
    return names


def _is_web_address(text: str) -> bool:
    if any(c.isspace() for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
