"""Alerts to operators: a sensor looks every minute, and Dagster's failure sensor tells of a run as soon as it failed.

They tell by themselves: when no run can be started, that is what has to be told.
"""

import dagster as dg

from billing_pipeline.defs.resources import Billing
from billing_pipeline.defs.run_signals import failed_run, signals_of_dagster
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import OF_DAGSTER
from billing_pipeline.notices.alerting import alert_operators

_TICK_S = 60
_LONGEST_S = 20.0
"""A tick has 60 seconds; what is not sent by then waits for the next."""


@dg.sensor(
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at what is wrong, writes it to billing.alerts and tells operators. Starts no run.",
)
def operators_alerted(context: dg.SensorEvaluationContext, billing: Billing) -> dg.SkipReason:
    """One look. What it finds again it does not tell again."""
    settings, clock = billing.settings, billing.clock
    policy = load_alert_policy(settings.alerts.policy)
    report = alert_operators(
        billing.warehouse,
        settings,
        of_dagster=signals_of_dagster(context.instance, policy, clock()),
        looked_at=OF_DAGSTER,
        log=context.log.info,
        clock=clock,
        longest_s=_LONGEST_S,
    )
    return dg.SkipReason(str(report))


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells operators of a failed run at once. What it misses, operators_alerted finds.",
)
def failed_runs_alerted(context: dg.RunFailureSensorContext, billing: Billing) -> None:
    """The run that failed."""
    alert_operators(
        billing.warehouse,
        billing.settings,
        of_dagster=[failed_run(context.instance, context.dagster_run)],
        log=context.log.info,
        clock=billing.clock,
        longest_s=_LONGEST_S,
    )


@dg.definitions
def alert_definitions() -> dg.Definitions:
    """The two sensors."""
    return dg.Definitions(sensors=[operators_alerted, failed_runs_alerted])
