"""Attempts per key in a sliding window."""

import pytest

from assistant.conversations import limits
from assistant.conversations.limits import Attempts


def test_the_limit_holds_per_key_and_ends_with_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: moment)
    attempts = Attempts(limit=2, per_s=60)
    assert [attempts.allow("a") for _ in range(3)] == [True, True, False]
    assert attempts.allow("b")
    moment = 1059.9
    assert not attempts.allow("a")
    moment = 1060.0
    assert attempts.allow("a")
