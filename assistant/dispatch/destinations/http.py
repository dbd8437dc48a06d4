"""One HTTP call to a destination: a bounded answer, or the error that tells whether to try again."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx

from assistant.dispatch.destinations.base import Retryable

MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_RETRY_AFTER_S = 86_400.0


def client(*, timeout_s: float, trust_env: bool, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """`timeout_s`: for each step of a call; at most 5 s of it for connecting."""
    timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0))
    return httpx.AsyncClient(timeout=timeout, headers=dict(headers), trust_env=trust_env, verify=_authorities())


@lru_cache
def _authorities() -> ssl.SSLContext:
    """Whom to believe; read once, because it takes longer than everything else about a client."""
    return httpx.create_ssl_context()


async def exchange(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> tuple[httpx.Response, bytes]:
    """The response and its body. Raises Retryable where there was none, or an endless one."""
    body = bytearray()
    try:
        async with client.stream(method, url, **options) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise garbled()
    except httpx.TimeoutException:
        raise Retryable("对方没有及时回答。", code="timeout") from None
    except (httpx.HTTPError, OSError):
        raise Retryable("连不上对方，或连接中断。", code="unreachable") from None
    return response, bytes(body)


def garbled() -> Retryable:
    return Retryable("对方的回答无法解析。", code="garbled")


def refused(response: httpx.Response, explanation: str) -> tuple[str, str]:
    """(reason, code) of an answer that is no success."""
    status = response.status_code
    return f"对方回答 {status}" + (f"：{explanation}" if explanation else "。"), f"http_{status}"


def retry_after(response: httpx.Response) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date."""
    value = response.headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None
