"""Asset `billing_periods`: the calendar of every customer."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.partitions import MONTHS, month_of, monthly_asset
from billing_pipeline.defs.platform import observed
from billing_pipeline.defs.remedies import check, what_to_do
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS
from billing_pipeline.invoicing import billing_periods as build_periods

ENDED = "periods_have_ended"


@monthly_asset(
    group=DRAFTS,
    deps=["customers", "prices"],  # a run that means another price book ends before anything is written
    kinds={"python", "postgres"},
    checks=[check(ENDED, "No period of the month is still running.", asset="billing_periods", partitions_def=MONTHS)],
)
def billing_periods(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """Who is billed for which days this month: the periods whose last instant lies in it, in the customer's time zone.

    Half-open, without gap or overlap. A period that is still running waits for another run.
    """
    context.log_event(observed(billing.warehouse, "customers"))
    month = month_of(context)
    laid = build_periods.build(billing.warehouse, month, context.run.run_id, billing.clock())
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "billing_periods", laid.row_count),
            "inserted": laid.inserted,
            "deleted": laid.deleted,
            "still_running": laid.not_ended,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=ENDED,
                passed=laid.not_ended == 0,
                severity=dg.AssetCheckSeverity.WARN,
                description=None
                if laid.not_ended == 0
                else f"{laid.not_ended} period(s) have not ended and were left out; run the month again afterwards",
                metadata={"still_running": laid.not_ended, **(what_to_do(ENDED, month) if laid.not_ended else {})},
            )
        ],
    )
