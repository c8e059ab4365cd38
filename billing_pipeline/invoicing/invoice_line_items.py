"""Usage snapshots through `pricing/rules/rating.py` into line items: streamed out, rated in Arrow, streamed in."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.invoicing.period_terms import OPEN, terms_of_periods
from billing_pipeline.invoicing.quarantine_worth import value_quarantine
from billing_pipeline.invoicing.rated_lines import BLOCK_BYTES, LINE_COLUMNS, constant, rated_lines
from billing_pipeline.invoicing.rules.invoice_ids import invoice_id
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.asset_months import (
    Built,
    CutOff,
    count_rows,
    owned_month,
    record_build,
    record_customer_build,
    version_of,
)
from billing_pipeline.postgres.connections import joined_in_bulk
from billing_pipeline.postgres.replace_rows import replace_rows
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.code_version import code_version
from billing_pipeline.pricing.prices_in_use import prices_in_use
from billing_pipeline.pricing.terms import terms_in_use
from billing_pipeline.usage.usage_snapshots import OPEN_PERIODS, QUARANTINE_KEY

OPEN_LINES = f"""{OPEN_PERIODS} AND NOT EXISTS (
    SELECT FROM billing.invoices AS v WHERE v.invoice_id = t.invoice_id AND v.status = 'void'
)"""
"""Lines that may still be rebuilt: those of a void invoice stay, the next revision gets lines of its own."""

_COLUMNS = (*LINE_COLUMNS, "billing_month", "run_id", "code_version")
_UNPRICED = (
    "billing_month",
    "stage",
    "customer_id",
    "meter",
    "dimensions",
    "period_id",
    "reason",
    "quantity",
    "event_count",
    "run_id",
)


@dataclass(frozen=True)
class BuiltLines(Built):
    """Also the snapshots that could not be priced, now in quarantine."""

    unpriced_snapshots: int


def build(warehouse: Warehouse, month: date, run_id: str, *, block_bytes: int = BLOCK_BYTES) -> BuiltLines:
    """Price the month's snapshots whose period has no finalised invoice.

    Invoices whose lines come out as they were are left alone; a draft whose lines differ is dropped with them, and the
    invoices asset drafts it anew. What has no price, or is too large to be billed, goes to quarantine.
    """
    with owned_month(warehouse, month) as connection:
        scope: dict[str, Any] = {"month": month, "customer": None}
        with joined_in_bulk(connection):
            fresh = not connection.execute(
                text(f"SELECT EXISTS (SELECT FROM billing.invoice_line_items AS t WHERE {OPEN_LINES})"), scope
            ).scalar()
        target = "billing.invoice_line_items"
        if not fresh:
            connection.execute(text(_BUILT_LINES))
            target = "pg_temp.built_lines"
        unpriced: list[pa.Table] = []
        # COPY out and COPY in at once need two connections; the month's lock keeps the reader's rows still. An error
        # must end the COPY out before its connection is given back, which would wait for it for ever
        with warehouse.engine.connect() as reader, joined_in_bulk(reader):
            used = CutOff(known_until=reader.execute(text("SELECT clock_timestamp()")).scalar_one())
            with closing(_rated(reader, scope, unpriced, block_bytes)) as lines:
                revised = _revised(lines, _reissued(connection, scope))
                written = copy_arrow_in(connection, target, _COLUMNS, _recorded(revised, month, run_id))
        deleted = 0
        if not fresh:
            deleted, written = _replace_changed(connection, scope)
        _set_aside(connection, scope, unpriced, run_id)
        record_build(
            connection,
            "invoice_line_items",
            month,
            run_id,
            built_from=version_of(connection, "usage_snapshots", month),
            cut_off=used,
        )
        row_count = count_rows(connection, "invoice_line_items", month)
    return BuiltLines(written, deleted, row_count, sum(table.num_rows for table in unpriced))


def price_customer(connection: Connection, month: date, customer: str, run_id: str) -> BuiltLines:
    """What `build` does, of one customer alone, in a transaction that owns the month."""
    scope = {"month": month, "customer": customer}
    connection.execute(text(_BUILT_LINES))
    unpriced: list[pa.Table] = []
    used = CutOff(known_until=connection.execute(text("SELECT clock_timestamp()")).scalar_one())
    with joined_in_bulk(connection), closing(_rated(connection, scope, unpriced, BLOCK_BYTES)) as lines:
        # all of them before the first is written: this is the connection that they are read from
        tables = list(_recorded(_revised(lines, _reissued(connection, scope)), month, run_id))
    rated = copy_arrow_in(connection, "pg_temp.built_lines", _COLUMNS, tables)
    deleted, written = _replace_changed(connection, scope)
    _set_aside(connection, scope, unpriced, run_id)
    record_customer_build(connection, "invoice_line_items", month, customer, run_id, used)
    return BuiltLines(written, deleted, rated, sum(table.num_rows for table in unpriced))


def _rated(
    reader: Connection, scope: dict[str, Any], unpriced: list[pa.Table], block_bytes: int
) -> Generator[pa.Table]:
    """The lines of the snapshots in scope, by the prices and terms of now."""
    prices = prices_in_use(reader)
    terms = terms_of_periods(reader, OPEN, scope, terms_in_use(reader, prices))
    snapshots = load_sql("invoicing/invoice_line_items_input.sql")
    return rated_lines(reader, snapshots, scope, prices, unpriced, terms, block_bytes)


def _set_aside(connection: Connection, scope: dict[str, Any], unpriced: list[pa.Table], run_id: str) -> None:
    """Put what has no price into quarantine, and a worth on all that is there."""
    month, customer = scope["month"], scope["customer"]
    quarantine_unpriced(connection, "invoice_line_items", OPEN_PERIODS, unpriced, month, run_id, customer)
    value_quarantine(connection, month, customer)


def _reissued(connection: Connection, scope: dict[str, Any]) -> dict[str, str]:
    """For periods whose invoice was voided: the id of their first invoice, and of the revision that comes next."""
    voided = connection.execute(text(_VOIDED), scope)
    return {
        str(invoice_id(row.customer_id, row.period_start)): str(
            invoice_id(row.customer_id, row.period_start, row.revision)
        )
        for row in voided
    }


def _revised(tables: Iterator[pa.Table], reissued: dict[str, str]) -> Iterator[pa.Table]:
    """Put the lines of a period whose invoice was voided on the revision that comes next."""
    for table in tables:
        if not reissued:
            yield table
            continue
        first_ids: list[Any] = table["invoice_id"].to_pylist()
        ids = [reissued.get(first_id, first_id) for first_id in first_ids]
        place = table.column_names.index("invoice_id")
        yield table.set_column(place, "invoice_id", pa.array(ids, pa.string()))


def _recorded(tables: Iterator[pa.Table], month: date, run_id: str) -> Iterator[pa.Table]:
    """Add the month, the run and the code."""
    for table in tables:
        dated = constant(table, "billing_month", month.isoformat())
        yield constant(constant(dated, "run_id", run_id), "code_version", code_version())


_BUILT_LINES = """
CREATE TEMP TABLE built_lines ON COMMIT DROP AS SELECT * FROM billing.invoice_line_items WITH NO DATA
"""
_VOIDED = """
SELECT p.customer_id, p.period_start, max(i.revision) + 1 AS revision
FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)
WHERE i.billing_month = :month AND i.status = 'void' AND i.supplement_no = 0
GROUP BY p.customer_id, p.period_start
"""


def _replace_changed(connection: Connection, scope: dict[str, Any]) -> tuple[int, int]:
    """Replace the lines of those invoices that came out differently; returns rows deleted and inserted."""
    compared = [name for name in _COLUMNS if name not in ("run_id", "code_version")]
    names = ", ".join(compared)
    connection.execute(text("ANALYZE pg_temp.built_lines"))
    with joined_in_bulk(connection):
        connection.execute(
            text(load_sql("invoicing/changed_invoices.sql").format(names=names, open_lines=OPEN_LINES)),
            scope,
        )
    connection.execute(
        text("DELETE FROM billing.invoices WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)")
    )
    deleted = connection.execute(
        text("DELETE FROM billing.invoice_line_items WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)")
    ).rowcount
    all_names = ", ".join(_COLUMNS)
    inserted = connection.execute(
        text(
            f"INSERT INTO billing.invoice_line_items ({all_names}) SELECT {all_names} FROM pg_temp.built_lines"
            " WHERE invoice_id IN (SELECT invoice_id FROM pg_temp.changed)"
        )
    ).rowcount
    return deleted, inserted


def quarantine_unpriced(
    connection: Connection,
    stage: str,
    scope: str,
    unpriced: list[pa.Table],
    month: date,
    run_id: str,
    customer: str | None = None,
) -> None:
    """Make the quarantine of a stage and month, within `scope`, what rating set aside.

    `customer`: the parameter of that name in `scope`; null means everybody.
    """
    connection.execute(
        text("CREATE TEMP TABLE unpriced ON COMMIT DROP AS SELECT * FROM billing.usage_quarantine WITH NO DATA")
    )
    rows = [constant(table, "stage", stage) for table in _recorded(iter(unpriced), month, run_id)]
    if rows:
        copy_arrow_in(connection, "pg_temp.unpriced", _UNPRICED, rows)
    replace_rows(
        connection,
        "billing.usage_quarantine",
        "SELECT * FROM pg_temp.unpriced",
        f"{scope} AND t.stage = '{stage}'",
        {"month": month, "customer": customer},
        key=QUARANTINE_KEY,
        ignore=("run_id", "worth_minor"),
    )
