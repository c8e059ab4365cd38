"""A bill by a price book alone: quantities that nobody stored, priced as a run would price them.

Here: lines, terms and their total; a sample of quantities for a book. Not here: measuring and files
(comparison/simulate.py), and what only a database knows: coupons, credits, contracts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from billing_pipeline.core.money import AmountOutOfRangeError
from billing_pipeline.invoicing.rules.line_text import Priced, line_text
from billing_pipeline.pricing.rules.descriptions import dimensions_text
from billing_pipeline.pricing.rules.price_book import PriceRow, price_rows
from billing_pipeline.pricing.rules.price_book_model import Meter, Price, PriceBook, TierRate, Version
from billing_pipeline.pricing.rules.rating import price_frame, rate
from billing_pipeline.pricing.rules.rating_frames import SNAPSHOT_SCHEMA
from billing_pipeline.pricing.rules.term_lines import term_lines
from billing_pipeline.pricing.rules.terms import term_rows
from billing_pipeline.pricing.rules.terms_in_force import TermPeriod, TermsInForce

_QUANTITY_MAX = Decimal(10**18 - 1)
SAMPLE_COMBINATIONS = 2
"""Of how many combinations of dimension values a sample shows each price."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What was used of a meter; `dimensions` as the database prints them."""

    meter: str
    dimensions: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class SimulatedLine:
    """A line as the customer would read it."""

    description: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """What would be set aside, and why."""

    meter: str
    dimensions: str
    reason: str


@dataclass(frozen=True, slots=True)
class SimulatedBill:
    """A period's bill. `total_minor`, in minor units of `currency`, is the sum of its lines."""

    customer_id: str
    currency: str
    plan: str | None
    lines: list[SimulatedLine]
    total_minor: int
    set_aside: list[SetAside]


def bill_of(
    book: PriceBook, customer_id: str, plan: str | None, start: date, end: date, used: Sequence[Quantity]
) -> SimulatedBill:
    """The bill of a whole period from `start` to `end`, exclusive; constant meters are among what was `used`."""
    rows = price_rows(book)
    rated = rate(_snapshots(book.currency, customer_id, plan, start, used), price_frame(rows))
    by_id = {str(row.price_id): row for row in rows}
    priced = rated.lines.to_dict("records")
    lines = []
    for line in priced:
        how = _priced(line, by_id[line["price_id"]]) if line["kind"] == "usage" else None
        lines.append(SimulatedLine(line_text(line["description"], how, book.currency), line["amount_minor"]))
    versions = {book.currency: [(version.id, version.effective_from) for version in book.versions]}
    days = (end - start).days
    period = TermPeriod(customer_id, book.currency, start, days, None, plan)
    terms = TermsInForce(term_rows(book), versions).of(period)
    amounts = [(line["meter"], line["amount_minor"]) for line in priced]
    lines += [
        SimulatedLine(line.description, line.amount_minor)
        for line in term_lines(amounts, terms, book.currency, days, None)
    ]
    aside = [SetAside(row["meter"], row["dimensions"], row["reason"]) for row in rated.unpriced.to_dict("records")]
    return SimulatedBill(customer_id, book.currency, plan, lines, sum(line.amount_minor for line in lines), aside)


def sample_bills(book: PriceBook) -> Iterator[SimulatedBill]:
    """Bills by the book's last version, on no plan and on each of its plans, of quantities that show its prices.

    A quantity is beyond the allowance and the first tier, and a power of ten that comes to 1.00 or more.
    """
    version = max(book.versions, key=lambda each: each.effective_from)
    start = version.effective_from
    end = date.fromordinal(min(start.toordinal() + 30, date.max.toordinal()))
    for plan in (None, *version.plans):
        used = list(_sample(book, version, plan))
        try:
            bill = bill_of(book, "sample", plan, start, end, used)
        except AmountOutOfRangeError:  # a commitment of more than can be billed: there is no such bill
            continue
        yield bill


def _sample(book: PriceBook, version: Version, plan: str | None) -> Iterator[Quantity]:
    prices = {price.meter: price for price in version.prices}
    prices |= {price.meter: price for price in version.plans.get(plan or "", ())}
    for price in prices.values():
        meter = book.meters[price.meter]
        if meter.aggregation == "constant":
            yield Quantity(meter.name, "{}", Decimal(1))
            continue
        for dimensions, unit_amount, bound in _combinations(price, meter):
            enough = Decimal(10)
            while unit_amount and enough * unit_amount < 1 and enough < 10**12:
                enough *= 10
            beyond = max(bound, price.package_size or Decimal(0))
            quantity = min(price.included + beyond + enough, _QUANTITY_MAX)
            yield Quantity(meter.name, dimensions_text(dimensions), quantity)


def _combinations(price: Price, meter: Meter) -> list[tuple[dict[str, str], Decimal, Decimal]]:
    """Dimension values, the first rate for them, and where its first tier ends."""
    found = [(dict(one.dimensions), one.amount, Decimal(0)) for one in price.rates]
    for tiered in (TierRate(price.tiers, ()), *price.tier_rates):
        if tiered.tiers:
            first = tiered.tiers[0]
            found.append((dict(tiered.dimensions), first.unit_amount, first.up_to or Decimal(0)))
    any_value = dict.fromkeys(meter.dimensions, "any")
    return [(dimensions or any_value, amount, bound) for dimensions, amount, bound in found[:SAMPLE_COMBINATIONS]]


def _snapshots(
    currency: str, customer_id: str, plan: str | None, start: date, used: Iterable[Quantity]
) -> pd.DataFrame:
    rows = [
        {
            "customer_id": customer_id,
            "invoice_id": customer_id,
            "currency": currency,
            "start_date": start,
            "meter": each.meter,
            "dimensions": each.dimensions,
            "quantity": each.quantity,
            "event_count": 1,
            "basis": "measured",
            "plan": plan,
        }
        for each in used
    ]
    return pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)


def _priced(line: Mapping[Any, Any], row: PriceRow) -> Priced:
    return Priced(
        model=row.model,
        quantity=line["quantity"],
        included_quantity=line["included_quantity"],
        unit_amount=line["unit_amount"],
        tier_no=row.tier_no,
        tier_from=row.tier_from,
        tier_up_to=row.tier_up_to,
        package_size=row.package_size,
    )
