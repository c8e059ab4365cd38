"""Asset `overdue_invoices`: what is unpaid, as dunning counts it."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import NOTICES, OWNERS
from billing_pipeline.notices.dunning import count_from_now


@dg.asset(group_name=NOTICES, owners=OWNERS, kinds={"postgres"}, deps=["stripe_charges"])
def overdue_invoices(billing: Billing) -> dg.MaterializeResult:
    """Unpaid invoices that dunning counts, a view; a refusal that nobody counted yet is counted from now on."""
    warehouse = billing.warehouse
    newly = count_from_now(warehouse, billing.clock())
    levels = warehouse.rows(
        "SELECT level, count(*) AS count FROM billing.dunning_cases WHERE closed_at IS NULL GROUP BY level"
    )
    by_level = {row["level"]: row["count"] for row in levels}
    count = sum(by_level.values())
    metadata = {**table_metadata(warehouse, "overdue_invoices", count), **by_level, "newly_counted": newly}
    return dg.MaterializeResult(metadata=metadata)
