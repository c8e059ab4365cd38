"""Billing periods, and the calendar month a period is billed in.

Here: which half-open intervals a customer is billed for. Not here: who is billed, usage, prices, the clock.

Dates are local dates of the customer's zone, instants are UTC. A period runs from the first instant of its
first date to the first instant of the date after its last; since every period's end is computed exactly as
the next one's start, periods can neither overlap nor leave a gap, whatever the zone's clocks do.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.customers.rules.billing_cycle import Cycle, add_months


@dataclass(frozen=True, slots=True)
class Period:
    """One billed interval: instants `[start, end)` in UTC, local dates `[start_date, end_date)`.

    `billing_month` is the first of the month whose partition bills it.
    """

    start: datetime
    end: datetime
    start_date: date
    end_date: date
    billing_month: date


def billing_month(end: datetime, timezone: str) -> date:
    """First of the local calendar month that holds the last instant of a period, whose `end` is exclusive."""
    return (end.astimezone(UTC) - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date().replace(day=1)


def periods_billed_in(month: date, timezone: str, cycle: Cycle) -> list[Period]:
    """Every period of `cycle` whose last instant lies in the calendar month of `timezone`, in order of time.

    `month` is the month's first day. Calendar months: one period, or none before the anchor's month. Cycles of days or
    months from an anchor: none, one or several; none starts before the anchor.
    """
    return [period for period in periods_touching(month, timezone, cycle) if period.billing_month == month]


def periods_touching(month: date, timezone: str, cycle: Cycle) -> list[Period]:
    """Every period of `cycle` that has an instant in the calendar month of `timezone`, in order of time.

    Those that end later too: a contract may cut them within the month.
    """
    if month.day != 1:
        raise ValueError(f"month {month}: expected the first day of a month")
    following = (month + timedelta(days=31)).replace(day=1)
    opens, closes = start_of_day(month, timezone), start_of_day(following, timezone)
    periods = []
    for start_date, end_date in _dates(month, following, cycle):
        start, end = start_of_day(start_date, timezone), start_of_day(end_date, timezone)
        # A period of skipped dates only has no instant, hence nothing to bill.
        if start < end and start < closes and end > opens:
            periods.append(Period(start, end, start_date, end_date, billing_month(end, timezone)))
    return periods


def _dates(month: date, following: date, cycle: Cycle) -> list[tuple[date, date]]:
    """First day, and first day after it, of the periods around a month."""
    anchor = cycle.anchor
    if anchor is None or (cycle.days is None and cycle.months is None):
        start = month if anchor is None else max(month, anchor)
        return [(start, following)] if start < following else []
    # Two days of slack either side: a skipped local date may move a period's last instant to an earlier date.
    slack = timedelta(days=2)
    if cycle.months is not None:
        apart = (month.year - anchor.year) * 12 + month.month - anchor.month
        first, last = max(apart // cycle.months - 2, 0), apart // cycle.months + 1
        ends = [add_months(anchor, k * cycle.months) for k in range(first, max(last, first) + 2)]
        return [pair for pair in pairwise(ends) if pair[1] >= month - slack and pair[0] <= following + slack]
    days = cycle.days or 1
    first = max((month - slack - anchor).days // days - 1, 0)
    last = (following + slack - anchor).days // days
    length = timedelta(days=days)
    return [(anchor + k * length, anchor + (k + 1) * length) for k in range(first, last + 1)]
