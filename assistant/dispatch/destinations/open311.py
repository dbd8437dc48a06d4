"""A city's dispatch API that speaks Open311 GeoReport v2, JSON or XML.

GeoReport has no idempotency key. So that a request is filed once even when an answer was lost, three things work
together: the description carries a reference derived from the outbox key, a row that was tried before is looked up by
that reference before it is sent again, and the header `Idempotency-Key` closes the remaining gap at servers that know
it (the built-in desk does). Notes to a request (supplement, reminder, withdrawal) use the desk's extension
`POST requests/{id}/notes`; a server without it refuses them and a person has to pass them on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

import httpx

from assistant.db.models import now
from assistant.dispatch.destinations import http
from assistant.dispatch.destinations import open311_answers as answers
from assistant.dispatch.destinations.base import DispatchError, Outgoing, Permanent, RemoteStatus, Retryable, Sent
from assistant.dispatch.destinations.open311_message import note_fields, reference, request_fields

# How far the other side's clock may be behind ours when a sent request is looked up.
CLOCK_SLACK = timedelta(hours=1)
PAGE_SIZE = 200
MAX_PAGES = 50
DEFINITION_TTL_S = 3600.0
NO_DEFINITION_TTL_S = 60.0
NO_DEFINITION = ("http_400", "http_404", "http_405", "http_406", "http_501")
TOKEN_RETRY_S = 10.0


class Open311Destination:
    """`base_url`: the endpoint without a trailing slash, such as `https://host/open311/v2`; `timeout_s`: per step.

    `element_names`: what people call the elements of categories, by code.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        jurisdiction_id: str = "",
        answer_format: Literal["json", "xml"] = "json",
        timeout_s: float = 10.0,
        element_names: Mapping[str, str] = MappingProxyType({}),
        trust_env: bool = True,
        clock: Callable[[], datetime] = now,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"an Open311 address starts with http:// or https://, not {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._jurisdiction = {"jurisdiction_id": jurisdiction_id} if jurisdiction_id else {}
        self._format = answer_format
        self._element_names = element_names
        self._clock = clock
        self._declared: dict[str, tuple[float, frozenset[str]]] = {}
        accept = {"Accept": "application/json" if answer_format == "json" else "text/xml"}
        self._client = http.client(timeout_s=timeout_s, trust_env=trust_env, headers=accept)

    async def send(self, row: Outgoing) -> Sent:
        if row.operation != "create":
            return await self._send_note(row)
        if row.token:
            return await self._resolve_token(row.token)
        if row.retried and (found := await self._look_up(row)):
            return Sent(found)
        declared = await self._declared_attributes(str(row.payload["service_code"]))
        fields = request_fields(row.key, row.payload, declared, self._element_names)
        item = self._first(await self._post("requests", fields, row.key))
        if remote_id := answers.text_of(item, "service_request_id"):
            return Sent(remote_id)
        if token := answers.text_of(item, "token"):
            return await self._resolve_token(token)
        raise http.garbled()

    async def status(self, remote_ids: Sequence[str]) -> list[RemoteStatus]:
        wanted = set(remote_ids)
        body = await self._get("requests", {"service_request_id": ",".join(remote_ids)})
        found = (answers.remote_status(item) for item in self._items(body))
        return [status for status in found if status is not None and status.remote_id in wanted]

    async def close(self) -> None:
        await self._client.aclose()

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _send_note(self, row: Outgoing) -> Sent:
        if row.parent_id is None:
            raise Permanent("对方还没有这件诉求，无法补充。", code="no_parent")
        try:
            fields = note_fields(row.operation, row.payload)
        except KeyError:
            raise Permanent(f"对方不支持操作 {row.operation}。", code="unknown_operation") from None
        item = self._first(await self._post(f"requests/{quote(row.parent_id, safe='')}/notes", fields, row.key))
        if answers.text_of(item, "service_request_id") != row.parent_id:
            raise http.garbled()
        return Sent(row.parent_id)

    async def _resolve_token(self, token: str) -> Sent:
        """The id behind a token; until there is one, the row comes back with the token and is not filed again."""
        try:
            item = self._first(await self._get(f"tokens/{quote(token, safe='')}", {}))
        except DispatchError as error:
            raise Retryable(error.reason, code="token", after_s=TOKEN_RETRY_S, token=token) from None
        if remote_id := answers.text_of(item, "service_request_id"):
            return Sent(remote_id)
        raise Retryable("对方已接收，尚未给出编号。", code="token", after_s=TOKEN_RETRY_S, token=token)

    async def _look_up(self, row: Outgoing) -> str | None:
        """The id of a request that an earlier attempt filed, by its reference in the description."""
        mark, seen = reference(row.key), set[str]()
        since = (row.first_attempt_at - CLOCK_SLACK).astimezone(UTC)
        query = {
            "service_code": str(row.payload["service_code"]),
            "start_date": since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "page_size": str(PAGE_SIZE),
        }
        for page in range(1, MAX_PAGES + 1):
            found = self._items(await self._get("requests", query | {"page": str(page)}))
            ids = {answers.text_of(item, "service_request_id") or "" for item in found}
            for item in found:
                if mark in (answers.text_of(item, "description") or ""):
                    return answers.text_of(item, "service_request_id")
            # A server that knows no paging gives the same page again.
            if ids <= seen:
                break
            seen |= ids
        return None

    async def _declared_attributes(self, service_code: str) -> frozenset[str]:
        known = self._declared.get(service_code)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        kept_s = DEFINITION_TTL_S
        try:
            declared = answers.declared_attributes(await self._get(f"services/{quote(service_code, safe='')}", {}))
        except DispatchError as error:
            if error.code not in NO_DEFINITION:
                raise
            # A service without attributes needs no definition; the POST tells whether the code itself is wrong.
            declared, kept_s = frozenset(), NO_DEFINITION_TTL_S
        except answers.Garbled:
            declared, kept_s = frozenset(), NO_DEFINITION_TTL_S
        self._declared[service_code] = (time.monotonic() + kept_s, declared)
        return declared

    # --- HTTP -------------------------------------------------------------------------------------------------------

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        # In a header, because addresses end up in logs.
        headers = {"X-Api-Key": self._api_key} if self._api_key else {}
        return await self._call("GET", path, params={**self._jurisdiction, **query}, headers=headers)

    async def _post(self, path: str, fields: Mapping[str, str], key: str) -> bytes:
        data = {**self._jurisdiction, **({"api_key": self._api_key} if self._api_key else {}), **fields}
        return await self._call("POST", path, data=data, headers={"Idempotency-Key": key})

    async def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> bytes:
        url = f"{self._base_url}/{path}.{self._format}"
        response, body = await http.exchange(self._client, method, url, headers=headers, params=params, data=data)
        if response.is_success:
            return body
        raise _refusal(response, body)

    def _items(self, body: bytes) -> list[answers.Item]:
        try:
            return answers.items(body)
        except answers.Garbled:
            raise http.garbled() from None

    def _first(self, body: bytes) -> answers.Item:
        found = self._items(body)
        if len(found) != 1:
            raise http.garbled()
        return found[0]


def _refusal(response: httpx.Response, body: bytes) -> DispatchError:
    """A refusal is final only where the server explains it the GeoReport way; a proxy or a wrong key can be mended."""
    status, problem = response.status_code, answers.problem(body)
    reason, code = http.refused(response, problem)
    if 400 <= status < 500 and status not in (401, 403, 408, 425, 429) and problem:
        return Permanent(reason, code=code)
    return Retryable(reason, code=code, after_s=http.retry_after(response))
