"""Retention as a grid: each cohort by the months since its first."""

from datetime import date
from decimal import Decimal
from typing import Any

from billing_pipeline.books.rules.cohort_grids import Cell, grids

SEPTEMBER, OCTOBER = date(2025, 9, 1), date(2025, 10, 1)


def _row(cohort: date, since: int, customers: int, percent: str | None, currency: str = "usd") -> dict[str, Any]:
    return {
        "cohort_month": cohort,
        "currency": currency,
        "months_since": since,
        "customers": customers,
        "customers_percent": None if percent is None else Decimal(percent),
    }


def test_cohorts_go_down_from_the_newest_and_months_across_and_more_than_all_is_as_dark_as_all() -> None:
    rows = [
        _row(OCTOBER, 0, 4, "100.00"),
        _row(SEPTEMBER, 0, 3, "100.00"),
        _row(SEPTEMBER, 1, 1, "33.33"),
        _row(SEPTEMBER, 3, 5, "166.67"),
        _row(OCTOBER, 0, 0, None, "eur"),
    ]
    euros, dollars = grids(rows, ["customers_percent"])
    assert (dollars.currency, dollars.months) == ("usd", range(4))
    assert dollars.cohorts == [
        (OCTOBER, 4, [Cell(Decimal("100.00"), 10)]),
        (SEPTEMBER, 3, [Cell(Decimal("100.00"), 10), Cell(Decimal("33.33"), 3), None, Cell(Decimal("166.67"), 10)]),
    ]
    assert euros.cohorts == [(OCTOBER, 0, [None])]
    assert grids([], ["customers_percent"]) == []
