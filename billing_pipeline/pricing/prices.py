"""The price book file into price_books, meters, price_versions and prices.

Rows that are already there stay untouched; rows that the file no longer holds are retired, never edited.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, text

from billing_pipeline.postgres.locks import lock_price_books
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import PriceBook, price_rows


@dataclass(frozen=True)
class LoadedPrices:
    """What loading did: price rows in use now, rows added and rows retired."""

    in_use: int
    added: int
    retired: int


def build(warehouse: Warehouse, books: Sequence[PriceBook], source_text: str, run_id: str) -> LoadedPrices:
    """Make the price tables say what `books` say. The same file twice changes nothing."""
    checksum = sha256(source_text.encode()).hexdigest()
    currencies = [book.currency for book in books]
    with warehouse.transaction() as connection:
        lock_price_books(connection)
        added = retired = 0
        for book in books:
            _load_book(connection, book, checksum, run_id)
            rows = price_rows(book)
            retired += connection.execute(
                text(
                    "UPDATE billing.prices SET retired_at = now()"
                    " WHERE currency = :currency AND retired_at IS NULL AND NOT price_id = ANY(:ids)"
                ),
                {"currency": book.currency, "ids": [row.price_id for row in rows]},
            ).rowcount
            _load_versions(connection, book)
            for row in rows:
                values = {name: getattr(row, name) for name in row.__slots__}
                values["dimensions"] = json.dumps(row.dimensions)
                names = ", ".join(values)
                added += connection.execute(
                    text(
                        f"INSERT INTO billing.prices ({names}) VALUES ({', '.join(f':{name}' for name in values)})"
                        " ON CONFLICT (price_id) DO UPDATE SET retired_at = NULL WHERE prices.retired_at IS NOT NULL"
                    ),
                    values,
                ).rowcount
        retired += connection.execute(
            text(
                "UPDATE billing.prices SET retired_at = now()"
                " WHERE retired_at IS NULL AND NOT currency = ANY(:currencies)"
            ),
            {"currencies": currencies},
        ).rowcount
        for table in ("meters", "retired_prices", "price_versions", "price_books"):
            connection.execute(
                text(f"DELETE FROM billing.{table} WHERE NOT currency = ANY(:currencies)"),
                {"currencies": currencies},
            )
        in_use = connection.execute(text("SELECT count(*) FROM billing.prices WHERE retired_at IS NULL")).scalar_one()
    return LoadedPrices(int(in_use), added, retired)


def _load_book(connection: Connection, book: PriceBook, checksum: str, run_id: str) -> None:
    connection.execute(
        text(load_sql("pricing/price_book.sql")),
        {"currency": book.currency, "name": book.name, "checksum": checksum, "run_id": run_id},
    )
    connection.execute(
        text("DELETE FROM billing.meters WHERE currency = :currency AND NOT meter = ANY(:meters)"),
        {"currency": book.currency, "meters": list(book.meters)},
    )
    for meter in book.meters.values():
        connection.execute(
            text(load_sql("pricing/meter.sql")),
            {
                "currency": book.currency,
                "meter": meter.name,
                "aggregation": meter.aggregation,
                "dimensions": sorted(meter.dimensions),
                "unit": meter.unit,
            },
        )


def _load_versions(connection: Connection, book: PriceBook) -> None:
    wanted = {version.id: version.effective_from for version in book.versions}
    connection.execute(
        text("DELETE FROM billing.retired_prices WHERE currency = :currency"), {"currency": book.currency}
    )
    connection.execute(
        text(load_sql("pricing/price_versions_gone.sql")),
        {"currency": book.currency, "ids": list(wanted), "days": list(wanted.values())},
    )
    connection.execute(
        text(load_sql("pricing/price_versions_new.sql")),
        {"currency": book.currency, "ids": list(wanted), "days": list(wanted.values())},
    )
    retired = [
        {
            "currency": book.currency,
            "id": version.id,
            "meter": entry.meter,
            "dimensions": json.dumps(dict(entry.dimensions)),
        }
        for version in book.versions
        for entry in version.retired
    ]
    if retired:
        connection.execute(
            text(
                "INSERT INTO billing.retired_prices (currency, version_id, meter, dimensions)"
                " VALUES (:currency, :id, :meter, :dimensions) ON CONFLICT DO NOTHING"
            ),
            retired,
        )
