"""From a checked draft to a ticket: place, unit, deadline, destination, and what of the requester is kept."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from assistant.city import City, Place
from assistant.tickets.clock import handler_until
from assistant.tickets.deadlines import due_at
from assistant.tickets.evidence import Tell
from assistant.tickets.model import NO_PLACE, Ticket, TicketDraft
from assistant.tickets.numbering import UNKNOWN_DISTRICT, format_number
from assistant.tickets.routing import Route, Router
from assistant.tickets.states import State
from assistant.tickets.store import Vault

__all__ = ["Creation", "Routed"]

# What was read out of a request may differ when it is asked again.
_READ = ("confidences", "channel", "other_matters")
# Younger than the oldest digests: left out of them while empty.
_YOUNGER = ("elements", "lat", "long", "attachments", "follows", "apart_from")
_MATTER_CHARS = 40


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request belongs."""

    place: Place
    route: Route


class Creation:
    """Routes requests of one city and seals what only those may see who have to call back."""

    def __init__(
        self, city: City, vault: Vault, choose: Callable[[str, str, str | None], str], tell: Tell | None = None
    ) -> None:
        self._city, self._vault, self._choose = city, vault, choose
        self._router = Router(city, tell)
        self.asks_a_model = tell is not None

    def route(self, draft: TicketDraft) -> Routed:
        """Blocks: where it `asks_a_model` for some 10 ms, else for less than one."""
        text = f"{draft.title}\n{draft.description}"
        place = self._city.find_place(draft.place, text, draft.lat, draft.long)
        return Routed(
            place,
            self._router.route(draft.category1, draft.category2, text, place, draft.confidences, urgency=draft.urgency),
        )

    def ticket(self, draft: TicketDraft, routed: Routed, running: int, key: str, body: str, moment: datetime) -> Ticket:
        """The ticket before its first step. `running`: the running number of the day."""
        route, place = routed.route, routed.place
        first = route.first_handler or route.lead_unit
        district = self._city.district(place.district) if place.district else None
        day = moment.astimezone(self._city.zone).date()
        code = district.code if district else UNKNOWN_DISTRICT
        number = format_number(self._city.facts.ticket_prefix, day, code, running)
        return Ticket(
            number=number,
            request_key=key,
            request_hash=body,
            conversation_id=draft.conversation_id,
            channel=draft.channel,
            state=State.TO_ACCEPT,
            request_type=draft.request_type,
            category1=draft.category1,
            category2=draft.category2,
            category3=route.matter[:_MATTER_CHARS] if route.matter else None,
            title=draft.title,
            description=draft.description,
            elements=draft.elements,
            attachments=draft.attachments,
            place=draft.place or NO_PLACE,
            grid_path=place.grid_path,
            lat=draft.lat,
            long=draft.long,
            event_time=draft.event_time,
            requester_encrypted=self._sealed(draft),
            phone_last4_hash=self.last4_hash(number, draft.phone[-4:]) if draft.phone else None,
            anonymous=draft.anonymous,
            confidential=draft.confidential,
            urgency=draft.urgency,
            lead_unit=first,
            assisting_units=route.assisting_units,
            routing=route.routing,
            handler_until=handler_until(self._city, route.routing, moment),
            destination=self._choose(first, draft.category1, draft.category2),
            due_at=due_at(
                self._city,
                moment,
                urgency=draft.urgency,
                request_type=draft.request_type,
                deadline=route.deadline,
            ),
            created_at=moment,
            updated_at=moment,
            confidences=draft.confidences,
            other_matters=draft.other_matters,
        )

    def service_code(self, ticket: Ticket) -> str:
        """The code of the ticket's category for the dispatch API; without a second level, as the matrix sees it."""
        known = self._city.categories.get((ticket.category1, ticket.category2 or ""))
        if known is not None:
            return known.service_code
        text = f"{ticket.title}\n{ticket.description}"
        place = self._city.find_place(ticket.place, text, ticket.lat, ticket.long)
        return self._router.route(ticket.category1, ticket.category2, text, place, ticket.confidences).service_code

    def body_hash(self, draft: TicketDraft) -> str:
        """A keyed digest of what the resident confirmed."""
        body = {name: value for name, value in asdict(draft).items() if name not in _READ}
        body = {name: value for name, value in body.items() if name not in _YOUNGER or value not in (None, {}, ())}
        return self._vault.digest(json.dumps(body, sort_keys=True, ensure_ascii=False))

    def last4_hash(self, number: str, last4: str) -> str:
        # With the number, so that equal digits of two tickets cannot be seen.
        return self._vault.digest(f"last4:{number}:{last4}")

    def _sealed(self, draft: TicketDraft) -> bytes | None:
        if draft.anonymous:
            return None
        return self._vault.encrypt(json.dumps({"name": draft.name, "phone": draft.phone}, ensure_ascii=False))
