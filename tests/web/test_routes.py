"""The routes that serve the chat page, and their security headers."""

import gzip

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant.errors import ConfigError
from assistant.problems import install_problem_handlers
from assistant.web.routes import STATIC, allow_embedding, build_router, origins

CITY = "https://www.example.gov.cn"


def client(**options: object) -> TestClient:
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(build_router(**options))  # type: ignore[arg-type]
    allow_embedding(app, options.get("embed_origins", ()))  # type: ignore[arg-type]

    @app.post("/api/v1/conversations")
    async def open_conversation() -> dict[str, str]:
        return {}

    return TestClient(app)


def policy(response_headers: object) -> dict[str, str]:
    value = response_headers["content-security-policy"]  # type: ignore[index]
    return dict(part.strip().partition(" ")[::2] for part in value.split(";"))


@pytest.mark.parametrize("path", ["/", "/static/minsheng-chat.js", "/favicon.ico"])
def test_nothing_foreign_runs_and_nobody_frames_the_page(path: str) -> None:
    headers = client().get(path).headers
    rules = policy(headers)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_configured_sites_may_embed() -> None:
    http = client(embed_origins=(CITY,))
    headers = http.get("/", headers={"Origin": CITY}).headers
    assert policy(headers)["frame-ancestors"] == f"'self' {CITY}"
    assert "x-frame-options" not in headers
    assert headers["access-control-allow-origin"] == CITY
    asked = {"Origin": CITY, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert http.options("/api/v1/conversations", headers=asked).status_code == 200
    assert http.options("/api/v1/conversations", headers=asked | {"Origin": "https://evil.example"}).status_code == 400
    other = http.get("/static/minsheng-chat.js", headers={"Origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in other


def test_origins_are_checked() -> None:
    assert origins(f"{CITY}/, http://intranet.example:8443") == (CITY, "http://intranet.example:8443")
    assert origins("") == ()
    for wrong in (
        "*",
        "https://*.example.org",
        "example.org",
        "https://a.org/path",
        "https://a.org;script-src *",
        "javascript:x",
    ):
        with pytest.raises(ConfigError):
            origins(wrong)


def test_the_page_holds_no_inline_script_or_style() -> None:
    html = client().get("/").text
    assert 'lang="zh-CN"' in html
    assert "<style" not in html
    assert "style=" not in html
    assert html.count("<script") == html.count('<script type="module" src="/static/')


def test_every_file_of_the_page_is_there_and_from_here() -> None:
    http, html = client(), client().get("/").text
    for part in html.split('"'):
        if part.startswith("/static/"):
            assert http.get(part).status_code == 200, part
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text.replace("https://assistant.example/", ""), file.name


def test_data_never_becomes_markup() -> None:
    for script in STATIC.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"):
            assert forbidden not in text, f"{forbidden} in {script.name}"


def test_files_are_small_compressed_and_revalidated() -> None:
    http = client()
    first = http.get("/static/minsheng-chat.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.text == (STATIC / "minsheng-chat.js").read_text(encoding="utf-8")
    again = http.get("/static/minsheng-chat.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert http.get("/static/minsheng-chat.js", headers={"Accept-Encoding": "identity"}).text == first.text
    assert sum(len(gzip.compress(file.read_bytes())) for file in STATIC.iterdir()) < 24_000


@pytest.mark.parametrize(
    "path", ["/static/nothing.js", "/static/../routes.py", "/static/%2e%2e%2froutes.py", "/static/"]
)
def test_no_other_file_is_served(path: str) -> None:
    assert client().get(path).status_code == 404


def test_head_is_answered() -> None:
    assert client().head("/").status_code == 200
