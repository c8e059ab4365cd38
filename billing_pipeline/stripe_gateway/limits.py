"""How fast Stripe may be asked: calls a second in all and for each endpoint, shared by the threads of the process."""

import time
from collections.abc import Callable
from functools import cache
from threading import Lock


class RateLimits:
    """At most `per_second` calls and `per_second_per_endpoint` to one endpoint; 0 means no limit.

    Calls are spread evenly, with bursts of a tenth of a second's worth: a full second's worth at once, on top of the
    second that follows, is what Stripe answers with 429. Whoever comes takes the next free moment and waits for it, so
    none is left unused while somebody waits.

    Args:
        per_second, per_second_per_endpoint: calls.
        clock, sleep: in seconds, for tests.
    """

    def __init__(
        self,
        per_second: int,
        per_second_per_endpoint: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._total = _Pace(per_second) if per_second else None
        self._per_endpoint = per_second_per_endpoint
        self._endpoints: dict[str, _Pace] = {}
        self._lock = Lock()
        self._clock = clock
        self._sleep = sleep

    def wait(self, endpoint: str) -> None:
        """Return when the call may be made."""
        with self._lock:
            moment = self._clock()
            if self._per_endpoint:
                own = self._endpoints.setdefault(endpoint, _Pace(self._per_endpoint))
                moment = own.next_moment(moment)
        self._until(moment)
        if self._total is not None:
            # only now: a moment of all calls that is taken early would be missing to the other endpoints
            with self._lock:
                moment = self._total.next_moment(self._clock())
            self._until(moment)

    def _until(self, moment: float) -> None:
        while (left := moment - self._clock()) > 0:
            self._sleep(left)


class _Pace:
    """The moments at which calls may be made: evenly spread; what was not used stays for a tenth of a second."""

    def __init__(self, per_second: int) -> None:
        self._apart_s = 1 / per_second
        self._unused_s = (max(1, per_second // 10) - 1) * self._apart_s
        self._next = float("-inf")

    def next_moment(self, now: float) -> float:
        moment = max(self._next, now - self._unused_s)
        self._next = moment + self._apart_s
        return max(moment, now)


@cache
def shared_limits(per_second: int, per_second_per_endpoint: int) -> RateLimits:
    """The process's one pair of limits with these rates."""
    return RateLimits(per_second, per_second_per_endpoint)
