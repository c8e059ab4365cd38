"""When months are drafted and charged, and when Stripe is asked. All crons are settings, in UTC.

After downtime Dagster evaluates only the newest missed tick, so a tick asks for every month that is owed.
"""

from collections.abc import Callable
from datetime import date, datetime

import dagster as dg

from billing_pipeline.books.months import months_to_bill, months_to_charge
from billing_pipeline.defs.audit_chain import seal_audit_chain
from billing_pipeline.defs.expired_credits import expire_credits
from billing_pipeline.defs.jobs import bill_month, charge_month
from billing_pipeline.defs.log_retention import prune_logs
from billing_pipeline.defs.resources import Billing, no_stripe
from billing_pipeline.defs.stripe_differences import reconcile_stripe
from billing_pipeline.defs.stripe_event_sweeps import sweep_stripe_events
from billing_pipeline.settings import SettingsError, load_settings

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def _to_bill(billing: Billing, now: datetime) -> list[date]:
    return months_to_bill(billing.warehouse, now)


def _to_charge(billing: Billing, now: datetime) -> list[date]:
    return months_to_charge(billing.warehouse, now, billing.settings.charging.charge_age_max_days)


def run_requests(instance: dg.DagsterInstance, job_name: str, months: list[date]) -> list[dg.RunRequest]:
    """A request a month that no run of the job is at work on.

    Its key carries the attempt: a key is used up by a run that fails.
    """
    requests = []
    for month in months:
        tags = {"dagster/partition": month.isoformat()}
        if instance.get_runs_count(dg.RunsFilter(job_name=job_name, tags=tags, statuses=_UNDER_WAY)):
            continue
        attempt = instance.get_runs_count(dg.RunsFilter(job_name=job_name, tags=tags)) + 1
        requests.append(dg.RunRequest(run_key=f"{month}/{attempt}", partition_key=month.isoformat()))
    return requests


def _checked(variable: str, cron: str) -> str:
    try:
        # Dagster's own test of a cron expression is private; a schedule makes it
        dg.ScheduleDefinition(name="checked", job_name="checked", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(f"{variable}={cron!r}: expected a cron schedule such as '0 12 1 * *'") from None
    return cron


def _monthly(
    job_name: str, cron: str, status: dg.DefaultScheduleStatus, owed: Callable[[Billing, datetime], list[date]]
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
        description=f"{job_name} for every month that has ended and is owed.",
    )
    def tick(context: dg.ScheduleEvaluationContext, billing: Billing) -> list[dg.RunRequest] | dg.SkipReason:
        months = owed(billing, context.scheduled_execution_time)
        return run_requests(context.instance, job_name, months) or dg.SkipReason("no month is owed")

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


def _always(job_name: str, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )


@dg.definitions
def schedules() -> dg.Definitions:
    """Drafting runs by itself; charging starts once an operator switches its schedule on."""
    settings = load_settings()
    drafting = _checked("BILL_MONTH_CRON", settings.schedules.bill_month_cron)
    charging = _checked("CHARGE_MONTH_CRON", settings.schedules.charge_month_cron)
    return dg.Definitions(
        schedules=[
            _monthly(bill_month.name, drafting, dg.DefaultScheduleStatus.RUNNING, _to_bill),
            _monthly(charge_month.name, charging, dg.DefaultScheduleStatus.STOPPED, _to_charge),
            _always(
                prune_logs.name,
                _checked("PRUNE_CRON", settings.schedules.prune_cron),
                "Deletes what is older than BILLING_LOG_DAYS.",
            ),
            _always(
                seal_audit_chain.name,
                _checked("AUDIT_CRON", settings.schedules.audit_cron),
                "Seals what changed since the last time.",
            ),
            _always(
                expire_credits.name,
                _checked("CREDITS_CRON", settings.schedules.credits_cron),
                "Books prepaid credits that expired.",
            ),
            _asking_stripe(sweep_stripe_events.name, _checked("SWEEP_CRON", settings.schedules.sweep_cron)),
            _asking_stripe(reconcile_stripe.name, _checked("RECONCILE_CRON", settings.schedules.reconcile_cron)),
        ]
    )
