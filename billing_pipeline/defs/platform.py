"""The platform's tables as external assets: they come in through `billing import`, never through a run."""

import dagster as dg

from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.stages import USAGE
from billing_pipeline.postgres.warehouse import Warehouse

customers = dg.AssetSpec(
    "customers",
    description="Who is billed: currency, time zone, billing cycle, customer at Stripe. Comes in through"
    " `billing import customers`: there is nothing to materialise here.",
    group_name=USAGE,
    owners=["team:platform"],
    kinds={"postgres"},
)
usage_events = dg.AssetSpec(
    "usage_events",
    description="Usage as the platform sent it. Comes in through `billing import usage`: there is nothing to"
    " materialise here. No event is ever edited; `billing correct usage` writes one that stands in for it.",
    group_name=USAGE,
    owners=["team:platform"],
    kinds={"postgres"},
)


_ROWS = {
    "customers": "SELECT count(*) FROM billing.customers",
    # every event came in through an import: their record counts them without reading them
    "usage_events": "SELECT coalesce(sum(new_event_count), 0)::bigint FROM billing.usage_imports",
}


def observed(warehouse: Warehouse, table: str) -> dg.AssetObservation:
    """What a run found in a platform table: its columns and rows, for the asset's page."""
    return dg.AssetObservation(table, metadata=table_metadata(warehouse, table, warehouse.scalar(_ROWS[table])))


@dg.definitions
def platform() -> dg.Definitions:
    """The external assets."""
    return dg.Definitions(assets=[customers, usage_events])
