"""The threads of a run: each has its database connection, which holds its locks, and takes invoice after invoice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from billing_pipeline.charging.brakes import UNAVAILABLE
from billing_pipeline.charging.circuit_breaker import GuardedStripe
from billing_pipeline.charging.exclusive import InvoiceBusy, exclusive_on
from billing_pipeline.charging.invoice import CustomerProblem, InvoiceCharger, Retry
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.steps import ChargingPass, Result
from billing_pipeline.charging.store import CHARGER, ChargeMissing
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import PROGRESS_EVERY_S, work_through
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice

RECONNECTS_MAX = 30
RECONNECT_EVERY_S = 1.0


@dataclass(frozen=True)
class SharedByWorkers:
    """What the threads of a run share.

    `created_gte`: Unix time from which Stripe's invoices are listed. `listed`: what the bulk listing found, by invoice
    id; None: each invoice is looked for by itself. `problems`: by customer, why it has no id at Stripe. `retries`: by
    invoice id, which refused charges are tried again.
    """

    warehouse: Warehouse
    api: GuardedStripe
    run_id: str
    created_gte: int
    listed: Mapping[str, Sequence[ListedInvoice]] | None
    problems: Mapping[str, CustomerProblem]
    retries: Mapping[str, Retry]
    stop: Event
    log: Callable[[str], None]


def charge_with_workers(
    shared: SharedByWorkers, invoices: Sequence[str], *, workers: int, progress_every_s: float = PROGRESS_EVERY_S
) -> list[Result | None]:
    """Charge the invoices in that many threads, or as many as connections allow; None where somebody else has one."""

    @contextmanager
    def open_worker() -> Iterator[Callable[[str], Result | None]]:
        with _Worker(shared) as worker:
            yield worker.charge

    return work_through(
        invoices,
        open_worker,
        workers=shared.warehouse.threads(workers),
        stop=shared.stop,
        progress=lambda count: shared.log(f"invoices charged: {count}"),
        progress_every_s=progress_every_s,
    )


class _Worker:
    """One thread of a run: its database connection, which holds its locks, and its connection to Stripe."""

    def __init__(self, shared: SharedByWorkers) -> None:
        self._shared = shared
        self._connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._shared.api.close()

    def _connect(self) -> Connection:
        return self._shared.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _reconnect(self) -> None:
        """A connection again, for the next invoice; a server that restarts is waited for."""
        self._connection.close()
        for tries in range(RECONNECTS_MAX):
            try:
                self._connection = self._connect()
                return
            except OperationalError:
                if tries == RECONNECTS_MAX - 1 or self._shared.stop.wait(RECONNECT_EVERY_S):
                    raise

    def charge(self, invoice_id: str) -> Result | None:
        """Charge one invoice; None if somebody else has it."""
        if self._shared.api.breaker.holds:
            return Result("unknown", UNAVAILABLE, pending=True)
        if self._connection.invalidated:  # by giving back the lock of the invoice before
            self._reconnect()
        try:
            return self._charge(invoice_id)
        except ChargeMissing:
            # the next pass makes it final again, and asks Stripe what became of it
            self._shared.log(f"invoice {invoice_id}: its charge is gone, the database has lost a commit")
            return Result("unknown", "charge_missing", pending=True)
        except DBAPIError as error:
            if isinstance(error, OperationalError) and not error.connection_invalidated:
                return Result("unknown", "database_busy", pending=True)
            if not error.connection_invalidated and not isinstance(error, IntegrityError | DataError):
                # no rule of ours spoke (a privilege, a file that cannot be read): no invoice's fault
                self._shared.log(f"invoice {invoice_id}: {database_reason(error)}")
                return Result("unknown", "database_error", pending=True)
            if error.connection_invalidated:
                # the lock went with the connection: whatever was under way is for the next pass to ask about
                self._shared.log(f"invoice {invoice_id}: the database connection was lost")
                self._reconnect()
                return Result("unknown", "connection_to_database_lost", pending=True)
            return self._park(invoice_id, error)

    def _charge(self, invoice_id: str) -> Result | None:
        shared = self._shared
        try:
            with exclusive_on(self._connection, invoice_id, CHARGER, run_id=shared.run_id) as store:
                within = ChargingPass(store, shared.api, shared.created_gte, shared.stop.wait, shared.stop.is_set)
                listed = shared.listed.get(invoice_id, ()) if shared.listed is not None else None
                retry = shared.retries.get(invoice_id)
                return InvoiceCharger(within).charge(invoice_id, listed, shared.problems, retry)
        except InvoiceBusy:
            return None

    def _park(self, invoice_id: str, error: DBAPIError) -> Result | None:
        """The database refused what we wanted to record: somebody has to look."""
        reason = database_reason(error)
        try:
            with exclusive_on(self._connection, invoice_id, CHARGER, run_id=self._shared.run_id) as store:
                parked = ChargeChange("charge.park", "parked", reason_code="refused_by_database", reason=reason)
                store.change(store.read(invoice_id).charge, parked)
        except InvoiceBusy:
            return None
        return Result("parked", "refused_by_database")
