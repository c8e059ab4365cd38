"""How fast Stripe may be asked: calls a second in all and for each endpoint, shared by the threads of the process."""

from functools import cache
from threading import Lock

from pyrate_limiter import Duration, Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket


class RateLimits:
    """At most `per_second` calls and `per_second_per_endpoint` to one endpoint; 0 means no limit.

    Calls are spread evenly, with bursts of a tenth of a second's worth: a full second's worth at once, on top of the
    second that follows, is what Stripe answers with 429.
    """

    def __init__(self, per_second: int, per_second_per_endpoint: int) -> None:
        self._total = _limiter(per_second) if per_second else None
        self._per_endpoint = per_second_per_endpoint
        self._endpoints: dict[str, Limiter] = {}
        self._lock = Lock()

    def wait(self, endpoint: str) -> None:
        """Return when the call may be made."""
        if self._per_endpoint:
            with self._lock:
                own = self._endpoints.setdefault(endpoint, _limiter(self._per_endpoint))
            own.try_acquire(endpoint)
        if self._total is not None:
            self._total.try_acquire("all")


def _limiter(per_second: int) -> Limiter:
    rate = Rate(per_second, Duration.SECOND, burst=max(1, per_second // 10))
    bucket = StateBucket([rate], algorithm=TokenBucket())
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=1)


@cache
def shared_limits(per_second: int, per_second_per_endpoint: int) -> RateLimits:
    """The process's one pair of limits with these rates."""
    return RateLimits(per_second, per_second_per_endpoint)
