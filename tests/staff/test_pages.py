"""Which page opens for whom, over HTTP, on the real workbench; and that it fetches nothing from elsewhere."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.staff.conftest import Workbench
from tests.staff.serve import CALM, PASSWORD


@contextmanager
def client_of(workbench: Workbench, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=workbench.url, timeout=60, trust_env=False) as client:
        form = client.get("/staff/login").text
        token = form.split('name="token" value="')[1].split('"')[0]
        response = client.post("/staff/login", data={"name": name, "password": PASSWORD, "token": token})
        assert response.status_code == 303
        yield client


PAGES = [
    "queue",
    f"conversations/{CALM}",
    "knowledge",
    "upload",
    "knowledge/rent",
    "knowledge/rent/edit",
    "knowledge/rent/versions",
    "teaching",
    "tickets",
    "undelivered",
    "returns",
]
OPEN_TO = {
    "agent": PAGES[:2],
    "editor": PAGES[2:8],
    "dispatcher": PAGES[8:],
    "boss": PAGES,
}


@pytest.mark.parametrize("name", OPEN_TO)
def test_a_page_opens_for_its_role_only(workbench: Workbench, name: str) -> None:
    with client_of(workbench, name) as client:
        opened = {page: client.get(f"/staff/{page}").status_code for page in PAGES}
        assert opened == {page: 200 if page in OPEN_TO[name] else 403 for page in PAGES}
        assert client.get("/staff/").headers.get("location", "").removeprefix("/staff/") == OPEN_TO[name][0]


def test_without_a_login_nothing_opens(workbench: Workbench) -> None:
    with httpx.Client(base_url=workbench.url, timeout=60, trust_env=False) as client:
        for page in [*PAGES, "", "tickets/ZZ1", "anything"]:
            assert client.get(f"/staff/{page}").status_code == 303, page
        handshake = client.get("/staff/_nicegui_ws/socket.io/", params={"EIO": "4", "transport": "polling"})
        assert handshake.status_code == 401
        assert client.post("/staff/_nicegui/client/x/upload/1", content=b"x").status_code == 401


@pytest.mark.parametrize(
    "page", ["nothing", "queue/x", "conversations", "tickets/a/b", "knowledge/rent/delete", "docs", "openapi.json"]
)
def test_a_page_that_does_not_exist_says_so_in_chinese(workbench: Workbench, page: str) -> None:
    with client_of(workbench, "boss") as client:
        response = client.get(f"/staff/{page}")
    assert response.status_code == 404 and "没有这个页面" in response.text


@pytest.mark.parametrize(
    "page",
    [
        "conversations/unknown",
        "knowledge/unknown",
        "knowledge/unknown/edit",
        "knowledge/unknown/versions",
        "teaching/unknown",
        "tickets/unknown",
        "returns/0",
    ],
)
def test_an_unknown_object_says_so_in_chinese(workbench: Workbench, page: str) -> None:
    with client_of(workbench, "boss") as client:
        response = client.get(f"/staff/{page}")
    assert response.status_code == 200 and re.search("没有这(个会话|份文件|一条|张工单)", response.text)


def test_pages_load_nothing_from_other_hosts(workbench: Workbench) -> None:
    with client_of(workbench, "boss") as client:
        login = httpx.get(f"{workbench.url}/staff/login", trust_env=False).text
        for text in (login, client.get("/staff/queue").text, client.get("/staff/upload").text):
            loaded = re.findall(
                r"""(?:src|href)\s*=\s*["']([^"']+)|@import url\(["']([^"']+)|"(https?://[^"]+)\"""", text
            )
            addresses = [address for groups in loaded for address in groups if address]
            assert addresses
            foreign = [a for a in addresses if not a.startswith(("/", "#", "data:", workbench.url))]
            assert foreign == []
        style = client.get("/staff/assets/staff.css")
        assert style.status_code == 200 and "url(" not in style.text


def test_what_a_resident_wrote_is_never_markup(workbench: Workbench) -> None:
    with client_of(workbench, "agent") as client:
        text = client.get("/staff/queue").text
    assert "<b>楼上</b>" not in text
    assert "楼上" in text


def test_disabling_the_user_closes_an_open_session(workbench: Workbench) -> None:
    with client_of(workbench, "editor") as client, sqlite3.connect(workbench.database, timeout=30) as database:
        assert client.get("/staff/knowledge").status_code == 200
        database.execute("UPDATE users SET active = 0 WHERE name = 'editor'")
        database.commit()
        assert client.get("/staff/knowledge").status_code == 303
        database.execute("UPDATE users SET active = 1 WHERE name = 'editor'")
        database.commit()
        assert client.get("/staff/knowledge").status_code == 200
