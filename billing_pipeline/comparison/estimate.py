"""What customers' open periods come to: accrued by now, and projected to their ends. Never writes.

Through the very statements and rules that bill them: the month's calendar, its measurement, rating, the allocation of
adjustments. A period that is cut short for an estimate is one to them as if the contract ended there. Once its scratch
tables are made, the transaction is READ ONLY: Postgres itself keeps the books untouched. No lock is taken that a run or
an import would wait for, and what was ingested a moment ago counts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, text

from billing_pipeline.comparison.estimate_bills import bills_of
from billing_pipeline.comparison.estimate_measuring import Rows, declared_reach, measured, project
from billing_pipeline.comparison.estimate_variants import (
    ACCRUED,
    ON_DAY,
    PROJECTED,
    RATED,
    UNTIL_DAY,
    Variant,
    variants_of,
)
from billing_pipeline.comparison.estimated import DayQuantity, Estimate, EstimatedBill, EstimatedDay
from billing_pipeline.comparison.open_periods import OpenPeriod, open_periods
from billing_pipeline.comparison.scratch import make_tables
from billing_pipeline.core.months import require_billable
from billing_pipeline.postgres.warehouse import Warehouse


def estimate(
    warehouse: Warehouse,
    customers: Sequence[str],
    *,
    now: datetime | None = None,
    month: date | None = None,
    by_day: bool = False,
    projects: bool = True,
) -> list[Estimate]:
    """Estimate each customer's running period, or those that `month` bills, as far as no final invoice does.

    Args:
        warehouse: the database, which is only read.
        customers: their ids. One that is unknown, inactive, or without an open period is not among the results.
        now: when a period would end to be accrued; default: now. Usage counts that has come in by now in any case.
        month: the partition; its periods may have ended. Default: the period that `now` lies in.
        by_day: also what was used on each day, and accrued by its end.
        projects: False: what is accrued stands for what is projected too, which is less work.

    Returns:
        By customer and time; a customer may have several periods in a month.

    Raises:
        UserError: `month` has not begun.
    """
    if not customers:
        return []
    with warehouse.engine.connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL jit = off"))
        as_of: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        now = now or as_of
        if month is not None:
            require_billable(month, now.date())
        make_tables(connection, on_commit="DROP")
        connection.execute(text(_METERS))
        periods = open_periods(connection, list(customers), now, month)
        connection.execute(text("SET TRANSACTION READ ONLY"))
        found = _estimates(connection, periods, now, as_of, by_day=by_day, projects=projects) if periods else []
        connection.rollback()
    return found


def _estimates(
    connection: Connection,
    periods: Sequence[OpenPeriod],
    now: datetime,
    as_of: datetime,
    *,
    by_day: bool,
    projects: bool,
) -> list[Estimate]:
    """Measure, project, rate, and put together."""
    declared = declared_reach(connection, as_of)
    reach = now if declared is None else min(declared, now)
    variants = [
        each for period in periods for each in variants_of(period, now, reach, by_day=by_day, projects=projects)
    ]
    month = periods[0].billing_month
    quantities, set_aside = measured(connection, variants, month=month, as_of=as_of, reach=reach)
    projected = project(connection, periods, variants, quantities, reach)
    rated = [variant for variant in [*variants, *projected] if variant.use in RATED]
    bills = bills_of(connection, periods, rated, set_aside)
    found = []
    for period in periods:
        if not period.wanted:
            continue
        own = [variant for variant in rated if variant.of is period]
        accrued = next(variant.variant_id for variant in own if variant.use == ACCRUED)
        projections = [bills[each.variant_id] for each in own if each.use == PROJECTED] or [bills[accrued]]
        totals = [bill.total_minor for bill in projections]
        found.append(
            Estimate(
                customer_id=period.customer_id,
                currency=period.currency,
                billing_month=period.billing_month,
                start_date=period.start_date,
                end_date=period.end_date,
                timezone=period.timezone,
                period_start=period.period_start,
                period_end=period.period_end,
                as_of=now,
                feed_complete_through=None if declared is None else reach,
                ended=now >= period.period_end,
                accrued=bills[accrued],
                projected=projections[0],
                low_minor=min(totals),
                high_minor=max(totals),
                set_aside=set_aside[accrued],
                days=_days([each for each in variants if each.of is period], bills, quantities),
            )
        )
    return found


def _days(
    variants: Sequence[Variant], bills: Mapping[str, EstimatedBill], quantities: Mapping[str, Rows]
) -> list[EstimatedDay]:
    days: dict[date, dict[str, str]] = defaultdict(dict)
    for variant in variants:
        if variant.day is not None:
            days[variant.day][variant.use] = variant.variant_id
    return [
        EstimatedDay(
            day,
            bills[ids[UNTIL_DAY]].total_minor,
            [
                DayQuantity(row.meter, row.dimensions, row.quantity)
                for row in sorted(quantities[ids[ON_DAY]].values(), key=lambda each: (each.meter, each.dimensions))
                if row.aggregation != "constant"
            ],
        )
        for day, ids in sorted(days.items())
    ]


_METERS = """
CREATE TEMP TABLE measured_meters ON COMMIT DROP AS SELECT * FROM billing.meters;
ANALYZE measured_meters
"""
