"""The stretches of time that an estimate measures for a period: each is a period of its own to the month's statement.

Here: which stretches, and their rows for pg_temp.measured_periods. Not here: what is made of them (estimate.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.comparison.open_periods import OpenPeriod
from billing_pipeline.comparison.rules.projection import PACE_DAYS, days_until, look_back
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.postgres.arrow_copy import copy_arrow_in

ACCRUED, HELD, SO_FAR, LOOK_BACK, PROJECTED, UNTIL_DAY, ON_DAY = (
    "accrued", "held", "so_far", "look_back", "projected", "until_day", "on_day",
)  # fmt: skip
"""What a stretch is for. Of a period: up to now; whole, with levels held; up to where the feed is complete; the days
before that; whole, with sums projected; up to a day's end; one day."""
RATED = (ACCRUED, PROJECTED, UNTIL_DAY)
"""What becomes a bill."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A stretch of time measured for a period. `number`: of the look back in days; `day`: of the chart."""

    variant_id: str
    of: OpenPeriod
    use: str
    start: datetime
    end: datetime
    end_date: date
    number: int = 0
    day: date | None = None

    @property
    def row(self) -> dict[str, Any]:
        """Its row of pg_temp.measured_periods. A period that is cut costs its share by days, and carries nothing."""
        of = self.of
        whole = self.end == of.period_end
        days = (of.end_date - of.start_date).days
        return {
            "period_id": self.variant_id,
            "customer_id": of.customer_id,
            "currency": of.currency,
            "period_start": self.start,
            "period_end": self.end,
            "previous_end": of.previous_end if whole else None,
            "start_date": of.start_date,
            "end_date": self.end_date,
            "full_days": of.full_days or (days if self.end_date < of.end_date else None),
            "plan": of.plan,
            "in_trial": of.in_trial,
            "may_carry": of.may_carry and whole,
        }


def variants_of(period: OpenPeriod, now: datetime, reach: datetime, *, by_day: bool, projects: bool) -> list[Variant]:
    """What is measured for a period; `reach` is how far the feed is complete, `now` at most."""
    until = min(now, period.period_end)
    accrued = _cut(period, ACCRUED, until)
    found = [accrued]
    if projects and now < period.period_end:
        found.append(_whole(period, HELD))
        if reach > period.period_start:
            found.append(_cut(period, SO_FAR, reach))
        for days in PACE_DAYS:
            begins = look_back(reach, days, period.first_usage_at)
            found.append(replace(accrued, variant_id=_new(), use=LOOK_BACK, start=begins, end=reach, number=days))
    if by_day:
        day = period.start_date
        while (start := start_of_day(day, period.timezone)) < until:
            end = min(start_of_day(day + timedelta(days=1), period.timezone), until)
            start = max(start, period.period_start)
            if start < end:
                found.append(replace(_cut(period, UNTIL_DAY, end), day=day))
                found.append(replace(accrued, variant_id=_new(), use=ON_DAY, start=start, end=end, day=day))
            day += timedelta(days=1)
    return found


def projected_variants(period: OpenPeriod) -> list[Variant]:
    """The whole period by each pace."""
    return [replace(_whole(period, PROJECTED), number=days) for days in PACE_DAYS]


def fill_periods(connection: Connection, variants: Iterable[Variant], *, apart: bool = False) -> None:
    """Make pg_temp.measured_periods these stretches.

    Args:
        connection: a transaction.
        variants: the stretches.
        apart: move the start of each by some seconds of its own. Rating reads it for the invoice's id alone, and the
            bills of one period need an id each.
    """
    rows = [variant.row for variant in variants]
    if apart:
        numbers: dict[str, int] = {}
        for row in rows:
            numbers[row["customer_id"]] = number = numbers.get(row["customer_id"], 0) + 1
            row["period_start"] += timedelta(seconds=number)
    connection.execute(text("DELETE FROM pg_temp.measured_periods"))
    table = pa.Table.from_pylist(rows, schema=_PERIODS)
    copy_arrow_in(connection, "pg_temp.measured_periods", _PERIODS.names, [table])
    connection.execute(text("ANALYZE pg_temp.measured_periods"))


def span(variants: Sequence[Variant]) -> dict[str, datetime]:
    """The first and the last instant of all of them."""
    return {
        "first_start": min(variant.start for variant in variants),
        "last_end": max(variant.end for variant in variants),
    }


def _cut(period: OpenPeriod, use: str, end: datetime) -> Variant:
    """The period up to an instant within it, or to its end."""
    if end >= period.period_end:
        return _whole(period, use)
    last = (end - timedelta(microseconds=1)).astimezone(ZoneInfo(period.timezone)).date()
    end_date = days_until(period.start_date, period.end_date, last)
    return Variant(_new(), period, use, period.period_start, end, end_date)


def _whole(period: OpenPeriod, use: str) -> Variant:
    return Variant(_new(), period, use, period.period_start, period.period_end, period.end_date)


def _new() -> str:
    return str(uuid4())


_INSTANT = pa.timestamp("us", "UTC")
_FIELDS: list[tuple[str, pa.DataType]] = [
    ("period_id", pa.string()),
    ("customer_id", pa.string()),
    ("currency", pa.string()),
    ("period_start", _INSTANT),
    ("period_end", _INSTANT),
    ("previous_end", _INSTANT),
    ("start_date", pa.date32()),
    ("end_date", pa.date32()),
    ("full_days", pa.int64()),
    ("plan", pa.string()),
    ("in_trial", pa.bool_()),
    ("may_carry", pa.bool_()),
]
_PERIODS = pa.schema(_FIELDS)
