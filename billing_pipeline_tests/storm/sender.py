"""A sender that does as Stripe does: signs anew for each attempt, and sends again, later and later, until it gets a 2xx.

Stripe's pauses take three days; here they are short.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from billing_pipeline.sandbox.lean_http import Connection
from billing_pipeline_tests.web.receiver.receiving import PATH, SECRET, signature

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.6
WHEN_AWAY_S = 0.05
"""A worker that finds nobody leaves the processor to whoever is starting."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event to be delivered once."""

    event_id: str
    body: bytes


@dataclass(slots=True)
class Sent:
    """How a delivery went."""

    acknowledged: set[str] = field(default_factory=set)
    """Ids of the events that got a 2xx."""
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    latencies_s: list[float] = field(default_factory=list)
    """Of the attempts that got a 2xx."""
    seconds: float = 0.0

    def add(self, other: "Sent") -> None:
        """How another delivery went, but for which events it was of."""
        self.statuses += other.statuses
        self.unanswered += other.unanswered
        self.latencies_s += other.latencies_s
        self.seconds += other.seconds

    @property
    def refused(self) -> int:
        """Attempts that got a 4xx."""
        return sum(count for status, count in self.statuses.items() if 400 <= status < 500)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Sender:
    """Delivers parcels in their order, `workers` at once, failed ones again until all have a 2xx."""

    def __init__(
        self,
        port: int,
        *,
        secret: Callable[[], str] = lambda: SECRET,
        workers: int = 16,
        per_second: float | None = None,
        progress: Callable[[], None] = lambda: None,
        within_s: float = 300.0,
    ) -> None:
        self._port = port
        self._secret = secret
        self._workers = workers
        self._per_second = per_second
        self._progress = progress
        self._within_s = within_s
        self._due: list[tuple[float, int, int, Parcel]] = []
        self._open = 0
        self._lock = threading.Condition()
        self.sent = Sent()

    def deliver(self, parcels: Sequence[Parcel]) -> Sent:
        """Deliver all of them.

        Raises:
            TimeoutError: some still had no 2xx after `within_s`.
        """
        started = time.monotonic()
        spacing = 1 / self._per_second if self._per_second else 0.0
        self._due = [(started + spacing * n, n, 0, parcel) for n, parcel in enumerate(parcels)]
        self._open = len(parcels)
        threads = [threading.Thread(target=self._work, args=(started,), daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.sent.seconds = time.monotonic() - started
        if self._open:
            raise TimeoutError(f"{self._open} deliveries had no 2xx after {self._within_s:.0f} s: {self.sent.statuses}")
        return self.sent

    def _work(self, started: float) -> None:
        with Connection(self._port) as connection:
            while (item := self._next(started)) is not None:
                _, number, attempt, parcel = item
                began = time.perf_counter()
                try:
                    header = signature(parcel.body, self._secret()).encode()
                    status = connection.post(PATH, parcel.body, header)
                except OSError:
                    status = 0
                took_s = time.perf_counter() - began
                with self._lock:
                    self._book(number, attempt, parcel, status, took_s)
                    self._lock.notify()
                if 200 <= status < 300:
                    self._progress()
                elif status == 0 or status >= 500:
                    time.sleep(WHEN_AWAY_S)

    def _next(self, started: float) -> tuple[float, int, int, Parcel] | None:
        with self._lock:
            while self._open and time.monotonic() - started < self._within_s:
                if not self._due:
                    self._lock.wait(0.05)  # the last ones are under way; one of them may fail
                    continue
                wait_s = self._due[0][0] - time.monotonic()
                if wait_s <= 0:
                    return heapq.heappop(self._due)
                self._lock.wait(wait_s)
            self._lock.notify_all()
            return None

    def _book(self, number: int, attempt: int, parcel: Parcel, status: int, took_s: float) -> None:
        sent = self.sent
        if status:
            sent.statuses[status] += 1
        else:
            sent.unanswered += 1
        if 200 <= status < 300:
            sent.acknowledged.add(parcel.event_id)
            sent.latencies_s.append(took_s)
            self._open -= 1
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
        heapq.heappush(self._due, (time.monotonic() + pause_s, number, attempt + 1, parcel))
