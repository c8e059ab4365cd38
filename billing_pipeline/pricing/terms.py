"""The terms of the price book as a table: loaded with it, and read as the rules take them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.pricing.rules.price_book import PriceBook
from billing_pipeline.pricing.rules.terms import Term, term_rows
from billing_pipeline.pricing.rules.terms_in_force import TermsInForce, Versions

_NAMES = tuple(field.name for field in fields(Term))


def load_terms(connection: Connection, book: PriceBook) -> None:
    """Make the book's terms those of `book`: rows that are there stay, those that it no longer holds retire."""
    rows = term_rows(book)
    connection.execute(
        text(load_sql("pricing/retire_terms.sql")), {"currency": book.currency, "ids": [row.term_id for row in rows]}
    )
    if rows:
        connection.execute(text(load_sql("pricing/load_terms.sql")), [_values(row) for row in rows])


def terms_in_use(reader: Connection, prices: pa.Table) -> TermsInForce:
    """The terms that may hold for some period, in the versions of these prices."""
    return TermsInForce(read_terms(reader, "retired_at IS NULL", {}), versions_of(prices))


def read_terms(reader: Connection, condition: str, parameters: Mapping[str, object]) -> list[Term]:
    """The terms for which an SQL condition holds."""
    query = f"SELECT {', '.join(_NAMES)} FROM billing.terms WHERE {condition} ORDER BY term_id"
    found = []
    for row in reader.execute(text(query), dict(parameters)).mappings():
        values = dict(row) | {"term_id": str(row["term_id"])}
        values["meters"] = None if row["meters"] is None else tuple(row["meters"])
        found.append(Term(**values))
    return found


def versions_of(prices: pa.Table) -> Versions:
    """By currency the versions that prices name; every version of a book has prices."""
    named = zip(*(prices[name].to_pylist() for name in ("currency", "version_id", "effective_from")), strict=True)
    versions: dict[str, list[Any]] = {}
    for currency, version_id, effective_from in dict.fromkeys(named):
        versions.setdefault(currency, []).append((version_id, effective_from))
    return versions


def _values(row: Term) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _NAMES}
    values["meters"] = None if row.meters is None else list(row.meters)
    return values
