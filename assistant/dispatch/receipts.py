"""Which signed deliveries were taken in: the same one again has no effect."""

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.exc import IntegrityError

from assistant.db.models import WebhookReceipt
from assistant.db.session import Database
from assistant.errors import Conflict


class DeliveryReused(Conflict):
    """A delivery id came again with another content."""

    code = "delivery_reused"
    detail = "同一个 delivery_id 已用于内容不同的通知。"


class Receipts:
    """All operations on `webhook_receipts`, safe beside other processes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def known(self, destination: str, delivery_id: str, content: dict[str, Any]) -> bool:
        """Whether this delivery was taken in before. Raises DeliveryReused when it was, with another content."""
        async with self._db.read() as session:
            stored = await session.scalar(_hash_of(destination, delivery_id))
        if stored is not None and stored != _digest(content):
            raise DeliveryReused
        return stored is not None

    async def remember(self, destination: str, delivery_id: str, content: dict[str, Any], *, at: datetime) -> None:
        """Note that the delivery had its effect. Raises DeliveryReused when another content was first."""
        receipt = WebhookReceipt(
            destination=destination, delivery_id=delivery_id, body_hash=_digest(content), received_at=at
        )
        try:
            async with self._db.begin() as session:
                session.add(receipt)
        except IntegrityError:
            # Delivered twice at the same time.
            await self.known(destination, delivery_id, content)

    async def forget_before(self, moment: datetime) -> int:
        """Remove older receipts; returns how many."""
        async with self._db.begin() as session:
            result = await session.execute(delete(WebhookReceipt).where(WebhookReceipt.received_at < moment))
            assert isinstance(result, CursorResult)
            return result.rowcount


def _hash_of(destination: str, delivery_id: str) -> Any:
    return select(WebhookReceipt.body_hash).where(
        WebhookReceipt.destination == destination, WebhookReceipt.delivery_id == delivery_id
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
