"""The threads of a run: each takes invoice after invoice. A few sessions, which they share, hold the locks.

A call's latency asks for many threads, a server has few connections.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from threading import Event

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from billing_pipeline.charging.brakes import UNAVAILABLE
from billing_pipeline.charging.circuit_breaker import GuardedStripe
from billing_pipeline.charging.exclusive import exclusive_on
from billing_pipeline.charging.growth import Growth
from billing_pipeline.charging.invoice import CustomerProblem, InvoiceCharger, Retry
from billing_pipeline.charging.lanes import Lane
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.steps import ChargingPass, Result
from billing_pipeline.charging.store import CHARGER, ChargeMissing
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.shared_session import SessionLost, SharedSession
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import PROGRESS_EVERY_S, work_through
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice


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
    shared: SharedByWorkers,
    invoices: Sequence[str],
    *,
    workers: int,
    workers_max: int,
    progress_every_s: float = PROGRESS_EVERY_S,
) -> list[Result | None]:
    """Charge the invoices in that many threads, and in up to `workers_max` while Stripe could be asked more.

    A result is None where somebody else has the invoice.
    """
    with ExitStack() as opened:
        lanes = [
            Lane(shared.warehouse, shared.stop) for _ in range(shared.warehouse.threads(min(workers, len(invoices))))
        ]
        for lane in lanes:
            opened.callback(lane.close)
        next_lane = cycle(lanes)

        @contextmanager
        def open_worker() -> Iterator[Callable[[str], Result | None]]:
            lane = next(next_lane)
            lane.session()
            try:
                yield lambda invoice_id: _charge(shared, lane, invoice_id)
            finally:
                shared.api.close()

        return work_through(
            invoices,
            open_worker,
            workers=workers,
            workers_max=workers_max,
            more=Growth(shared.api).is_wanted,
            stop=shared.stop,
            progress=lambda count: shared.log(f"invoices charged: {count}"),
            progress_every_s=progress_every_s,
        )


def _charge(shared: SharedByWorkers, lane: Lane, invoice_id: str) -> Result | None:
    """Charge one invoice; None if somebody else has it."""
    if shared.api.breaker.holds:
        return Result("unknown", UNAVAILABLE, pending=True)
    session = lane.session()
    try:
        return _charge_on(shared, session, invoice_id)
    except ChargeMissing:
        # the next pass makes it final again, and asks Stripe what became of it
        shared.log(f"invoice {invoice_id}: its charge is gone, the database has lost a commit")
        return Result("unknown", "charge_missing", pending=True)
    except SessionLost:
        return _lost(shared, invoice_id)
    except DBAPIError as error:
        if error.connection_invalidated:
            return _lost(shared, invoice_id)
        if isinstance(error, OperationalError):
            return Result("unknown", "database_busy", pending=True)
        if not isinstance(error, IntegrityError | DataError):
            # no rule of ours spoke (a privilege, a file that cannot be read): no invoice's fault
            shared.log(f"invoice {invoice_id}: {database_reason(error)}")
            return Result("unknown", "database_error", pending=True)
        return _park(shared, session, invoice_id, error)


def _lost(shared: SharedByWorkers, invoice_id: str) -> Result:
    """The lock went with the connection: whatever was under way is for the next pass to ask about."""
    shared.log(f"invoice {invoice_id}: the database connection was lost")
    return Result("unknown", "connection_to_database_lost", pending=True)


def _charge_on(shared: SharedByWorkers, session: SharedSession, invoice_id: str) -> Result | None:
    with exclusive_on(session, invoice_id, CHARGER, shared.run_id) as store:
        if store is None:
            return None
        within = ChargingPass(store, shared.api, shared.created_gte, shared.stop.wait, shared.stop.is_set)
        listed = shared.listed.get(invoice_id, ()) if shared.listed is not None else None
        return InvoiceCharger(within).charge(invoice_id, listed, shared.problems, shared.retries.get(invoice_id))


def _park(shared: SharedByWorkers, session: SharedSession, invoice_id: str, error: DBAPIError) -> Result | None:
    """The database refused what we wanted to record: somebody has to look."""
    reason = database_reason(error)
    with exclusive_on(session, invoice_id, CHARGER, shared.run_id) as store:
        if store is None:
            return None
        parked = ChargeChange("charge.park", "parked", reason_code="refused_by_database", reason=reason)
        store.change(store.read(invoice_id).charge, parked)
    return Result("parked", "refused_by_database")
