"""How fast Stripe may be asked: calls a second in all and for each endpoint, shared by the threads of the process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock


class RateLimits:
    """At most `per_second` calls and `per_second_per_endpoint` to one endpoint; 0 means no limit.

    Calls are spread evenly, with bursts of a tenth of a second's worth: a full second's worth at once, on top of the
    second that follows, is what Stripe answers with 429. Who waits stands in a line, so no moment is left unused while
    somebody waits.

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
        self._clock = clock
        self._sleep = sleep
        self._total = self._line(per_second) if per_second else None
        self._per_endpoint = per_second_per_endpoint
        self._endpoints: dict[str, _Line] = {}
        self._lock = Lock()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many threads wait for their moment now."""
        return self._waiting

    def wait(self, endpoint: str) -> None:
        """Return when the call may be made."""
        with self._counted():
            if self._per_endpoint:
                with self._lock:
                    own = self._endpoints.setdefault(endpoint, self._line(self._per_endpoint))
                own.pass_through()
            if self._total is not None:
                # only now: a moment of all calls that is taken early would be missing to the other endpoints
                self._total.pass_through()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _line(self, per_second: int) -> "_Line":
        return _Line(per_second, self._clock, self._sleep)


class _Line:
    """Callers in a line, whose first waits for the next moment. Moments are even, and kept for a tenth of a second."""

    def __init__(self, per_second: int, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self._apart_s = 1 / per_second
        self._unused_s = (max(1, per_second // 10) - 1) * self._apart_s
        self._next = float("-inf")
        self._clock = clock
        self._sleep = sleep
        self._first = Lock()

    def pass_through(self) -> None:
        with self._first:
            now = self._clock()
            moment = max(self._next, now - self._unused_s)
            self._next = moment + self._apart_s
            while moment > now:
                self._sleep(moment - now)
                now = self._clock()


@cache
def shared_limits(per_second: int, per_second_per_endpoint: int) -> RateLimits:
    """The process's one pair of limits with these rates."""
    return RateLimits(per_second, per_second_per_endpoint)
