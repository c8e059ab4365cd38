"""Sensor `drafts_to_charge`: asks again for a month that a charging run came to too early."""

from collections.abc import Iterator

import dagster as dg

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.charging.charge_requests import requests_due
from billing_pipeline.defs.jobs import bill_month, charge_month
from billing_pipeline.defs.resources import Billing, no_stripe

_TICK_S = 60


@dg.sensor(
    jobs=[charge_month, bill_month],
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Goes on with months whose drafts were outdated or too young when a charging run came.",
)
def drafts_to_charge(
    context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster's signature
    billing: Billing,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Asks for another drafting of what is outdated, and for charging what has been looked at for long enough."""
    unasked = no_stripe(billing.settings)
    if unasked is not None:
        yield unasked
        return
    for brake in read_brakes(billing.warehouse).on():
        yield dg.SkipReason(str(brake))
        return
    for due in requests_due(billing.warehouse):
        job = bill_month if due.redraft else charge_month
        yield dg.RunRequest(run_key=due.key, job_name=job.name, partition_key=due.billing_month.isoformat())


@dg.definitions
def drafts_to_charge_definitions() -> dg.Definitions:
    """The sensor."""
    return dg.Definitions(sensors=[drafts_to_charge])
