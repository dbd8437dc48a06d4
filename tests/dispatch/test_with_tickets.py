"""The ticket service, the sender, the desk and the poller together: from a resident's request to the public reply."""

import asyncio
from pathlib import Path

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.dispatch.desk import Desk
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.poller import Poller
from assistant.dispatch.sender import Sender
from assistant.dispatch.services import Catalogue
from assistant.tickets.model import Matter
from assistant.tickets.service import TicketDraft, TicketService
from tests.dispatch.conftest import at_desk, outbox, until
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
