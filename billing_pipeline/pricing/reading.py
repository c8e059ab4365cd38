"""The price books that are loaded, as an operator reads them. Changes nothing."""

from dataclasses import dataclass
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.descriptions import default_description, fill

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PricesInUse:
    """`books`: currency, name, loaded_at, content_sha256. `meters`, `prices`, `terms`: rows, retired ones not."""

    books: list[Row]
    meters: list[Row]
    prices: list[Row]
    terms: list[Row]


def prices_loaded(warehouse: Warehouse, *, currency: str | None = None, customer_id: str | None = None) -> PricesInUse:
    """What prices a month now; `customer_id`: only that customer's own prices."""
    return PricesInUse(
        books=warehouse.rows(
            "SELECT currency, name, loaded_at, content_sha256 FROM billing.price_books"
            " WHERE CAST(:currency AS text) IS NULL OR currency = :currency ORDER BY currency",
            currency=currency,
        ),
        meters=warehouse.rows(
            "SELECT currency, meter, aggregation, dimensions AS dimension_names, unit, property, events"
            " FROM billing.meters"
            " WHERE CAST(:currency AS text) IS NULL OR currency = :currency ORDER BY currency, meter",
            currency=currency,
        ),
        prices=warehouse.rows(load_sql("pricing/list_prices.sql"), currency=currency, customer_id=customer_id),
        terms=warehouse.rows(load_sql("pricing/list_terms.sql"), currency=currency, customer_id=customer_id),
    )


def prices_of_customer(warehouse: Warehouse, customer_id: str, currency: str) -> list[Row]:
    """The rates and tiers that hold for the customer today, in the order of the book; `text`: as on an invoice."""
    rows = warehouse.rows(load_sql("pricing/prices_of_customer.sql"), customer_id=customer_id, currency=currency)
    for row in rows:
        template, dimensions = row["description"], row["dimensions"]
        row["text"] = fill(template, dimensions) if template else default_description(row["meter"], dimensions)
    return rows


def terms_of_customer(warehouse: Warehouse, customer_id: str, currency: str) -> list[Row]:
    """The book's commitments and discounts that hold for the customer today; amounts in units of the currency."""
    return warehouse.rows(load_sql("pricing/terms_of_customer.sql"), customer_id=customer_id, currency=currency)
