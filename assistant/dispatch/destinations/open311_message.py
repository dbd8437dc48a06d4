"""An outbox payload as the fields of a GeoReport request or note."""

import hashlib
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

MAX_DESCRIPTION_CHARS = 4000
MAX_ATTRIBUTE_CHARS = 1000

_SHORTENED = "……（内容较长，此处有删节，全文见原工单）"
_NO_PLACE = "未提供地点"
_NOTE_KINDS = {"supplement": "supplement", "urge": "reminder", "withdraw": "withdrawal"}

# Payload names that travel as attributes of the service. Nothing about the requester is among them.
_ATTRIBUTES = (
    "title",
    "request_type",
    "urgency",
    "event_time",
    "place_grid",
    "ticket_number",
    "unit",
    "assisting_units",
    "due_at",
    "other_matters",
)


def reference(key: str) -> str:
    """A mark that stands in the description, so that a request whose answer was lost can be found again.

    It is derived from the outbox key, so it tells nothing about the ticket (a GeoReport server publishes descriptions).
    """
    return f"来源编号：{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def request_fields(
    key: str,
    payload: dict[str, Any],
    declared: Collection[str],
    element_names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Fields of `POST requests`, the same for the same row at every attempt.

    `declared`: attribute codes of the service; others are left out, as a server need not know them. Elements of the
    category stand in the description of a server that has no attribute `elements`: attributes of its own may be called
    like them and want something else than a resident's words. The description is shortened to 4,000 characters with a
    note that it was.
    """
    told = (payload.get("elements") or {}).items()
    elements, further = "；".join(f"{element_names.get(code, code)}：{words}" for code, words in told if words), {}
    if "elements" in declared:
        further["elements"], elements = elements, ""
    attachments = [str(each) for each in payload.get("attachments") or ()]
    if "attachments" in declared:
        further["attachments"] = " ".join(attachments)
    fields = {"service_code": str(payload["service_code"]), "description": _description(key, payload, elements)}
    if pictures := [each for each in attachments if each.startswith(("http://", "https://"))]:
        fields["media_url"] = pictures[0]
    lat, long = payload.get("lat"), payload.get("long")
    if lat is not None and long is not None:
        fields |= {"lat": str(lat), "long": str(long)}
    address = payload.get("address_string")
    if address:
        fields["address_string"] = str(address)
    elif "lat" not in fields:
        fields["address_string"] = _text(payload.get("place_grid")) or _NO_PLACE
    for code in _ATTRIBUTES:
        if code in declared and _text(payload.get(code)):
            fields[f"attribute[{code}]"] = _text(payload[code])
    for code, words in further.items():
        if words:
            fields[f"attribute[{code}]"] = _fit(words, MAX_ATTRIBUTE_CHARS)
    if payload.get("confidential") and "confidential" in declared:
        fields["attribute[confidential]"] = "true"
    return fields


def note_fields(operation: str, payload: dict[str, Any]) -> dict[str, str]:
    """Fields of `POST requests/{id}/notes` for supplement, urge and withdraw. Raises KeyError for another operation."""
    text = str(payload.get("text") or payload.get("reason") or "")
    return {"kind": _NOTE_KINDS[operation], "text": _fit(text, MAX_DESCRIPTION_CHARS)}


def _description(key: str, payload: dict[str, Any], elements: str) -> str:
    title, text = str(payload.get("title") or ""), str(payload.get("description") or "")
    body = text if not title or text.startswith(title) else f"{title}\n{text}"
    end = f"\n{elements}\n{reference(key)}" if elements else f"\n{reference(key)}"
    return _fit(body, MAX_DESCRIPTION_CHARS - len(end)) + end


def _fit(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_SHORTENED)] + _SHORTENED


def _text(value: Any) -> str:
    return "/".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value or "")
