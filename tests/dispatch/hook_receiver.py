"""A city's own system behind a webhook: checks signatures by itself, files each delivery id once, over real HTTP."""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tests.dispatch.receiver import Faults, serve

SECRET = "a secret of the tests, long enough"
HOOK = "/intake"


@dataclass
class Hook:
    """`filed`: the body by delivery id. `effects`: how often something was filed, by ticket and operation."""

    base_url: str
    faults: Faults
    filed: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    # What it answers when it is asked for states.
    states: list[dict[str, Any]] = field(default_factory=list)
    answer: Response | None = None

    @property
    def url(self) -> str:
        return self.base_url + HOOK

    @property
    def status_url(self) -> str:
        return f"{self.base_url}/states?of=us"


def _expected(timestamp: str, content: bytes) -> str:
    """The signature as the guide for operators describes it."""
    return "v1=" + hmac.new(SECRET.encode(), f"{timestamp}.".encode() + content, hashlib.sha256).hexdigest()


@contextmanager
def hook_server(port: int = 0) -> Iterator[Hook]:
    app = FastAPI()
    faults = Faults(app)
    hook = Hook("", faults)

    @app.post(HOOK)
    async def take(request: Request) -> Response:
        body = await request.body()
        headers = dict(request.headers)
        if headers.get("minsheng-signature") != _expected(headers.get("minsheng-timestamp", ""), body):
            return JSONResponse({"detail": "wrong signature"}, 401)
        hook.headers.append(headers)
        if hook.answer is not None:
            return hook.answer
        told, key = json.loads(body), headers["idempotency-key"]
        if key in hook.filed:
            return JSONResponse({"id": f"W-{key}"}) if hook.filed[key] == told else JSONResponse({}, 409)
        hook.filed[key] = told
        hook.effects[told["ticket_number"], told["operation"]] += 1
        return JSONResponse({"id": f"W-{key}"}, 201)

    @app.get("/states")
    async def states(request: Request) -> Response:
        query = request.url.query.removeprefix("of=us&")
        if request.headers.get("minsheng-signature") != _expected(
            request.headers["minsheng-timestamp"], query.encode()
        ):
            return JSONResponse({"detail": "wrong signature"}, 401)
        return JSONResponse(hook.states)

    with serve(faults, port) as base_url:
        hook.base_url = base_url
        yield hook
