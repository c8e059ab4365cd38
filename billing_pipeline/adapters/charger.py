"""A run over a month's charges: customers, one bulk listing, then the invoices in a pool of threads.

What happens to one invoice is charge_invoice.py's. A run can be stopped, killed and started again at any moment, and
several may run at once: each invoice has a lock of its own.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from threading import Event
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from billing_pipeline.adapters.charge_customers import ensure_customers
from billing_pipeline.adapters.charge_invoice import CustomerProblem, InvoiceCharger, Result
from billing_pipeline.adapters.charge_store import ChargeStore, listing_start, workable
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline.adapters.worker_pool import PROGRESS_EVERY_S, work_through
from billing_pipeline.core.stripe_api import ListedInvoice, StripeApi
from billing_pipeline.core.stripe_errors import Outcome, StripeFailure

WORKERS = 24
"""At Stripe's usual 0.3 s a call this many threads make the 80 calls a second that the limits allow."""


@dataclass(frozen=True, slots=True)
class StateCount:
    """Charges of the month in one state, with one reason, in one currency."""

    state: str
    reason_code: str | None
    currency: str
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """Where the month's charges are after the run, and what the run did.

    `pending` counts charges that the next pass goes on with, by reason; `in_other_hands` those that another run was
    working on.
    """

    standing: tuple[StateCount, ...]
    worked_on: int
    in_other_hands: int
    pending: Mapping[str, int]
    calls: int
    seconds: float

    def count(self, state: str, reason_code: str | None = None) -> int:
        """Charges of the month in a state, with any reason or with this one."""
        return sum(
            part.count for part in self.standing if part.state == state and reason_code in (None, part.reason_code)
        )

    def amounts_minor(self, state: str) -> dict[str, int]:
        """Amount of the charges in a state, by currency, in its minor units."""
        amounts: Counter[str] = Counter()
        for part in self.standing:
            if part.state == state:
                amounts[part.currency] += part.amount_minor
        return dict(amounts)


def charge_month(
    warehouse: Warehouse,
    api: StripeApi,
    month: date,
    run_id: str,
    *,
    log: Callable[[str], None],
    workers: int = WORKERS,
    stop: Event | None = None,
    progress_every_s: float = PROGRESS_EVERY_S,
) -> ChargeReport:
    """Charge the month's finalised invoices that have no definite answer yet.

    Refused and parked charges are left alone. Setting `stop` ends the run after the calls that are under way.

    Raises:
        StripeFailure: Stripe does not accept the key; no invoice was changed by that.
    """
    started = time.monotonic()
    calls_before = api.calls_made
    stop = stop or Event()
    invoices = workable(warehouse, month)
    results: list[Result | None] = []
    if invoices:
        results = _charge(warehouse, api, month, run_id, invoices, log, workers, stop, progress_every_s)
    pending = Counter(str(result.reason_code) for result in results if result is not None and result.pending)
    return ChargeReport(
        standing=tuple(StateCount(**row) for row in warehouse.rows(_STANDING, month=month)),
        worked_on=sum(result is not None for result in results),
        in_other_hands=sum(result is None for result in results),
        pending=dict(pending),
        calls=api.calls_made - calls_before,
        seconds=time.monotonic() - started,
    )


def list_ours(api: StripeApi, created_gte: int, wanted: Sequence[str]) -> dict[str, list[ListedInvoice]]:
    """Stripe's invoices since then that carry one of these invoice ids, by that id. One call a hundred invoices."""
    ids = frozenset(wanted)
    found: dict[str, list[ListedInvoice]] = {}
    for invoice in api.list_invoices(created_gte):
        if invoice.invoice_id in ids:
            found.setdefault(str(invoice.invoice_id), []).append(invoice)
    return found


def _charge(
    warehouse: Warehouse,
    api: StripeApi,
    month: date,
    run_id: str,
    invoices: Sequence[str],
    log: Callable[[str], None],
    workers: int,
    stop: Event,
    progress_every_s: float,
) -> list[Result | None]:
    problems = ensure_customers(warehouse, api, month, run_id, workers=workers, stop=stop, log=log)
    created_gte = listing_start(warehouse, month)
    try:
        listed = list_ours(api, created_gte, invoices)
    except StripeFailure as failure:
        if failure.outcome not in (Outcome.UNKNOWN, Outcome.RETRY):
            raise
        # without the listing nothing may be created; the next pass asks again
        log(f"Stripe's invoices cannot be listed ({failure}): nothing is charged in this pass")
        return [Result("unknown", failure.code, pending=True)] * len(invoices)
    log(f"{len(invoices):,} invoices to charge, {len(listed):,} of them exist at Stripe")

    @contextmanager
    def worker() -> Iterator[Callable[[str], Result | None]]:
        with _Hands(warehouse, api, run_id, created_gte, listed, problems, stop, log) as hands:
            yield hands.charge

    return work_through(
        invoices,
        worker,
        workers=workers,
        stop=stop,
        progress=lambda said: log(f"invoices charged: {said}"),
        progress_every_s=progress_every_s,
    )


class _Hands:
    """One thread of a run: its database connection, which holds its locks, and its connection to Stripe."""

    def __init__(
        self,
        warehouse: Warehouse,
        api: StripeApi,
        run_id: str,
        created_gte: int,
        listed: Mapping[str, Sequence[ListedInvoice]],
        problems: Mapping[str, CustomerProblem],
        stop: Event,
        log: Callable[[str], None],
    ) -> None:
        self._warehouse = warehouse
        self._api = api
        self._run_id = run_id
        self._created_gte = created_gte
        self._listed = listed
        self._problems = problems
        self._stop = stop
        self._log = log
        self._connection = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._api.close()

    def _connect(self) -> Connection:
        return self._warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def charge(self, invoice_id: str) -> Result | None:
        """Charge one invoice; None if somebody else has it."""
        try:
            return self._charge(invoice_id)
        except DBAPIError as error:
            if isinstance(error, OperationalError) and not error.connection_invalidated:
                return Result("unknown", "database_busy", pending=True)
            if error.connection_invalidated:
                # the lock went with the connection: whatever was under way is for the next pass to ask about
                self._log(f"invoice {invoice_id}: the database connection was lost")
                self._connection.close()
                self._connection = self._connect()
                return Result("unknown", "connection_to_database_lost", pending=True)
            return self._park(invoice_id, error)

    def _charge(self, invoice_id: str) -> Result | None:
        store = ChargeStore(self._connection, self._run_id)
        with store.locked(invoice_id) as mine:
            if not mine:
                return None
            charger = InvoiceCharger(store, self._api, self._created_gte, self._stop.wait, self._stop.is_set)
            return charger.charge(invoice_id, self._listed.get(invoice_id, ()), self._problems)

    def _park(self, invoice_id: str, error: DBAPIError) -> Result:
        """The database refused what we wanted to record: somebody has to look."""
        reason = str(error.orig).strip().splitlines()[0]
        store = ChargeStore(self._connection, self._run_id)
        charge = store.read(invoice_id).charge
        store.change(charge, "charge.park", state="parked", reason_code="refused_by_database", reason=reason)
        return Result("parked", "refused_by_database")


_STANDING = """
SELECT state, reason_code, currency, count(*) AS count, sum(amount_minor)::bigint AS amount_minor
FROM billing.stripe_charges WHERE billing_month = :month GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
