"""Returned tickets without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assistant.returns.cases import ReturnCase
from assistant.tickets.model import HistoryEntry, Routing, Ticket
from assistant.tickets.states import State

NOON = datetime(2026, 11, 18, 4, 0, tzinfo=UTC)  # a Wednesday, noon in the city


def ticket(number: str = "ZZ20261118010001", **changes: Any) -> Ticket:
    made = Ticket(
        number=number,
        request_key=number,
        request_hash="",
        conversation_id=None,
        channel="web",
        state=State.DISPATCHED,
        request_type="投诉",
        category1="城乡建设",
        category2="城市建设和市政管理",
        title="有人遛狗不牵绳",
        description="有人遛狗不牵绳",
        place="金水区花园路85号",
        grid_path=("郑州市", "金水区"),
        event_time=None,
        requester_encrypted=None,
        phone_last4_hash=None,
        anonymous=False,
        confidential=False,
        urgency="一般",
        lead_unit="金水区公安分局",
        assisting_units=(),
        routing=Routing("", 0.8, (), False),
        due_at=NOON,
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(made, **changes)


def step(operation: str, actor: str, to: str, *, hours: float = 0, **more: Any) -> HistoryEntry:
    at = NOON + timedelta(hours=hours)
    return HistoryEntry(f"{operation}-{hours}", at, actor, operation, None, to, **more)


def case(
    number: str,
    text: str,
    ruled: str | None,
    *,
    unit: str = "金水区城市管理局",
    reason: str = "权属不清",
    days_ago: float = 0,
    **changes: Any,
) -> ReturnCase:
    """A return of `unit`, ruled to `ruled` two hours later."""
    returned = step("return", "destination:desk", State.RETURNED, hours=-24 * days_ago, reason_code=reason)
    ruling = None
    if ruled is not None:
        ruling = step("assign", "zhao", State.DISPATCHED, hours=2 - 24 * days_ago, changes={"unit": ruled})
    made = ticket(number, title=text[:20], description=text, **changes)
    return ReturnCase(made, returned, unit, ruling, waiting=ruled is None)
