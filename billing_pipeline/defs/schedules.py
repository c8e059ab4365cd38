"""When a month is drafted and charged. Both crons are settings, in UTC."""

from datetime import date, datetime

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule

from billing_pipeline.adapters.builds.month import month_before
from billing_pipeline.defs.jobs import bill_month, charge_month
from billing_pipeline.settings import SettingsError, load_settings


def month_to_bill(scheduled: datetime) -> str:
    """The partition that ended last before the tick."""
    return month_before(date(scheduled.year, scheduled.month, 1)).isoformat()


def _schedule(job_name: str, cron: str, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    if not is_valid_cron_schedule(cron):
        raise SettingsError(f"{job_name.upper()}_CRON={cron!r}: expected a cron schedule such as '0 12 1 * *'")

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


@dg.definitions
def schedules() -> dg.Definitions:
    """Drafting runs by itself; charging starts once an operator switches its schedule on."""
    settings = load_settings()
    return dg.Definitions(
        schedules=[
            _schedule(bill_month.name, settings.bill_month_cron, dg.DefaultScheduleStatus.RUNNING),
            _schedule(charge_month.name, settings.charge_month_cron, dg.DefaultScheduleStatus.STOPPED),
        ]
    )
