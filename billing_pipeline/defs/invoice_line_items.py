"""Asset `invoice_line_items`: snapshots through the price book."""

import dagster as dg

from billing_pipeline.defs.checks import gate_checks
from billing_pipeline.defs.metadata import column_lineage, markdown_table, report, table_metadata, totals_by_currency
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing
from billing_pipeline.invoicing import invoice_line_items as build_lines
from billing_pipeline.pricing.rules.rating import RatingError

_LINEAGE = column_lineage(
    {
        "usage_quantity": [("usage_snapshots", "quantity")],
        "quantity": [("usage_snapshots", "quantity"), ("prices", "included"), ("prices", "package_size")],
        "unit_amount": [("prices", "unit_amount")],
        "exact_amount": [("usage_snapshots", "quantity"), ("prices", "unit_amount")],
        "amount_minor": [("usage_snapshots", "quantity"), ("prices", "unit_amount")],
        "price_version": [("prices", "version_id"), ("billing_periods", "start_date")],
        "description": [("prices", "description"), ("usage_snapshots", "dimensions")],
    }
)


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    deps=["usage_snapshots", "billing_periods", "prices"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas", "postgres"},
)
def invoice_line_items(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """Quantity times the price in force at the period's start, exact, and rounded once to minor units."""
    month = month_of(context)
    try:
        built = build_lines.build(billing.warehouse, month, context.run.run_id)
    except RatingError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "invoice_line_items", built.row_count),
            **totals_by_currency(billing.warehouse, "invoice_line_items", "amount_minor", month),
            "dagster/column_lineage": _LINEAGE,
            "inserted": built.inserted,
            "deleted": built.deleted,
            "unpriced_snapshots": built.unpriced_snapshots,
            "quarantine": markdown_table(report(billing.warehouse, "usage/quarantine", month)),
        }
    )


invoice_line_items_gates = gate_checks("invoice_line_items")
