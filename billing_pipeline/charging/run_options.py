"""How a run charges: what whoever starts it may choose."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from billing_pipeline.charging.circuit_breaker import utc_now
from billing_pipeline.charging.invoice import Retry
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.postgres.worker_pool import PROGRESS_EVERY_S

WORKERS = 24
"""Threads to begin with: at 0.3 s a call, which is usual, so many make the 80 calls a second that the limits allow."""
WORKERS_MAX = 480
"""At 5 s a call so many make the 80 calls a second that the limits allow."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run charges.

    Args:
        log: takes a line on progress.
        workers: threads to begin with.
        workers_max: threads at most, where Stripe answers slowly.
        stop: ends the run after the calls that are under way, once it is set.
        progress_every_s: seconds between two lines on progress.
        limits: the caps and what is expected of the canaries; None: neither, for a pass that only asks.
        clock: for the circuit breaker.
        only: ids of the invoices to work on; None: all.
        retries: refused charges that are tried again as another attempt, by invoice id.
    """

    log: Callable[[str], None] = lambda _: None
    workers: int = WORKERS
    workers_max: int = WORKERS_MAX
    stop: Event = field(default_factory=Event)
    progress_every_s: float = PROGRESS_EVERY_S
    limits: Limits | None = Limits()  # noqa: RUF009 - immutable
    clock: Callable[[], datetime] = utc_now
    only: Collection[str] | None = None
    retries: Mapping[str, Retry] = field(default_factory=dict)
