"""Proposals and counts in the database. Every change of what is in use counts the revision up in its transaction."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from assistant.db.models import RoutingProposal, RoutingRevision, Ticket, TicketEvent, now
from assistant.errors import NotFound
from assistant.returns.model import LIVE
from assistant.returns.report import week_start
from assistant.tickets.states import State

_SENT = ("submit", "dispatch", "assign", "transfer", "reopen")


async def revision(session: AsyncSession) -> int:
    """How often what is in use has changed; 0 before the first change."""
    return (await session.scalar(select(RoutingRevision.revision).where(RoutingRevision.id == 1))) or 0


async def lock(session: AsyncSession) -> int:
    """Let only one writer of proposals in at a time; call it first in a transaction. Gives the revision."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(insert(RoutingRevision).values(id=1, revision=0).on_conflict_do_nothing())
    return await _count(session, 0)


async def count_up(session: AsyncSession) -> None:
    """Announce a change of what is in use, after `lock`."""
    await _count(session, 1)


async def _count(session: AsyncSession, by: int) -> int:
    counted = update(RoutingRevision).where(RoutingRevision.id == 1).values(revision=RoutingRevision.revision + by)
    return int(await session.scalar(counted.returning(RoutingRevision.revision)) or 0)


async def rows(session: AsyncSession, *, live: bool = False) -> Sequence[RoutingProposal]:
    """All proposals, or those in use, the oldest first."""
    query = select(RoutingProposal).order_by(RoutingProposal.id)
    if live:
        query = query.where(RoutingProposal.state == LIVE)
    return list(await session.scalars(query))


async def get(session: AsyncSession, proposal_id: int) -> RoutingProposal:
    """Raises NotFound."""
    found = await session.get(RoutingProposal, proposal_id)
    if found is None:
        raise NotFound("没有这条建议。")
    return found


async def of_key(session: AsyncSession, key: str) -> Sequence[RoutingProposal]:
    """Those of the same suggestion, the oldest first: their keys are `key#1`, `key#2`, …"""
    query = select(RoutingProposal).where(RoutingProposal.key.startswith(f"{key}#", autoescape=True))
    return list(await session.scalars(query.order_by(RoutingProposal.id)))


def decide(row: RoutingProposal, by: str, state: str) -> None:
    """Set the state, and who did it when."""
    row.state, row.decided_by, row.decided_at = state, by, now()


async def returned_numbers(session: AsyncSession, since: datetime) -> list[str]:
    """The tickets that were returned since then, each once."""
    query = select(TicketEvent.number).where(TicketEvent.operation == "return", TicketEvent.at >= since)
    return list(await session.scalars(query.distinct()))


async def texts(session: AsyncSession, *, without: Collection[str], most: int) -> list[str]:
    """Title and description of the newest tickets but those."""
    query = select(Ticket.number, Ticket.title, Ticket.description).order_by(Ticket.created_at.desc())
    found = await session.execute(query.limit(most + len(without)))
    return [f"{title}\n{description}" for number, title, description in found if number not in without][:most]


async def dispatched(session: AsyncSession, mondays: Sequence[date], zone: ZoneInfo) -> dict[tuple[date, str], int]:
    """(Monday, unit) → tickets sent to that unit in that week: dispatched, ruled, transferred, reopened.

    Those that were created before 受理 was a step of its own were dispatched with the first step.
    """
    first: Any = aliased(TicketEvent)
    named = case(
        (TicketEvent.operation == "dispatch", first.changes["lead_unit"].as_string()),
        (TicketEvent.operation == "reopen", Ticket.lead_unit),
        else_=TicketEvent.changes["unit"].as_string(),
    )
    unit = func.coalesce(named, Ticket.lead_unit).label("sent_to")
    counted: Counter[tuple[date, str]] = Counter()
    for monday in mondays:
        query = (
            select(unit, func.count())
            .select_from(TicketEvent)
            .join(Ticket, Ticket.number == TicketEvent.number)
            .outerjoin(first, (first.number == TicketEvent.number) & (first.operation == "submit"))
            .where(
                TicketEvent.operation.in_(_SENT),
                TicketEvent.to_state == str(State.DISPATCHED),
                TicketEvent.at >= week_start(monday, zone),
                TicketEvent.at < week_start(monday + timedelta(weeks=1), zone),
            )
            .group_by("sent_to")
        )
        for name, count in await session.execute(query):
            counted[monday, name] += count
    return dict(counted)
