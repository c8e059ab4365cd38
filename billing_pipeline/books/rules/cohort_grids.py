"""Retention as a picture: a grid a currency, cohorts down and months since their first across. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

COHORTS_MAX = 24
"""The newest: the table has all of them."""
STEPS = 10
"""How many shades there are, from nothing to all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Percent of the first month; `shade` from 0 to STEPS, where more than all is as dark as all."""

    percent: Decimal
    shade: int


@dataclass(frozen=True, slots=True)
class Grid:
    """`column` of the view in a currency, for `cohorts`: month, customers in it, and a cell a month since.

    None: nothing is known of it, since the month is a draft. A cohort ends where the months do.
    """

    column: str
    currency: str
    months: range
    cohorts: list[tuple[date, int, list[Cell | None]]]


def grids(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[Grid]:
    """The grids of `billing.revenue_retention`, by currency and column, the newest cohort first."""
    found = []
    for currency in sorted({row["currency"] for row in rows}):
        own = [row for row in rows if row["currency"] == currency]
        months = sorted({row["cohort_month"] for row in own}, reverse=True)[:COHORTS_MAX]
        cohorts = [{row["months_since"]: row for row in own if row["cohort_month"] == month} for month in months]
        found += [
            Grid(
                column,
                currency,
                range(max(max(since) for since in cohorts) + 1),
                [
                    (month, since[0]["customers"], [_cell(since.get(at), column) for at in range(max(since) + 1)])
                    for month, since in zip(months, cohorts, strict=True)
                    if 0 in since
                ],
            )
            for column in columns
        ]
    return found


def _cell(row: Mapping[str, Any] | None, column: str) -> Cell | None:
    percent = row[column] if row is not None else None
    return None if percent is None else Cell(percent, min(max(int(percent * STEPS / 100), 0), STEPS))
