"""What a price book that is not loaded would make of a month, as long as that can be said while somebody waits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from billing_pipeline.comparison.month_waterfalls import at_most_lines
from billing_pipeline.comparison.rules.month_diff import (
    COMPUTED,
    Difference,
    MonthLine,
    Waterfall,
    differences,
    waterfalls,
)
from billing_pipeline.comparison.shadow import month_lines, shadow_month
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import PriceBook

LINES_MAX = 20_000
"""Some seconds' work; `billing run --shadow` takes any number."""


@dataclass(frozen=True, slots=True)
class CustomerDifference:
    """What a customer would pay in a currency against the books, in minor units, before taxes; `lines`: where."""

    customer_id: str
    currency: str
    before_minor: int
    after_minor: int
    lines: list[Difference]

    @property
    def difference_minor(self) -> int:
        """More, or less."""
        return self.after_minor - self.before_minor


@dataclass(frozen=True, slots=True)
class BookShadow:
    """A month under another book against what the books have. `unpriced_snapshots`: usage that it has no price for."""

    totals: list[Waterfall]
    customers: list[CustomerDifference]
    unpriced_snapshots: int


def shadow_of_book(
    warehouse: Warehouse, month: date, books: Sequence[PriceBook], now: datetime, lines_max: int = LINES_MAX
) -> BookShadow:
    """Whose lines differ and by how much, the largest changes first; totals a currency each. Nothing is written.

    Args:
        warehouse: the database.
        month: one that is drafted or billed.
        books: what it is priced by; their versions hold from their own days.
        now: periods that have not ended by then are left out.
        lines_max: how many lines the month may have.

    Raises:
        UserError: the month has no lines to compare with, or more than may be.
    """
    if not at_most_lines(warehouse, [month], lines_max):
        raise UserError(
            f"{month:%Y-%m} has more than {lines_max:,} lines: expected fewer while you wait;"
            f" `billing run --month {month:%Y-%m} --shadow --price-book FILE` takes any number"
        )
    booked = month_lines(warehouse, month, COMPUTED)  # a shadow has no adjustments: they are decisions, not usage
    if not booked:
        raise UserError(f"{month:%Y-%m} has no invoices: expected a month that is drafted, to compare with")
    shadow = shadow_month(warehouse, month, books, now)
    found = differences(booked, shadow.lines)
    before, after = _sums(booked), _sums(shadow.lines)
    customers = [
        CustomerDifference(customer_id, currency, before[key], after[key], list(lines))
        for key, lines in groupby(found, key=lambda each: (each.currency, each.customer_id))
        for currency, customer_id in [key]
    ]
    return BookShadow(waterfalls(booked, shadow.lines, found), customers, shadow.unpriced_snapshots)


def _sums(lines: Iterable[MonthLine]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for line in lines:
        sums[line.currency, line.customer_id] += line.amount_minor
    return sums
