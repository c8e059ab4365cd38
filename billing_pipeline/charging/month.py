"""A run over a month's charges: brakes, customers, one bulk listing, then the invoices in a pool of threads.

What happens to one invoice is invoice.py's. A run can be stopped, killed and started again at any moment, and
several may run at once: each invoice has a lock of its own.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from billing_pipeline.charging import canary
from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.circuit_breaker import GuardedStripe, guarded
from billing_pipeline.charging.customers import ensure_customers
from billing_pipeline.charging.report import ChargeReport, charges_by_state
from billing_pipeline.charging.rules.brakes import Amount, Brake, distinct, over_caps
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.charging.steps import Result
from billing_pipeline.charging.store import MonthCharge, charges_of, listing_start
from billing_pipeline.charging.workers import SharedByWorkers, charge_with_workers
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice, StripeApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

SINGLY_MAX = 100
"""Up to so many chosen invoices are looked for one by one: the bulk listing is a call a hundred of the whole month."""


def charge_invoices_of_month(
    warehouse: Warehouse, api: StripeApi, month: date, run_id: str, options: RunOptions
) -> ChargeReport:
    """Charge the month's finalised invoices that have no definite answer yet.

    Refused and parked charges are left alone. While charging is paused, Stripe is only asked, and its word recorded.

    Args:
        warehouse: the billing database.
        api: Stripe; it is put behind the circuit breaker.
        month: its first day.
        run_id: for the audit log.
        options: how.

    Raises:
        StripeFailure: Stripe does not accept the key; no invoice was changed by that.
    """
    started = time.monotonic()
    calls_before = api.calls_made
    run = _Run(warehouse, guarded(api, warehouse, options.clock), month, run_id, options)
    charges = charges_of(warehouse, month)
    going = [charge for charge in charges if _is_going(charge, options)]
    amounts = [Amount(charge.invoice_id, charge.amount_minor, charge.currency) for charge in going]
    limits = options.limits
    held = over_caps(amounts, limits) if limits is not None else {}
    results = [_held(charge, held[charge.invoice_id]) for charge in going if charge.invoice_id in held]
    brakes = list(held.values())
    order = canary.order(charges, {charge.invoice_id for charge in going} - held.keys(), held)
    singly = options.only is not None and len(going) <= SINGLY_MAX
    try:
        results += run.charge(order.first, singly=singly)
        if order.rest:
            brake = None
            if limits is not None:
                brake = canary.compare(
                    warehouse, run.api, month, order.canaries, limits, run_id, workers=options.workers
                )
            if brake is None:
                results += run.charge(order.rest, singly=singly)
            else:
                brakes.append(brake)
                results += [Result("unknown", brake.code, pending=True)] * len(order.rest)
    finally:
        run.api.breaker.remember()
    pending = Counter(str(result.reason_code) for result in results if result is not None and result.pending)
    brakes += [brake for brake in read_brakes(warehouse).on() if pending[brake.code]]
    return ChargeReport(
        by_state=charges_by_state(warehouse, month),
        worked_on=sum(result is not None for result in results)
        - sum(pending[brake.code] for brake in distinct(brakes)),
        in_other_hands=sum(result is None for result in results),
        pending=dict(pending),
        calls=api.calls_made - calls_before,
        seconds=time.monotonic() - started,
        brakes=tuple(distinct(brakes)),
    )


def _is_going(charge: MonthCharge, options: RunOptions) -> bool:
    """Whether this run works on the charge."""
    is_due = charge.state in WORKABLE or (charge.state == "refused" and charge.invoice_id in options.retries)
    return is_due and (options.only is None or charge.invoice_id in options.only)


def _held(charge: MonthCharge, brake: Brake) -> Result | None:
    return Result(charge.state, brake.code, pending=True)


def list_ours(api: StripeApi, created_gte: int, wanted: Sequence[str]) -> dict[str, list[ListedInvoice]]:
    """Stripe's invoices since then that carry one of these invoice ids, by that id. One call a hundred invoices."""
    ids = frozenset(wanted)
    found: dict[str, list[ListedInvoice]] = {}
    for invoice in api.list_invoices(created_gte):
        if invoice.invoice_id in ids:
            found.setdefault(str(invoice.invoice_id), []).append(invoice)
    return found


@dataclass
class _Run:
    """A run's surroundings, and the listing once it was made."""

    warehouse: Warehouse
    api: GuardedStripe
    month: date
    run_id: str
    options: RunOptions
    listed: dict[str, list[ListedInvoice]] | None = None

    def charge(self, invoices: Sequence[str], *, singly: bool) -> list[Result | None]:
        """Charge these; with `singly` each is looked for at Stripe by itself."""
        if not invoices:
            return []
        options, log = self.options, self.options.log
        problems = ensure_customers(
            self.warehouse, self.api, invoices, self.run_id, workers=options.workers, stop=options.stop, log=log
        )
        created_gte = listing_start(self.warehouse, self.month)
        if not singly and self.listed is None:
            try:
                self.listed = list_ours(self.api, created_gte, invoices)
            except StripeFailure as failure:
                if failure.outcome not in (Outcome.UNKNOWN, Outcome.RETRY):
                    raise
                # without the listing nothing may be created; the next pass asks again
                log(f"Stripe's invoices cannot be listed ({failure}): nothing is charged in this pass")
                return [Result("unknown", failure.code, pending=True)] * len(invoices)
        known = "" if self.listed is None else f", {sum(i in self.listed for i in invoices):,} of them exist at Stripe"
        log(f"{len(invoices):,} invoices to charge{known}")
        shared = SharedByWorkers(
            self.warehouse,
            self.api,
            self.run_id,
            created_gte,
            self.listed,
            problems,
            options.retries,
            options.stop,
            log,
        )
        return charge_with_workers(
            shared,
            invoices,
            workers=options.workers,
            workers_max=options.workers_max,
            progress_every_s=options.progress_every_s,
        )
