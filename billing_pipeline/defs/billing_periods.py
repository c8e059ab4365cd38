"""Asset `billing_periods`: the calendar of every customer."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS, observed
from billing_pipeline.defs.resources import Billing
from billing_pipeline.invoicing import billing_periods as build_periods


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    deps=["customers"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    check_specs=[
        dg.AssetCheckSpec(
            "periods_have_ended",
            asset="billing_periods",
            description="No period of the month is still running. Those that are wait for another run.",
            partitions_def=MONTHS,
        )
    ],
)
def billing_periods(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """Periods whose last instant lies in the month, in the customer's time zone. Half-open, without gap or overlap."""
    context.log_event(observed(billing.warehouse, "customers"))
    laid = build_periods.build(billing.warehouse, month_of(context), context.run.run_id, billing.clock())
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "billing_periods", laid.row_count),
            "inserted": laid.inserted,
            "deleted": laid.deleted,
            "still_running": laid.not_ended,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="periods_have_ended",
                passed=laid.not_ended == 0,
                severity=dg.AssetCheckSeverity.WARN,
                description=None
                if laid.not_ended == 0
                else f"{laid.not_ended} period(s) have not ended and were left out; run the month again afterwards",
                metadata={"still_running": laid.not_ended},
            )
        ],
    )
