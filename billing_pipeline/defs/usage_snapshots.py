"""Asset `usage_snapshots`: usage events into billed quantities."""

from datetime import datetime

import dagster as dg

from billing_pipeline.core.errors import UserError
from billing_pipeline.defs.checks import gate_checks
from billing_pipeline.defs.failures import explained
from billing_pipeline.defs.metadata import markdown_table, report, table_metadata
from billing_pipeline.defs.partitions import month_of, monthly_asset
from billing_pipeline.defs.platform import observed
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import DRAFTS
from billing_pipeline.usage import usage_snapshots as build_snapshots


class SnapshotConfig(dg.Config):
    """What an operator may say about a month's usage."""

    carry_forward: bool = False
    """Release a month whose feed is incomplete: what the feed does not cover is billed as in the period before."""
    as_of: str | None = None
    """Count only events received until this ISO instant; unset: now."""


@monthly_asset(
    group=DRAFTS,
    deps=["usage_events", "billing_periods", "prices"],
    kinds={"sql", "postgres"},
)
def usage_snapshots(
    context: dg.AssetExecutionContext, config: SnapshotConfig, billing: Billing
) -> dg.MaterializeResult:
    """What every customer used in the period, a row a meter and dimensions.

    What cannot be billed is set aside, and `quarantine` says why. What is billed stays; what today's usage would give
    for it is another version, in billing.current_snapshots.
    """
    month = month_of(context)
    context.log_event(observed(billing.warehouse, "usage_events"))
    with explained(ValueError, what="config of usage_snapshots, as_of"):
        as_of = datetime.fromisoformat(config.as_of) if config.as_of else None
    with explained(UserError, what="config of usage_snapshots"):
        built = build_snapshots.build(
            billing.warehouse, month, context.run.run_id, as_of=as_of, carry_forward=config.carry_forward
        )
    return dg.MaterializeResult(
        metadata={
            **table_metadata(billing.warehouse, "usage_snapshots", built.row_count),
            "inserted": built.inserted,
            "deleted": built.deleted,
            "as_of": built.as_of.isoformat(),
            "released_from": _released_from(config),
            "carried_forward_rows": built.carried_forward_rows,
            "restated_periods": built.restated_periods,
            "quarantined_events": built.quarantined_events,
            "quarantine": markdown_table(report(billing.warehouse, "usage/quarantine", month)),
        }
    )


def _released_from(config: SnapshotConfig) -> str:
    """What the run's config let pass that would otherwise hold, as the run's metadata say it."""
    released = ["feed_reaches_period_end (carry_forward)"] if config.carry_forward else []
    released += [f"usage received after {config.as_of} (as_of)"] if config.as_of else []
    return ", ".join(released) or "nothing"


usage_snapshots_gates = gate_checks("usage_snapshots")
