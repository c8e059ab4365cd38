"""Asset `invoices`: line items into drafts."""

import dagster as dg

from billing_pipeline.defs.checks import gate_checks
from billing_pipeline.defs.metadata import column_lineage, markdown_table, report, table_metadata, totals_by_currency
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing
from billing_pipeline.invoicing import invoices as build_invoices

_LINEAGE = column_lineage(
    {
        "total_minor": [("invoice_line_items", "amount_minor")],
        "line_count": [("invoice_line_items", "line_no")],
        "currency": [("invoice_line_items", "currency")],
    }
)


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    deps=["invoice_line_items"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sql", "postgres"},
)
def invoices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """A draft a period, its total the sum of its lines. Finalised invoices are never touched."""
    month = month_of(context)
    built = build_invoices.build(billing.warehouse, month, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "invoices", built.row_count),
            **totals_by_currency(billing.warehouse, "invoices", "total_minor", month),
            "dagster/column_lineage": _LINEAGE,
            "inserted": built.inserted,
            "largest_invoices": markdown_table(report(billing.warehouse, "invoicing/largest_invoices", month)),
            "biggest_changes": markdown_table(report(billing.warehouse, "comparison/biggest_changes", month)),
        }
    )


invoices_gates = gate_checks("invoices")
