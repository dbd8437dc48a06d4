"""Login, guard and cookies over HTTP, in front of an application that answers every page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, Request
from itsdangerous import URLSafeTimedSerializer

from assistant.db.session import Database
from assistant.staff.audit import Audit
from assistant.staff.login import (
    FORM_COOKIE,
    SESSION_COOKIE,
    VISITOR_KEY,
    Sessions,
    StaffGuard,
    build_login_router,
    safe_next,
)
from assistant.staff.users import MAX_FAILED_LOGINS, Users

SECRET = "a-secret-of-the-tests-that-is-long-enough"
PASSWORD = "Jinshui-River-88"


@dataclass
class Site:
    client: httpx.AsyncClient
    users: Users
    audit: Audit

    async def log_in(
        self, name: str = "li", password: str = PASSWORD, *, next_page: str = "", token: str | None = None
    ) -> httpx.Response:
        form = await self.client.get("/staff/login")
        found = form.text.split('name="token" value="')[1].split('"')[0]
        data = {"name": name, "password": password, "token": token or found, "next": next_page}
        return await self.client.post("/staff/login", data=data)


@pytest.fixture
async def site(db: Database) -> AsyncIterator[Site]:
    users, audit = Users(db), Audit(db)
    sessions = Sessions(users, SECRET)
    app = FastAPI()
    app.include_router(build_login_router(users, sessions, audit))

    @app.api_route("/staff/{path:path}", methods=["GET", "POST"])
    async def page(request: Request, path: str) -> dict[str, str]:
        return {"user": request.scope[VISITOR_KEY].name, "path": path}

    @app.get("/")
    async def outside() -> str:
        return "outside"

    app.add_middleware(StaffGuard, sessions=sessions, workbench=None)
    await users.add("li", "李座席", PASSWORD, ["agent"])
    await users.add("boss", "王主任", PASSWORD, ["admin"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        yield Site(client, users, audit)


async def test_a_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(site: Site) -> None:
    response = await site.log_in()
    assert response.status_code == 303 and response.headers["location"] == "/staff/"
    cookie = next(c for c in response.headers.get_list("set-cookie") if c.startswith(SESSION_COOKIE))
    for part in ("HttpOnly", "SameSite=lax", "Path=/staff", "Max-Age=36000"):
        assert part in cookie
    assert "Secure" not in cookie
    page = await site.client.get("/staff/queue")
    assert page.json() == {"user": "li", "path": "queue"}
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"


async def test_the_cookie_is_secure_under_https(site: Site) -> None:
    site.client.base_url = httpx.URL("https://city.test")
    response = await site.log_in()
    assert all("Secure" in c for c in response.headers.get_list("set-cookie") if c.startswith(SESSION_COOKIE))


@pytest.mark.parametrize(("name", "password"), [("li", "wrong"), ("nobody", PASSWORD), ("", ""), ("li", "x" * 900)])
async def test_a_wrong_login_says_the_same_whatever_was_wrong(site: Site, name: str, password: str) -> None:
    response = await site.log_in(name, password)
    assert response.status_code == 401
    assert "用户名或密码不正确" in response.text
    assert SESSION_COOKIE not in response.headers.get("set-cookie", "")


async def test_a_locked_account_says_so(site: Site) -> None:
    for _ in range(MAX_FAILED_LOGINS):
        await site.log_in("li", "wrong")
    response = await site.log_in()
    assert response.status_code == 401 and "锁定" in response.text
    assert [e.object for e in await site.audit.latest(limit=2)] == ["locked", "password"]


async def test_attempts_are_audited_without_what_was_typed(site: Site) -> None:
    await site.log_in("my-secret-password", PASSWORD)
    await site.log_in("li", "wrong")
    await site.log_in()
    await site.client.post("/staff/logout")
    entries = [(e.user, e.event, e.object, e.success) for e in reversed(await site.audit.latest())]
    assert entries == [
        ("?", "login", "unknown", False),
        ("li", "login", "password", False),
        ("li", "login", "session", True),
        ("li", "logout", "session", True),
    ]


async def test_pages_send_strangers_to_the_login_and_back(site: Site) -> None:
    response = await site.client.get("/staff/conversations/abc-1")
    assert response.status_code == 303
    assert response.headers["location"] == "/staff/login?next=/staff/conversations/abc-1"
    after = await site.log_in(next_page="/staff/conversations/abc-1")
    assert after.headers["location"] == "/staff/conversations/abc-1"
    assert (await site.client.get("/")).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "/staff//evil.test",
        "/staff/..//evil.test",
        "/staff/../admin",
        "/staffing",
        "/staff/@evil",
        "/staff\n/x",
        "javascript:alert(1)",
        "/",
    ],
)
async def test_after_login_nobody_is_sent_elsewhere(site: Site, target: str) -> None:
    assert safe_next(target) == "/staff/"
    assert (await site.log_in(next_page=target)).headers["location"] == "/staff/"
    form = await site.client.get("/staff/login", params={"next": target})
    assert form.headers["location"] == "/staff/"


async def test_the_login_form_escapes_what_it_shows(site: Site) -> None:
    response = await site.log_in('"><script>alert(1)</script>', "wrong")
    assert "<script" not in response.text


async def test_forged_expired_and_foreign_cookies_are_no_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.log_in()
    good = site.client.cookies[SESSION_COOKIE]
    other = URLSafeTimedSerializer("another-secret-that-is-long-enough-too", salt="staff-session")
    wrong_salt = URLSafeTimedSerializer(SECRET, salt="staff-login-form")
    boss = next(u for u in await site.users.list() if u.name == "boss")
    li = next(u for u in await site.users.list() if u.name == "li")
    real = URLSafeTimedSerializer(SECRET, salt="staff-session")
    forged = [
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        other.dumps([boss.id, boss.fingerprint]),
        wrong_salt.dumps([boss.id, boss.fingerprint]),
        real.dumps([boss.id, li.fingerprint]),
        real.dumps("boss"),
        real.dumps([10_000, li.fingerprint]),
        "",
        "x" * 5000,
    ]
    for cookie in forged:
        site.client.cookies.clear()
        site.client.cookies.set(SESSION_COOKIE, cookie, domain="city.test", path="/staff")
        assert (await site.client.get("/staff/queue")).status_code == 303, cookie[:40]
    site.client.cookies.clear()
    site.client.cookies.set(SESSION_COOKIE, good, domain="city.test", path="/staff")
    assert (await site.client.get("/staff/queue")).status_code == 200
    monkeypatch.setattr("assistant.staff.login.SESSION_MAX_AGE_S", -1)
    assert (await site.client.get("/staff/queue")).status_code == 303


async def test_a_disabled_user_and_a_new_password_end_the_session(site: Site) -> None:
    await site.log_in()
    await site.users.set_active("li", False)
    assert (await site.client.get("/staff/queue")).status_code == 303
    await site.users.set_active("li", True)
    assert (await site.client.get("/staff/queue")).status_code == 200
    await site.users.set_password("li", PASSWORD + "-2")
    assert (await site.client.get("/staff/queue")).status_code == 303


@pytest.mark.parametrize(
    ("path", "agent", "admin"),
    [
        ("/staff/", 200, 200),
        ("/staff/queue", 200, 200),
        ("/staff/conversations/x", 200, 200),
        ("/staff/knowledge", 403, 200),
        ("/staff/knowledge/x", 403, 200),
        ("/staff/tickets", 403, 200),
        ("/staff/tickets/x", 403, 200),
        ("/staff/anything", 404, 404),
    ],
)
async def test_the_guard_asks_for_the_role_of_a_page(site: Site, path: str, agent: int, admin: int) -> None:
    await site.log_in("li")
    assert (await site.client.get(path)).status_code == agent
    site.client.cookies.clear()
    await site.log_in("boss")
    assert (await site.client.get(path)).status_code == admin


async def test_a_form_of_another_site_cannot_log_anybody_in(site: Site) -> None:
    assert (await site.log_in(token="forged")).status_code == 400
    form = await site.client.get("/staff/login")
    token = form.text.split('name="token" value="')[1].split('"')[0]
    site.client.cookies.delete(FORM_COOKIE)
    data = {"name": "li", "password": PASSWORD, "token": token}
    response = await site.client.post("/staff/login", data=data)
    assert response.status_code == 400
    assert SESSION_COOKIE not in response.headers.get("set-cookie", "")


async def test_requests_of_another_site_are_refused(site: Site) -> None:
    await site.log_in("boss")
    path = "/staff/_nicegui/client/abc/upload/1"
    assert (await site.client.post(path, headers={"Origin": "https://evil.test"})).status_code == 403
    assert (await site.client.post(path, headers={"Origin": "null"})).status_code == 403
    assert (await site.client.post(path, headers={"Origin": "http://city.test"}, content=b"x")).status_code == 200


async def test_uploads_need_the_editor_and_a_size(site: Site) -> None:
    path = "/staff/_nicegui/client/abc/upload/1"
    assert (await site.client.post(path, content=b"x")).status_code == 401
    await site.log_in("li")
    assert (await site.client.post(path, content=b"x")).status_code == 403
    site.client.cookies.clear()
    await site.log_in("boss")
    assert (await site.client.post(path, content=b"x")).status_code == 200
    assert (await site.client.post(path, headers={"Content-Length": str(10**9)}, content=b"x")).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    assert (await site.client.post(path, content=chunks())).status_code == 411


async def test_logout_ends_at_the_login_page(site: Site) -> None:
    await site.log_in()
    response = await site.client.post("/staff/logout")
    assert response.headers["location"] == "/staff/login"
    assert (await site.client.get("/staff/queue")).status_code == 303
