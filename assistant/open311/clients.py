"""Third parties that may file requests: each has a name and an API key, of which only a digest is kept.

Keys are 32 random bytes, so a plain SHA-256 of one cannot be turned back; what is looked up is the digest.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from assistant.db.models import ApiClient
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound

MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class Client:
    """`trusted`: its requests are dispatched at once; those of others wait until an agent accepts them."""

    id: int
    name: str
    trusted: bool
    active: bool
    created_at: datetime


class Clients:
    """All operations on `api_clients`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, name: str, *, trusted: bool) -> tuple[Client, str]:
        """A new client and its key, which is told this once. Raises BadInput, Conflict for a name in use."""
        name = name.strip()
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise BadInput(f"名称应为 1 到 {MAX_NAME_CHARS} 个字。")
        key = f"ms_{secrets.token_urlsafe(32)}"
        row = ApiClient(name=name, key_hash=_digest(key), trusted=trusted)
        try:
            async with self._db.begin() as session:
                session.add(row)
                await session.flush()
        except IntegrityError:
            raise Conflict("已经有这个名称的接入方，请换一个名称。") from None
        return _client(row), key

    async def list(self) -> list[Client]:
        async with self._db.read() as session:
            return [_client(row) for row in await session.scalars(select(ApiClient).order_by(ApiClient.id))]

    async def revoke(self, name: str) -> Client:
        """From now on the key opens nothing. Raises NotFound."""
        async with self._db.begin() as session:
            changed = update(ApiClient).where(ApiClient.name == name.strip()).values(active=False).returning(ApiClient)
            row = await session.scalar(changed)
            if row is None:
                raise NotFound("没有这个名称的接入方。")
        return _client(row)

    async def of_key(self, key: str) -> Client | None:
        """The client that holds `key`; None for a wrong or revoked one."""
        async with self._db.read() as session:
            row = await session.scalar(select(ApiClient).where(ApiClient.key_hash == _digest(key)))
        return _client(row) if row is not None and row.active else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _client(row: ApiClient) -> Client:
    return Client(row.id, row.name, row.trusted, row.active, row.created_at)
