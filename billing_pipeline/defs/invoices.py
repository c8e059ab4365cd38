"""Asset `invoices`: line items into drafts."""

import dagster as dg

from billing_pipeline.defs.checks import gate_checks
from billing_pipeline.defs.metadata import column_lineage, markdown_table, report, table_metadata, totals_by_currency
from billing_pipeline.defs.partitions import month_of, monthly_asset
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS
from billing_pipeline.invoicing import invoices as build_invoices
from billing_pipeline.invoicing.rules.adjustments import oldest_charged

_LINEAGE = column_lineage(
    {
        "total_minor": [("invoice_line_items", "amount_minor")],
        "line_count": [("invoice_line_items", "line_no")],
        "currency": [("invoice_line_items", "currency")],
    }
)


@monthly_asset(
    group=DRAFTS,
    deps=["invoice_line_items"],
    kinds={"sql", "postgres"},
)
def invoices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The drafts: one a customer's period, its total the sum of its lines. Nobody is charged by this.

    Look at the largest ones and the biggest changes before `charge_month` makes them final. Invoices that are final
    are never touched.
    """
    month = month_of(context)
    oldest = oldest_charged(billing.clock().date(), billing.settings.charging.charge_age_max_days)
    built = build_invoices.build(billing.warehouse, month, context.run.run_id, oldest=oldest)
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
