"""Stripe's rate limits (https://docs.stripe.com/rate-limits) as token buckets in the wall clock's time."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimiter:
    """At most ``per_s`` requests a second in all, ``per_endpoint_per_s`` for one endpoint; 0: no limit.

    The buckets hold one second's worth and are per process: they limit load, they are no state of the
    account.
    """

    def __init__(self, per_s: int, per_endpoint_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self.per_endpoint_per_s = per_endpoint_per_s
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, endpoint: str) -> bool:
        """Take one request's worth, or refuse it and take nothing."""
        limits = [("", self.per_s), (endpoint, self.per_endpoint_per_s)]
        now = self._clock()
        levels = [(name, self._level(name, limit, now)) for name, limit in limits if limit]
        if any(level < 1 for _, level in levels):
            return False
        self._buckets.update({name: (level - 1, now) for name, level in levels})
        return True

    def _level(self, name: str, limit: int, now: float) -> float:
        level, at = self._buckets.get(name, (float(limit), now))
        return min(float(limit), level + (now - at) * limit)
