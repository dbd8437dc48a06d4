"""The ticket service, the sender, the desk and the poller together: from a resident's request to the public reply."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import httpx
from fastapi import FastAPI
from sqlalchemy import update

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.models import OutboxRow
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.dispatch.desk import Desk
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.poller import Poller
from assistant.dispatch.reports import build_router
from assistant.dispatch.sender import Sender
from assistant.dispatch.signature import signed_headers
from assistant.open311.services import Catalogue
from assistant.problems import install_problem_handlers
from assistant.tickets.model import Matter
from assistant.tickets.service import TicketDraft, TicketService
from tests.dispatch.conftest import Clock, at_desk, outbox, until
from tests.dispatch.hook_receiver import SECRET
from tests.dispatch.receiver import API_KEY, desk_server

CITY = City.load(Path(__file__).resolve().parents[2] / "city" / "demo")


def draft() -> TicketDraft:
    return TicketDraft(
        request_type="投诉",
        category1="环境保护",
        category2="环境污染",
        title="烧烤店油烟扰民",
        description="楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽",
        place="金水区花园路85号",
        event_time="每天晚上",
        phone="13812345678",
        name="王小明",
        anonymous=False,
        confidential=False,
        urgency="一般",
        conversation_id=None,
        channel="web",
        confidences={"category1": 0.99, "category2": 0.99},
        other_matters=(Matter("交通运输", None, "另外12路公交车老是等不来"),),
    )


async def test_a_request_goes_to_the_desk_at_once_and_its_reply_comes_back(db: Database, db_url: str) -> None:
    with desk_server(db_url, catalogue=Catalogue.of_categories(CITY.categories.values())) as receiver:
        destination = Open311Destination(receiver.desk_url, api_key=API_KEY, trust_env=False)
        # The next round by itself would come after an hour: only being woken delivers.
        sender = Sender(db, {"desk": destination}, idle_s=3600)
        tickets = TicketService(SqlTicketStore(db, on_outgoing=sender.wake), CITY, Vault("s" * 32))
        poller = Poller(db, {"desk": destination}, tickets)
        stop = asyncio.Event()
        running = asyncio.create_task(sender.run(stop))

        async def all_sent() -> bool:
            return {row.state for row in await outbox(db)} == {"sent"}

        number = (await tickets.submit(draft(), key="k", actor="resident")).number
        await until(all_sent)
        (request,) = await at_desk(db)
        assert request.attributes["ticket_number"] == number
        assert request.attributes["other_matters"] == "交通运输：另外12路公交车老是等不来"
        assert request.agency_responsible and request.expected_at
        assert "13812345678" not in str(vars(request)) and "王小明" not in str(vars(request))

        desk, request_id = Desk(db), request.service_request_id
        await desk.accept(request_id, actor="a")
        await poller.poll()
        assert (await tickets.find())[0].state == "处置中"
        await tickets.add_supplement(number, "昨天更严重了", key="s", actor="resident")
        await until(all_sent)
        assert [note["text"] for note in (await at_desk(db))[0].notes] == ["昨天更严重了"]
        await desk.resolve(request_id, public_reply="已责令安装油烟净化器", actor="a")
        await poller.poll()
        (ticket,) = await tickets.find()
        assert (ticket.state, ticket.history[-1].public_reply) == ("待回访", "已责令安装油烟净化器")

        await tickets.record_callback(number, solved=False, comment="还有油烟", key="c", actor="resident")
        await until(all_sent)
        again = next(each for each in await at_desk(db) if each.service_request_id != request_id)
        await desk.return_request(again.service_request_id, reason_code="权属不清", note="属于市局", actor="a")
        await poller.poll()
        (ticket,) = await tickets.find()
        assert ticket.state == "待派遣"
        returned = next(entry for entry in ticket.history if entry.operation == "return")
        assert (returned.reason_code, returned.note) == ("权属不清", "属于市局")
        stop.set()
        await asyncio.wait_for(running, 10)
        await destination.close()


async def test_what_a_destination_reports_by_webhook_becomes_the_tickets_history(db: Database, clock: Clock) -> None:
    tickets = TicketService(SqlTicketStore(db), CITY, Vault("s" * 32), destination="water")
    number = (await tickets.submit(draft(), key="k", actor="resident")).number
    async with db.begin() as session:
        await session.execute(update(OutboxRow).values(state="sent", attempts=1, remote_id="W-1"))
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(build_router(db, tickets, {"water": SECRET}, clock=clock))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:

        async def report(delivery: str, **told: str) -> httpx.Response:
            body = json.dumps({"delivery_id": delivery, "ticket": number, **told}).encode()
            headers = signed_headers(SECRET, body, clock.at)
            return await client.post("/webhooks/dispatch/water", content=body, headers=headers)

        assert (await report("1", state="accepted")).json()["state"] == "处置中"
        assert (await report("2", state="ask", note="请问几号楼？电话13812345678")).json()["state"] == "待补充"
        refused = await report("3", state="resolved", public_reply="好了")
        assert (refused.status_code, refused.json()["state"]) == (409, "待补充")
        await tickets.add_supplement(number, "3号楼", key="s", actor="resident")
        until = (clock.at + timedelta(days=60)).isoformat()
        assert (await report("4", state="apply_extension", note="要换管道", until=until)).json()["state"] == "处置中"
        assert (await report("5", state="returned", reason_code="不想管")).status_code == 422
        assert (await report("6", state="returned", reason_code="属地不符", note="在二七区")).json()[
            "state"
        ] == "待派遣"
        for _ in range(2):
            again = await report("2", state="ask", note="请问几号楼？电话13812345678")
            assert again.json() == {"ticket": number, "state": "待派遣", "applied": False}
    view = await tickets.get(number)
    assert view is not None
    steps = [(entry.operation, entry.actor) for entry in view.history if entry.actor.startswith("destination")]
    assert steps == [
        (operation, "destination:water") for operation in ("acknowledge", "ask", "apply_extension", "return")
    ]
    assert "13812345678" not in str(view.history)
