"""Reading what a GeoReport client sent: body, checks, filters. Every problem is a BadInput in Chinese."""

import json
import math
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from assistant.errors import BadInput, NotFound
from assistant.open311.services import Service, zoned_time
from assistant.privacy import mask

MAX_DESCRIPTION_CHARS = 4000
MAX_BODY_BYTES = 256 * 1024
MAX_FIELDS = 200
MAX_ADDRESS_CHARS = 400
MAX_LISTED_IDS = 200
MAX_PAGE_SIZE = 1000
MAX_KEY_CHARS = 140
LONGEST_PERIOD = timedelta(days=90)

_ATTRIBUTE = re.compile(r"attribute\[([^\[\]]{1,80})\](?:\[\])?")
_KEY = re.compile(r"[\x21-\x7e]+")

Fields = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A checked request as it came in; `attributes` by attribute code. lat and long in degrees, WGS 84."""

    service_code: str
    description: str
    address: str | None = None
    lat: float | None = None
    long: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    jurisdiction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Which requests to list; empty means any. `statuses`: open, closed. Both ends of a period are included."""

    ids: Sequence[str] = ()
    service_codes: Sequence[str] = ()
    statuses: Sequence[str] = ()
    start: datetime | None = None
    end: datetime | None = None
    updated_after: datetime | None = None


async def read_fields(request: Request) -> Fields:
    """The fields of a POST, form-encoded or JSON; `attribute` may be an object in JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "application/json"):
        raise BadInput("请用 application/x-www-form-urlencoded 或 application/json 提交。")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadInput(f"请求超过 {MAX_BODY_BYTES // 1024} KB。")
    try:
        text = body.decode()
        if kind == "application/json":
            return _json_fields(json.loads(text))
        fields: Fields = {}
        for name, value in parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS):
            fields.setdefault(name, []).append(value)
        return fields
    except (ValueError, RecursionError):
        raise BadInput("请求内容无法解析，请检查格式和 UTF-8 编码。") from None


def _json_fields(content: Any) -> Fields:
    if not isinstance(content, dict) or len(content) > MAX_FIELDS:
        raise ValueError("not an object of fields")
    fields: Fields = {}
    for name, value in content.items():
        if name in ("attribute", "attributes") and isinstance(value, dict):
            fields.update({f"attribute[{code}]": _json_values(item) for code, item in value.items()})
        else:
            fields[name] = _json_values(value)
    return fields


def _json_values(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    texts = []
    for item in items:
        if isinstance(item, dict | list):
            raise ValueError("a value is an object")
        if item is not None:
            texts.append(str(item).lower() if isinstance(item, bool) else str(item))
    return texts


def single(fields: Fields, name: str) -> str:
    """The cleaned value of a field, or an empty string."""
    values = fields.get(name, [])
    if len(values) > 1:
        raise BadInput(f"字段 {name} 只能填一个值。")
    return clean_text(values[0]) if values else ""


def api_key(request: Request, fields: Fields | None = None) -> str:
    """The key a client offers: in the header `X-Api-Key`; for a POST also as a field, or in the address."""
    offered = request.headers.get("x-api-key", "")
    if fields is not None:
        offered = offered or single(fields, "api_key") or request.query_params.get("api_key", "")
    return offered


def check_jurisdiction(request: Request, served: str, fields: Fields | None = None) -> None:
    """Raises NotFound where another jurisdiction than `served` is meant; none need be given."""
    offered = single(fields, "jurisdiction_id") if fields else ""
    offered = offered or request.query_params.get("jurisdiction_id", "")
    if offered and offered != served:
        raise NotFound("没有这个 jurisdiction_id。")


def idempotency_key(request: Request, *, longest: int = MAX_KEY_CHARS) -> str | None:
    """The header `Idempotency-Key`; it counts within the name space of one API key."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if len(key) > longest or not _KEY.fullmatch(key):
        raise BadInput(f"Idempotency-Key 应为 1 到 {longest} 个可见 ASCII 字符。")
    return key


def clean_text(text: str) -> str:
    """Without control characters, zero bytes and halves of surrogate pairs, which databases and XML refuse."""
    text = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and c not in "\x7f\ufffe\uffff")).strip()


def description_of(fields: Fields) -> str:
    """The description, masked. Raises BadInput for one of more than 4,000 characters."""
    description = masked(single(fields, "description"))
    if len(description) > MAX_DESCRIPTION_CHARS:
        raise BadInput(f"description 超过 {MAX_DESCRIPTION_CHARS} 个字。")
    return description


def new_request(
    fields: Fields,
    service: Service,
    jurisdiction_id: str | None,
    *,
    needs_place: bool = True,
    told: Container[str] = (),
) -> NewRequest:
    """A checked request, its texts masked. Contact fields of the specification are not read here.

    `told`: codes of attributes that need not be given.
    """
    description = description_of(fields)
    lat, long = _coordinates(single(fields, "lat"), single(fields, "long"))
    address, address_id = single(fields, "address_string"), single(fields, "address_id")
    if needs_place and lat is None and not address and not address_id:
        raise BadInput("请提供 lat 和 long，或 address_string，或 address_id。")
    if len(address) > MAX_ADDRESS_CHARS or len(address_id) > 80:
        raise BadInput(f"address_string 超过 {MAX_ADDRESS_CHARS} 个字，或 address_id 超过 80 个字。")
    given: Fields = {}
    for name, values in fields.items():
        if match := _ATTRIBUTE.fullmatch(name):
            given.setdefault(match[1], []).extend(masked(clean_text(value)) for value in values)
    attributes: dict[str, Any] = dict(service.check(given, told=told))
    if address_id:
        attributes["address_id"] = address_id
    return NewRequest(
        service_code=service.code,
        description=description,
        address=masked(address) or None,
        lat=lat,
        long=long,
        attributes=attributes,
        jurisdiction_id=jurisdiction_id,
    )


def masked(text: str) -> str:
    """Phone, identity-card and bank-card numbers masked: the answers are public."""
    return mask(text)[0]


def _coordinates(lat: str, long: str) -> tuple[float | None, float | None]:
    if not lat and not long:
        return None, None
    try:
        y, x = float(lat), float(long)
    except ValueError:
        raise BadInput("lat 和 long 应同时提供，并且是数字。") from None
    if not (math.isfinite(y) and math.isfinite(x) and abs(y) <= 90 and abs(x) <= 180):
        raise BadInput("lat 应在 -90 到 90 之间，long 应在 -180 到 180 之间（请检查是否写反）。")
    return y, x


def request_query(query: Mapping[str, str], zone: tzinfo, at: datetime) -> Query:
    """What `GET requests` asks for; ids override everything else.

    Without dates the last 90 days are meant, but for `updated_after` (an extension), which looks at older ones too.
    """
    ids = _listed(query, "service_request_id")
    if len(ids) > MAX_LISTED_IDS:
        raise BadInput(f"一次最多查询 {MAX_LISTED_IDS} 个 service_request_id。")
    if ids:
        return Query(ids=ids)
    statuses = _listed(query, "status")
    if any(status not in ("open", "closed") for status in statuses):
        raise BadInput("status 应为 open 或 closed。")
    start, end = _time(query, "start_date", zone), _time(query, "end_date", zone)
    updated_after = _time(query, "updated_after", zone)
    if start is None and updated_after is None:
        start = (end or at) - LONGEST_PERIOD
    elif start is not None and end is None:
        end = start + LONGEST_PERIOD
    if start is not None and end is not None and not timedelta(0) <= end - start <= LONGEST_PERIOD:
        raise BadInput("end_date 应晚于 start_date，跨度不超过 90 天。")
    return Query((), _listed(query, "service_code"), statuses, start, end, updated_after)


def paging(query: Mapping[str, str]) -> tuple[int, int]:
    """(limit, offset) from `page` (from 1) and `page_size`."""
    try:
        page, size = int(query.get("page") or 1), int(query.get("page_size") or 100)
    except ValueError:
        raise BadInput("page 和 page_size 应为整数。") from None
    if not (1 <= page <= 100_000 and 1 <= size <= MAX_PAGE_SIZE):
        raise BadInput(f"page 从 1 开始，page_size 为 1 到 {MAX_PAGE_SIZE}。")
    return size, (page - 1) * size


def _listed(query: Mapping[str, str], name: str) -> Sequence[str]:
    return [clean_text(part) for part in query.get(name, "").split(",") if part.strip()]


def _time(query: Mapping[str, str], name: str, zone: tzinfo) -> datetime | None:
    value = query.get(name)
    if not value:
        return None
    try:
        # An unescaped "+08:00" arrives with a space.
        return zoned_time(value.strip().replace(" ", "+"), assumed=zone)
    except ValueError:
        raise BadInput(f"{name} 应为 ISO 8601 时间，例如 2025-06-01T08:00:00+08:00。") from None
