"""A month built beside the books: from the usage there is and any price book, in scratch tables of one session.

The scratch schema is pg_temp, and everything after its creation happens in a READ ONLY transaction, which may write
temporary tables and nothing else: Postgres itself keeps the books untouched. Nobody waits for a shadow, and it takes no
lock that a run would wait for.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.comparison.rules.month_diff import MonthLine, Terms
from billing_pipeline.comparison.scratch import make_tables, measure
from billing_pipeline.core.errors import UserError
from billing_pipeline.invoicing.billing_periods import bridging_months, make_parts, read_contracts
from billing_pipeline.invoicing.period_terms import MEASURED, terms_of_periods
from billing_pipeline.invoicing.rated_lines import rated_lines
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import PriceBook, price_rows
from billing_pipeline.pricing.rules.rating_frames import price_table
from billing_pipeline.pricing.rules.terms import term_rows
from billing_pipeline.pricing.rules.terms_in_force import TermsInForce
from billing_pipeline.pricing.terms import read_terms, versions_of
from billing_pipeline.usage.measuring import TOO_MUCH_OR_LITTLE, bounds, feed_reach


class MonthTooFarError(UserError):
    """The month does not follow those that are laid out."""


@dataclass(frozen=True)
class Shadow:
    """A month's lines as it would be billed, and the snapshots that no price covers."""

    lines: list[MonthLine]
    unpriced_snapshots: int


def month_lines(warehouse: Warehouse, month: date, kinds: Sequence[str] | None = None) -> list[MonthLine]:
    """A month's lines as the books have them, drafts and finalised invoices alike; `kinds` None: all."""
    rows = warehouse.rows(load_sql("comparison/month_lines.sql"), month=month)
    terms = {row["price_id"]: _terms(row) for row in warehouse.rows(_TERMS)}
    return [
        MonthLine(
            **{name: row[name] for name in _NAMES},
            prices=frozenset(terms[price_id] for price_id in row["price_ids"] or ()),
        )
        for row in rows
        if kinds is None or row["kind"] in kinds
    ]


def shadow_month(
    warehouse: Warehouse,
    month: date,
    books: Sequence[PriceBook],
    now: datetime,
    *,
    as_of: datetime | None = None,
    carry_forward: bool = False,
) -> Shadow:
    """Build `month` from customers, usage and `books`, all of it anew, those parts too that are billed.

    Args:
        warehouse: the database, which is only read.
        month: the month; its periods are those laid out, and where there are none those that a run would lay out.
        books: the price books.
        now: periods that have not ended by then are left out.
        as_of: count events received until then; default: all.
        carry_forward: bill what the feed does not cover at the quantities of the period before.

    Raises:
        MonthTooFarError: months between this one and those laid out would have to be laid out first.
    """
    unpriced: list[pa.Table] = []
    with _scratch(warehouse) as connection:
        _lay_out(connection, month, now)
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"))
        _write_meters(connection, books)
        connection.execute(
            text(f"INSERT INTO pg_temp.measured_periods {load_sql('comparison/shadow_periods.sql')}"),
            {"month": month, "carry_forward": carry_forward},
        )
        connection.execute(text("ANALYZE pg_temp.measured_periods"))
        span = bounds(connection, month)
        own = connection.execute(
            text("SELECT min(period_start) AS first_start, max(period_end) AS last_end FROM pg_temp.measured_periods")
        ).one()
        if own.first_start is not None:
            span |= {"first_start": own.first_start, "last_end": own.last_end}
        cut_off = as_of or connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        reach = feed_reach(connection, cut_off, span["last_end"])
        parameters = {**span, "run_id": "shadow", "as_of": cut_off, "carried_forward_from": reach}
        measure(connection, parameters, f"{TOO_MUCH_OR_LITTLE} IS NOT TRUE")
        rows = [row for book in books for row in price_rows(book)]
        terms = {str(row.price_id): _terms({name: getattr(row, name) for name in row.__slots__}) for row in rows}
        snapshots = load_sql("comparison/shadow_input.sql")
        prices = price_table(rows)
        granted = read_terms(connection, "version_id IS NULL AND retired_at IS NULL", {})
        of_books = [term for book in books for term in term_rows(book)]
        in_force = TermsInForce([*of_books, *granted], versions_of(prices))
        of_periods = terms_of_periods(connection, MEASURED, {}, in_force)
        with closing(rated_lines(connection, snapshots, {}, prices, unpriced, of_periods)) as tables:
            lines = _summed(tables, terms)
        connection.rollback()
    return Shadow(lines, sum(table.num_rows for table in unpriced))


@contextmanager
def _scratch(warehouse: Warehouse) -> Iterator[Connection]:
    """A session of its own, so that its temporary tables end with it."""
    with warehouse.engine.connect() as connection:
        try:
            yield connection
        finally:
            connection.invalidate()


def _lay_out(connection: Connection, month: date, now: datetime) -> None:
    """Create the scratch tables, and pg_temp.laid with the periods that a run would lay out."""
    read_contracts(connection)
    bridges = bridging_months(connection, month)
    make_parts(connection, [*bridges, month])
    make_tables(connection, on_commit="PRESERVE ROWS")
    wanted = load_sql("invoicing/billing_periods.sql")
    for bridge in bridges:
        parameters = {"months": [bridge], "month": bridge, "target": month, "now": now, "bridging": True}
        if connection.execute(text(f"SELECT EXISTS ({wanted})"), parameters).scalar():
            raise MonthTooFarError(
                f"{month:%Y-%m} has months before it that are not laid out: run {bridge:%Y-%m} first"
            )
    connection.execute(
        text(f"CREATE TEMP TABLE laid AS {wanted}"),
        {"months": [month], "month": month, "target": month, "now": now, "bridging": False},
    )
    connection.execute(text(_METERS))
    connection.commit()


def _write_meters(connection: Connection, books: Sequence[PriceBook]) -> None:
    rows = [
        {
            "currency": book.currency,
            "meter": meter.name,
            "aggregation": meter.aggregation,
            "dimensions": sorted(meter.dimensions),
            "property": meter.property,
            "events": meter.events or "levels",
        }
        for book in books
        for meter in book.meters.values()
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO pg_temp.measured_meters"
                " VALUES (:currency, :meter, :aggregation, :dimensions, :property, :events)"
            ),
            rows,
        )


def _terms(price: Mapping[str, Any]) -> Terms:
    """What a price row's amounts depend on: rows that agree in it charge the same."""
    return price["tier_no"], tuple(price[name] for name in _DECISIVE)


def _summed(tables: Iterator[pa.Table], terms: Mapping[str, Terms]) -> list[MonthLine]:
    names = ["customer_id", "currency", "meter", "dimensions", "kind"]
    found = list(tables)
    if not found:
        return []
    sums: Any = [("description", "min"), ("usage_quantity", "sum"), ("amount_minor", "sum"), ("price_id", "distinct")]
    rows = pa.concat_tables(found).group_by(names).aggregate(sums).to_pylist()
    return [
        MonthLine(
            **{name: row[name] for name in names},
            description=row["description_min"],
            quantity=row["usage_quantity_sum"],
            amount_minor=row["amount_minor_sum"],
            prices=frozenset(terms[price_id] for price_id in row["price_id_distinct"] if price_id is not None),
        )
        for row in rows
    ]


_NAMES = ("customer_id", "currency", "meter", "dimensions", "kind", "description", "quantity", "amount_minor")
_DECISIVE = ("model", "tier_from", "tier_up_to", "unit_amount", "package_size", "included", "minimum",
             "maximum", "scope", "pool", "flat_amount")  # fmt: skip
_TERMS = f"SELECT price_id::text AS price_id, tier_no, {', '.join(_DECISIVE)} FROM billing.prices"

_METERS = """
CREATE TEMP TABLE measured_meters
(currency text, meter text, aggregation text, dimensions text[], property text, events text)
"""
