"""Job `prune_logs`: old runs of the small jobs, and old output of all, are deleted; the months' own runs stay.

With a run Dagster deletes its events, and with them what it knows of the assets that the run built. So the runs of
months are kept, which are few, and of every other job the newest run. What is pruned are the thousands of the rest.
What each session of the database counted of the months is put together by the way, and what pages show of measures is
worked out again.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import text

from billing_pipeline.defs.measures import work_out_measures
from billing_pipeline.defs.resources import Billing
from billing_pipeline.settings import load_settings

PRUNED_JOBS = (
    "process_stripe_events",
    "sweep_stripe_events",
    "reconcile_stripe",
    "follow_up_charges",
    "send_notices",
    "take_dunning_steps",
    "prune_logs",
    "seal_audit_chain",
    "expire_credits",
)
"""Jobs whose old runs are deleted whole."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_AT_ONCE = 200
_OUTPUT_LOOKED_BACK = timedelta(days=40)
"""Runs whose output is deleted ended their time within so long: the job runs every day, and may have been down."""


def prune(instance: dg.DagsterInstance, now: datetime, days: int) -> tuple[int, int]:
    """Delete what is older than `days`; returns how many runs, and how many runs' output.

    Args:
        instance: Dagster's.
        now: what time it is.
        days: BILLING_LOG_DAYS.
    """
    before = now - timedelta(days=days)
    outputs = 0
    recent = dg.RunsFilter(created_before=before, created_after=before - _OUTPUT_LOOKED_BACK, statuses=_ENDED)
    for run in instance.get_runs(recent):
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        outputs += 1
    runs = 0
    for job in PRUNED_JOBS:
        newest = [run.run_id for run in instance.get_runs(dg.RunsFilter(job_name=job), limit=1)]
        old = dg.RunsFilter(job_name=job, created_before=before, statuses=_ENDED)
        while found := [run for run in instance.get_runs(old, limit=_AT_ONCE) if run.run_id not in newest]:
            for run in found:
                instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                instance.delete_run(run.run_id)
            runs += len(found)
    return runs, outputs


@dg.op(description="Delete runs and output that are older than BILLING_LOG_DAYS.")
def prune_old_logs(context: dg.OpExecutionContext) -> None:
    """One pass."""
    runs, outputs = prune(context.instance, datetime.now(UTC), load_settings().schedules.log_days)
    context.add_output_metadata({"runs_deleted": runs, "outputs_deleted": outputs})


@dg.op(description="Put together what each session of the database counted of the months.")
def fold_month_figures(context: dg.OpExecutionContext, billing: Billing) -> None:
    """One pass; the sums stay."""
    with billing.warehouse.transaction() as connection:
        folded = connection.execute(text("SELECT billing.fold_month_figures()")).scalar_one()
    context.add_output_metadata({"rows_folded": folded})


@dg.job(
    description="Old runs of the small jobs and old output of all are deleted; runs of months are kept. What sessions"
    " counted of the months is put together, and what pages show of measures is worked out again.",
    executor_def=dg.in_process_executor,
)
def prune_logs() -> None:
    """The job that its schedule asks for, daily."""
    prune_old_logs()
    fold_month_figures()
    work_out_measures()


@dg.definitions
def log_retention() -> dg.Definitions:
    """The job; its schedule is in schedules.py."""
    return dg.Definitions(jobs=[prune_logs])
