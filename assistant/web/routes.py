"""Serves the chat page at `/` and its few files under `/static/`.

The files are read and compressed once, when the router is built: a slow phone gets about ten kilobytes, nothing is
looked up in the file system by a name that a visitor chose, and an unchanged file is answered with 304.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware

from assistant.errors import ConfigError, NotFound

STATIC = Path(__file__).resolve().parent / "static"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to send. `etag` is of the content, so that it is the same in every process."""

    body: bytes
    compressed: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "Asset":
        body = path.read_bytes()
        guessed = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
        media_type = guessed or "application/octet-stream"
        if media_type.startswith("text/") or path.suffix == ".svg":
            media_type += "; charset=utf-8"
        digest = hashlib.sha256(body).hexdigest()[:20]
        return cls(body, gzip.compress(body, 9, mtime=0), media_type, f'"{digest}"')


def origins(text: str) -> tuple[str, ...]:
    """The origins in `text`, separated by spaces or commas.

    Raises `ConfigError` for anything that is not `http(s)://host[:port]`: a stray word in a security header would
    silently allow nothing, or too much.
    """
    found = tuple(part.rstrip("/") for part in re.split(r"[\s,]+", text) if part)
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"允许嵌入的网站应写成 https://www.example.gov.cn 这样，而不是“{origin}”。")
    return found


def allow_embedding(app: FastAPI, embed_origins: Sequence[str]) -> None:
    """Let pages of these origins use the chat element, which then talks to the API from there; nobody else.

    No cookie is ever part of that: a conversation is opened by its token alone.
    """
    if embed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(embed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            expose_headers=["Retry-After"],
            max_age=86400,
        )


def security_headers(embed_origins: Sequence[str] = ()) -> dict[str, str]:
    """Headers of every answer of this router. Pages of `embed_origins` may show the chat in a frame, nobody else."""
    ancestors = " ".join(("'self'", *embed_origins)) if embed_origins else "'none'"
    headers = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            f"base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; "
            "trusted-types 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "cross-origin" if embed_origins else "same-origin",
    }
    if not embed_origins:
        headers["X-Frame-Options"] = "DENY"  # for browsers that do not know frame-ancestors
    return headers


def build_router(*, embed_origins: Sequence[str] = ()) -> APIRouter:
    """The routes of the chat page.

    Args:
        embed_origins: origins whose pages may frame the page and load the element, e.g. `https://www.example.gov.cn`.
    """
    router = APIRouter(include_in_schema=False)
    assets = {path.name: Asset.read(path) for path in sorted(STATIC.iterdir()) if path.is_file()}
    headers = security_headers(embed_origins)

    def send(asset: Asset, request: Request) -> Response:
        # no-cache: kept by the browser, asked about each time; a new version of the page is seen at once.
        own = {**headers, "ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=own)
        if "gzip" in request.headers.get("accept-encoding", ""):
            own["Content-Encoding"] = "gzip"
            return Response(asset.compressed, media_type=asset.media_type, headers=own)
        return Response(asset.body, media_type=asset.media_type, headers=own)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return send(assets["index.html"], request)

    @router.api_route("/static/{name}", methods=["GET", "HEAD"])
    async def static(name: str, request: Request) -> Response:
        if name not in assets:
            raise NotFound()
        return send(assets[name], request)

    @router.api_route("/favicon.ico", methods=["GET", "HEAD"])
    async def favicon(request: Request) -> Response:
        return send(assets["seal.svg"], request)

    return router
