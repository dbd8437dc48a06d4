"""Reading what a GeoReport server answers, JSON or XML, whatever was asked for. Anything else is a Garbled answer."""

import json
from typing import Any
from xml.etree import ElementTree as ET

from assistant.dispatch.destinations.base import RemoteStatus

Item = dict[str, Any]


class Garbled(Exception):
    """The answer is neither JSON nor XML of the expected form."""


def items(body: bytes) -> list[Item]:
    """The objects of a list answer (`service_requests`, `errors`, …); a single object counts as a list of one."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    content = _xml_list(text) if text.startswith(b"<") else _json(text)
    if isinstance(content, dict):
        values = list(content.values())
        content = values[0] if len(values) == 1 and isinstance(values[0], list) else [content]
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise Garbled
    return content


def declared_attributes(body: bytes) -> frozenset[str]:
    """The attribute codes of a service definition."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return frozenset(e.text.strip() for e in _xml(text).findall("./attributes/attribute/code") if e.text)
    content = _json(text)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    attributes = content.get("attributes") if isinstance(content, dict) else None
    if not isinstance(attributes, list):
        raise Garbled
    return frozenset(str(a["code"]) for a in attributes if isinstance(a, dict) and a.get("code"))


def text_of(item: Item, name: str) -> str | None:
    """A field as text; absent, null and empty are None."""
    value = item.get(name)
    return None if value is None or isinstance(value, dict | list) else str(value).strip() or None


def problem(body: bytes) -> str:
    """The description of an error answer, shortened; empty when there is none."""
    try:
        return (text_of(items(body)[0], "description") or "")[:200]
    except (Garbled, IndexError):
        return ""


def remote_status(item: Item) -> RemoteStatus | None:
    """A request's state; None without an id or a status.

    Our desk says its state in `extended_attributes`. Of another server only open and closed are known: a closed request
    counts as resolved with `status_notes` as the reply.
    """
    remote_id, status = text_of(item, "service_request_id"), (text_of(item, "status") or "").lower()
    extended = item.get("extended_attributes")
    extended = extended if isinstance(extended, dict) else {}
    state = text_of(extended, "desk_state") or {"open": "received", "closed": "resolved"}.get(status)
    if remote_id is None or state is None:
        return None
    return RemoteStatus(
        remote_id=remote_id,
        state=state,
        updated_at=text_of(item, "updated_datetime") or "",
        public_reply=text_of(item, "status_notes") if state == "resolved" else None,
        note=text_of(extended, "internal_note"),
        reason_code=text_of(extended, "reason_code"),
    )


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Garbled from None


def _xml(text: bytes) -> ET.Element:
    # No GeoReport answer has a document type; without one there are no entities that could expand.
    if any(mark in text for mark in (b"<!DOCTYPE", b"<!ENTITY", b"\x00")):
        raise Garbled
    try:
        return ET.fromstring(text)  # noqa: S314 - guarded above, and bounded in size by the caller
    except (ET.ParseError, ValueError, LookupError):
        raise Garbled from None


def _xml_list(text: bytes) -> list[Item]:
    root = _xml(text)
    if root.tag == "html":
        raise Garbled
    return [_xml_item(element) for element in root]


def _xml_item(element: ET.Element) -> Item:
    return {child.tag: _xml_item(child) if len(child) else child.text for child in element}
