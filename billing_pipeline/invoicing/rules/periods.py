"""Billing periods, and the calendar month a period is billed in.

Here: which half-open intervals a customer is billed for. Not here: who is billed, usage, prices, the clock.

Dates are local dates of the customer's zone, instants are UTC. A period runs from the first instant of its
first date to the first instant of the date after its last; since every period's end is computed exactly as
the next one's start, periods can neither overlap nor leave a gap, whatever the zone's clocks do.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.customers.rules.billing_cycle import Cycle


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
    return (end - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date().replace(day=1)


def periods_billed_in(month: date, timezone: str, cycle: Cycle) -> list[Period]:
    """Every period of `cycle` whose last instant lies in the calendar month of `timezone`, in order of time.

    `month` is the month's first day. Calendar months: one period, or none before the anchor's month. N-day
    cycles: none, one or several; none starts before the anchor.
    """
    if month.day != 1:
        raise ValueError(f"month {month}: expected the first day of a month")
    following = (month + timedelta(days=31)).replace(day=1)
    if cycle.days is None or cycle.anchor is None:
        start = month if cycle.anchor is None else max(month, cycle.anchor)
        return _billable([(start, following)], month, timezone) if start < following else []
    # Two days of slack either side: a skipped local date may move a period's last instant to an earlier date.
    slack = timedelta(days=2)
    first = max((month - slack - cycle.anchor).days // cycle.days - 1, 0)
    last = (following + slack - cycle.anchor).days // cycle.days
    length = timedelta(days=cycle.days)
    candidates = [(cycle.anchor + k * length, cycle.anchor + (k + 1) * length) for k in range(first, last + 1)]
    return _billable(candidates, month, timezone)


def _billable(dates: list[tuple[date, date]], month: date, timezone: str) -> list[Period]:
    periods = []
    for start_date, end_date in dates:
        start, end = start_of_day(start_date, timezone), start_of_day(end_date, timezone)
        # A period of skipped dates only has no instant, hence nothing to bill.
        if start < end and billing_month(end, timezone) == month:
            periods.append(Period(start, end, start_date, end_date, month))
    return periods
