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
    result = read_month_result(warehouse, month, {})
    counts = MonthCounts(**{**row, **_counted(result)})
    ends_at = first_of(month_after(month)) + LAST_ZONE
    return MonthOverview(
        billing_month=month,
        counts=counts,
        stages=stages(counts, ends_at),
        result=result,
        next=next_step(counts, ends_at, now),
    )


def _counted(result: MonthResult) -> dict[str, int]:
    """What the invoices of a month come to: over very many of them one statement is enough.

    Each final invoice has a charge, whose state is its own.
    """
    drafts, void = result.count("draft"), result.count("void")
    charges = sum(row["invoices"] for row in result.invoices) - drafts
    ended = {state: result.count(state) for state in ("paid", "refused", "parked")}
    on_the_way = charges - sum(ended.values()) - void - result.count("uncollectible")
    return {"drafts": drafts, "final": charges - void, "charges": charges, **ended, "on_the_way": on_the_way}


def newest_month(warehouse: Warehouse) -> date | None:
    """The newest month that has anything of it; None before the first."""
    month: date | None = warehouse.scalar("SELECT max(billing_month) FROM billing.asset_months")
    return month
