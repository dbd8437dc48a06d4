"""GeoReport v2 over HTTP: routes, JSON or XML, errors, and the form of what is answered.

The format is the suffix of the path (`requests.json`, `requests.xml`); without a suffix the Accept header decides and
JSON is the default. Errors are lists of `code` and `description` with 400, 403, 404, and 409 for a conflict.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from fastapi import APIRouter, Request, Response

from assistant.errors import MinshengError
from assistant.open311.services import Attribute, Service
from assistant.open311.xml import render

WITHHELD = "（内容不公开）"

# GeoReport knows 400, 403 and 404.
_STATUS = {422: 400, 413: 400, 401: 403}

Answer = tuple[str, Sequence[Any] | Mapping[str, Any]]
Answering = Callable[[Request], Awaitable[Answer]]


def build_router(routes: Iterable[tuple[str, str, Answering]]) -> APIRouter:
    """Routes from (method, path, what answers). A path that ends in `{name}` takes the suffix with the name."""
    router = APIRouter(tags=["open311"])
    for method, path, answer in routes:
        paths = [path] if path.endswith("{name}") else [path, f"{path}.json", f"{path}.xml"]
        for each in paths:
            router.add_api_route(each, _endpoint(answer), methods=[method], response_model=None)
    return router


def name_in_path(request: Request) -> str:
    """The `{name}` of the path without its suffix."""
    return str(request.path_params["name"]).removesuffix(".json").removesuffix(".xml")


def service_summary(service: Service) -> dict[str, Any]:
    """One item of `GET services`."""
    return {
        "service_code": service.code,
        "service_name": service.name,
        "description": service.description,
        "metadata": bool(service.attributes),
        "type": "realtime",
        "keywords": ",".join(service.keywords),
        "group": service.group,
    }


def service_definition(service: Service) -> dict[str, Any]:
    """The answer of `GET services/{code}`."""
    attributes = [_attribute(order, attribute) for order, attribute in enumerate(service.attributes, start=1)]
    return {"service_code": service.code, "attributes": attributes}


def _attribute(order: int, attribute: Attribute) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "variable": True,
        "code": attribute.code,
        "datatype": attribute.datatype,
        "required": attribute.required,
        "datatype_description": attribute.hint,
        "order": order,
        "description": attribute.description,
    }
    if attribute.values:
        answer["values"] = [{"key": key, "name": name} for key, name in attribute.values]
    return answer


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as it is shown. `withheld`: without text, place, reply and media."""

    id: str
    open: bool
    service_code: str
    service_name: str
    description: str
    requested_at: datetime
    updated_at: datetime
    withheld: bool = False
    reply: str | None = None
    unit: str | None = None
    expected_at: datetime | None = None
    address: str | None = None
    address_id: str | None = None
    lat: float | None = None
    long: float | None = None
    media_url: str | None = None
    extended: Mapping[str, Any] = field(default_factory=dict)

    def as_item(self, zone: tzinfo) -> dict[str, Any]:
        """One item of `GET requests`, with times of `zone`."""
        hidden = self.withheld
        return {
            "service_request_id": self.id,
            "status": "open" if self.open else "closed",
            "status_notes": None if hidden else self.reply,
            "service_name": self.service_name,
            "service_code": self.service_code,
            "description": WITHHELD if hidden else self.description,
            "agency_responsible": self.unit,
            "service_notice": None,
            "requested_datetime": _zoned(self.requested_at, zone),
            "updated_datetime": _zoned(self.updated_at, zone),
            "expected_datetime": _zoned(self.expected_at, zone),
            "address": None if hidden else self.address,
            "address_id": None if hidden else self.address_id,
            "zipcode": None,
            "lat": None if hidden else self.lat,
            "long": None if hidden else self.long,
            "media_url": None if hidden else self.media_url,
            "extended_attributes": dict(self.extended),
        }


def _zoned(time: datetime | None, zone: tzinfo) -> str | None:
    return time.astimezone(zone).isoformat(timespec="milliseconds") if time else None


def _endpoint(answer: Answering) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            status, (root, content) = 200, await answer(request)
        except MinshengError as error:
            status = _STATUS.get(error.status, error.status)
            root, content = "errors", [{"code": status, "description": error.detail}]
        if _wants_xml(request):
            return Response(render(root, content), status, media_type="text/xml; charset=utf-8")
        body = json.dumps(content, ensure_ascii=False)
        return Response(body, status, media_type="application/json; charset=utf-8")

    return endpoint


def _wants_xml(request: Request) -> bool:
    path = request.url.path
    if path.endswith((".xml", ".json")):
        return path.endswith(".xml")
    accept = request.headers.get("accept", "")
    return "xml" in accept and "json" not in accept and "html" not in accept
