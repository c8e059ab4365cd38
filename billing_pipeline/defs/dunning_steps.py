"""Asset `dunning_steps`: what follows from unpaid invoices is done when it is due."""

from datetime import timedelta

import dagster as dg

from billing_pipeline.defs.asking import ask_for_run
from billing_pipeline.defs.failures import explained
from billing_pipeline.defs.metadata import table_metadata
from billing_pipeline.defs.overdue_invoices import overdue_invoices
from billing_pipeline.defs.remedies import described, what_to_do
from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.stages import NOTICES, OWNERS
from billing_pipeline.notices.dunning import due_cases, take_steps, wrongly_suspended
from billing_pipeline.notices.dunning_policies import load_policy
from billing_pipeline.notices.rules.dunning_policy_file import PolicyWrong

SUSPENDED = "nobody_suspended_who_paid"
LATE = "no_dunning_step_late"
LATE_AFTER = timedelta(hours=1)
_TICK_S = 300


@dg.asset(group_name=NOTICES, owners=OWNERS, kinds={"python", "postgres"}, deps=[overdue_invoices])
def dunning_steps(context: dg.AssetExecutionContext, billing: Billing) -> dg.MaterializeResult:
    """The steps of the dunning policy that are due, taken once each; a payment in between ends the case.

    A sensor runs it; running it at any time, or twice at once, does no harm.
    """
    warehouse = billing.warehouse
    with explained(PolicyWrong):
        policy = load_policy(billing.settings.notices.dunning_policy)
    taken = take_steps(warehouse, policy, context.run.run_id, billing.clock(), context.log.info)
    count = int(warehouse.scalar("SELECT count(*) FROM billing.dunning_steps"))
    return dg.MaterializeResult(metadata={**table_metadata(warehouse, "dunning_steps", count), **taken})


@dg.asset_check(
    asset=dunning_steps, description=described(SUSPENDED, "Nobody is suspended whose overdue invoices are paid.")
)
def nobody_suspended_who_paid(billing: Billing) -> dg.AssetCheckResult:
    """Postgres sees to it; this looks whether it did."""
    wrong = wrongly_suspended(billing.warehouse)
    return dg.AssetCheckResult(
        passed=not wrong,
        description=f"{len(wrong):,} customer(s), such as {wrong[0]}" if wrong else None,
        metadata={"failing_rows": len(wrong), **(what_to_do(SUSPENDED) if wrong else {})},
    )


@dg.asset_check(asset=dunning_steps, description=described(LATE, "No step has been due for more than an hour."))
def no_dunning_step_late(billing: Billing) -> dg.AssetCheckResult:
    """Looked at after the steps were taken: what is left could not be."""
    with explained(PolicyWrong):
        policy = load_policy(billing.settings.notices.dunning_policy)
    count = due_cases(billing.warehouse, policy, billing.clock() - LATE_AFTER)
    return dg.AssetCheckResult(
        passed=not count,
        description=f"{count:,} unpaid invoice(s) with a step that has been due for more than an hour"
        if count
        else None,
        metadata={"failing_rows": count, **(what_to_do(LATE) if count else {})},
    )


take_dunning_steps = dg.define_asset_job(
    "take_dunning_steps",
    selection=dg.AssetSelection.assets(overdue_invoices, dunning_steps),
    description="Take the steps of the dunning policy that are due. Started by the sensor.",
    executor_def=dg.in_process_executor,
)


@dg.sensor(
    job=take_dunning_steps,
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run when a step of dunning is due.",
)
def dunning_due(context: dg.SensorEvaluationContext, billing: Billing) -> dg.RunRequest | dg.SkipReason:
    """Ask Postgres."""
    policy = load_policy(billing.settings.notices.dunning_policy)
    count = due_cases(billing.warehouse, policy, billing.clock())
    return ask_for_run(context.instance, take_dunning_steps.name, count, "cases are due", "no step is due")
