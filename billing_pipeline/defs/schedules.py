"""When a month is drafted and charged, and when Stripe is asked. All crons are settings, in UTC."""

from datetime import date, datetime

import dagster as dg

from billing_pipeline.core.months import month_before
from billing_pipeline.defs.jobs import bill_month, charge_month
from billing_pipeline.defs.resources import no_stripe
from billing_pipeline.defs.stripe_differences import reconcile_stripe
from billing_pipeline.defs.stripe_event_sweeps import sweep_stripe_events
from billing_pipeline.settings import SettingsError, load_settings


def month_to_bill(scheduled: datetime) -> str:
    """The partition that ended last before the tick."""
    return month_before(date(scheduled.year, scheduled.month, 1)).isoformat()


def _checked(variable: str, cron: str) -> str:
    try:
        # Dagster's own test of a cron expression is private; a schedule makes it
        dg.ScheduleDefinition(name="checked", job_name="checked", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(f"{variable}={cron!r}: expected a cron schedule such as '0 12 1 * *'") from None
    return cron


def _monthly(job_name: str, cron: str, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
        description=f"{job_name} for the month that ended last.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        month = month_to_bill(context.scheduled_execution_time)
        return dg.RunRequest(run_key=month, partition_key=month)

    return tick


def _asking_stripe(job_name: str, cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{job_name}, where there is a Stripe to ask.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return no_stripe(load_settings()) or dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y%m%dT%H%M}")

    return tick


@dg.definitions
def schedules() -> dg.Definitions:
    """Drafting runs by itself; charging starts once an operator switches its schedule on."""
    settings = load_settings()
    drafting = _checked("BILL_MONTH_CRON", settings.schedules.bill_month_cron)
    charging = _checked("CHARGE_MONTH_CRON", settings.schedules.charge_month_cron)
    return dg.Definitions(
        schedules=[
            _monthly(bill_month.name, drafting, dg.DefaultScheduleStatus.RUNNING),
            _monthly(charge_month.name, charging, dg.DefaultScheduleStatus.STOPPED),
            _asking_stripe(sweep_stripe_events.name, _checked("SWEEP_CRON", settings.schedules.sweep_cron)),
            _asking_stripe(reconcile_stripe.name, _checked("RECONCILE_CRON", settings.schedules.reconcile_cron)),
        ]
    )
