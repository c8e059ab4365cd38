"""Asset `invoice_line_items`: snapshots through the price book."""

import dagster as dg

from billing_pipeline.defs.checks import gate_checks
from billing_pipeline.defs.metadata import column_lineage, markdown_table, report, table_metadata, totals_by_currency
from billing_pipeline.defs.partitions import month_of, monthly_asset
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS
from billing_pipeline.invoicing import invoice_line_items as build_lines

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


@monthly_asset(
    group=DRAFTS,
    deps=["usage_snapshots", "billing_periods", "prices"],
    kinds={"pandas", "postgres"},
)
def invoice_line_items(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The lines of the drafts: quantity times the price in force at the period's start, exact, rounded once.

    Lines of invoices that are final stay as they are. Usage without a price is set aside; `quarantine` names it.
    """
    month = month_of(context)
    built = build_lines.build(billing.warehouse, month, context.run.run_id)
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
