"""Where each month stands that has ended: which was never billed, which never charged. Changes nothing."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from billing_pipeline.core.months import first_of, month_after, month_before
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

LAST_ZONE = timedelta(hours=12)
"""A month ends in the last time zone this long after it ended in UTC."""
BILLED_WITHIN = timedelta(days=1)
"""A month without drafts this long after its end was missed."""


@dataclass(frozen=True, slots=True)
class MonthState:
    """A month that has ended.

    `drafts`: invoices that are not final, `on_hold` of them by a hold; `unanswered`: charges without a definite answer.
    `state`: not_billed (nobody ever drafted it), not_charged (drafts wait that nothing holds), charging (final, but
    Stripe has not answered for all), on_hold (only what people hold is left), done.
    """

    billing_month: date
    drafts: int
    on_hold: int
    unanswered: int
    state: str

    def is_overdue(self, now: datetime, charged_within: timedelta) -> bool:
        """Whether it should have been billed, or charged, by `now`; `charged_within`: of the month's end."""
        ended = first_of(month_after(self.billing_month)) + LAST_ZONE
        if self.state == "not_billed":
            return now >= ended + BILLED_WITHIN
        return self.state in ("not_charged", "charging") and now >= ended + charged_within

    def __str__(self) -> str:
        says = {
            "not_billed": "was never billed",
            "not_charged": f"{self.drafts - self.on_hold:,} draft(s) were never finalised and charged",
            "charging": f"{self.unanswered:,} charge(s) have no answer yet",
            "on_hold": f"{self.on_hold:,} draft(s) are on hold",
            "done": "is billed and charged",
        }
        return f"{self.billing_month:%Y-%m}: {says[self.state]}"


def ended_last(now: datetime) -> date:
    """The month that ended last in every time zone."""
    return month_before((now - LAST_ZONE).date().replace(day=1))


def month_states(warehouse: Warehouse, now: datetime) -> list[MonthState]:
    """Every month from the first that was drafted to the one that ended last, the oldest first."""
    return [MonthState(**row) for row in warehouse.rows(load_sql("books/months.sql"), last=ended_last(now))]


def months_to_bill(warehouse: Warehouse, now: datetime) -> list[date]:
    """The month that ended last, and every one before it that nobody ever billed; the oldest first."""
    missed = [month.billing_month for month in month_states(warehouse, now) if month.state == "not_billed"]
    return sorted({*missed, ended_last(now)})


def months_to_charge(warehouse: Warehouse, now: datetime, age_max_days: int) -> list[date]:
    """The months, not too old, with drafts that nothing holds or charges without an answer; the oldest first."""
    return [
        month.billing_month
        for month in month_states(warehouse, now)
        if month.state in ("not_charged", "charging")
        and (now.date() - month_after(month.billing_month)).days <= age_max_days
    ]


def overdue_months(warehouse: Warehouse, now: datetime, charged_within_days: int) -> list[MonthState]:
    """The months that should have been billed or charged by now and were not."""
    within = timedelta(days=charged_within_days)
    return [month for month in month_states(warehouse, now) if month.is_overdue(now, within)]
