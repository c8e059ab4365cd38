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
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing
from billing_pipeline.invoicing import billing_drift as build_drift
from billing_pipeline.pricing.rules.rating import RatingError

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


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    # of stripe_charges, not of invoices: what is compared is final, and a draft that fails a gate must not hide it
    deps=["usage_snapshots", "prices", "stripe_charges"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas", "postgres"},
    check_specs=[
        dg.AssetCheckSpec(
            IMMATERIAL,
            asset="billing_drift",
            description="No customer's billed month differs from today's data and prices by"
            " BILLING_DRIFT_MATERIAL_MINOR or more.",
            partitions_def=MONTHS,
        )
    ],
)
def billing_drift(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """What finalised invoices would say today, a row a line that differs, with the reason. Nothing is settled here."""
    month = month_of(context)
    try:
        built = build_drift.build(billing.warehouse, month, context.run.run_id)
    except RatingError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
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
            **({"largest": sample_table([_plain(row) for row in material[:20]])} if material else {}),
        },
    )


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {name: value if isinstance(value, str) else int(str(value)) for name, value in row.items()}
