"""The demo's months through Dagster's jobs, one after the other."""

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from billing_pipeline.core.months import month_before
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo.progress import Steps

if TYPE_CHECKING:
    from billing_pipeline.defs.running import RunOutcome


def run_jobs(warehouse: Warehouse, steps: Steps, billed: list[date]) -> list[str]:
    """Draft the month before the first if nobody did, then both jobs of each month. Returns what went wrong."""
    url = warehouse.dagster_url.render_as_string(hide_password=False)
    with steps.step("Dagster"):
        import billing_pipeline.definitions  # noqa: F401 - the slow imports belong to this step
        from billing_pipeline.defs.instance import dagster_instance
        from billing_pipeline.defs.running import charge_month, run_month
        from billing_pipeline.sandbox.demo.killed_runs import close_killed_runs, tags
    last_month = month_before(billed[0])
    outcomes: list[RunOutcome] = []
    with dagster_instance(url) as instance:
        close_killed_runs(instance)
        for month in billed:
            with steps.step(f"job bill_month for {month:%B %Y}") as say:
                drafted = "SELECT EXISTS (SELECT FROM billing.invoices WHERE billing_month = :month)"
                if month == billed[0] and not warehouse.scalar(drafted, month=last_month):
                    outcomes += run_month(instance, last_month, "invoices", tags=tags())
                    say(f"{last_month:%B} drafted for comparison")
                outcomes += run_month(instance, month, "invoices", tags=tags())
                say(f"{outcomes[-1].metadata.get('invoices', {}).get('dagster/row_count', 'no')} invoices")
            if not all(outcome.success for outcome in outcomes):
                break
            with steps.step(f"job charge_month for {month:%B %Y}", count=partial(_charged, warehouse, month)) as say:
                outcomes.append(charge_month(instance, month, charge_old_month=month != billed[-1], tags=tags()))
                say("{} of {} charges have an answer".format(*_charged(warehouse, month)))
    return [
        f"{outcome.job}: {line}"
        for outcome in outcomes
        if not outcome.success
        for line in (*outcome.failed_checks, *outcome.errors) or ("failed",)
    ]


def _charged(warehouse: Warehouse, month: date) -> tuple[int, int]:
    """Charges with a definite answer, and invoices of the month."""
    row = warehouse.rows(
        """
        SELECT count(*) AS total,
            count(*) FILTER (WHERE c.state IN ('paid', 'refused', 'parked', 'void', 'uncollectible')) AS done
        FROM billing.invoices AS i LEFT JOIN billing.stripe_charges AS c USING (invoice_id)
        WHERE i.billing_month = :month AND i.status <> 'void'
        """,
        month=month,
    )[0]
    return int(row["done"]), int(row["total"])
