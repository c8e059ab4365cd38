"""The platform's tables as external assets: they come in through `billing import`, never through a run."""

import dagster as dg

GROUP = "billing"
OWNERS = ["team:billing"]

customers = dg.AssetSpec(
    "customers",
    description="Customers of the platform: currency, time zone, billing cycle, Stripe customer.",
    group_name="platform",
    owners=["team:platform"],
    kinds={"postgres"},
)
usage_events = dg.AssetSpec(
    "usage_events",
    description="Usage as the platform sent it; append-only. A mistake is corrected by another event.",
    group_name="platform",
    owners=["team:platform"],
    kinds={"postgres"},
)


@dg.definitions
def platform() -> dg.Definitions:
    """The external assets."""
    return dg.Definitions(assets=[customers, usage_events])
