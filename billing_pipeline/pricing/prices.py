"""The price book file into price_loads, price_books, meters, price_versions and prices.

Rows that are already there stay untouched; rows that the file no longer holds are retired, never edited.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.locks import lock_price_books, lock_usage
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import PriceBook, price_rows
from billing_pipeline.pricing.terms import load_terms


@dataclass(frozen=True)
class LoadedPrices:
    """What loading did: price rows in use now, rows added and rows retired."""

    in_use: int
    added: int
    retired: int


@dataclass(frozen=True, slots=True)
class Loading:
    """Who loads a file, and why. `after`: the load that it was compared with, 0 for none; None: whichever it is."""

    file_name: str
    signature: Signature
    run_id: str | None = None
    after: int | None = None


def build(warehouse: Warehouse, books: Sequence[PriceBook], source_text: str, loading: Loading) -> LoadedPrices:
    """Make the price tables say what `books` say, the contents of `source_text`. The same file twice changes nothing.

    Raises:
        UserError: another load came in between.
    """
    checksum = sha256(source_text.encode()).hexdigest()
    currencies = [book.currency for book in books]
    with warehouse.transaction() as connection:
        if any(meter.events == "deltas" for book in books for meter in book.meters.values()):
            lock_usage(connection)  # no event comes in while the levels of those before it are added up
        lock_price_books(connection)
        _record(connection, source_text, checksum, loading)
        added = retired = 0
        for book in books:
            _load_book(connection, book, checksum, loading.run_id)
            rows = price_rows(book)
            retired += connection.execute(
                text(
                    "UPDATE billing.prices SET retired_at = now()"
                    " WHERE currency = :currency AND retired_at IS NULL AND NOT price_id = ANY(:ids)"
                ),
                {"currency": book.currency, "ids": [row.price_id for row in rows]},
            ).rowcount
            _load_versions(connection, book)
            load_terms(connection, book)
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
        connection.execute(text(_RETIRE_OTHER_TERMS), {"currencies": currencies})
        for table in ("meters", "retired_prices", "plan_trials", "book_notices_off", "price_versions", "price_books"):
            connection.execute(
                text(f"DELETE FROM billing.{table} WHERE NOT currency = ANY(:currencies)"),
                {"currencies": currencies},
            )
        connection.execute(text("SELECT billing.keep_delta_levels()"))
        in_use = connection.execute(text("SELECT count(*) FROM billing.prices WHERE retired_at IS NULL")).scalar_one()
    return LoadedPrices(int(in_use), added, retired)


def _record(connection: Connection, source_text: str, checksum: str, loading: Loading) -> None:
    """Keep the file, and say in the audit log who loaded it; nothing if it is the one in use."""
    last = connection.execute(
        text("SELECT load_id, content_sha256 FROM billing.price_loads ORDER BY load_id DESC LIMIT 1")
    ).one_or_none()
    if last is not None and last.content_sha256 == checksum:
        return
    if loading.after is not None and loading.after != (last.load_id if last else 0):
        raise UserError("another price book was loaded in between: look at the difference again")
    connection.execute(
        text(load_sql("pricing/price_load.sql")),
        {
            "file_name": loading.file_name,
            "content": source_text,
            "checksum": checksum,
            "author": loading.signature.author,
            "reason": loading.signature.reason,
            "run_id": loading.run_id,
        },
    )


def _load_book(connection: Connection, book: PriceBook, checksum: str, run_id: str | None) -> None:
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
                "property": meter.property,
                "events": meter.events or "levels",
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
    connection.execute(text("DELETE FROM billing.plan_trials WHERE currency = :currency"), {"currency": book.currency})
    trials = [
        {"currency": book.currency, "id": version.id, "plan": plan, "days": days}
        for version in book.versions
        for plan, days in version.trials.items()
    ]
    if trials:
        connection.execute(
            text("INSERT INTO billing.plan_trials VALUES (:currency, :id, :plan, :days)"),
            trials,
        )
    connection.execute(
        text("DELETE FROM billing.book_notices_off WHERE currency = :currency"), {"currency": book.currency}
    )
    kinds_off = [
        {"currency": book.currency, "id": version.id, "kind": kind}
        for version in book.versions
        for kind in version.notices_off
    ]
    if kinds_off:
        connection.execute(text("INSERT INTO billing.book_notices_off VALUES (:currency, :id, :kind)"), kinds_off)
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


_RETIRE_OTHER_TERMS = """
UPDATE billing.terms SET retired_at = clock_timestamp()
WHERE version_id IS NOT NULL AND retired_at IS NULL AND NOT currency = ANY(:currencies)
"""
