"""Asset `notices`: what customers are to be told is sent. The sensor rings, the queue is in Postgres."""

from datetime import timedelta

import dagster as dg

from billing_pipeline.defs.asking import ask_for_run
from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.remedies import described, what_to_do
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import NOTICES, OWNERS
from billing_pipeline.notices.channels import open_channels
from billing_pipeline.notices.queue import due_count
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.sending import send_notices, summary

LATE = "no_notice_late"
LATE_AFTER = timedelta(hours=1)
GIVEN_UP = "no_notice_given_up"
LONGEST_S = 600.0
"""A run claims nothing more after so long; the sensor asks for the next."""
_TICK_S = 30


@dg.asset(group_name=NOTICES, owners=OWNERS, kinds={"python", "postgres"})
def notices(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """What customers are told, sent: each notice once. Running it at any time, or twice at once, does no harm.

    Written by triggers in the transaction of each fact; a sensor runs this when something is due.
    """
    warehouse = billing.warehouse
    stopped, told = [], {}
    for channel in open_channels(warehouse, billing.settings):
        try:
            report = send_notices(warehouse, channel, log=context.log.info, clock=billing.clock, longest_s=LONGEST_S)
        finally:
            channel.sender.close()
        told[channel.name] = summary(report.outcomes)
        if report.stopped:
            stopped.append(report.stopped)
            context.log.warning(report.stopped)
    count = int(warehouse.scalar("SELECT count(*) FROM billing.notices"))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "notices", count),
            **told,
            "stopped": "; ".join(stopped) or "no",
        }
    )


@dg.asset_check(asset=notices, description=described(LATE, "Nothing has been due for more than an hour."))
def no_notice_late(billing: Billing) -> dg.AssetCheckResult:
    """What is held by a person is not late."""
    count = due_count(billing.warehouse, billing.clock() - LATE_AFTER)
    return dg.AssetCheckResult(
        passed=not count,
        description=f"{count:,} notice(s) due for more than an hour" if count else None,
        metadata={"failing_rows": count, **(what_to_do(LATE) if count else {})},
    )


@dg.asset_check(asset=notices, description=described(GIVEN_UP, "No notice was given up."))
def no_notice_given_up(billing: Billing) -> dg.AssetCheckResult:
    """An address that takes no mail, or words that cannot be rendered."""
    rows = list_notices(billing.warehouse, state="failed", limit=1000)
    return dg.AssetCheckResult(
        passed=not rows,
        description=f"{len(rows):,} notice(s), such as {rows[0]['notice_id']}: {rows[0]['last_error']}"
        if rows
        else None,
        metadata={"failing_rows": len(rows), **(what_to_do(GIVEN_UP) if rows else {})},
    )


send_notices_job = dg.define_asset_job(
    "send_notices",
    selection=dg.AssetSelection.assets(notices),
    description="Send what customers are to be told. Started by the sensor when something is due.",
    executor_def=dg.in_process_executor,
)


@dg.sensor(
    job=send_notices_job,
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run when notices are due.",
)
def notices_due(context: dg.SensorEvaluationContext, billing: Billing) -> dg.RunRequest | dg.SkipReason:
    """Ask Postgres."""
    count = due_count(billing.warehouse, billing.clock())
    return ask_for_run(context.instance, send_notices_job.name, count, "notices are due", "no notice is due")
