"""How many requests a token or a network address may send: a bucket each, in this process, that fills with time."""

import time
from dataclasses import dataclass
from threading import Lock

BURST_S = 10.0
"""So much of a token's time may be used at once."""
TOKENS_MAX = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a request may go on, and what its answer says of the limit."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    """Until a request may be sent again, or until the bucket is full."""

    @property
    def headers(self) -> dict[str, str]:
        """As answers carry it."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }
        return told if self.allowed else {**told, "Retry-After": str(self.reset_s)}


class RateLimits:
    """The buckets of one process."""

    def __init__(self, requests_per_minute: int) -> None:
        self._per_s = requests_per_minute / 60
        self._size = max(1.0, self._per_s * BURST_S)
        self._buckets: dict[str, _Bucket] = {}
        self._lock = Lock()

    def take(self, name: str, now: float | None = None) -> Taken:
        """One request of this name."""
        now = time.monotonic() if now is None else now
        with self._lock:
            return self._take(name, now)

    def _take(self, name: str, now: float) -> Taken:
        if len(self._buckets) >= TOKENS_MAX:
            self._forget_full(now)
        bucket = self._buckets.setdefault(name, _Bucket(self._size, now))
        bucket.left = min(self._size, bucket.left + (now - bucket.at) * self._per_s)
        bucket.at = now
        allowed = bucket.left >= 1
        if allowed:
            bucket.left -= 1
        missing = self._size - bucket.left if allowed else 1 - bucket.left
        return Taken(allowed, int(self._size), int(bucket.left), max(1, -int(-missing / self._per_s // 1)))

    def _forget_full(self, now: float) -> None:
        """A bucket that is full again says as much as none."""
        full_after_s = self._size / self._per_s
        self._buckets = {name: one for name, one in self._buckets.items() if now - one.at < full_after_s}
