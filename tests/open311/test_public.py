"""What a third party files becomes a ticket, and what the public sees of tickets."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from sqlalchemy import update

from assistant.db.models import Ticket
from assistant.db.session import Database
from assistant.open311.clients import Clients
from assistant.open311.published import PublicIds
from assistant.tickets.model import TicketView
from assistant.tickets.service import TicketService
from tests.dispatch.conftest import outbox
from tests.open311.conftest import IDS, POLLUTION, VAULT, WAGES, WATER, Party
from tests.tickets.drafts import draft as resident_draft

SMOKE = "花园路85号楼下烧烤店每天晚上油烟很大，请管一管"
FORM = {"service_code": POLLUTION, "description": SMOKE, "address_string": "金水区花园路85号"}
# The text says since when; the company and the amount are missing.
WAGE_FORM = {"service_code": WAGES, "description": "工地拖欠我们三个月工资", "address_string": "金水区花园路85号"}


async def post(client: httpx.AsyncClient, party: Party, key: str | None = None, **changes: Any) -> httpx.Response:
    fields = {name: value for name, value in {**FORM, "api_key": party.key, **changes}.items() if value is not None}
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/requests.json", data=fields, headers=headers)


async def posted(client: httpx.AsyncClient, party: Party, **changes: Any) -> str:
    answer = await post(client, party, **changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0]["service_request_id"])


def error_of(answer: httpx.Response) -> tuple[int, int, str]:
    (error,) = answer.json()
    assert set(error) == {"code", "description"}
    return answer.status_code, error["code"], error["description"]


async def ticket_of(tickets: TicketService, request_id: str) -> TicketView:
    view = await tickets.get(IDS.number(request_id) or "")
    assert view is not None
    return view


def as_party(party: Party) -> dict[str, str]:
    return {"X-Api-Key": party.key}


# --- filing ---------------------------------------------------------------------------------------------------------


async def test_a_request_becomes_a_ticket_that_is_dispatched(
    client: httpx.AsyncClient, db: Database, tickets: TicketService, party: Party
) -> None:
    request_id = await posted(
        client, party, lat="34.7876", long="113.6873", phone="138 1234 5678", last_name="王", first_name="小明",
        email="wang@example.org", media_url="https://example.org/1.jpg",
    )  # fmt: skip
    ticket = await ticket_of(tickets, request_id)
    assert (ticket.category1, ticket.category2, ticket.channel) == ("环境保护", "环境污染", "open311")
    assert (ticket.request_type, ticket.urgency, ticket.state) == ("投诉", "一般", "已派遣")
    assert ticket.description == SMOKE and ticket.place == "金水区花园路85号" and ticket.grid_path[1] == "金水区"
    assert (ticket.lat, ticket.long, ticket.attachments) == (34.7876, 113.6873, ("https://example.org/1.jpg",))
    assert ticket.confidences["rule"] == "service_code"
    requester = await tickets.reveal_requester(ticket.number)
    assert (requester.name, requester.phone) == ("王小明", "13812345678")
    (row,) = await outbox(db)
    assert (row.operation, row.ticket_number) == ("create", ticket.number)
    assert "13812345678" not in str(row.payload) and "王" not in str(row.payload)


async def test_requests_of_a_stranger_wait_for_an_agent(
    client: httpx.AsyncClient, db: Database, tickets: TicketService, stranger: Party
) -> None:
    answer = await post(client, stranger)
    assert answer.json()[0]["service_notice"] == "已收到，工作人员受理后办理。"
    request_id = answer.json()[0]["service_request_id"]
    ticket = await ticket_of(tickets, request_id)
    assert ticket.state == "待受理" and await outbox(db) == []
    # Nobody has looked at it yet: it is not published, but its author sees it.
    assert (await client.get(f"/requests/{request_id}.json")).status_code == 404
    assert (await client.get("/requests.json")).json() == []
    (own,) = (await client.get(f"/requests/{request_id}.json", headers=as_party(stranger))).json()
    assert (own["description"], own["extended_attributes"]["state"]) == (SMOKE, "待受理")
    await tickets.accept(ticket.number, key="a", actor="wang")
    assert len(await outbox(db)) == 1
    assert (await client.get(f"/requests/{request_id}.json")).status_code == 200


@pytest.mark.parametrize("known", [True, False], ids=["trusted", "stranger"])
async def test_danger_is_treated_as_danger(
    client: httpx.AsyncClient, tickets: TicketService, party: Party, stranger: Party, known: bool
) -> None:
    # Under a service that needs more, without a place: nothing of that can hold up a danger.
    answer = await post(
        client, party if known else stranger, service_code=WAGES, address_string=None,
        description="我家里煤气泄漏了，味道很大，头很晕",
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()
    assert "119" in told["service_notice"] or "燃气" in told["service_notice"]
    ticket = await ticket_of(tickets, told["service_request_id"])
    assert (ticket.urgency, ticket.request_type) == ("特急", "求助")
    assert (ticket.category1, ticket.category2) != ("劳动和社会保障", "工资福利"), "the gas company hears of it"
    assert ticket.due_at - ticket.created_at <= timedelta(hours=2)
    assert (ticket.state == "待受理") is not known


async def test_attributes_are_elements_of_the_category(
    client: httpx.AsyncClient, db: Database, tickets: TicketService, party: Party
) -> None:
    more = {"attribute[employer]": "某建筑公司", "attribute[wages_amount]": "三万六", "attribute[contract]": "有"}
    request_id = await posted(client, party, **{**WAGE_FORM, **more, "attribute[unheard]": "x"})
    ticket = await ticket_of(tickets, request_id)
    assert ticket.elements == {
        "wages_period": "三个月",  # told in the text: nobody is asked for it again
        "employer": "某建筑公司",
        "wages_amount": "三万六",
        "contract": "有",
    }
    assert (await outbox(db))[0].payload["elements"] == ticket.elements
    refused = [
        await post(client, party, **WAGE_FORM),
        await post(client, party, **WAGE_FORM, **{**more, "attribute[contract]": "也许"}),
        await post(client, party, **WAGE_FORM, **{**more, "attribute[employer]": ["一家", "两家"]}),
    ]
    assert [error_of(answer)[0] for answer in refused] == [400, 400, 400]
    assert "employer" in error_of(refused[0])[2] and "单位" in error_of(refused[0])[2]
    question = {**WAGE_FORM, "description": "想咨询一下拖欠工资到哪里投诉"}
    assert (await post(client, party, **question)).status_code == 200, "who only asks needs no elements"


async def test_two_equal_requests_are_two_unless_they_have_a_key(
    client: httpx.AsyncClient, db: Database, party: Party, stranger: Party
) -> None:
    assert await posted(client, party) != await posted(client, party)
    answers = await asyncio.gather(*(post(client, party, "K-1") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()[0]["service_request_id"] for answer in answers}) == 1
    assert error_of(await post(client, party, "K-1", address_string="二七区大学路1号"))[:2] == (409, 409)
    assert (await post(client, stranger, "K-1", address_string="二七区大学路1号")).status_code == 200
    assert len({row.ticket_number for row in await outbox(db)}) == 3, "the stranger's waits"
    assert error_of(await post(client, party, "K" * 91))[0] == 400


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"api_key": None}, 403),
    ({"api_key": "wrong"}, 403),
    ({"api_key": "密钥"}, 403),
    ({"jurisdiction_id": "elsewhere"}, 404),
    ({"service_code": None}, 404),
    ({"service_code": "none"}, 404),
    ({"description": None}, 400),
    ({"description": "长" * 4001}, 400),
    ({"address_string": None}, 400),
    ({"lat": "34.7"}, 400),
    ({"lat": "113.68", "long": "34.78"}, 400),
    ({"lat": "nan", "long": "1"}, 400),
    ({"phone": "打我电话"}, 400),
    ({"media_url": "javascript:alert(1)"}, 400),
    ({"media_url": "https://"}, 400),
    ({"media_url": "https://example.org/" + "x" * 400}, 400),
    ({"attribute[confidential]": "maybe"}, 400),
]


async def test_what_cannot_be_filed_is_refused_and_nothing_is_kept(
    client: httpx.AsyncClient, tickets: TicketService, party: Party
) -> None:
    for changes, status in REFUSED:
        assert error_of(await post(client, party, **changes))[:2] == (status, status), changes
    assert await tickets.find() == []


async def test_a_revoked_key_opens_nothing(client: httpx.AsyncClient, db: Database, stranger: Party) -> None:
    request_id = await posted(client, stranger)
    await Clients(db).revoke(stranger.client.name)
    assert error_of(await post(client, stranger))[:2] == (403, 403)
    assert (await client.get(f"/requests/{request_id}.json", headers=as_party(stranger))).status_code == 404


async def test_the_key_may_stand_in_a_header_and_the_body_may_be_json(
    client: httpx.AsyncClient, tickets: TicketService, party: Party
) -> None:
    body = {**WAGE_FORM, "attribute": {"employer": "某公司", "wages_amount": 12000.5, "contract": ["没有"]}}
    answer = await client.post("/requests.json", json=body, headers=as_party(party))
    assert answer.status_code == 200, answer.text
    ticket = await ticket_of(tickets, answer.json()[0]["service_request_id"])
    assert ticket.elements == {
        "wages_period": "三个月",
        "employer": "某公司",
        "wages_amount": "12000.5",
        "contract": "没有",
    }


async def test_an_address_id_is_a_place_too(client: httpx.AsyncClient, tickets: TicketService, party: Party) -> None:
    request_id = await posted(client, party, address_string=None, address_id="DZ-410105-17")
    assert (await ticket_of(tickets, request_id)).place == "地址编号：DZ-410105-17"


# --- what is public -------------------------------------------------------------------------------------------------


async def test_a_request_is_shown_without_the_ticket_number(
    client: httpx.AsyncClient, tickets: TicketService, party: Party
) -> None:
    request_id = await posted(client, party, lat="34.7876", long="113.6873", media_url="https://example.org/1.jpg")
    ticket = await ticket_of(tickets, request_id)
    answer = await client.get(f"/requests/{request_id}.json")
    assert ticket.number not in answer.text, "half of what opens a ticket"
    (request,) = answer.json()
    times = {name: datetime.fromisoformat(request.pop(f"{name}_datetime")) for name in ("requested", "expected")}
    assert times["requested"].utcoffset() == timedelta(hours=8) and times["expected"] > times["requested"]
    request.pop("updated_datetime")
    assert request == {
        "service_request_id": request_id,
        "status": "open",
        "status_notes": None,
        "service_name": "环境污染",
        "service_code": POLLUTION,
        "description": SMOKE,
        "agency_responsible": ticket.lead_unit,
        "service_notice": None,
        "address": "金水区花园路85号",
        "address_id": None,
        "zipcode": None,
        "lat": 34.7876,
        "long": 113.6873,
        "media_url": None,
        "extended_attributes": {"state": "已派遣"},
    }
    (own,) = (await client.get(f"/requests/{request_id}.json", headers=as_party(party))).json()
    assert own["media_url"] == "https://example.org/1.jpg"
    assert own["extended_attributes"] == {"state": "已派遣", "ticket_number": ticket.number}
    assert (await client.get(f"/tokens/{request_id}.json")).json() == [
        {"service_request_id": request_id, "token": request_id}
    ]


async def test_the_reply_is_shown_when_it_is_done(
    client: httpx.AsyncClient, tickets: TicketService, party: Party
) -> None:
    request_id = await posted(client, party)
    number = IDS.number(request_id) or ""
    await tickets.apply_dispatch_status(
        number, "resolved", note="内部：店主姓李", public_reply="已责令整改", key="r", actor="destination:desk"
    )
    answer = await client.get(f"/requests/{request_id}.json")
    assert (answer.json()[0]["status"], answer.json()[0]["status_notes"]) == ("closed", "已责令整改")
    assert "店主姓李" not in answer.text
    await tickets.record_callback(number, solved=False, satisfied=False, comment="还有", key="c", actor="resident")
    (request,) = (await client.get(f"/requests/{request_id}.json")).json()
    assert (request["status"], request["status_notes"]) == ("open", None)


async def test_residents_tickets_are_shown_masked(client: httpx.AsyncClient, tickets: TicketService) -> None:
    view = await tickets.submit(
        resident_draft(description="油烟很大，电话13812345678", confidential=False), key="k", actor="resident"
    )
    answer = await client.get("/requests.json")
    assert [item["service_request_id"] for item in answer.json()] == [IDS.of(view.number)]
    assert "138****5678" in answer.text and "13812345678" not in answer.text and "王" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [{"attribute[confidential]": "true"}, {"description": "我要举报楼下饭店每天晚上偷排油烟"}],
    ids=["confidential", "举报"],
)
async def test_secret_requests_show_their_text_to_their_author_only(
    client: httpx.AsyncClient, tickets: TicketService, party: Party, stranger: Party, changes: dict[str, str]
) -> None:
    request_id = await posted(client, party, lat="34.7876", long="113.6873", **changes)
    text = changes.get("description", SMOKE)
    for path in (f"/requests/{request_id}.json", "/requests.json"):
        for headers in ({}, as_party(stranger)):
            (hidden,) = (await client.get(path, headers=headers)).json()
            assert (hidden["description"], hidden["address"], hidden["lat"]) == ("（内容不公开）", None, None)
        (shown,) = (await client.get(path, headers=as_party(party))).json()
        assert (shown["description"], shown["lat"]) == (text, 34.7876)


async def test_what_was_withdrawn_shows_no_text(
    client: httpx.AsyncClient, tickets: TicketService, party: Party
) -> None:
    request_id = await posted(client, party)
    await tickets.withdraw(IDS.number(request_id) or "", "不用了", key="w", actor="resident")
    (request,) = (await client.get(f"/requests/{request_id}.json")).json()
    assert (request["status"], request["description"]) == ("closed", "（内容不公开）")


async def test_ids_cannot_be_made_up(client: httpx.AsyncClient, tickets: TicketService, party: Party) -> None:
    request_id = await posted(client, party)
    number = IDS.number(request_id) or ""
    foreign = PublicIds(VAULT.derive("something else")).of(number)
    for wrong in (number, foreign, request_id[:-1], request_id + "A", "x", "%E5%8F%B7", "=", "a/b"):
        assert (await client.get(f"/requests/{wrong}.json")).status_code == 404, wrong
        assert (await client.get(f"/tokens/{wrong}.json")).status_code == 404, wrong
    assert (await client.get("/requests.json", params={"service_request_id": f"x,{number}"})).json() == []


async def test_requests_are_filtered_and_paged(
    client: httpx.AsyncClient, db: Database, tickets: TicketService, party: Party
) -> None:
    ids, start = [], datetime(2026, 3, 1, 8, tzinfo=UTC)
    for n in range(6):
        since = {"attribute[since]": "昨天"}
        ids.append(await posted(client, party, service_code=[POLLUTION, WATER][n % 2], **since))
        async with db.begin() as session:
            times = {"created_at": start + timedelta(days=n), "updated_at": start + timedelta(days=n)}
            number = IDS.number(ids[-1])
            await session.execute(update(Ticket).where(Ticket.number == number).values(**times))
    resolved = IDS.number(ids[1]) or ""
    await tickets.apply_dispatch_status(resolved, "resolved", public_reply="好了", key="r", actor="destination:desk")

    async def found(**query: Any) -> list[str]:
        answer = await client.get("/requests.json", params=query)
        assert answer.status_code == 200, answer.text
        return [item["service_request_id"] for item in answer.json()]

    period = {"start_date": "2026-03-01T00:00:00Z", "end_date": "2026-03-31T00:00:00Z"}
    assert await found(**period) == ids[::-1], "the newest first"
    assert await found(**period, service_code=WATER) == [ids[5], ids[3], ids[1]]
    assert await found(**period, service_code=f"{WATER},{POLLUTION}", status="closed") == [ids[1]]
    assert await found(**period, service_code="no.such") == []
    assert await found(**period, status="open") == [ids[5], ids[4], ids[3], ids[2], ids[0]]
    assert await found(**period, status="open,closed", page=2, page_size=4) == [ids[1], ids[0]]
    assert await found(start_date="2026-03-02T16:00:00+08:00", end_date="2026-03-03T16:00:00+08:00") == [ids[2], ids[1]]
    assert await found(updated_after="2026-03-05T00:00:00Z") == [ids[5], ids[4], ids[1]], "also what is older"
    assert await found(service_request_id=f"{ids[2]}, {ids[0]}", status="closed") == [ids[2], ids[0]]
    for wrong in ("status=done", "start_date=yesterday", "updated_after=x", "page=0", "page_size=1001"):
        assert error_of(await client.get(f"/requests.json?{wrong}"))[:2] == (400, 400), wrong
    assert error_of(await client.get("/requests.json?jurisdiction_id=x"))[:2] == (404, 404)


async def test_a_category_without_second_level_counts_as_other(
    client: httpx.AsyncClient, tickets: TicketService
) -> None:
    view = await tickets.submit(resident_draft(category2=None), key="k", actor="resident")
    (item,) = (await client.get("/requests.json", params={"service_code": "environment.other"})).json()
    assert (item["service_request_id"], item["service_code"]) == (IDS.of(view.number), "environment.other")


async def test_services_and_their_attributes(client: httpx.AsyncClient) -> None:
    services = {each["service_code"]: each for each in (await client.get("/services.json")).json()}
    assert services[WAGES]["group"] == "劳动和社会保障" and services[WAGES]["metadata"] is True
    definition = (await client.get(f"/services/{WAGES}.json", params={"jurisdiction_id": "zhengzhou.gov.cn"})).json()
    assert [(a["code"], a["datatype"], a["required"]) for a in definition["attributes"]] == [
        ("employer", "string", True),
        ("wages_period", "string", True),
        ("wages_amount", "string", True),
        ("people", "string", False),
        ("contract", "singlevaluelist", False),
        ("confidential", "singlevaluelist", False),
    ]
    employer, contract = definition["attributes"][0], definition["attributes"][4]
    assert (employer["description"], employer["datatype_description"][:5]) == ("单位", "是哪个公司")
    assert contract["values"] == [{"key": "有", "name": "有"}, {"key": "没有", "name": "没有"}]
    assert error_of(await client.get("/services/none.json"))[:2] == (404, 404)


async def test_a_round_trip_in_xml(client: httpx.AsyncClient, party: Party) -> None:
    text = SMOKE + "，<b>很呛</b> & \x0b\x00很吵"
    fields = {**FORM, "api_key": party.key, "description": text}
    answer = await client.post("/requests.xml", data=fields)
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    request_id = ET.fromstring(answer.content).findtext("request/service_request_id")
    assert request_id
    request = ET.fromstring((await client.get(f"/requests/{request_id}.xml")).content).find("request")
    assert request is not None
    assert request.findtext("description") == SMOKE + "，<b>很呛</b> & 很吵"
    assert request.findtext("extended_attributes/state") == "已派遣"
    refused = await client.post("/requests.xml", data={**fields, "api_key": "wrong"})
    assert ET.fromstring(refused.content).findtext("error/code") == "403"
