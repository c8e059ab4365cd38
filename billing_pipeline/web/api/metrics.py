"""What Prometheus reads at /metrics: requests by route and status, and how long they took."""

from collections import Counter
from threading import Lock


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count: Counter[tuple[str, str, int]] = Counter()
        self._ns: Counter[tuple[str, str]] = Counter()

    def add(self, method: str, route: str, status: int, took_ns: int) -> None:
        """One request that was answered."""
        with self._lock:
            self._count[(method, route, status)] += 1
            self._ns[(method, route)] += took_ns

    def text(self) -> str:
        """In Prometheus's text format."""
        with self._lock:
            counts, spent = dict(self._count), dict(self._ns)
        lines = [
            "# HELP billing_api_requests_total Requests answered.",
            "# TYPE billing_api_requests_total counter",
            *(
                f'billing_api_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
                for (method, route, status), count in sorted(counts.items())
            ),
            "# HELP billing_api_request_seconds_total Time spent on them.",
            "# TYPE billing_api_request_seconds_total counter",
            *(
                f'billing_api_request_seconds_total{{method="{method}",route="{route}"}} {ns // 10**9}.{ns % 10**9:09}'
                for (method, route), ns in sorted(spent.items())
            ),
        ]
        return "\n".join(lines) + "\n"
