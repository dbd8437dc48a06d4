"""A destination reports by signed webhook: taken in once, from nobody else, and about its own tickets only."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from assistant.db.models import OutboxRow, WebhookReceipt
from assistant.db.session import Database
from assistant.dispatch.reports import build_router
from assistant.dispatch.sender import Sender
from assistant.problems import install_problem_handlers
from assistant.tickets.errors import TransitionRefused
from tests.dispatch.conftest import Clock, add_rows, add_ticket, outbox

SECRET = "the secret of the water company"
SECRETS = {"water": SECRET, "heating": "the secret of the heating company"}


@dataclass
class View:
    state: str


class Tickets:
    """Notes every call; a key counts once, as in the ticket service. `refuse` is raised at every call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.refuse: Exception | None = None

    async def get(self, number: str) -> View:
        return View("处置中")

    async def apply_dispatch_status(self, number: str, state: str, **values: Any) -> View:
        if self.refuse is not None:
            raise self.refuse
        self.calls.append({"number": number, "state": state, **values})
        return View("处置中")

    @property
    def effects(self) -> list[tuple[str, str]]:
        return list({call["key"]: (call["number"], call["state"]) for call in self.calls}.values())


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()


@pytest.fixture
async def client(db: Database, tickets: Tickets, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(build_router(db, tickets, SECRETS, clock=clock))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


@pytest.fixture
async def filed(db: Database) -> None:
    """ZZ1 was sent to water as W-1."""
    await add_ticket(db, "ZZ1", destination="water")
    await sent(db, "ZZ1", "W-1")


async def sent(db: Database, number: str, remote_id: str) -> None:
    async with db.begin() as session:
        last = select(func.max(OutboxRow.id)).where(OutboxRow.ticket_number == number).scalar_subquery()
        values = {"state": "sent", "attempts": 1, "remote_id": remote_id}
        await session.execute(update(OutboxRow).where(OutboxRow.id == last).values(**values))


def body(**changes: Any) -> dict[str, Any]:
    told = {"delivery_id": "D-1", "ticket": "ZZ1", "state": "accepted", **changes}
    return {name: value for name, value in told.items() if value is not None}


def signed(content: bytes, clock: Clock, secret: str = SECRET, late_s: float = 0) -> dict[str, str]:
    timestamp = str(int(clock.at.timestamp() - late_s))
    mac = hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256)
    return {"Minsheng-Timestamp": timestamp, "Minsheng-Signature": f"v1={mac.hexdigest()}"}


async def tell(
    client: httpx.AsyncClient, clock: Clock, told: dict[str, Any], *, to: str = "water", **signing: Any
) -> httpx.Response:
    content = json.dumps(told, ensure_ascii=False).encode()
    return await client.post(f"/webhooks/dispatch/{to}", content=content, headers=signed(content, clock, **signing))


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["detail"]


@pytest.mark.usefixtures("filed")
async def test_every_state_reaches_the_ticket_with_what_belongs_to_it(
    client: httpx.AsyncClient, clock: Clock, tickets: Tickets
) -> None:
    until = "2030-01-05T18:00:00+08:00"
    reports: Sequence[dict[str, Any]] = (
        {"state": "accepted"},
        {"state": "ask", "note": "请问是几号楼？"},
        {"state": "apply_extension", "note": "要换主管道", "until": until, "evidence": ["https://w.example/plan.pdf"]},
        {"state": "returned", "reason_code": "属地不符", "note": "在二七区"},
        {"state": "resolved", "public_reply": "已恢复供水", "evidence": ["现场照片.jpg", "https://w.example/1.jpg"]},
    )
    for n, told in enumerate(reports):
        answer = await tell(client, clock, body(delivery_id=f"D-{n}", **told))
        assert answer.json() == {"ticket": "ZZ1", "state": "处置中", "applied": True}, answer.text
    assert [call["state"] for call in tickets.calls] == [told["state"] for told in reports]
    assert {call["actor"] for call in tickets.calls} == {"destination:water"}
    assert len({call["key"] for call in tickets.calls}) == 5 and all(len(c["key"]) < 120 for c in tickets.calls)
    _, asked, extension, returned, resolved = tickets.calls
    assert asked["note"] == "请问是几号楼？"
    assert extension["until"].isoformat() == until
    assert returned["reason_code"] == "属地不符"
    assert (resolved["public_reply"], resolved["evidence"]) == (
        "已恢复供水",
        ("现场照片.jpg", "https://w.example/1.jpg"),
    )


@pytest.mark.usefixtures("filed")
async def test_the_same_delivery_again_changes_nothing(
    client: httpx.AsyncClient, clock: Clock, tickets: Tickets
) -> None:
    first = await tell(client, clock, body())
    clock.advance(7200)
    # Hours later, signed anew, the members of the object in another order.
    again = await tell(client, clock, dict(reversed(body().items())))
    assert (first.json()["applied"], again.json()["applied"]) == (True, False)
    assert again.status_code == 200 and len(tickets.calls) == 1
    other = await tell(client, clock, body(state="resolved"))
    assert problem_of(other) == (409, "同一个 delivery_id 已用于内容不同的通知。")
    assert len(tickets.calls) == 1


@pytest.mark.usefixtures("filed")
async def test_the_same_delivery_at_once_has_one_effect(
    client: httpx.AsyncClient, clock: Clock, tickets: Tickets
) -> None:
    answers = await asyncio.gather(*(tell(client, clock, body()) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert tickets.effects == [("ZZ1", "accepted")]


@pytest.mark.usefixtures("filed")
async def test_a_replayed_message_is_refused(client: httpx.AsyncClient, clock: Clock, tickets: Tickets) -> None:
    content = json.dumps(body()).encode()
    headers = signed(content, clock)
    clock.advance(301)
    answer = await client.post("/webhooks/dispatch/water", content=content, headers=headers)
    assert answer.status_code == 401 and "五分钟" in answer.json()["detail"]
    # With a new time the signature does not fit any more.
    headers["Minsheng-Timestamp"] = str(int(clock.at.timestamp()))
    answer = await client.post("/webhooks/dispatch/water", content=content, headers=headers)
    assert answer.status_code == 401 and "签名不对" in answer.json()["detail"]
    early = await tell(client, clock, body(), late_s=-301)
    assert early.status_code == 401
    assert tickets.calls == []
    assert (await tell(client, clock, body(), late_s=299)).status_code == 200


WRONGLY_SIGNED: list[dict[str, str]] = [
    {},
    {"Minsheng-Timestamp": "", "Minsheng-Signature": ""},
    {"Minsheng-Timestamp": "yesterday"},
    {"Minsheng-Signature": "v1="},
    {"Minsheng-Signature": "v1=" + "0" * 64},
    {"Minsheng-Signature": "v2=" + "0" * 64},
]


@pytest.mark.usefixtures("filed")
async def test_a_wrong_signature_is_refused(client: httpx.AsyncClient, clock: Clock, tickets: Tickets) -> None:
    content = json.dumps(body()).encode()
    for changes in WRONGLY_SIGNED:
        headers = {**signed(content, clock), **changes} if changes else {}
        answer = await client.post("/webhooks/dispatch/water", content=content, headers=headers)
        assert answer.status_code == 401, changes
    assert (await tell(client, clock, body(), secret=SECRETS["heating"])).status_code == 401
    tampered = content.replace(b"ZZ1", b"ZZ2")
    answer = await client.post("/webhooks/dispatch/water", content=tampered, headers=signed(content, clock))
    assert answer.status_code == 401
    assert tickets.calls == []


@pytest.mark.usefixtures("filed")
async def test_only_the_destination_that_has_the_ticket_may_speak_of_it(
    client: httpx.AsyncClient, clock: Clock, db: Database, tickets: Tickets
) -> None:
    assert problem_of(await tell(client, clock, body(), to="nobody"))[0] == 404
    unknown = [
        await tell(client, clock, body(), to="heating", secret=SECRETS["heating"]),
        await tell(client, clock, body(ticket="ZZ404")),
        await tell(client, clock, body(ticket=None, request_id="W-404")),
    ]
    assert {problem_of(answer) for answer in unknown} == {(404, "没有派给您这张工单，请核对编号。")}
    assert (await tell(client, clock, body(ticket=None, request_id="W-1"))).status_code == 200
    # Written to the outbox and not sent yet: nobody there can know of it.
    await add_ticket(db, "ZZ2", destination="water")
    assert problem_of(await tell(client, clock, body(delivery_id="D-2", ticket="ZZ2")))[0] == 404
    # Filed again: what is said about the former request is late; and then with another destination.
    await add_rows(db, "ZZ1", "create", destination="water")
    await sent(db, "ZZ1", "W-2")
    late = await tell(client, clock, body(delivery_id="D-3", ticket=None, request_id="W-1"))
    assert problem_of(late) == (409, "这个编号的诉求之后又派过一次，请按最新的编号报告。")
    await add_rows(db, "ZZ1", "create", destination="heating")
    assert problem_of(await tell(client, clock, body(delivery_id="D-4")))[0] == 404
    assert len(tickets.calls) == 1


BAD_BODIES: list[tuple[Any, str]] = [
    ({"delivery_id": None}, "delivery_id"),
    ({"delivery_id": "有空格 的"}, "delivery_id"),
    ({"ticket": None}, "ticket"),
    ({"state": "dancing"}, "state"),
    ({"state": "returned"}, "reason_code"),
    ({"state": "ask"}, "note"),
    ({"state": "ask", "note": "  "}, "note"),
    ({"state": "apply_extension", "note": "要换主管道"}, "until"),
    ({"state": "apply_extension", "note": "要换主管道", "until": "2030-01-05T18:00:00"}, "until"),
    ({"evidence": ["x"] * 21}, "evidence"),
    ({"evidence": [""]}, "evidence"),
    ({"public_reply": "长" * 4001}, "public_reply"),
    ({"password": "x"}, "password"),
]


@pytest.mark.usefixtures("filed")
async def test_a_bad_field_is_named(client: httpx.AsyncClient, clock: Clock, tickets: Tickets) -> None:
    for changes, name in BAD_BODIES:
        answer = await tell(client, clock, body(**changes))
        status, detail = problem_of(answer)
        assert status == 422 and name in detail, (changes, detail)
        assert "长长" not in detail
    for content in (b"", b"{", b"[]", b"\xff", b"[" * 30_000):
        headers = signed(content, clock)
        answer = await client.post("/webhooks/dispatch/water", content=content, headers=headers)
        assert problem_of(answer)[0] == 422, content[:9]
    huge = await tell(client, clock, body(note="x" * 70_000))
    assert problem_of(huge) == (413, "通知超过 64 KB。")
    assert tickets.calls == []


@pytest.mark.usefixtures("filed")
async def test_what_the_ticket_refuses_is_told_and_may_be_sent_again(
    client: httpx.AsyncClient, clock: Clock, tickets: Tickets
) -> None:
    tickets.refuse = TransitionRefused("办结", "待补充")
    answer = await tell(client, clock, body(state="resolved"))
    assert problem_of(answer) == (409, "工单现在是“待补充”，不能办结。")
    assert answer.json()["state"] == "待补充"
    tickets.refuse = None
    assert (await tell(client, clock, body(state="resolved"))).json()["applied"], "nothing was half done"


@pytest.mark.usefixtures("filed")
async def test_the_poller_is_spared_what_was_reported(client: httpx.AsyncClient, clock: Clock, db: Database) -> None:
    await tell(client, clock, body(state="resolved", public_reply="已恢复供水"))
    (row,) = await outbox(db)
    assert row.remote_state == "resolved"


@pytest.mark.usefixtures("filed")
async def test_receipts_are_forgotten_after_thirty_days(client: httpx.AsyncClient, clock: Clock, db: Database) -> None:
    await tell(client, clock, body())
    clock.advance(timedelta(days=29).total_seconds())
    sender = Sender(db, {}, clock=clock)
    await tell(client, clock, body(delivery_id="D-2", state="resolved"))
    assert await sender.tidy() == 0
    clock.advance(timedelta(days=2).total_seconds())
    assert await sender.tidy() == 1
    async with db.read() as session:
        assert list(await session.scalars(select(WebhookReceipt.delivery_id))) == ["D-2"]
    # A sender at work does it by itself.
    clock.advance(timedelta(days=30).total_seconds())
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    while True:
        async with db.read() as session:
            if await session.scalar(select(func.count()).select_from(WebhookReceipt)) == 0:
                break
        await asyncio.sleep(0.01)
    stop.set()
    await running
