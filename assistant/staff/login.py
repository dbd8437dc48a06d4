"""Login, logout and the guard in front of every page of the workbench.

The session is a signed cookie (HttpOnly, SameSite=Lax, Secure under HTTPS) with the user's id and a fingerprint of the
password hash; nothing is kept in this process. Each request and each step on an open page looks the user up again, so
a disabled account or a new password ends the session at once.

Cross-site requests: SameSite=Lax keeps the cookie off foreign POSTs and WebSockets, WebSockets and uploads must come
from our own origin, and the login form carries a token that is bound to a second cookie.
"""

import html
import re
import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from string import Template
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from assistant.problems import problem
from assistant.staff.audit import Audit
from assistant.staff.users import LoginRefused, StaffUser, Users

PREFIX: Final = "/staff"
SESSION_COOKIE: Final = "minsheng_staff"
FORM_COOKIE: Final = "minsheng_login"
SESSION_MAX_AGE_S: Final = 10 * 3600
FORM_MAX_AGE_S: Final = 3600
MAX_UPLOAD_BYTES: Final = 20 * 1024 * 1024

# Which role opens which page; a page that is not listed here does not exist.
PAGE_ROLES: Final[Mapping[str, str]] = {
    "queue": "agent",
    "conversations": "agent",
    "knowledge": "editor",
    "upload": "editor",
    "health": "editor",
    "cases": "editor",
    "tickets": "dispatcher",
    "undelivered": "dispatcher",
    "teaching": "editor",
    "returns": "dispatcher",
    "api": "dispatcher",
}
VISITOR_KEY: Final = "minsheng.staff.user"
WORKBENCH_KEY: Final = "minsheng.staff.workbench"

# The UI library's own files: the same for everybody, versioned in the address.
_LIBRARY_FILE = re.compile(r"_nicegui/[^/]+/(?:static|libraries|components|resources|esm)/")
_PAGE = re.compile(
    r"queue|tickets|returns|undelivered|knowledge|upload|teaching|health|cases"
    r"|(?:conversations|knowledge|teaching|tickets|returns)/[^/]+"
    r"|knowledge/[^/]+/(?:edit|versions)|api/tickets/[^/]+(?:/[a-z_]+)?"
)
_SAFE_NEXT = re.compile(r"/staff(?:/[\w-][\w.-]*)*/?")
_TEMPLATES = Path(__file__).parent / "templates"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}
_LIBRARY_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}


class Sessions:
    """Makes and reads session cookies. `secret`: at least 32 characters, the same in every process."""

    def __init__(self, users: Users, secret: str) -> None:
        self._users = users
        self._signer = URLSafeTimedSerializer(secret, salt="staff-session")
        self._forms = URLSafeTimedSerializer(secret, salt="staff-login-form")

    def issue(self, user: StaffUser) -> str:
        return str(self._signer.dumps([user.id, user.fingerprint]))

    async def user(self, cookie: str | None) -> StaffUser | None:
        """The active user a cookie belongs to, or None for a forged, expired or ended one."""
        if not cookie:
            return None
        try:
            user_id, fingerprint = self._signer.loads(cookie, max_age=SESSION_MAX_AGE_S)
        except (BadSignature, ValueError, TypeError):
            return None
        return await self.refresh(user_id, fingerprint)

    async def refresh(self, user_id: int, fingerprint: str) -> StaffUser | None:
        """The user as the database has them now; None when the account is disabled or the password was changed."""
        user = await self._users.get(user_id)
        if user is None or not user.active or not secrets.compare_digest(user.fingerprint, fingerprint):
            return None
        return user

    def form_token(self, nonce: str) -> str:
        return str(self._forms.dumps(nonce))

    def form_is_ours(self, token: str, nonce: str | None) -> bool:
        if not nonce:
            return False
        try:
            signed = self._forms.loads(token, max_age=FORM_MAX_AGE_S)
        except BadSignature:
            return False
        return isinstance(signed, str) and secrets.compare_digest(signed.encode(), nonce.encode())


def safe_next(target: str | None) -> str:
    """A page of the workbench to go to after login; anything else becomes its first page."""
    return target if target and _SAFE_NEXT.fullmatch(target) else f"{PREFIX}/"


def build_login_router(users: Users, sessions: Sessions, audit: Audit) -> APIRouter:
    """`GET/POST /staff/login` and `POST /staff/logout`, plain HTML that works without JavaScript."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    @router.get("/login")
    async def show(request: Request, next: str = "") -> Response:
        if await sessions.user(request.cookies.get(SESSION_COOKIE)):
            return RedirectResponse(safe_next(next), 303)
        return form(request, next_page=next)

    @router.post("/login")
    async def login(
        request: Request,
        name: Annotated[str, Form(max_length=100)] = "",
        password: Annotated[str, Form(max_length=1000)] = "",
        token: Annotated[str, Form(max_length=500)] = "",
        next: Annotated[str, Form(max_length=300)] = "",
    ) -> Response:
        if not sessions.form_is_ours(token, request.cookies.get(FORM_COOKIE)):
            return form(request, next_page=next, error="登录页面已过期，请再试一次。", status=400)
        name = name.strip()
        try:
            user = await users.authenticate(name, password)
        except LoginRefused as refusal:
            # People type passwords into the wrong field: a name that is no account is not written down.
            known = name if refusal.reason != "unknown" else "?"
            await audit.record(known, "login", refusal.reason, success=False)
            message = "用户名或密码不正确。"
            if refusal.reason == "locked":
                message = f"登录失败次数过多，账号已临时锁定，请约 {refusal.minutes} 分钟后再试，或联系管理员。"
            return form(request, next_page=next, name=name, error=message, status=401)
        await audit.record(user.name, "login", "session")
        response = RedirectResponse(safe_next(next), 303)
        _set_cookie(request, response, SESSION_COOKIE, sessions.issue(user), SESSION_MAX_AGE_S, "lax")
        response.delete_cookie(FORM_COOKIE, path=PREFIX)
        return response

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        response = RedirectResponse(f"{PREFIX}/login", 303)
        user = await sessions.user(request.cookies.get(SESSION_COOKIE))
        if user is not None:
            await audit.record(user.name, "logout", "session")
            response.delete_cookie(SESSION_COOKIE, path=PREFIX)
        return response

    def form(request: Request, *, next_page: str, name: str = "", error: str = "", status: int = 200) -> Response:
        nonce = secrets.token_urlsafe(24)
        page = _render(
            "login.html",
            token=sessions.form_token(nonce),
            next=html.escape(next_page if safe_next(next_page) == next_page else ""),
            name=html.escape(name[:40]),
            error=f'<p class="error" role="alert">{html.escape(error)}</p>' if error else "",
        )
        response = HTMLResponse(page, status, headers=_HEADERS)
        _set_cookie(request, response, FORM_COOKIE, nonce, FORM_MAX_AGE_S, "strict")
        return response

    return router


class StaffGuard:
    """ASGI middleware: nothing under `/staff` but login, logout and style sheets is reached without a session.

    The page's role is checked here, before any page code runs; pages check it again at every step.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, workbench: object) -> None:
        """`workbench` is handed to the pages, which find it in the request's scope."""
        self._app = app
        self._sessions = sessions
        self._workbench = workbench

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] not in ("http", "websocket") or not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            await self._app(scope, receive, send)
            return
        inner = path[len(PREFIX) :].strip("/")
        if inner in ("login", "logout") or inner.startswith("assets/"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and _LIBRARY_FILE.match(inner) and scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, _with_headers(send, _LIBRARY_HEADERS))
            return
        user = await self._sessions.user(_cookie(scope, SESSION_COOKIE))
        refusal = self._refusal(scope, inner, user)
        if refusal is None:
            scope[VISITOR_KEY] = user
            scope[WORKBENCH_KEY] = self._workbench
            await self._app(scope, receive, _with_headers(send, _HEADERS) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(code=1008)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, inner: str, user: StaffUser | None) -> Response | None:
        refuse = _problem if inner.startswith("api/") else _message
        if user is None:
            if scope["type"] == "http" and scope["method"] == "GET" and not inner.startswith(("_nicegui", "api/")):
                return RedirectResponse(f"{PREFIX}/login?next={quote(scope['path'])}", 303)
            return refuse(401, "请先登录", "登录已失效，请重新登录。")
        headers = Headers(scope=scope)
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if changes and not _same_origin(headers):
            return refuse(403, "请求被拒绝", "这个请求来自别的网站。")
        area = inner.split("/")[0]
        if area.startswith("_nicegui"):
            return _upload_refusal(scope, headers, user) if "/upload/" in inner else None
        if area == "":
            return None
        if not _PAGE.fullmatch(inner):
            return refuse(404, "没有这个页面", "请检查地址，或从首页进入。")
        if not user.has_role(PAGE_ROLES[area]):
            return refuse(403, "没有权限", "您的账号没有打开这个页面的权限，请联系管理员。")
        return None


def _upload_refusal(scope: Scope, headers: Headers, user: StaffUser) -> Response | None:
    if not user.has_role("editor"):
        return _message(403, "没有权限", "您的账号没有上传文件的权限。")
    try:
        size = int(headers.get("content-length", ""))
    except ValueError:
        return _message(411, "无法上传", "请求没有说明文件大小。")
    if size > MAX_UPLOAD_BYTES + 64 * 1024:
        return _message(413, "文件太大", f"文件不能超过 {MAX_UPLOAD_BYTES // 1024 // 1024} MB。")
    return None


def _same_origin(headers: Headers) -> bool:
    """A browser names the origin of every POST and WebSocket; a missing one is not a browser of another site."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def _cookie(scope: Scope, name: str) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load("; ".join(Headers(scope=scope).getlist("cookie")))
    except Exception:  # a malformed cookie header is no session
        return None
    return jar[name].value if name in jar else None


def _set_cookie(request: Request, response: Response, name: str, value: str, max_age_s: int, same_site: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        path=PREFIX,
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="strict" if same_site == "strict" else "lax",
    )


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {key.lower() for key, _ in message["headers"]}
            extra = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
            message["headers"] = [*message["headers"], *((k, v) for k, v in extra if k not in present)]
        await send(message)

    return wrapped


def _message(status: int, title: str, text: str) -> HTMLResponse:
    return HTMLResponse(_render("message.html", title=title, text=text), status, headers=_HEADERS)


def _problem(status: int, _title: str, text: str) -> Response:
    """The same for a program."""
    codes = {401: "not_authenticated", 403: "not_allowed", 404: "not_found"}
    return problem(status, text, codes[status], dict(_HEADERS))


def _render(template: str, **values: str) -> str:
    return Template((_TEMPLATES / template).read_text("utf-8")).substitute(values)
