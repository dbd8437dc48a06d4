"""Signatures of webhooks, the same in both directions.

`Minsheng-Signature: v1=<hex>` is HMAC-SHA256, keyed by the secret that both sides know, over the value of
`Minsheng-Timestamp` (seconds since 1970, UTC), a full stop, and the body as it travels. The body holds `delivery_id`,
so a delivery cannot be sent again under another id; a timestamp further away than five minutes is refused.
"""

import hashlib
import hmac
import re
from datetime import datetime

TIMESTAMP_HEADER = "Minsheng-Timestamp"
SIGNATURE_HEADER = "Minsheng-Signature"
DELIVERY_HEADER = "Minsheng-Delivery"
WINDOW_S = 300
MIN_SECRET_CHARS = 16

_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature header."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def signed_headers(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """Timestamp and signature of something sent at `at`."""
    timestamp = str(int(at.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature(secret, timestamp, body)}


def is_genuine(secret: str, timestamp: str, body: bytes, offered: str) -> bool:
    """Whether `offered` is the signature; takes the same time however much of it is right."""
    expected = signature(secret, timestamp, body)
    return hmac.compare_digest(expected.encode(), offered.encode("utf-8", "replace"))


def is_fresh(timestamp: str, at: datetime) -> bool:
    """Whether the timestamp is a number within five minutes of `at`."""
    return bool(_TIMESTAMP.fullmatch(timestamp)) and abs(at.timestamp() - int(timestamp)) <= WINDOW_S
