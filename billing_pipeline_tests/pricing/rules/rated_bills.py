"""The bills of the tests of rating: a book of one price, usage of its meter, lines as tuples."""

from decimal import Decimal
from typing import Any

from billing_pipeline.pricing.rules.price_book import PriceBook, load_price_books
from billing_pipeline_tests.pricing.rules.rating_oracle import Snapshot, rated

CALLS = """
name: test
currency: usd
meters:
  fee: {aggregation: constant}
  calls: {aggregation: sum, dimensions: [region]}
versions:
  - id: "1"
    effective_from: 2025-01-01
    prices:
      - %s
"""


GRADUATED = """{meter: calls, model: %s, included: 5, tiers: [{up_to: 100, unit_amount: 1},
    {up_to: 200, unit_amount: 0.5}, {up_to: null, unit_amount: 0.25}]}"""


QUANTITIES = ("usage_quantity", "included_quantity", "quantity", "unit_amount", "amount_minor")


def calls(price: str, *, currency: str = "usd", more: str = "") -> list[PriceBook]:
    text = (CALLS % price).replace("currency: usd", f"currency: {currency}")
    return list(load_price_books(text + more, "test"))


def usage(quantity: str | int, region: str = "eu", customer: str = "c", **more: Any) -> Snapshot:
    return Snapshot(customer, "calls", Decimal(quantity), f'{{"region": "{region}"}}', **more)


def bill(snapshots: list[Snapshot], books: list[PriceBook], *columns: str) -> list[tuple[Any, ...]]:
    """Lines as tuples of these columns; decimals and integers compare with either."""
    result = rated(snapshots, books)
    assert len(result.unpriced) == 0
    return [tuple(row) for row in result.lines[list(columns)].itertuples(index=False)]


def set_aside(snapshots: list[Snapshot], books: list[PriceBook]) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """What is billed, and who is set aside for which reason."""
    result = rated(snapshots, books)
    lines, aside = result.lines, result.unpriced
    return (
        list(zip(lines.customer_id, lines.amount_minor, strict=True)),
        list(zip(aside.customer_id, aside.reason, strict=True)),
    )
