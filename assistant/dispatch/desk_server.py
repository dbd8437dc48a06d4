"""Open311 GeoReport v2 server over the built-in desk, JSON and XML; mounted at `/desk/open311/v2`.

POST needs the desk's API key (field `api_key` or header `X-Api-Key`). Reading is open and shows no personal data;
requests of a confidential kind (保密, 举报) show neither text nor place without the key.

Beyond the specification:

- Header `Idempotency-Key` on POST: the same key with the same body gives the same answer, with another body 409.
- `extended_attributes` of a request: `desk_state` (received, accepted, resolved, returned, withdrawn), `reason_code` of
  a returned one, and for holders of an API key `internal_note`.
- `POST requests/{id}/notes.{json,xml}` with `kind` (supplement, reminder, withdrawal), `text` and `api_key` adds a
  note; the answer holds `service_request_id`, `kind`, `desk_state`.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request

from assistant.db.models import DeskRequest, now
from assistant.dispatch.desk import CLOSED_STATES, OPEN_STATES, Desk, NoteKind, RequestFilter, return_note
from assistant.errors import BadInput, NotAllowed, NotFound
from assistant.open311 import input as given
from assistant.open311 import wire
from assistant.open311.services import Catalogue
from assistant.open311.wire import Answer

CITY_ZONE = ZoneInfo("Asia/Shanghai")
MAX_NOTE_CHARS = 4000


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
        return wire.build_router(
            [
                ("GET", "/services", self._services),
                ("GET", "/services/{name}", self._service),
                ("GET", "/requests", self._requests),
                ("POST", "/requests", self._post_request),
                ("GET", "/requests/{name}", self._request),
                ("POST", "/requests/{id}/notes", self._post_note),
                ("GET", "/tokens/{name}", self._token),
            ]
        )

    # --- services ---------------------------------------------------------------------------------------------------

    async def _services(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self._jurisdiction_id)
        return "services", [wire.service_summary(service) for service in self._catalogue.all()]

    async def _service(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self._jurisdiction_id)
        return "service_definition", wire.service_definition(self._catalogue.known(wire.name_in_path(request)))

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _requests(self, request: Request) -> Answer:
        query = request.query_params
        given.check_jurisdiction(request, self._jurisdiction_id)
        wanted = _filter(given.request_query(query, self._zone, self._clock()))
        limit, offset = (given.MAX_LISTED_IDS, 0) if wanted.ids else given.paging(query)
        trusted = self._key_scope(given.api_key(request)) is not None
        rows = await self._desk.find(wanted, limit=limit, offset=offset)
        return "service_requests", [self._public(row, trusted) for row in rows]

    async def _request(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self._jurisdiction_id)
        row = await self._desk.get(wire.name_in_path(request))
        if row is None:
            raise NotFound("没有这个 service_request_id。")
        trusted = self._key_scope(given.api_key(request)) is not None
        return "service_requests", [self._public(row, trusted)]

    async def _post_request(self, request: Request) -> Answer:
        fields, scope = await self._authorised_fields(request)
        code = given.single(fields, "service_code")
        if not code:
            raise BadInput("缺少 service_code。")
        new = given.new_request(fields, self._catalogue.known(code), self._jurisdiction_id or None)
        row = await self._desk.receive(new, key=_scoped(given.idempotency_key(request), scope))
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
        key = _scoped(given.idempotency_key(request), scope)
        row = await self._desk.add_note(request.path_params["id"], kind, text, key=key)  # type: ignore[arg-type]
        return "notes", [{"service_request_id": row.service_request_id, "kind": kind, "desk_state": row.desk_state}]

    async def _token(self, request: Request) -> Answer:
        # This server always answers a POST with the id at once, so the id is its own token.
        given.check_jurisdiction(request, self._jurisdiction_id)
        token = wire.name_in_path(request)
        if not await self._desk.count(RequestFilter(ids=[token])):
            raise NotFound("没有这个 token。")
        return "service_requests", [{"service_request_id": token, "token": token}]

    # --- checks -----------------------------------------------------------------------------------------------------

    async def _authorised_fields(self, request: Request) -> tuple[given.Fields, str]:
        fields = await given.read_fields(request)
        scope = self._key_scope(given.api_key(request, fields))
        if scope is None:
            raise NotAllowed("缺少 api_key，或 api_key 无效。")
        given.check_jurisdiction(request, self._jurisdiction_id, fields)
        return fields, scope

    def _key_scope(self, offered: str) -> str | None:
        """A short name for the holder of a valid key; None for an invalid key. Takes the same time for any key."""
        found = None
        for key in self._api_keys:
            if hmac.compare_digest(key.encode(), offered.encode("utf-8", "replace")):
                found = hashlib.sha256(key.encode()).hexdigest()[:12]
        return found

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _public(self, row: DeskRequest, trusted: bool) -> dict[str, Any]:
        service = self._catalogue.get(row.service_code)
        secret = row.attributes.get("confidential") == "true" or row.attributes.get("request_type") == "举报"
        extended: dict[str, Any] = {"desk_state": row.desk_state, "reason_code": row.reason_code}
        if trusted:
            extended["internal_note"] = return_note(row)
        return wire.Shown(
            id=row.service_request_id,
            open=row.desk_state in OPEN_STATES,
            service_code=row.service_code,
            service_name=service.name if service else row.service_code,
            description=row.description,
            requested_at=row.requested_at,
            updated_at=row.updated_at,
            withheld=secret and not trusted,
            reply=row.status_notes,
            unit=row.agency_responsible,
            expected_at=row.expected_at,
            address=row.address,
            address_id=row.attributes.get("address_id"),
            lat=row.lat,
            long=row.long,
            extended=extended,
        ).as_item(self._zone)


def _scoped(key: str | None, scope: str) -> str | None:
    return f"{scope}:{key}" if key is not None else None


def _filter(query: given.Query) -> RequestFilter:
    states = {"open": OPEN_STATES, "closed": CLOSED_STATES}
    return RequestFilter(
        ids=query.ids,
        service_codes=query.service_codes,
        states=[state for status in query.statuses for state in states[status]],
        start=query.start,
        end=query.end,
        updated_after=query.updated_after,
    )
