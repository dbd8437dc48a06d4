"""From what a third party filed to the draft of a ticket, read by the language model as a resident's words are."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from assistant.city_models import Category
from assistant.errors import BadInput
from assistant.open311.input import Fields, NewRequest, single
from assistant.tickets.model import TicketDraft
from nlu.runtime import Understanding

CHANNEL = "open311"
DANGER, INQUIRY = "特急", "咨询"

Read = Callable[[str], Awaitable[Understanding]]

_PHONE = re.compile(r"\+?[0-9][0-9 \-]{5,24}")
_MAX_URL_CHARS = 400


def is_danger(understanding: Understanding) -> bool:
    return understanding.urgency.name == DANGER


def asks(understanding: Understanding) -> bool:
    """Whether somebody wants to know something; for that, no elements are needed."""
    return understanding.request_type.name == INQUIRY


def draft(
    new: NewRequest, fields: Fields, category: Category, understanding: Understanding, told: Mapping[str, str]
) -> TicketDraft:
    """The draft of a checked request. `told`: elements that the text tells, code → words.

    The service chosen is the category; type and urgency are read in the text. Raises BadInput for a contact or a
    `media_url` that is none.
    """
    phone, name = _contact(fields)
    address_id = new.attributes.get("address_id")
    given = {code: _words(value) for code, value in new.attributes.items() if code not in _NO_ELEMENTS}
    return TicketDraft(
        request_type=understanding.request_type.name,
        category1=category.level1,
        category2=category.level2,
        title="",
        description=new.description,
        place=new.address or (f"地址编号：{address_id}" if address_id else None),
        # What was read as a time may be none, and nobody is there to correct it; the words stand in the text.
        event_time=None,
        phone=phone,
        name=name,
        anonymous=phone is None,
        confidential=new.attributes.get("confidential") == "true",
        urgency=understanding.urgency.name,
        conversation_id=None,
        channel=CHANNEL,
        confidences={
            "request_type": round(understanding.request_type.confidence, 4),
            "category1": 1.0,
            "category2": 1.0,
            "urgency": round(understanding.urgency.confidence, 4),
            "model": understanding.model_version,
            "rule": "service_code",
        },
        elements={**told, **given},
        lat=new.lat,
        long=new.long,
        attachments=_media(fields),
    )


def as_danger(told: TicketDraft, category: Category | None) -> TicketDraft:
    """The kind of danger decides about the category, whatever service was chosen: gas must reach the gas company."""
    kind = told.request_type if told.request_type in ("举报", "投诉") else "求助"
    if category is None:
        return replace(told, request_type=kind)
    confidences: dict[str, Any] = {**told.confidences, "rule": "danger"}
    return replace(
        told, request_type=kind, category1=category.level1, category2=category.level2, confidences=confidences
    )


_NO_ELEMENTS = ("address_id", "confidential")


def _words(value: str | list[str]) -> str:
    return "、".join(value) if isinstance(value, list) else value


def _contact(fields: Fields) -> tuple[str | None, str | None]:
    """Phone and name; what GeoReport calls last_name is the family name, which stands first in Chinese."""
    phone = single(fields, "phone")
    if phone and not _PHONE.fullmatch(phone):
        raise BadInput("phone 应为电话号码。")
    name = single(fields, "last_name") + single(fields, "first_name")
    if len(name) > 40:
        raise BadInput("first_name 和 last_name 合起来超过 40 个字。")
    return phone or None, (name or None) if phone else None


def _media(fields: Fields) -> tuple[str, ...]:
    address = single(fields, "media_url")
    if not address:
        return ()
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or len(address) > _MAX_URL_CHARS:
        raise BadInput(f"media_url 应为 http 或 https 地址，不超过 {_MAX_URL_CHARS} 个字。")
    return (address,)
