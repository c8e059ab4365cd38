"""Stripe behind a circuit breaker: after a row of calls without an answer, hardly any more are made.

The row of billing.charge_brakes shares it between passes and processes. Within a run it is counted in memory and
written when the circuit opens, closes, or the run ends; a process that is killed loses at most its own count.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import text

from billing_pipeline.charging.brakes import UNAVAILABLE
from billing_pipeline.charging.rules.brakes import FAILURES_MAX, PROBE_EVERY
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice, StripeApi, StripeCustomer, StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, StripeFailure, Verdict

_T = TypeVar("_T")


def utc_now() -> datetime:
    """The clock of a run that is given no other."""
    return datetime.now(UTC)


class CircuitBreaker:
    """Counts the calls in a row that had no answer, and says whether another may be made. Serves any number of threads.

    Args:
        warehouse: where it is shared.
        clock: what time it is, with an offset.
    """

    def __init__(self, warehouse: Warehouse, clock: Callable[[], datetime] = utc_now) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._lock = Lock()
        self._failures, self._probe_at = self._stored()
        self._written = self._failures

    @property
    def holds(self) -> bool:
        """Whether no call may be made now."""
        probe_at = self._probe_at
        return probe_at is not None and self._clock() < probe_at

    def before_call(self) -> None:
        """Return if a call may be made.

        Raises:
            StripeFailure: the circuit is open and it is not yet time for a probe; nothing was sent.
        """
        if self._probe_at is None:
            return
        with self._lock:
            now = self._clock()
            # the claim is one statement: of many threads and processes one gets to try
            claimed = self._execute(_CLAIM, now=now, next=now + PROBE_EVERY)
            self._failures, self._probe_at = self._stored()
            if claimed or self._probe_at is None:
                return
            until = f"{self._probe_at:%H:%M:%S} UTC"
        said = f"{self._failures} calls in a row had no answer: none is made before {until}"
        raise StripeFailure(Verdict(Outcome.RETRY, UNAVAILABLE), Evidence("brake", UNAVAILABLE, message=said))

    def answered(self) -> None:
        """A call was answered: the circuit is closed."""
        if self._failures == 0 and self._probe_at is None:
            return
        with self._lock:
            self._failures, self._probe_at = 0, None
            if self._written:
                self._execute("UPDATE billing.charge_brakes SET consecutive_failures = 0, probe_at = NULL")
                self._written = 0

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                self._probe_at = self._clock() + PROBE_EVERY
                self._write()

    def remember(self) -> None:
        """Keep the count for the next pass."""
        with self._lock:
            if self._failures != self._written and self._probe_at is None:
                # where another process has opened the circuit meanwhile, it stays open
                self._execute(
                    "UPDATE billing.charge_brakes SET consecutive_failures = :failures WHERE probe_at IS NULL",
                    failures=self._failures,
                )
                self._written = self._failures

    def _write(self) -> None:
        self._execute(
            "UPDATE billing.charge_brakes SET consecutive_failures = :failures, probe_at = :probe_at",
            failures=self._failures,
            probe_at=self._probe_at,
        )
        self._written = self._failures

    def _stored(self) -> tuple[int, datetime | None]:
        [row] = self._warehouse.rows("SELECT consecutive_failures, probe_at FROM billing.charge_brakes")
        return row["consecutive_failures"], row["probe_at"]

    def _execute(self, statement: str, **parameters: object) -> int:
        with self._warehouse.transaction() as connection:
            return connection.execute(text(statement), parameters).rowcount


class GuardedStripe:
    """A StripeApi whose calls go through a breaker."""

    def __init__(self, api: StripeApi, breaker: CircuitBreaker) -> None:
        self._api = api
        self.breaker = breaker
        self.answers = 0
        """Calls that were answered, about: threads count together without a lock."""

    @property
    def calls_made(self) -> int:
        """Requests sent so far."""
        return self._api.calls_made

    @property
    def callers_waiting(self) -> int | None:
        """Threads that wait for a moment at which they may call; None: nothing limits them."""
        return self._api.callers_waiting

    def close(self) -> None:
        """Give back the calling thread's connection."""
        self._api.close()

    def list_invoices(self, created_gte: int, customer: str | None = None) -> Iterator[ListedInvoice]:
        """All invoices created at or after a Unix time, of one customer or of all."""
        with self._watched():
            yield from self._api.list_invoices(created_gte, customer)

    def list_customers(self, email: str | None = None) -> Iterator[StripeCustomer]:
        """All customers, or those with this very address."""
        with self._watched():
            yield from self._api.list_customers(email)

    def create_customer(self, customer_id: str, name: str, email: str, *, key: str) -> StripeCustomer:
        """A customer with our key in its metadata."""
        return self._call(lambda: self._api.create_customer(customer_id, name, email, key=key))

    def customer_is_used(self, stripe_customer_id: str) -> bool:
        """Whether there is anything of the customer's: an invoice or a payment method."""
        return self._call(lambda: self._api.customer_is_used(stripe_customer_id))

    def retrieve_customer(self, stripe_customer_id: str) -> StripeCustomer:
        """A customer as it is now."""
        return self._call(lambda: self._api.retrieve_customer(stripe_customer_id))

    def create_invoice(self, invoice: Mapping[str, Any], customer: str, *, key: str) -> StripeInvoice:
        """A draft, from the `invoice` part of a frozen request."""
        return self._call(lambda: self._api.create_invoice(invoice, customer, key=key))

    def add_lines(self, stripe_id: str, lines: Sequence[Mapping[str, Any]], *, key: str) -> StripeInvoice:
        """All lines in one call."""
        return self._call(lambda: self._api.add_lines(stripe_id, lines, key=key))

    def retrieve_invoice(self, stripe_id: str) -> StripeInvoice:
        """An invoice as it is now."""
        return self._call(lambda: self._api.retrieve_invoice(stripe_id))

    def finalize_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Make it final."""
        return self._call(lambda: self._api.finalize_invoice(stripe_id, key=key))

    def pay_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """One attempt to collect it."""
        return self._call(lambda: self._api.pay_invoice(stripe_id, key=key))

    def _call(self, send: Callable[[], _T]) -> _T:
        with self._watched():
            return send()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self.breaker.before_call()
        try:
            yield
        except StripeFailure as failure:
            if unanswered(failure):
                self.breaker.failed()
            else:
                self.breaker.answered()
            raise
        self.answers += 1
        self.breaker.answered()


def guarded(api: StripeApi, warehouse: Warehouse, clock: Callable[[], datetime]) -> GuardedStripe:
    """The API behind a breaker; one that is behind one already stays as it is."""
    return api if isinstance(api, GuardedStripe) else GuardedStripe(api, CircuitBreaker(warehouse, clock))


def unanswered(failure: StripeFailure) -> bool:
    """Whether Stripe seems to be down. A refusal, a conflict or a repeated stored answer says that it is not."""
    return (
        failure.outcome in (Outcome.UNKNOWN, Outcome.RETRY)
        and failure.evidence.kind != "conflict"
        and not failure.evidence.replayed
    )


_CLAIM = "UPDATE billing.charge_brakes SET probe_at = :next WHERE probe_at <= :now"
