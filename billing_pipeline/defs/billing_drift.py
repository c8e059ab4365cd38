"""Asset `billing_drift`: billed months against today's usage and prices."""

from datetime import date

import dagster as dg

from billing_pipeline.core.money import format_minor
from billing_pipeline.defs.metadata import (
    column_lineage,
    markdown_table,
    report,
    sample_table,
    table_metadata,
    totals_by_currency,
)
from billing_pipeline.defs.partitions import MONTHS, month_of, monthly_asset
from billing_pipeline.defs.remedies import check, what_to_do
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import BOOKS
from billing_pipeline.invoicing import billing_drift as build_drift

IMMATERIAL = "drift_is_immaterial"

_LINEAGE = column_lineage(
    {
        "billed_minor": [("invoice_line_items", "amount_minor")],
        "current_minor": [("usage_snapshots", "quantity"), ("prices", "unit_amount")],
        "difference_minor": [
            ("invoice_line_items", "amount_minor"),
            ("usage_snapshots", "quantity"),
            ("prices", "unit_amount"),
        ],
    }
)


@monthly_asset(
    group=BOOKS,
    # of stripe_charges, not of invoices: what is compared is final, and a draft that fails a gate must not hide it
    deps=["usage_snapshots", "prices", "stripe_charges"],
    kinds={"pandas", "postgres"},
    checks=[
        check(
            IMMATERIAL,
            "No customer's billed month differs from today's data and prices by BILLING_DRIFT_MATERIAL_MINOR or more.",
            asset="billing_drift",
            partitions_def=MONTHS,
        )
    ],
)
def billing_drift(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """What this month's final invoices would say with today's usage and prices: a row a line that differs, and why.

    Changes no invoice and charges nobody; a difference is settled on purpose, with `billing settle`.
    """
    month = month_of(context)
    built = build_drift.build(billing.warehouse, month, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "billing_drift", built.row_count),
            **totals_by_currency(billing.warehouse, "billing_drift", "difference_minor", month),
            "dagster/column_lineage": _LINEAGE,
            "compared_invoices": built.compared_invoices,
            "inserted": built.inserted,
            "deleted": built.deleted,
            "by_reason": markdown_table(report(billing.warehouse, "comparison/drift_by_reason", month)),
        },
        check_results=[_materiality(billing, month)],
    )


def _materiality(billing: Billing, month: date) -> dg.AssetCheckResult:
    threshold = billing.settings.comparison.drift_material_minor
    material = [
        row
        for row in report(billing.warehouse, "comparison/drift_by_customer", month)
        if max(abs(row["undercharged_minor"]), abs(row["overcharged_minor"])) >= threshold
    ]
    largest = ", ".join(
        f"{row['customer_id']} {format_minor(int(row['difference_minor']), row['currency'])}" for row in material[:3]
    )
    return dg.AssetCheckResult(
        check_name=IMMATERIAL,
        passed=not material,
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if not material
        else f"{month:%Y-%m}: {len(material)} customer(s) would be billed differently today: {largest}"
        f"{' …' if len(material) > 3 else ''}; see billing.billing_drift",
        metadata={
            "customers": len(material),
            "threshold_minor": threshold,
            **(_largest(material, month) if material else {}),
        },
    )


def _largest(material: list[dict[str, object]], month: date) -> dict[str, dg.MetadataValue]:
    return {**what_to_do(IMMATERIAL, month), "largest": sample_table([_plain(row) for row in material[:20]])}


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {name: value if isinstance(value, str) else int(str(value)) for name, value in row.items()}
