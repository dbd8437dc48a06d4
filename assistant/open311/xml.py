"""GeoReport v2 answers as XML: the same data as the JSON answers under the element names of the specification."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

# Root element and element per item of a list answer; a key names the items of a nested list.
_ITEMS = {
    "services": "service",
    "service_requests": "request",
    "errors": "error",
    "attributes": "attribute",
    "values": "value",
    "notes": "note",
}


def render(root: str, content: Sequence[Any] | Mapping[str, Any]) -> bytes:
    """`content` below an element `root`, encoded as UTF-8 with an XML declaration."""
    element = ET.Element(root)
    _fill(element, content)
    body: bytes = ET.tostring(element, encoding="utf-8", xml_declaration=True)
    return body


def _fill(element: ET.Element, content: Any) -> None:
    if isinstance(content, Mapping):
        for name, value in content.items():
            _fill(ET.SubElement(element, name), value)
    elif isinstance(content, list | tuple):
        for item in content:
            _fill(ET.SubElement(element, _ITEMS[element.tag]), item)
    elif isinstance(content, bool):
        element.text = "true" if content else "false"
    elif content is not None:
        element.text = str(content)
