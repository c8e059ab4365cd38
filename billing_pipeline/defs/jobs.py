"""The two jobs of a month: draft it, then finalise and charge it."""

import dagster as dg

from billing_pipeline.defs.partitions import MONTHS

CHARGING_TAG = "billing/charging_month"
"""dagster.yaml lets one run at a time have a value of this tag. Only a convenience: the locks are in Postgres."""

bill_month = dg.define_asset_job(
    "bill_month",
    selection=dg.AssetSelection.assets(
        "prices", "billing_periods", "usage_snapshots", "invoice_line_items", "invoices", "billing_drift"
    ),
    description="From usage to draft invoices, with the quality gates; what is billed is compared, never changed."
    " Safe to run again at any time.",
    executor_def=dg.in_process_executor,
    # drafts are safe to build again: a run that died, or never started, is. A step that failed is not: it would again
    tags={"dagster/max_retries": "2"},
)

charge_month = dg.define_asset_job(
    "charge_month",
    selection=dg.AssetSelection.assets("stripe_charges"),
    description="Finalise the month's drafts and charge them. The drafts are charged as they are, not rebuilt.",
    executor_def=dg.in_process_executor,
    config=dg.PartitionedConfig(
        partitions_def=MONTHS,
        run_config_for_partition_key_fn=lambda _key: {},
        tags_for_partition_key_fn=lambda key: {CHARGING_TAG: key},
    ),
)


@dg.definitions
def jobs() -> dg.Definitions:
    """The jobs."""
    return dg.Definitions(jobs=[bill_month, charge_month])
