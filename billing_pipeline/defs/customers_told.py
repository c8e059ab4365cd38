"""Customers are told what no single row says: budgets and allowances that are reached, days that come near."""

from datetime import timedelta

import dagster as dg

from billing_pipeline.defs.resources import Billing
from billing_pipeline.notices.reminders import remind
from billing_pipeline.notices.thresholds import tell_of_thresholds

_TICK_S = 300
_LONGEST = timedelta(seconds=20)
"""A tick has 60 seconds; the next one goes on with the customers that are left."""


@dg.sensor(
    minimum_interval_seconds=_TICK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at running periods and coming days, and writes what customers are told of them. Starts no run.",
)
def customers_told(context: dg.SensorEvaluationContext, billing: Billing) -> dg.SkipReason:
    """One look. The cursor is the last customer that was looked at; what was told is not told again."""
    looked = tell_of_thresholds(
        billing.warehouse, billing.clock, after=context.cursor or None, longest=_LONGEST, log=context.log.warning
    )
    context.update_cursor(looked.after or "")
    remind(billing.warehouse, billing.clock())
    return dg.SkipReason(str(looked))


@dg.definitions
def customers_told_definitions() -> dg.Definitions:
    """The sensor."""
    return dg.Definitions(sensors=[customers_told])
