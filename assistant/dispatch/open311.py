"""Open311 GeoReport v2 server over the built-in desk, JSON and XML; mounted at `/open311/v2`.

The format is the suffix of the path (`requests.json`, `requests.xml`); without a suffix the Accept header decides and
JSON is the default. POST needs an API key (field `api_key` or header `X-Api-Key`). Reading is open to everybody and
shows no personal data; requests of a confidential kind (保密, 举报) show neither text nor place without an API key.

Beyond the specification:

- Header `Idempotency-Key` on POST: the same key with the same body gives the same answer, with another body 409.
- `extended_attributes` of a request: `desk_state` (received, accepted, resolved, returned, withdrawn), `reason_code` of
  a returned one, and for holders of an API key `internal_note`.
- `POST requests/{id}/notes.{json,xml}` with `kind` (supplement, reminder, withdrawal), `text` and `api_key` adds a
  note; the answer holds `service_request_id`, `kind`, `desk_state`.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from assistant.db.models import DeskRequest, now
from assistant.dispatch import open311_input as given
from assistant.dispatch.desk import OPEN_STATES, Desk, NoteKind, RequestFilter, return_note
from assistant.dispatch.open311_xml import render
from assistant.dispatch.services import Attribute, Catalogue, Service
from assistant.errors import BadInput, MinshengError, NotAllowed, NotFound

CITY_ZONE = ZoneInfo("Asia/Shanghai")
MAX_NOTE_CHARS = 4000
WITHHELD = "（内容不公开）"

# GeoReport knows 400, 403 and 404; the extension adds 409.
_STATUS = {422: 400, 401: 403}

Answer = tuple[str, Sequence[Any] | Mapping[str, Any]]


def build_router(
    desk: Desk,
    catalogue: Catalogue,
    *,
    api_keys: Sequence[str],
    jurisdiction_id: str = "",
    zone: tzinfo = CITY_ZONE,
    clock: Callable[[], datetime] = now,
) -> APIRouter:
    """The routes, without a prefix. `api_keys`: the accepted keys; with none, nothing can be posted.

    `jurisdiction_id`: the one jurisdiction served; a request may leave it out, another one is answered with 404.
    """
    return _Server(desk, catalogue, api_keys, jurisdiction_id, zone, clock).router()


class _Server:
    def __init__(
        self,
        desk: Desk,
        catalogue: Catalogue,
        api_keys: Sequence[str],
        jurisdiction_id: str,
        zone: tzinfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._desk = desk
        self._catalogue = catalogue
        self._api_keys = [key for key in api_keys if key]
        self._jurisdiction_id = jurisdiction_id
        self._zone = zone
        self._clock = clock

    def router(self) -> APIRouter:
        router = APIRouter(tags=["open311"])
        routes: list[tuple[str, str, Callable[[Request], Awaitable[Answer]]]] = [
            ("GET", "/services", self._services),
            ("GET", "/services/{name}", self._service),
            ("GET", "/requests", self._requests),
            ("POST", "/requests", self._post_request),
            ("GET", "/requests/{name}", self._request),
            ("POST", "/requests/{id}/notes", self._post_note),
            ("GET", "/tokens/{name}", self._token),
        ]
        for method, path, answer in routes:
            paths = [path] if path.endswith("{name}") else [path, f"{path}.json", f"{path}.xml"]
            for each in paths:
                router.add_api_route(each, _endpoint(answer), methods=[method], response_model=None)
        return router

    # --- services ---------------------------------------------------------------------------------------------------

    async def _services(self, request: Request) -> Answer:
        self._check_jurisdiction(request.query_params.get("jurisdiction_id"))
        return "services", [_service_summary(service) for service in self._catalogue.all()]

    async def _service(self, request: Request) -> Answer:
        self._check_jurisdiction(request.query_params.get("jurisdiction_id"))
        service = self._known_service(_name(request))
        attributes = [_attribute(order, a) for order, a in enumerate(service.attributes, start=1)]
        return "service_definition", {"service_code": service.code, "attributes": attributes}

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _requests(self, request: Request) -> Answer:
        query = request.query_params
        self._check_jurisdiction(query.get("jurisdiction_id"))
        wanted = given.request_filter(query, self._zone, self._clock())
        limit, offset = (given.MAX_LISTED_IDS, 0) if wanted.ids else given.paging(query)
        trusted = self._key_scope(request.headers.get("x-api-key", "")) is not None
        rows = await self._desk.find(wanted, limit=limit, offset=offset)
        return "service_requests", [self._public(row, trusted) for row in rows]

    async def _request(self, request: Request) -> Answer:
        self._check_jurisdiction(request.query_params.get("jurisdiction_id"))
        row = await self._desk.get(_name(request))
        if row is None:
            raise NotFound("没有这个 service_request_id。")
        trusted = self._key_scope(request.headers.get("x-api-key", "")) is not None
        return "service_requests", [self._public(row, trusted)]

    async def _post_request(self, request: Request) -> Answer:
        fields, scope = await self._authorised_fields(request)
        code = given.single(fields, "service_code")
        if not code:
            raise BadInput("缺少 service_code。")
        new = given.new_request(fields, self._known_service(code), self._jurisdiction_id or None)
        row = await self._desk.receive(new, key=given.idempotency_key(request, scope))
        answer = {
            "service_request_id": row.service_request_id,
            "service_notice": "已收到，将按期办理。",
            "account_id": None,
        }
        return "service_requests", [answer]

    async def _post_note(self, request: Request) -> Answer:
        fields, scope = await self._authorised_fields(request)
        kind, text = given.single(fields, "kind"), given.masked(given.single(fields, "text"))
        if kind not in get_args(NoteKind):
            raise BadInput(f"kind 应为 {'、'.join(get_args(NoteKind))}。")
        if kind == "supplement" and not text:
            raise BadInput("缺少 text。")
        if len(text) > MAX_NOTE_CHARS:
            raise BadInput(f"text 超过 {MAX_NOTE_CHARS} 个字。")
        key = given.idempotency_key(request, scope)
        row = await self._desk.add_note(request.path_params["id"], kind, text, key=key)  # type: ignore[arg-type]
        return "notes", [{"service_request_id": row.service_request_id, "kind": kind, "desk_state": row.desk_state}]

    async def _token(self, request: Request) -> Answer:
        # This server always answers a POST with the id at once, so the id is its own token.
        self._check_jurisdiction(request.query_params.get("jurisdiction_id"))
        token = _name(request)
        if not await self._desk.count(RequestFilter(ids=[token])):
            raise NotFound("没有这个 token。")
        return "service_requests", [{"service_request_id": token, "token": token}]

    # --- checks -----------------------------------------------------------------------------------------------------

    async def _authorised_fields(self, request: Request) -> tuple[given.Fields, str]:
        fields = await given.read_fields(request)
        offered = request.headers.get("x-api-key") or given.single(fields, "api_key")
        offered = offered or request.query_params.get("api_key", "")
        scope = self._key_scope(offered)
        if scope is None:
            raise NotAllowed("缺少 api_key，或 api_key 无效。")
        self._check_jurisdiction(given.single(fields, "jurisdiction_id") or request.query_params.get("jurisdiction_id"))
        return fields, scope

    def _key_scope(self, offered: str) -> str | None:
        """A short name for the holder of a valid key; None for an invalid key. Takes the same time for any key."""
        found = None
        for key in self._api_keys:
            if hmac.compare_digest(key.encode(), offered.encode("utf-8", "replace")):
                found = hashlib.sha256(key.encode()).hexdigest()[:12]
        return found

    def _check_jurisdiction(self, offered: str | None) -> None:
        if offered and offered != self._jurisdiction_id:
            raise NotFound("没有这个 jurisdiction_id。")

    def _known_service(self, code: str) -> Service:
        service = self._catalogue.get(code)
        if service is None:
            raise NotFound("没有这个 service_code。")
        return service

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _public(self, row: DeskRequest, trusted: bool) -> dict[str, Any]:
        service = self._catalogue.get(row.service_code)
        secret = row.attributes.get("confidential") == "true" or row.attributes.get("request_type") == "举报"
        withheld = secret and not trusted
        extended: dict[str, Any] = {"desk_state": row.desk_state, "reason_code": row.reason_code}
        if trusted:
            extended["internal_note"] = return_note(row)
        return {
            "service_request_id": row.service_request_id,
            "status": "open" if row.desk_state in OPEN_STATES else "closed",
            "status_notes": None if withheld else row.status_notes,
            "service_name": service.name if service else row.service_code,
            "service_code": row.service_code,
            "description": WITHHELD if withheld else row.description,
            "agency_responsible": row.agency_responsible,
            "service_notice": None,
            "requested_datetime": self._zoned(row.requested_at),
            "updated_datetime": self._zoned(row.updated_at),
            "expected_datetime": self._zoned(row.expected_at),
            "address": None if withheld else row.address,
            "address_id": None if withheld else row.attributes.get("address_id"),
            "zipcode": None,
            "lat": None if withheld else row.lat,
            "long": None if withheld else row.long,
            "media_url": None,
            "extended_attributes": extended,
        }

    def _zoned(self, time: datetime | None) -> str | None:
        return time.astimezone(self._zone).isoformat(timespec="milliseconds") if time else None


def _endpoint(answer: Callable[[Request], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
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


def _name(request: Request) -> str:
    return str(request.path_params["name"]).removesuffix(".json").removesuffix(".xml")


def _service_summary(service: Service) -> dict[str, Any]:
    return {
        "service_code": service.code,
        "service_name": service.name,
        "description": service.description,
        "metadata": bool(service.attributes),
        "type": "realtime",
        "keywords": ",".join(service.keywords),
        "group": service.group,
    }


def _attribute(order: int, attribute: Attribute) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "variable": True,
        "code": attribute.code,
        "datatype": attribute.datatype,
        "required": attribute.required,
        "datatype_description": "",
        "order": order,
        "description": attribute.description,
    }
    if attribute.values:
        answer["values"] = [{"key": key, "name": name} for key, name in attribute.values]
    return answer
