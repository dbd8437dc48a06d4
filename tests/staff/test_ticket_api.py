"""Operations on tickets over HTTP, with the session of the workbench, on the real workbench."""

import sqlite3
from typing import Any

import httpx
import pytest

from tests.staff.conftest import Workbench
from tests.staff.test_pages import client_of


@pytest.fixture
def number(workbench: Workbench) -> str:
    with sqlite3.connect(workbench.database) as database:
        [(number,)] = database.execute("SELECT number FROM tickets ORDER BY number LIMIT 1")
    return str(number)


def _post(client: httpx.Client, number: str, operation: str, **given: Any) -> httpx.Response:
    return client.post(f"/staff/api/tickets/{number}/{operation}", json=given)


def test_an_operation_is_done_once_and_the_slower_colleague_gets_the_state(workbench: Workbench, number: str) -> None:
    with client_of(workbench, "dispatcher") as client:
        seen = client.get(f"/staff/api/tickets/{number}").json()
        assert {"operation": "assign", "label": "改派", "required": ["unit", "note"]} in seen["operations"]
        wanted = {"seen": seen["version"], "note": "请抓紧", "evidence": ["现场照片.jpg"]}
        done = client.post(f"/staff/api/tickets/{number}/supervise", json=wanted, headers={"Idempotency-Key": "once"})
        assert (done.status_code, done.json()["version"]) == (200, seen["version"] + 1)
        again = client.post(f"/staff/api/tickets/{number}/supervise", json=wanted, headers={"Idempotency-Key": "once"})
        assert again.json() == done.json()
        stale = _post(client, number, "add_unit", seen=seen["version"], unit="市水利局", note="协助")
        assert stale.status_code == 409
        assert stale.headers["content-type"] == "application/problem+json"
        problem = stale.json()
        assert (problem["code"], problem["state"]) == ("ticket_changed", done.json()["state"])
        assert "工单已被他人处理，当前状态" in problem["detail"]
        refused = _post(client, number, "close")
        assert refused.status_code == 409 and refused.json()["code"] == "transition_refused"
        assert refused.json()["state"] == done.json()["state"]
    with sqlite3.connect(workbench.database) as database:
        audited = database.execute("SELECT success FROM audit WHERE event = 'ticket.add_unit'").fetchall()
    assert audited == [(0,)]


@pytest.mark.parametrize(
    ("operation", "given", "status"),
    [
        ("explode", {}, 422),
        ("dispatch", {}, 422),
        ("assign", {"unit": "没有这个局", "note": "理由"}, 422),
        ("assign", {"unit": "市水利局"}, 422),
        ("extend", {"until": "2026-12-01T10:00:00", "note": "没有时区"}, 422),
        ("urge", {"colour": "red"}, 422),
        ("answer", {"note": "替居民回答"}, 409),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    workbench: Workbench, number: str, operation: str, given: dict[str, Any], status: int
) -> None:
    with client_of(workbench, "dispatcher") as client:
        before = client.get(f"/staff/api/tickets/{number}").json()
        answer = _post(client, number, operation, **given)
        assert answer.status_code == status and answer.json()["detail"]
        assert client.get(f"/staff/api/tickets/{number}").json() == before
        assert _post(client, "ZZ20260101050001", operation, note="x").status_code in (404, 422)


def test_only_dispatchers_with_a_session_from_our_own_pages_get_in(workbench: Workbench, number: str) -> None:
    with httpx.Client(base_url=workbench.url, timeout=60, trust_env=False) as stranger:
        for answer in (stranger.get(f"/staff/api/tickets/{number}"), _post(stranger, number, "urge")):
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
    with client_of(workbench, "agent") as agent:
        assert _post(agent, number, "urge").status_code == 403
    with client_of(workbench, "dispatcher") as client:
        foreign = client.post(
            f"/staff/api/tickets/{number}/urge", json={}, headers={"Origin": "https://elsewhere.example"}
        )
        assert foreign.status_code == 403 and foreign.json()["code"] == "not_allowed"
        assert client.get("/staff/api/users/1").status_code == 404


def test_the_list_finds_by_number_and_words(workbench: Workbench, number: str) -> None:
    with client_of(workbench, "dispatcher") as client:
        assert number in client.get("/staff/tickets", params={"q": number.lower()}).text
        assert number in client.get("/staff/tickets", params={"q": "油烟 花园路"}).text
        assert number not in client.get("/staff/tickets", params={"q": "油烟 嵩山路"}).text
