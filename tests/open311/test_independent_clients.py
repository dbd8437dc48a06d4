"""Clients that others wrote for GeoReport v2, from PyPI, against the real server: civicbot (JSON, also files requests)
and georeport (XML and JSON, reads)."""

import asyncio

import pytest
from civicbot.http import HttpError, HttpTransport, RateLimiter
from civicbot.open311 import Open311Client, PreparedRequest, ValidationError
from civicbot.registry import Endpoint
from georeport import GeoReport

from assistant.tickets.service import TicketService
from tests.dispatch.test_with_tickets import CITY
from tests.open311.conftest import IDS, POLLUTION, WAGES, Party

SMOKE = "花园路85号楼下烧烤店每天晚上油烟很大，请管一管"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def civicbot(base_url: str) -> Open311Client:
    endpoint = Endpoint(id="here", name="民声", base_url=base_url, write=True)
    transport = HttpTransport(rate_limiter=RateLimiter(0))
    return Open311Client(endpoint, transport, jurisdiction_id=CITY.jurisdiction_id)


async def test_civicbot_files_and_follows_requests(
    civicbot: Open311Client, tickets: TicketService, party: Party
) -> None:
    def file(code: str, **fields: object) -> PreparedRequest:
        return civicbot.create_request(
            code, dry_run=False, confirm="SEND", api_key=party.key, validate_remote=True, **fields
        )

    def work() -> tuple[str, str]:
        with pytest.raises(ValidationError, match="employer"):
            file(WAGES, address_string="金水区花园路85号", description="拖欠工资")
        with pytest.raises(ValidationError, match="contract"):
            attributes = {"employer": "某公司", "wages_period": "三个月", "wages_amount": "三万", "contract": "也许"}
            file(WAGES, address_string="金水区花园路85号", description="拖欠工资", attributes=attributes)
        attributes = {"employer": "某公司", "wages_period": "三个月", "wages_amount": "三万", "contract": "有"}
        wages = file(
            WAGES, lat=34.7876, lng=113.6873, address_string="金水区花园路85号", phone="13812345678",
            description="工地拖欠我们三个月工资", attributes=attributes,
        )  # fmt: skip
        attributes = {"pollution_source": "烧烤店", "hours": "每天晚上"}
        smoke = file(POLLUTION, address_string="金水区花园路85号", description=SMOKE, attributes=attributes)
        return wages.response[0]["service_request_id"], smoke.response[0]["service_request_id"]

    wages, smoke = await asyncio.to_thread(work)
    ticket = await tickets.get(IDS.number(wages) or "")
    assert ticket is not None and list(ticket.elements.values()) == ["三个月", "某公司", "三万", "有"]
    assert (ticket.lat, ticket.state) == (34.7876, "已派遣")
    await tickets.apply_dispatch_status(
        IDS.number(smoke) or "", "resolved", public_reply="已责令整改", key="r", actor="destination:desk"
    )

    def look() -> None:
        assert civicbot.get_token(smoke)[0]["service_request_id"] == smoke
        request = civicbot.get_request(smoke)
        assert request is not None and (request["status"], request["status_notes"]) == ("closed", "已责令整改")
        listed = civicbot.list_requests(status="open", service_code=WAGES, page_size=10)
        assert [each["service_request_id"] for each in listed] == [wages]
        assert {each["service_request_id"] for each in civicbot.list_requests()} == {wages, smoke}
        asked = civicbot.list_requests(service_request_ids=[smoke])
        assert [each["service_request_id"] for each in asked] == [smoke]

    await asyncio.to_thread(look)


async def test_civicbot_is_told_what_is_wrong(civicbot: Open311Client, party: Party) -> None:
    def work() -> None:
        for key, code, status in ((party.key, "none", 404), ("wrong", POLLUTION, 403)):
            with pytest.raises(HttpError) as refused:
                civicbot.create_request(
                    code, dry_run=False, confirm="SEND", api_key=key, address_string="x", description=SMOKE
                )
            assert refused.value.status == status and f'"code": {status}' in refused.value.body
        with pytest.raises(HttpError) as missing:
            civicbot.get_request("none")
        assert missing.value.status == 404

    await asyncio.to_thread(work)


@pytest.mark.parametrize("form", ["xml", "json"])
async def test_georeport_reads_everything(base_url: str, civicbot: Open311Client, party: Party, form: str) -> None:
    def work() -> None:
        made = civicbot.create_request(
            POLLUTION, dry_run=False, confirm="SEND", api_key=party.key, address_string="金水区花园路85号",
            description=SMOKE,
        )  # fmt: skip
        request_id = made.response[0]["service_request_id"]
        client = GeoReport(base_url, jurisdiction=CITY.jurisdiction_id, output_format=form)
        services = {each["service_code"]: each for each in client.get_service_list()}
        assert services[WAGES]["service_name"] == "工资福利"
        definition = client.get_service_definition(WAGES)
        attributes = definition["attributes"] if form == "json" else definition["attributes"]["attribute"]
        assert [each["code"] for each in attributes][:2] == ["employer", "wages_period"]
        assert attributes[4]["description"] == "合同或收据"
        listed = client.get_service_requests(service_code=POLLUTION, status="open")
        one = listed[0] if form == "json" else listed
        assert one["service_request_id"] == request_id
        shown = client.get_service_request(request_id)
        assert (shown["description"], shown["address"]) == (SMOKE, "金水区花园路85号")

    await asyncio.to_thread(work)
