"""A third party files requests at the whole application, and a city's own system takes them over a webhook."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.db.models import now
from assistant.dispatch.destinations.open311_message import reference
from assistant.dispatch.signature import signed_headers
from tests.application import AppServer, serve
from tests.dispatch.hook_receiver import SECRET, Hook, hook_server

SMOKE = "金水区花园路85号楼下烧烤店每天晚上油烟很大，请管一管"
GAS = "金水区花园路85号院3号楼楼道里有很浓的煤气味，怀疑煤气泄漏了"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as running:
        yield running


def key_of(server: AppServer, name: str, *options: str) -> str:
    return str(json.loads(server.command("open311", "client", "add", name, *options, "--json"))["api_key"])


def file(server: AppServer, key: str, text: str, **fields: str) -> dict[str, Any]:
    form = {"api_key": key, "service_code": "environment.pollution", "description": text, **fields}
    answer = httpx.post(f"{server.base_url}/open311/v2/requests.json", data=form, timeout=60)
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()
    return dict(told)


def look(server: AppServer, request_id: str, key: str) -> dict[str, Any]:
    url = f"{server.base_url}/open311/v2/requests/{request_id}.json"
    (request,) = httpx.get(url, headers={"X-Api-Key": key}, timeout=60).json()
    return dict(request)


def eventually(found: Any, timeout_s: float = 60) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return value


def test_what_a_third_party_files_reaches_the_desk(app_server: AppServer) -> None:
    key = key_of(app_server, "掌上郑州", "--trusted")
    filed = file(app_server, key, SMOKE, address_string="金水区花园路85号")
    number = look(app_server, filed["service_request_id"], key)["extended_attributes"]["ticket_number"]
    mark = reference(f"{number}:create:1")

    def at_the_desk() -> bool:
        url = f"{app_server.base_url}/desk/open311/v2/requests.json"
        return any(mark in r["description"] for r in httpx.get(url, params={"page_size": 500}, timeout=30).json())

    eventually(at_the_desk)
    danger = file(app_server, key, GAS)
    assert "119" in danger["service_notice"]
    assert look(app_server, danger["service_request_id"], key)["service_code"] != "environment.pollution"
    waits = file(app_server, key_of(app_server, "某小程序"), SMOKE, address_string="金水区花园路85号")
    url = f"{app_server.base_url}/open311/v2/requests/{waits['service_request_id']}.json"
    assert httpx.get(url, timeout=30).status_code == 404


def test_a_city_takes_tickets_over_a_webhook_and_reports_back(started_data: Path, tmp_path: Path, hook: Hook) -> None:
    (tmp_path / "secret").write_text(SECRET)
    destinations = tmp_path / "destinations.yml"
    destinations.write_text(f"city:\n  kind: webhook\n  url: {hook.url}\n  secret: {{file: secret}}\n")
    with serve(started_data, destinations=str(destinations), dispatch_destination="city") as server:
        key = key_of(server, "社区小程序", "--trusted")
        filed = file(server, key, SMOKE, address_string="金水区花园路85号")
        [told] = eventually(lambda: list(hook.filed.values()))
        assert told["data"]["description"].startswith(SMOKE)
        report = {
            "delivery_id": "R-1",
            "ticket": told["ticket_number"],
            "state": "resolved",
            "public_reply": "已责令商户清洗油烟净化器",
        }
        body = json.dumps(report).encode()

        def send(headers: dict[str, str]) -> httpx.Response:
            return httpx.post(f"{server.base_url}/webhooks/dispatch/city", content=body, headers=headers, timeout=60)

        assert send(signed_headers("another secret, long enough", body, now())).status_code == 401
        assert send(signed_headers(SECRET, body, now())).json() == {
            "ticket": told["ticket_number"],
            "state": "待回访",
            "applied": True,
        }
        assert send(signed_headers(SECRET, body, now())).json()["applied"] is False
        request = look(server, filed["service_request_id"], key)
        assert (request["status"], request["status_notes"]) == ("closed", "已责令商户清洗油烟净化器")
