"""Asset `prices`: the price book that is loaded, as tables."""

import dagster as dg

from billing_pipeline.core.errors import UserError
from billing_pipeline.defs.failures import explained
from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS, OWNERS
from billing_pipeline.pricing.loading import prices_for_run


@dg.asset(group_name=DRAFTS, owners=OWNERS, kinds={"yaml", "postgres"})
def prices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The loaded price book as rows, one a version, meter and rate.

    Prices change by `billing prices load` alone. A run fails here, before it writes anything, if BILLING_PRICE_BOOK
    names another book; only the first run of a database loads the one that it finds.
    """
    named = billing.settings.pricing.price_book
    with explained(UserError):
        found = prices_for_run(billing.warehouse, named, context.run.run_id)
    metadata = table_metadata(billing.warehouse, "prices", found.loaded.in_use)
    if found.first_load:
        context.log.info(found.first_load)
        metadata["note"] = found.first_load
    rows = billing.warehouse.rows("SELECT name, currency FROM billing.price_books ORDER BY currency")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "added": found.loaded.added,
            "retired": found.loaded.retired,
            "books": ", ".join(f"{row['name']} ({row['currency']})" for row in rows),
        }
    )
