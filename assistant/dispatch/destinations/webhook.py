"""A destination that takes signed JSON: one POST per outbox row.

What is sent: `{"delivery_id", "operation", "ticket_number", "request_id", "data"}`. `operation` is create, supplement,
urge or withdraw; `request_id` is the id that the receiver gave at the create (null there); `data` is what
`assistant.tickets.outgoing` tells (elements as a list of code, name, value), nothing about the requester among it.
Headers: see `assistant.dispatch.signature`; `Minsheng-Delivery` and `Idempotency-Key` both hold the delivery id, the
same at every attempt. The receiver answers 2xx with `{"id": …}` and answers the same for a delivery id it knows
already: that makes a repeated delivery harmless.

A refusal (4xx) is final only with an explanation (`detail`, `message`, `error` or `description` in a JSON object); 401,
403, 408, 409, 425 and 429 are tried again in any case, because keys, proxies and busy receivers get mended.

States come back by a signed webhook (`assistant.dispatch.reports`), or, where `status_url` is set, are asked for by
`GET status_url?ids=a,b`, signed over the query string: a JSON list of `{"id", "state", "updated_at", "public_reply",
"note", "reason_code"}`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx

from assistant.db.models import now
from assistant.dispatch.destinations import http
from assistant.dispatch.destinations.base import DispatchError, Outgoing, Permanent, RemoteStatus, Retryable, Sent
from assistant.dispatch.signature import DELIVERY_HEADER, MIN_SECRET_CHARS, signed_headers

OPERATIONS = ("create", "supplement", "urge", "withdraw")
STATES = ("received", "accepted", "resolved", "returned", "withdrawn")
_TRIED_AGAIN = (401, 403, 408, 409, 425, 429)
_EXPLANATIONS = ("detail", "message", "error", "description")
MAX_ID_CHARS = 80
# What may leave; a name that somebody adds to the payload does not leave by itself.
DATA = (
    "service_code", "title", "description", "address_string", "place_grid", "lat", "long", "request_type", "category1",
    "category2", "category3", "urgency", "event_time", "ticket_number", "unit", "assisting_units", "due_at",
    "confidential", "review", "other_matters", "elements", "attachments", "text",
)  # fmt: skip


class WebhookDestination:
    """`secret`: shared with the receiver, at least 16 characters; `status_url`: empty where it cannot be asked.

    `element_names`: what people call the elements of categories, by code.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str,
        status_url: str = "",
        timeout_s: float = 10.0,
        element_names: Mapping[str, str] = MappingProxyType({}),
        trust_env: bool = True,
        clock: Callable[[], datetime] = now,
    ) -> None:
        for address in filter(None, (url, status_url)):
            if not address.startswith(("http://", "https://")):
                raise ValueError(f"the address of a webhook starts with http:// or https://, not {address!r}")
        if len(secret) < MIN_SECRET_CHARS:
            raise ValueError(f"the secret of a webhook has at least {MIN_SECRET_CHARS} characters")
        self._url, self._status_url = url, status_url
        self._secret = secret
        self._element_names = element_names
        self._clock = clock
        self._client = http.client(timeout_s=timeout_s, trust_env=trust_env, headers={"Accept": "application/json"})

    async def send(self, row: Outgoing) -> Sent:
        if row.operation not in OPERATIONS:
            raise Permanent(f"对方不支持操作 {row.operation}。", code="unknown_operation")
        if row.operation != "create" and row.parent_id is None:
            raise Permanent("对方还没有这件诉求，无法补充。", code="no_parent")
        data = {name: row.payload[name] for name in DATA if name in row.payload}
        if elements := data.get("elements"):
            data["elements"] = [
                {"code": code, "name": self._element_names.get(code, code), "value": words}
                for code, words in elements.items()
            ]
        content = {
            "delivery_id": row.key,
            "operation": row.operation,
            "ticket_number": row.ticket_number,
            "request_id": row.parent_id,
            "data": data,
        }
        body = json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", DELIVERY_HEADER: row.key, "Idempotency-Key": row.key}
        headers |= signed_headers(self._secret, body, self._clock())
        remote_id = _id_in(await self._call("POST", self._url, content=body, headers=headers))
        return Sent(row.parent_id or remote_id)

    async def status(self, remote_ids: Sequence[str]) -> list[RemoteStatus]:
        if not self._status_url or not remote_ids:
            return []
        query = "ids=" + ",".join(quote(each, safe="") for each in remote_ids)
        joint = "&" if "?" in self._status_url else "?"
        headers = signed_headers(self._secret, query.encode(), self._clock())
        listed = _json(await self._call("GET", f"{self._status_url}{joint}{query}", headers=headers))
        if not isinstance(listed, list):
            raise http.garbled()
        wanted = set(remote_ids)
        found = (_status(item) for item in listed if isinstance(item, dict))
        return [status for status in found if status is not None and status.remote_id in wanted]

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, method: str, url: str, **options: Any) -> bytes:
        response, body = await http.exchange(self._client, method, url, **options)
        if response.is_success:
            return body
        raise _refusal(response, body)


def _refusal(response: httpx.Response, body: bytes) -> DispatchError:
    explanation = _explanation(body)
    reason, code = http.refused(response, explanation)
    if 400 <= response.status_code < 500 and response.status_code not in _TRIED_AGAIN and explanation:
        return Permanent(reason, code=code)
    return Retryable(reason, code=code, after_s=http.retry_after(response))


def _explanation(body: bytes) -> str:
    try:
        content = _json(body)
    except Retryable:
        return ""
    texts = [content.get(name) for name in _EXPLANATIONS] if isinstance(content, dict) else []
    return next((text.strip()[:200] for text in texts if isinstance(text, str) and text.strip()), "")


def _id_in(body: bytes) -> str:
    content = _json(body)
    remote_id = content.get("id") if isinstance(content, dict) else None
    if isinstance(remote_id, bool) or not isinstance(remote_id, str | int):
        raise http.garbled()
    text = str(remote_id).strip()
    if not 0 < len(text) <= MAX_ID_CHARS:
        raise http.garbled()
    return text


def _status(item: dict[str, Any]) -> RemoteStatus | None:
    texts = {name: str(value).strip() for name, value in item.items() if isinstance(value, str | int) and value != ""}
    if "id" not in texts or texts.get("state") not in STATES:
        return None
    return RemoteStatus(
        remote_id=texts["id"],
        state=texts["state"],
        updated_at=texts.get("updated_at", ""),
        public_reply=texts.get("public_reply") or None,
        note=texts.get("note") or None,
        reason_code=texts.get("reason_code") or None,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise http.garbled() from None
