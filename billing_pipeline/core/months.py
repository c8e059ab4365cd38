"""Arithmetic on months: a month is the date of its first day."""

import re
from datetime import UTC, date, datetime

from billing_pipeline.core.errors import UserError


def parse_month(text: str) -> date:
    """A month as people write it: 2026-10, or its first day.

    Raises:
        UserError: it is no such text.
    """
    match = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])(-01)?", text)
    if match is None or match[1] == "0000":
        raise UserError(f"{text!r}: expected a month such as 2026-10")
    return date(int(match[1]), int(match[2]), 1)


def first_of(month: date) -> datetime:
    """The month's first instant in UTC."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def month_after(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def days_since_end(month: date, today: date) -> int:
    """Days since the month ended in UTC; 0 on the first day after it, below zero before."""
    return (today - month_after(month)).days


def months_to(month: date, count: int) -> list[date]:
    """The `count` months that end with `month`, the oldest first."""
    months = [month]
    while len(months) < count:
        months.insert(0, month_before(months[0]))
    return months


def require_billable(month: date, today: date) -> None:
    """Refuse a month that has not begun; the running one bills what has ended.

    Raises:
        UserError: naming the newest one that can be billed.
    """
    if month > today:
        raise UserError(f"month {month:%Y-%m} has not begun: expected one up to {today:%Y-%m}")
