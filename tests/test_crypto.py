"""Personal data at rest."""

import stat
from pathlib import Path

import pytest

from assistant.crypto import Vault, load_secret
from assistant.errors import ConfigError

SECRET = "a secret of the tests, long enough to be taken"


def test_what_is_encrypted_can_be_read_again_and_shows_nothing() -> None:
    vault = Vault(SECRET)
    token = vault.encrypt("13812345678")
    assert b"13812345678" not in token and token != vault.encrypt("13812345678")
    assert Vault(SECRET).decrypt(token) == "13812345678"


def test_another_secret_cannot_read_it_and_the_remedy_is_named() -> None:
    with pytest.raises(ConfigError, match="MINSHENG_SECRET_KEY"):
        Vault(SECRET + "!").decrypt(Vault(SECRET).encrypt("x"))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="32"):
        Vault("short")


def test_digests_and_derived_secrets_depend_on_key_and_purpose() -> None:
    vault, other = Vault(SECRET), Vault(SECRET + "!")
    assert vault.digest("5678") == Vault(SECRET).digest("5678") != other.digest("5678")
    assert len({vault.derive("a"), vault.derive("b"), other.derive("a"), vault.digest("a")}) == 4


def test_the_first_start_makes_a_secret_that_only_its_owner_reads(tmp_path: Path) -> None:
    made = load_secret("", tmp_path / "var")
    assert load_secret("", tmp_path / "var") == made
    assert stat.S_IMODE((tmp_path / "var" / "secret.key").stat().st_mode) == 0o600
    assert load_secret(SECRET, tmp_path) == SECRET
