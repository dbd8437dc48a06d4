"""The built-in desk as a GeoReport v2 client sees it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from assistant.db.models import DeskRequest
from assistant.db.session import Database
from assistant.dispatch.desk import Desk
from tests.dispatch.conftest import at_desk
from tests.dispatch.receiver import API_KEY, OTHER_KEY, Receiver

FORM: dict[str, str] = {
    "api_key": API_KEY,
    "service_code": "environment.pollution",
    "description": "烧烤店油烟扰民",
    "address_string": "金水区花园路85号",
}


@pytest.fixture
async def client(receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=receiver.desk_url, trust_env=False, timeout=30) as made:
        yield made


async def post(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    fields = {name: value for name, value in {**FORM, **changes}.items() if value is not None}
    return await client.post("/requests.json", data=fields)


async def posted(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await post(client, **changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0]["service_request_id"])


def error_of(answer: httpx.Response) -> tuple[int, int, str]:
    (error,) = answer.json()
    assert set(error) == {"code", "description"}
    return answer.status_code, error["code"], error["description"]


async def test_services_and_definitions(client: httpx.AsyncClient) -> None:
    answer = await client.get("/services.json", params={"jurisdiction_id": "zhengzhou.gov.cn"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()[0] == {
        "service_code": "construction.municipal",
        "service_name": "城市建设和市政管理",
        "description": "道路、照明",
        "metadata": True,
        "type": "realtime",
        "keywords": "路灯,井盖",
        "group": "城乡建设",
    }
    definition = (await client.get("/services/labour.wages.json")).json()
    assert definition["service_code"] == "labour.wages"
    assert definition["attributes"][3] == {
        "variable": True,
        "code": "means",
        "datatype": "multivaluelist",
        "required": False,
        "datatype_description": "",
        "order": 4,
        "description": "有什么材料",
        "values": [{"key": "contract", "name": "合同"}, {"key": "photo", "name": "照片"}],
    }
    assert error_of(await client.get("/services/none.json")) == (404, 404, "没有这个 service_code。")
    assert error_of(await client.get("/services.json?jurisdiction_id=x"))[:2] == (404, 404)


async def test_a_request_round_trip_in_json(client: httpx.AsyncClient) -> None:
    before = datetime.now(UTC)
    request_id = await posted(client, lat="34.78", long="113.68", **{"attribute[urgency]": "紧急"})
    (request,) = (await client.get(f"/requests/{request_id}.json")).json()
    times = {name: datetime.fromisoformat(request.pop(f"{name}_datetime")) for name in ("requested", "updated")}
    assert times["requested"].utcoffset() == timedelta(hours=8)
    assert before - timedelta(seconds=1) <= times["requested"] == times["updated"] <= datetime.now(UTC)
    assert request == {
        "service_request_id": request_id,
        "status": "open",
        "status_notes": None,
        "service_name": "环境污染",
        "service_code": "environment.pollution",
        "description": "烧烤店油烟扰民",
        "agency_responsible": None,
        "service_notice": None,
        "expected_datetime": None,
        "address": "金水区花园路85号",
        "address_id": None,
        "zipcode": None,
        "lat": 34.78,
        "long": 113.68,
        "media_url": None,
        "extended_attributes": {"desk_state": "received", "reason_code": None},
    }
    assert (await client.get(f"/tokens/{request_id}.json")).json() == [
        {"service_request_id": request_id, "token": request_id}
    ]
    assert error_of(await client.get("/requests/none.json")) == (404, 404, "没有这个 service_request_id。")
    assert error_of(await client.get("/tokens/none.json"))[0] == 404


async def test_a_request_round_trip_in_xml(client: httpx.AsyncClient, db: Database) -> None:
    answer = await client.post("/requests.xml", data={**FORM, "description": "<b>油烟</b> & \x0b\x00噪声"})
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.text.startswith("<?xml version='1.0' encoding='utf-8'?>")
    root = ET.fromstring(answer.content)
    request_id = root.findtext("request/service_request_id")
    assert root.tag == "service_requests" and request_id
    await Desk(db).return_request(request_id, reason_code="属地不符", note="在二七区", actor="市城管")
    for path in (f"/requests/{request_id}.xml", "/requests.xml"):
        request = ET.fromstring((await client.get(path)).content).find("request")
        assert request is not None
        assert request.findtext("description") == "<b>油烟</b> & 噪声"
        assert request.findtext("status") == "closed"
        assert request.findtext("extended_attributes/reason_code") == "属地不符"
        assert request.find("extended_attributes/internal_note") is None
    services = ET.fromstring((await client.get("/services.xml")).content)
    assert [e.text for e in services.findall("service/metadata")] == ["true"] * 3
    definition = ET.fromstring((await client.get("/services/labour.wages.xml")).content)
    assert definition.findtext("service_code") == "labour.wages"
    assert [e.text for e in definition.findall("attributes/attribute/values/value/key")] == ["contract", "photo"]
    errors = ET.fromstring((await client.get("/requests/none.xml")).content)
    assert (errors.tag, errors.findtext("error/code")) == ("errors", "404")


async def test_without_a_suffix_the_accept_header_decides(client: httpx.AsyncClient) -> None:
    request_id = await posted(client)
    assert (await client.get("/services")).headers["content-type"].startswith("application/json")
    answer = await client.get(f"/requests/{request_id}", headers={"Accept": "text/xml"})
    assert answer.headers["content-type"].startswith("text/xml")


async def test_json_bodies_are_taken_too(client: httpx.AsyncClient, db: Database) -> None:
    body = {
        "service_code": "labour.wages",
        "description": "拖欠工资",
        "address_id": "A-17",
        "attribute": {"employer": "某建筑公司", "amount": 12000.5, "means": ["contract", "photo"], "unknown": "x"},
    }
    answer = await client.post("/requests.json", json=body, headers={"X-Api-Key": OTHER_KEY})
    assert answer.status_code == 200, answer.text
    (row,) = await at_desk(db)
    assert row.attributes == {
        "employer": "某建筑公司",
        "amount": "12000.5",
        "means": ["contract", "photo"],
        "address_id": "A-17",
    }


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"api_key": None}, 403),
    ({"api_key": "wrong"}, 403),
    ({"api_key": "密钥"}, 403),
    ({"jurisdiction_id": "elsewhere"}, 404),
    ({"service_code": None}, 400),
    ({"service_code": "none"}, 404),
    ({"address_string": None}, 400),
    ({"lat": "34.7"}, 400),
    ({"lat": "113.68", "long": "34.78"}, 400),
    ({"lat": "nan", "long": "1"}, 400),
    ({"lat": "north", "long": "1"}, 400),
    ({"description": "长" * 4001}, 400),
    ({"address_string": "长" * 401}, 400),
    ({"attribute[urgency]": "马上"}, 400),
    ({"attribute[due_at]": "2030-01-05 10:00"}, 400),
    ({"attribute[due_at]": "0001-01-01T00:00:00+14:00"}, 400),
    ({"attribute[title]": "长" * 1001}, 400),
    ({"service_code": "labour.wages"}, 400),
    ({"service_code": "labour.wages", "attribute[employer]": "某公司", "attribute[amount]": "很多"}, 400),
    ({"service_code": ["environment.pollution", "labour.wages"]}, 400),
]


async def test_what_cannot_be_filed_is_refused_and_not_stored(client: httpx.AsyncClient, db: Database) -> None:
    for changes, status in REFUSED:
        assert error_of(await post(client, **changes))[:2] == (status, status), changes
    assert await at_desk(db) == []


MALFORMED = [
    (b"{", "application/json"),
    (b"[]", "application/json"),
    (b"[" * 100_000, "application/json"),
    (b'{"service_code": {"a": 1}}', "application/json"),
    (b"\xff\xfe", "application/json"),
    (b"description=%ff%fe", "application/x-www-form-urlencoded"),
    (b"&".join(b"a%d=1" % n for n in range(500)), "application/x-www-form-urlencoded"),
    (b"x" * 300_000, "application/x-www-form-urlencoded"),
    (b"service_code=environment.pollution", "text/plain"),
]


async def test_malformed_bodies_are_refused(client: httpx.AsyncClient) -> None:
    for content, kind in MALFORMED:
        headers = {"Content-Type": kind, "X-Api-Key": API_KEY}
        answer = await client.post("/requests.json", content=content, headers=headers)
        assert error_of(answer)[:2] == (400, 400), content[:40]


async def test_an_idempotency_key_files_once(client: httpx.AsyncClient, db: Database) -> None:
    async def file(text: str, key: str = "K-1", api_key: str = API_KEY) -> httpx.Response:
        fields = {**FORM, "description": text, "api_key": api_key}
        return await client.post("/requests.json", data=fields, headers={"Idempotency-Key": key})

    answers = await asyncio.gather(*(file("油烟") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()[0]["service_request_id"] for answer in answers}) == 1
    assert len(await at_desk(db)) == 1
    assert error_of(await file("噪声"))[:2] == (409, 409)
    other = await file("噪声", api_key=OTHER_KEY)
    assert other.status_code == 200, "another holder's keys are another name space"
    assert len(await at_desk(db)) == 2


async def test_personal_data_is_neither_kept_nor_shown(client: httpx.AsyncClient, db: Database) -> None:
    request_id = await posted(
        client,
        description="请回电13812345678",
        address_string="花园路85号 13912345678",
        first_name="小明",
        phone="13700001111",
        email="a@example.org",
    )
    shown = (await client.get(f"/requests/{request_id}.json")).text
    (row,) = await at_desk(db)
    stored = " ".join(str(getattr(row, column.key)) for column in DeskRequest.__table__.columns)
    for secret in ("13812345678", "13912345678", "小明", "13700001111", "example.org"):
        assert secret not in shown and secret not in stored
    assert "138****5678" in shown


@pytest.mark.parametrize("mark", [{"attribute[confidential]": "true"}, {"attribute[request_type]": "举报"}])
async def test_confidential_requests_show_their_text_to_key_holders_only(
    client: httpx.AsyncClient, mark: dict[str, str]
) -> None:
    request_id = await posted(client, lat="34.78", long="113.68", **mark)
    for path in (f"/requests/{request_id}.json", "/requests.json"):
        (hidden,) = (await client.get(path)).json()
        assert (hidden["description"], hidden["address"], hidden["lat"]) == ("（内容不公开）", None, None)
        (shown,) = (await client.get(path, headers={"X-Api-Key": API_KEY})).json()
        assert (shown["description"], shown["lat"]) == ("烧烤店油烟扰民", 34.78)


async def test_requests_are_filtered_and_paged(client: httpx.AsyncClient, db: Database) -> None:
    desk, ids, start = Desk(db), [], datetime(2026, 3, 1, 8, tzinfo=UTC)
    for n in range(6):
        ids.append(await posted(client, service_code=["environment.pollution", "construction.municipal"][n % 2]))
        async with db.begin() as session:
            row = await session.get_one(DeskRequest, ids[-1])
            row.requested_at = start + timedelta(days=n)
    await desk.accept(ids[0], actor="a")
    await desk.resolve(ids[1], public_reply="已修好", actor="a")

    async def found(**query: Any) -> list[str]:
        answer = await client.get("/requests.json", params=query)
        assert answer.status_code == 200, answer.text
        return [item["service_request_id"] for item in answer.json()]

    period = {"start_date": "2026-03-01T00:00:00Z", "end_date": "2026-03-31T00:00:00Z"}
    assert await found(**period) == ids[::-1], "the newest first"
    assert await found(**period, service_code="construction.municipal") == [ids[5], ids[3], ids[1]]
    assert await found(**period, service_code="construction.municipal,environment.pollution", status="closed") == [
        ids[1]
    ]
    assert await found(**period, status="open,closed", page=2, page_size=4) == [ids[1], ids[0]]
    assert await found(start_date="2026-03-02T16:00:00+08:00", end_date="2026-03-03T16:00:00+08:00") == [ids[2], ids[1]]
    assert await found(start_date="2026-03-06T08:00:00 00:00") == [ids[5]], "an unescaped plus sign"
    assert await found(end_date="2026-03-01T16:00:00") == [ids[0]], "the city's time where no zone is given"
    assert await found(service_request_id=f"{ids[2]}, {ids[0]},none", status="closed") == [ids[2], ids[0]]
    assert await found() == await found(start_date=(datetime.now(UTC) - timedelta(days=90)).isoformat())


BAD_FILTERS = [
    "status=done",
    "start_date=yesterday",
    "start_date=0001-01-01T00:00:00Z",
    "end_date=9999-12-31T23:59:59Z",
    "start_date=2026-03-01T00:00:00Z&end_date=2026-06-01T00:00:00Z",
    "start_date=2026-03-02T00:00:00Z&end_date=2026-03-01T00:00:00Z",
    "page=0",
    "page=x",
    "page_size=1001",
    "page=99999999999999999999",
    "service_request_id=" + ",".join(map(str, range(201))),
]


async def test_bad_filters_are_refused(client: httpx.AsyncClient) -> None:
    for query in BAD_FILTERS:
        assert error_of(await client.get(f"/requests.json?{query}"))[:2] == (400, 400), query


async def test_notes_are_kept_once_and_a_withdrawal_closes(client: httpx.AsyncClient, db: Database) -> None:
    request_id = await posted(client)

    async def note(kind: str, text: str = "", key: str | None = None, api_key: str = API_KEY) -> httpx.Response:
        fields = {"api_key": api_key, "kind": kind, "text": text}
        headers = {"Idempotency-Key": key} if key else {}
        return await client.post(f"/requests/{request_id}/notes.json", data=fields, headers=headers)

    assert (await note("supplement", "电话13812345678", "N1")).json() == [
        {"service_request_id": request_id, "kind": "supplement", "desk_state": "received"}
    ]
    assert (await note("supplement", "电话13812345678", "N1")).status_code == 200
    assert error_of(await note("supplement", "别的", "N1"))[:2] == (409, 409)
    assert error_of(await note("supplement"))[:2] == (400, 400)
    assert error_of(await note("praise", "好"))[:2] == (400, 400)
    assert error_of(await note("supplement", "长" * 4001))[:2] == (400, 400)
    assert error_of(await note("reminder", api_key="wrong"))[:2] == (403, 403)
    assert (await note("reminder")).status_code == 200
    assert (await note("withdrawal", "不用了")).json()[0]["desk_state"] == "withdrawn"
    assert (await note("supplement", "晚了一步")).json()[0]["desk_state"] == "withdrawn"
    (row,) = await at_desk(db)
    assert [(n["kind"], n["text"]) for n in row.notes] == [
        ("supplement", "电话138****5678"),
        ("reminder", ""),
        ("withdrawal", "不用了"),
        ("supplement", "晚了一步"),
    ]
    answer = await client.post("/requests/none/notes.xml", data={"api_key": API_KEY, "kind": "reminder"})
    assert ET.fromstring(answer.content).findtext("error/code") == "404"
