"""How many threads charge: as many as the latency of Stripe's answers asks for."""

from billing_pipeline.charging.circuit_breaker import GuardedStripe

WAITING_ENOUGH = 24
"""With so many threads in line for their moment to call, none passes unused."""


class Growth:
    """Whether more threads could make more calls.

    Only if nearly nobody waits for a moment to call, and at least a quarter as many answers as there are threads came
    since the last time: while Stripe hangs, more calls would be more lost answers.
    """

    def __init__(self, api: GuardedStripe) -> None:
        self._api = api
        self._answers = api.answers

    def is_wanted(self, threads: int) -> bool:
        """Whether there should be more than these threads."""
        waiting = self._api.callers_waiting
        if waiting is None or waiting >= WAITING_ENOUGH or self._api.answers - self._answers < threads // 4:
            return False
        self._answers = self._api.answers
        return True
