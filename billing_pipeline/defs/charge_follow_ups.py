"""Following charges up: a sensor that asks for a run when a charge is due again, and the job that looks at it.

The queue is billing.charge_follow_ups. The sensor is only its doorbell: a run that never came is asked for again, under
another key.
"""

from datetime import date

import dagster as dg

from billing_pipeline.charging import follow_ups
from billing_pipeline.charging.brakes import PAUSED, limits_of, read_brakes
from billing_pipeline.charging.follow_up_runs import follow_up
from billing_pipeline.defs.jobs import CHARGING_TAG, charge_month
from billing_pipeline.defs.resources import Billing, Stripe, no_stripe
from billing_pipeline.notices.dunning_policies import retry_days
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

_TICK_S = 60
_UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


@dg.op(description="Ask about charges without an answer, and try refused payments again, as far as they are due.")
def follow_up_due_charges(context: dg.OpExecutionContext, billing: Billing, stripe: Stripe) -> None:
    """One pass over what is due now."""
    settings = billing.settings
    try:
        report = follow_up(
            billing.warehouse,
            stripe.gateway(),
            context.run_id,
            log=context.log.info,
            limits=limits_of(settings.charging),
            retry_days=retry_days(settings),
            clock=billing.clock,
        )
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    for month, charged in report.months.items():
        for brake in charged.brakes:
            context.log.warning(brake.for_log(month))
        context.log_event(
            dg.AssetObservation(
                "stripe_charges",
                partition=month.isoformat(),
                metadata={
                    "worked_on": charged.worked_on,
                    "pending": dict(charged.pending),
                    "brakes": "; ".join(map(str, charged.brakes)) or "none",
                    "stripe_calls": charged.calls,
                },
            )
        )
    context.add_output_metadata(
        {
            "asked": report.asked,
            "payments_tried_again": report.retried,
            "parked": ", ".join(report.parked) or "none",
            "brakes": "; ".join(map(str, report.brakes)) or "none",
        }
    )


@dg.job(
    description="Look again at the charges that are due: unknown outcomes, and refused payments by their schedule.",
    executor_def=dg.in_process_executor,
    tags={CHARGING_TAG: "follow-ups"},
)
def follow_up_charges() -> None:
    """The job that the sensor asks for."""
    follow_up_due_charges()


@dg.sensor(
    job_name="follow_up_charges",
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Unknown outcomes after 5 min, 1 h, 6 h, then daily, then parked; refusals by the dunning policy.",
)
def charges_to_follow_up(context: dg.SensorEvaluationContext, billing: Billing) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run when something is due, no brake is on and there is a Stripe to ask."""
    unasked = no_stripe(billing.settings)
    if unasked is not None:
        return unasked
    warehouse, now = billing.warehouse, billing.clock()
    brakes = read_brakes(warehouse)
    for brake in brakes.on():
        if brake.code == PAUSED or (brakes.probe_at is not None and now < brakes.probe_at):
            return dg.SkipReason(str(brake))
    busy = _months_being_charged(context.instance)
    follow_ups.plan(warehouse, retry_days(billing.settings), busy)
    offer = follow_ups.offer(warehouse, now, busy)
    if offer is None:
        return dg.SkipReason("no charge is due")
    context.log.info(f"{offer.asks} charges to ask about, {offer.retries} payments to try again")
    return dg.RunRequest(run_key=offer.key)


def _months_being_charged(instance: dg.DagsterInstance) -> set[date]:
    """Months that a run is charging: what it has not come to yet was not left lying."""
    runs = instance.get_runs(dg.RunsFilter(job_name=charge_month.name, statuses=list(_UNDER_WAY)))
    keys = {run.tags.get("dagster/partition") for run in runs}
    return {date.fromisoformat(key) for key in keys if key}


@dg.definitions
def follow_up_definitions() -> dg.Definitions:
    """The job and its sensor."""
    return dg.Definitions(jobs=[follow_up_charges], sensors=[charges_to_follow_up])
