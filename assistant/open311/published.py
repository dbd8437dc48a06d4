"""What is public of tickets, read from the database: masked text, unit, times, the reply; nothing of the requester.

Text, place and reply are withheld of confidential tickets, reports of violations (举报) and withdrawn ones; a ticket
that waits for acceptance is not shown at all, since nobody has looked at it yet. Whoever filed a ticket sees it whole.

Numbers of tickets stay secret, because together with four digits of a phone they open a ticket; ids are made of them by
AES-SIV (RFC 5297), so they need no table and cannot be made up.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import ColumnElement, Row, Select, and_, false, or_, select

from assistant.db.models import Ticket, TicketEvent
from assistant.db.session import Database
from assistant.open311.input import Query
from assistant.tickets.model import NO_PLACE
from assistant.tickets.states import CLOSED, State

# What is read at all.
_COLUMNS = (
    Ticket.number, Ticket.request_key, Ticket.state, Ticket.request_type, Ticket.category1, Ticket.category2,
    Ticket.description, Ticket.place, Ticket.lat, Ticket.long, Ticket.lead_unit, Ticket.attachments,
    Ticket.confidential, Ticket.due_at, Ticket.created_at, Ticket.updated_at,
)  # fmt: skip
_DONE = frozenset({*CLOSED, State.TO_CALL_BACK})
_KEY = "open311:"


class PublicIds:
    """`secret`: 32 bytes in hexadecimal; the same number has the same id under the same secret."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESSIV(bytes.fromhex(secret))

    def of(self, number: str) -> str:
        return base64.urlsafe_b64encode(self._cipher.encrypt(number.encode(), None)).rstrip(b"=").decode()

    def number(self, public_id: str) -> str | None:
        """The number of an id; None for an id that is none of ours."""
        try:
            sealed = base64.b64decode(public_id + "=" * (-len(public_id) % 4), altchars=b"-_", validate=True)
            return self._cipher.decrypt(sealed, None).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Published:
    """A ticket as the public, or who filed it (`own`), may see it."""

    number: str
    state: str
    open: bool
    own: bool
    withheld: bool
    category: tuple[str, str | None]
    description: str
    reply: str | None
    place: str | None
    lat: float | None
    long: float | None
    unit: str
    attachments: tuple[str, ...]
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


def request_key(client_id: int, key: str) -> str:
    """The ticket's request key, which also says who filed it."""
    return f"{_KEY}{client_id}:{key}"


class PublishedTickets:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, number: str, *, viewer: int | None) -> Published | None:
        """`viewer`: id of the API client that asks; None for the public."""
        found = await self._load(select(*_COLUMNS).where(Ticket.number == number, _visible(viewer)), viewer)
        return found[0] if found else None

    async def find(
        self,
        query: Query,
        numbers: Sequence[str],
        categories: Collection[tuple[str, str | None]] | None,
        *,
        viewer: int | None,
        limit: int,
        offset: int,
    ) -> list[Published]:
        """Tickets, the newest first. `numbers`: those of `query.ids`; `categories`: of `query.service_codes`."""
        wanted: Select[Any] = select(*_COLUMNS).where(_visible(viewer))
        if query.ids:
            wanted = wanted.where(Ticket.number.in_(numbers))
        if categories is not None:
            pairs = [and_(Ticket.category1 == first, Ticket.category2 == second) for first, second in categories]
            wanted = wanted.where(or_(*pairs) if pairs else false())
        if query.statuses:
            closed = Ticket.state.in_([str(state) for state in _DONE])
            wanted = wanted.where(or_(*(closed if status == "closed" else ~closed for status in query.statuses)))
        if query.start is not None:
            wanted = wanted.where(Ticket.created_at >= query.start)
        if query.end is not None:
            wanted = wanted.where(Ticket.created_at <= query.end)
        if query.updated_after is not None:
            wanted = wanted.where(Ticket.updated_at > query.updated_after)
        order = (Ticket.created_at.desc(), Ticket.number.desc())
        return await self._load(wanted.order_by(*order).limit(limit).offset(offset), viewer)

    async def _load(self, wanted: Select[Any], viewer: int | None) -> list[Published]:
        async with self._db.read() as session:
            rows = (await session.execute(wanted)).all()
            told = select(TicketEvent.number, TicketEvent.public_reply).where(
                TicketEvent.number.in_([row.number for row in rows]),
                TicketEvent.operation == "resolve",
                TicketEvent.public_reply.is_not(None),
            )
            # The last reply of each stays in the mapping.
            replies = {row.number: row.public_reply for row in await session.execute(told.order_by(TicketEvent.id))}
        return [_published(row, replies, viewer) for row in rows]


def _visible(viewer: int | None) -> ColumnElement[bool]:
    accepted = Ticket.state != str(State.TO_ACCEPT)
    return accepted if viewer is None else or_(accepted, Ticket.request_key.startswith(request_key(viewer, "")))


def _published(row: Row[Any], replies: Mapping[str, Any], viewer: int | None) -> Published:
    own = viewer is not None and row.request_key.startswith(request_key(viewer, ""))
    secret = row.confidential or row.request_type == "举报" or row.state == State.WITHDRAWN
    done = row.state in _DONE
    return Published(
        number=row.number,
        state=row.state,
        open=not done,
        own=own,
        withheld=secret and not own,
        category=(row.category1, row.category2),
        description=row.description,
        reply=replies.get(row.number) if done else None,
        place=row.place if row.place != NO_PLACE else None,
        lat=row.lat,
        long=row.long,
        unit=row.lead_unit,
        attachments=tuple(row.attachments or ()),
        due_at=row.due_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
