"""Personal data at rest: encryption, keyed digests, and the key file made on first start."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from assistant.errors import ConfigError


class Vault:
    """Encrypts with Fernet (AES-128-CBC and HMAC-SHA256) and digests with HMAC-SHA256, both keyed by one secret."""

    def __init__(self, secret: str) -> None:
        """`secret`: at least 32 characters; another secret cannot read what this one wrote."""
        if len(secret) < 32:
            raise ConfigError("MINSHENG_SECRET_KEY is shorter than 32 characters: set a longer random value")
        key = hashlib.sha256(b"minsheng:encrypt:" + secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._digest_key = hashlib.sha256(b"minsheng:digest:" + secret.encode()).digest()
        self._secret = secret

    def encrypt(self, value: str) -> bytes:
        return self._fernet.encrypt(value.encode())

    def decrypt(self, value: bytes) -> str:
        """Raises ConfigError when the value was written with another secret."""
        try:
            return self._fernet.decrypt(value).decode()
        except InvalidToken:
            raise ConfigError(
                "stored personal data was encrypted with another secret: restore the former MINSHENG_SECRET_KEY"
            ) from None

    def digest(self, value: str) -> str:
        """A keyed SHA-256 in hexadecimal, for looking a value up without storing it."""
        return hmac.new(self._digest_key, value.encode(), hashlib.sha256).hexdigest()

    def derive(self, purpose: str) -> str:
        """A further secret for one purpose (signed cookies, the engine's shared secret), in hexadecimal."""
        return hmac.new(self._digest_key, f"derive:{purpose}".encode(), hashlib.sha256).hexdigest()


def load_secret(configured: str, data_dir: Path) -> str:
    """The configured secret, or the one kept in `data_dir/secret.key` (made on first start, mode 0600)."""
    if configured:
        return configured
    path = data_dir / "secret.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        secret = secrets.token_urlsafe(48)
        file.write(secret)
    return secret
