"""Operations on tickets for programs of the staff: `/staff/api/tickets/{number}`, with the session of the workbench.

`GET` gives state, version and what may be done now; `POST …/{operation}` does it. Errors are problem documents
(RFC 9457); a conflict (409) names the present `state`. The guard of the workbench has checked session, role and origin.
"""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Header, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from assistant.errors import NotAllowed
from assistant.staff.audit import Audit
from assistant.staff.login import PAGE_ROLES, PREFIX, VISITOR_KEY
from assistant.staff.users import StaffUser
from assistant.tickets.errors import TicketNotFound
from assistant.tickets.model import TicketView
from assistant.tickets.service import TicketService
from assistant.tickets.states import DRAWN, Role, State, Transition, allowed

__all__ = ["build_ticket_api", "offered"]


class Given(BaseModel):
    """The body of an operation; which of it is required, the operation says. `seen`: the version looked at."""

    model_config = ConfigDict(extra="forbid")

    seen: int | None = None
    note: str | None = Field(None, max_length=4000)
    public_reply: str | None = Field(None, max_length=4000)
    reason_code: str | None = None
    unit: str | None = None
    until: AwareDatetime | None = None
    into: str | None = None
    solved: bool | None = None
    satisfied: bool | None = None
    evidence: list[str] = []


def offered(state: str) -> list[Transition]:
    """What the staff may do with a ticket in that state."""
    return [row for row in allowed(State(state), Role.STAFF) if row.operation not in DRAWN]


def build_ticket_api(tickets: TicketService, audit: Audit) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/api/tickets", include_in_schema=False)

    @router.get("/{number}")
    async def show(request: Request, number: str) -> dict[str, Any]:
        _dispatcher(request)
        ticket = await tickets.get(number)
        if ticket is None:
            raise TicketNotFound
        return _shown(ticket)

    @router.post("/{number}/{operation}")
    async def perform(
        request: Request,
        number: str,
        operation: str,
        given: Given,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=80)] = None,
    ) -> dict[str, Any]:
        user = _dispatcher(request)
        key = f"staff:{user.id}:{idempotency_key or uuid4().hex}"
        done = False
        try:
            ticket = await tickets.perform(number, operation, key=key, actor=user.name, **given.model_dump())
            done = True
        finally:
            # The number as it was asked for is no ticket's, perhaps: only what exists is written down.
            if done or await tickets.get(number) is not None:
                await audit.record(user.name, f"ticket.{operation}"[:40], number[:40], success=done)
        return _shown(ticket)

    return router


def _dispatcher(request: Request) -> StaffUser:
    user: StaffUser = request.scope[VISITOR_KEY]
    if not user.has_role(PAGE_ROLES["tickets"]):
        raise NotAllowed
    return user


def _shown(ticket: TicketView) -> dict[str, Any]:
    operations = [
        {"operation": row.operation, "label": row.label, "required": row.required} for row in offered(ticket.state)
    ]
    return {"number": ticket.number, "state": ticket.state, "version": ticket.version, "operations": operations}
