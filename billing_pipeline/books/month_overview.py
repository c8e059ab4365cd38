"""How far a month has come, stage by stage, and what is to be done next. Changes nothing."""

from dataclasses import dataclass
from datetime import date, datetime

from billing_pipeline.books.month_result import MonthResult, read_month_result
from billing_pipeline.books.months import LAST_ZONE
from billing_pipeline.books.rules.next_step import MonthCounts, NextStep, Stage, next_step, stages
from billing_pipeline.core.months import first_of, month_after
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class MonthOverview:
    """A month: its counts, its stages from usage to books, what came of it, and what to do next."""

    billing_month: date
    counts: MonthCounts
    stages: list[Stage]
    result: MonthResult
    next: NextStep


def month_overview(warehouse: Warehouse, month: date, now: datetime) -> MonthOverview:
    """The month as it stands at `now`."""
    [row] = warehouse.rows(load_sql("books/month_overview.sql"), month=month)
    counts = MonthCounts(**row)
    ends_at = first_of(month_after(month)) + LAST_ZONE
    return MonthOverview(
        billing_month=month,
        counts=counts,
        stages=stages(counts, ends_at),
        result=read_month_result(warehouse, month, {}),
        next=next_step(counts, ends_at, now),
    )


def newest_month(warehouse: Warehouse) -> date | None:
    """The newest month that has anything of it; None before the first."""
    month: date | None = warehouse.scalar("SELECT max(billing_month) FROM billing.asset_months")
    return month


def month_marker(warehouse: Warehouse, month: date) -> str:
    """Another text as soon as anything was done or built that the overview tells of: found in no time."""
    return str(warehouse.scalar(load_sql("books/month_marker.sql"), month=month))
