"""After a change of the database: what Stripe has is taken over and compared, and charging goes on when all is well.

Not the daily comparison (books/reconciliation.py), which only reports: here charges that the database lost follow
Stripe first, closed months count, what events have told does not, and the answer switches charging on again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from billing_pipeline.charging.brakes import mark_reconciled, read_brakes
from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.month_verification import Discrepancy, verify_month
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeApi

RUN_ID = "reconcile"


@dataclass(frozen=True, slots=True)
class FailoverReconciliation:
    """The months that were compared, what is wrong in them, and whether charging was switched on again."""

    months: tuple[date, ...]
    problems: list[Discrepancy] = field(default_factory=list)
    resumed: bool = False


def reconcile_after_failover(
    warehouse: Warehouse, api: StripeApi, signature: Signature, *, log: Callable[[str], None]
) -> FailoverReconciliation:
    """Compare every month that has final invoices with Stripe's list.

    If the database has changed, charging is off: a pass over each month then records what Stripe says and writes
    nothing there, and charging goes on if nothing contradicts Stripe any more. Charges that only wait are no
    contradiction.

    Raises:
        StripeFailure: Stripe could not be asked; charging stays as it is.
    """
    brakes = read_brakes(warehouse)
    found = warehouse.rows(
        "SELECT DISTINCT billing_month AS month FROM billing.invoices WHERE status <> 'draft' ORDER BY 1"
    )
    months = tuple(row["month"] for row in found)
    problems: list[Discrepancy] = []
    for month in months:
        if brakes.needs_reconciliation:
            charge_invoices_of_month(warehouse, api, month, RUN_ID, RunOptions(log=log, limits=None))
        problems += [problem for problem in verify_month(warehouse, api, month) if not problem.waiting]
        log(f"{month:%Y-%m} compared with Stripe")
    resumed = False
    if brakes.needs_reconciliation and not problems:
        resumed = mark_reconciled(warehouse, signature, brakes.present_incarnation)
    return FailoverReconciliation(months, problems, resumed)
