"""A small counter of attempts per key in a sliding window, kept in this process."""

import time
from collections import deque


class Attempts:
    """`allow(key)` is False from the (`limit` + 1)-th call within `per_s` seconds."""

    def __init__(self, *, limit: int, per_s: float) -> None:
        self._limit, self._per_s = limit, per_s
        self._times: dict[str, deque[float]] = {}

    def allow(self, key: str) -> bool:
        moment = time.monotonic()
        if len(self._times) > 10_000:
            self._times = {k: t for k, t in self._times.items() if t and t[-1] > moment - self._per_s}
        times = self._times.setdefault(key, deque())
        while times and times[0] <= moment - self._per_s:
            times.popleft()
        if len(times) >= self._limit:
            return False
        times.append(moment)
        return True
