"""The threads of a run: each has its database connection, which holds its locks, and takes invoice after invoice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from billing_pipeline.charging.brakes import UNAVAILABLE
from billing_pipeline.charging.circuit_breaker import GuardedStripe
from billing_pipeline.charging.invoice import CustomerProblem, InvoiceCharger, Retry
from billing_pipeline.charging.steps import Result
from billing_pipeline.charging.store import ChargeMissing, ChargeStore
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import PROGRESS_EVERY_S, work_through
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice

RECONNECTS_MAX = 30
RECONNECT_EVERY_S = 1.0


@dataclass(frozen=True)
class Shift:
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
    stop: Event
    log: Callable[[str], None]
    retries: Mapping[str, Retry] = field(default_factory=dict)

    def work_through(
        self, invoices: Sequence[str], *, workers: int, progress_every_s: float = PROGRESS_EVERY_S
    ) -> list[Result | None]:
        """Charge the invoices; None where somebody else has one."""

        @contextmanager
        def worker() -> Iterator[Callable[[str], Result | None]]:
            with _Hands(self) as hands:
                yield hands.charge

        return work_through(
            invoices,
            worker,
            workers=workers,
            stop=self.stop,
            progress=lambda said: self.log(f"invoices charged: {said}"),
            progress_every_s=progress_every_s,
        )


class _Hands:
    """One thread of a run: its database connection, which holds its locks, and its connection to Stripe."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._shift.api.close()

    def _connect(self) -> Connection:
        return self._shift.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _reconnect(self) -> None:
        """A connection again, for the next invoice; a server that restarts is waited for."""
        self._connection.close()
        for tries in range(RECONNECTS_MAX):
            try:
                self._connection = self._connect()
                return
            except OperationalError:
                if tries == RECONNECTS_MAX - 1 or self._shift.stop.wait(RECONNECT_EVERY_S):
                    raise

    def charge(self, invoice_id: str) -> Result | None:
        """Charge one invoice; None if somebody else has it."""
        if self._shift.api.breaker.holds:
            return Result("unknown", UNAVAILABLE, pending=True)
        if self._connection.invalidated:  # by giving back the lock of the invoice before
            self._reconnect()
        try:
            return self._charge(invoice_id)
        except ChargeMissing:
            # the next pass makes it final again, and asks Stripe what became of it
            self._shift.log(f"invoice {invoice_id}: its charge is gone, the database has lost a commit")
            return Result("unknown", "charge_missing", pending=True)
        except DBAPIError as error:
            if isinstance(error, OperationalError) and not error.connection_invalidated:
                return Result("unknown", "database_busy", pending=True)
            if not error.connection_invalidated and not isinstance(error, IntegrityError | DataError):
                # no rule of ours spoke (a privilege, a file that cannot be read): no invoice's fault
                self._shift.log(f"invoice {invoice_id}: {str(error.orig).strip().splitlines()[0]}")
                return Result("unknown", "database_error", pending=True)
            if error.connection_invalidated:
                # the lock went with the connection: whatever was under way is for the next pass to ask about
                self._shift.log(f"invoice {invoice_id}: the database connection was lost")
                self._reconnect()
                return Result("unknown", "connection_to_database_lost", pending=True)
            return self._park(invoice_id, error)

    def _charge(self, invoice_id: str) -> Result | None:
        shift = self._shift
        store = ChargeStore(self._connection, shift.run_id)
        with store.locked(invoice_id) as mine:
            if not mine:
                return None
            charger = InvoiceCharger(store, shift.api, shift.created_gte, shift.stop.wait, shift.stop.is_set)
            listed = shift.listed.get(invoice_id, ()) if shift.listed is not None else None
            return charger.charge(invoice_id, listed, shift.problems, shift.retries.get(invoice_id))

    def _park(self, invoice_id: str, error: DBAPIError) -> Result | None:
        """The database refused what we wanted to record: somebody has to look."""
        reason = str(error.orig).strip().splitlines()[0]
        store = ChargeStore(self._connection, self._shift.run_id)
        with store.locked(invoice_id) as mine:
            if not mine:
                return None
            charge = store.read(invoice_id).charge
            store.change(charge, "charge.park", state="parked", reason_code="refused_by_database", reason=reason)
        return Result("parked", "refused_by_database")
