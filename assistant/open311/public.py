"""The city's Open311 GeoReport v2 server for third parties, JSON and XML; mounted at `/open311/v2`.

`POST requests` creates a ticket; it needs the API key of a client (`minsheng open311 client add`) in the field
`api_key` or the header `X-Api-Key`. Type and urgency are read in the text as a resident's words would be, and an
element of the category that the text tells need not be given as an attribute. What tells of a danger is 特急, needs
neither place nor attributes, and the answer's `service_notice` says whom to call now. Requests of a client that is not
trusted wait until an agent accepts them. Reading is open and shows what `published` calls public.

Beyond the specification:

- Header `Idempotency-Key` on POST: the same key with the same body gives the same answer, with another body 409.
  Without the header two equal requests are two requests.
- `page`, `page_size`, `updated_after` on `GET requests`.
- `extended_attributes`: `state` (the ticket's state in Chinese) and, for who filed it, `ticket_number`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from fastapi import APIRouter, Request

from assistant import elements
from assistant.city import City
from assistant.city_models import Category
from assistant.db.models import now
from assistant.errors import NotAllowed, NotFound
from assistant.open311 import input as given
from assistant.open311 import wire
from assistant.open311.clients import Client, Clients
from assistant.open311.drafts import Read, as_danger, asks, draft, is_danger
from assistant.open311.published import PublicIds, Published, PublishedTickets, request_key
from assistant.open311.services import Catalogue
from assistant.open311.wire import Answer
from assistant.tickets.model import TicketDraft, TicketView

MAX_KEY_CHARS = 90


class TicketIntake(Protocol):
    """What is needed of the ticket service: once per `key`, whatever happens."""

    async def submit(self, draft: TicketDraft, *, key: str, actor: str, trusted: bool) -> TicketView: ...


@dataclass(frozen=True, slots=True)
class PublicServer:
    """`read`: the language model. `kind_of_danger`: gas, fire, … of a text that tells of a danger."""

    city: City
    tickets: TicketIntake
    published: PublishedTickets
    clients: Clients
    ids: PublicIds
    catalogue: Catalogue
    read: Read
    kind_of_danger: Callable[[str], str]
    clock: Callable[[], datetime] = now

    def router(self) -> APIRouter:
        """The routes, without a prefix."""
        return wire.build_router(
            [
                ("GET", "/services", self._services),
                ("GET", "/services/{name}", self._service),
                ("GET", "/requests", self._requests),
                ("POST", "/requests", self._post),
                ("GET", "/requests/{name}", self._request),
                ("GET", "/tokens/{name}", self._token),
            ]
        )

    async def _services(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self.city.jurisdiction_id)
        return "services", [wire.service_summary(service) for service in self.catalogue.all()]

    async def _service(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self.city.jurisdiction_id)
        return "service_definition", wire.service_definition(self.catalogue.known(wire.name_in_path(request)))

    async def _requests(self, request: Request) -> Answer:
        given.check_jurisdiction(request, self.city.jurisdiction_id)
        query = given.request_query(request.query_params, self.city.zone, self.clock())
        limit, offset = (given.MAX_LISTED_IDS, 0) if query.ids else given.paging(request.query_params)
        viewer = await self._viewer(request)
        numbers = [number for each in query.ids if (number := self.ids.number(each))]
        categories = None
        if query.service_codes:
            categories = [pair for code in query.service_codes for pair in self._categories(code)]
        found = await self.published.find(query, numbers, categories, viewer=viewer, limit=limit, offset=offset)
        return "service_requests", [self._item(ticket) for ticket in found]

    async def _request(self, request: Request) -> Answer:
        ticket = await self._found(request, "没有这个 service_request_id。")
        return "service_requests", [self._item(ticket)]

    async def _token(self, request: Request) -> Answer:
        # A POST is answered with the id at once, so the id is its own token.
        ticket = await self._found(request, "没有这个 token。")
        public_id = self.ids.of(ticket.number)
        return "service_requests", [{"service_request_id": public_id, "token": public_id}]

    async def _post(self, request: Request) -> Answer:
        fields = await given.read_fields(request)
        client = await self.clients.of_key(given.api_key(request, fields))
        if client is None:
            raise NotAllowed("缺少 api_key，或 api_key 无效。")
        given.check_jurisdiction(request, self.city.jurisdiction_id, fields)
        service = self.catalogue.known(given.single(fields, "service_code"))
        category = self.city.services[service.code]
        description = given.description_of(fields)
        understanding = await self.read(description)
        danger = is_danger(understanding)
        # Nobody is asked for what the text says already, and in danger for nothing.
        entities = [{"type": entity.type, "text": entity.text} for entity in understanding.entities]
        said = elements.said(self.city.elements_of(category.level1, category.level2), description, entities)
        spared = {attribute.code for attribute in service.attributes} if danger or asks(understanding) else set(said)
        new = given.new_request(fields, service, None, needs_place=not danger, told=spared)
        told, notice = draft(new, fields, category, understanding, said), _notice(client)
        if danger:
            kind = self.kind_of_danger(new.description)
            told, notice = as_danger(told, self.city.danger_category(kind)), self.city.text(f"danger_{kind}")
        key = given.idempotency_key(request, longest=MAX_KEY_CHARS) or uuid4().hex
        view = await self.tickets.submit(
            told, key=request_key(client.id, key), actor=f"resident:api:{client.id}", trusted=client.trusted
        )
        answer = {"service_request_id": self.ids.of(view.number), "service_notice": notice, "account_id": None}
        return "service_requests", [answer]

    # --- parts ------------------------------------------------------------------------------------------------------

    async def _viewer(self, request: Request) -> int | None:
        key = given.api_key(request)
        client = await self.clients.of_key(key) if key else None
        return client.id if client else None

    async def _found(self, request: Request, otherwise: str) -> Published:
        given.check_jurisdiction(request, self.city.jurisdiction_id)
        number = self.ids.number(wire.name_in_path(request))
        ticket = await self.published.get(number, viewer=await self._viewer(request)) if number else None
        if ticket is None:
            raise NotFound(otherwise)
        return ticket

    def _categories(self, service_code: str) -> list[tuple[str, str | None]]:
        category = self.city.services.get(service_code)
        if category is None:
            return []
        pair = (category.level1, category.level2)
        return [pair, (category.level1, None)] if category.level2 == "其他" else [pair]

    def _item(self, ticket: Published) -> dict[str, Any]:
        category: Category | None = self.city.category(*ticket.category)
        code = category.service_code if category else ""
        service = self.catalogue.get(code)
        extended = {"state": ticket.state} | ({"ticket_number": ticket.number} if ticket.own else {})
        return wire.Shown(
            id=self.ids.of(ticket.number),
            open=ticket.open,
            service_code=code,
            service_name=service.name if service else ticket.category[0],
            description=ticket.description,
            requested_at=ticket.created_at,
            updated_at=ticket.updated_at,
            withheld=ticket.withheld,
            reply=ticket.reply,
            unit=ticket.unit,
            expected_at=ticket.due_at,
            address=ticket.place,
            lat=ticket.lat,
            long=ticket.long,
            media_url=next(iter(ticket.attachments), None) if ticket.own else None,
            extended=extended,
        ).as_item(self.city.zone)


def _notice(client: Client) -> str:
    return "已收到，将按期办理。" if client.trusted else "已收到，工作人员受理后办理。"
