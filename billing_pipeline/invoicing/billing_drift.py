"""Billed months against what today's usage and prices give, line by line."""

from contextlib import closing
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from sqlalchemy import text

from billing_pipeline.invoicing.invoice_line_items import quarantine_unpriced
from billing_pipeline.invoicing.period_terms import BILLED, terms_of_periods
from billing_pipeline.invoicing.rated_lines import LINE_COLUMNS, rated_lines
from billing_pipeline.invoicing.recut_periods import rate_parts, recut
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.asset_months import Built, count_rows, owned_month, record_build, version_of
from billing_pipeline.postgres.connections import joined_in_bulk
from billing_pipeline.postgres.replace_rows import replace_rows
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.prices_in_use import prices_in_use
from billing_pipeline.pricing.terms import terms_in_use

KEY = ("period_id", "meter", "dimensions", "kind")


@dataclass(frozen=True)
class BuiltDrift(Built):
    """Also how many finalised invoices were compared."""

    compared_invoices: int


def build(warehouse: Warehouse, month: date, run_id: str) -> BuiltDrift:
    """Compare the month's finalised invoices that are not void with what the newest snapshots and the prices give.

    Nothing that is billed is touched, and nothing is settled. Usage that came in after the billing and cannot be
    priced goes to quarantine.
    """
    with owned_month(warehouse, month) as connection:
        scope = {"month": month, "run_id": run_id}
        compared = connection.execute(
            text("SELECT count(*) FROM billing.invoices WHERE billing_month = :month AND billing.is_final(status)"),
            scope,
        ).scalar_one()
        connection.execute(
            text(
                "CREATE TEMP TABLE current_lines ON COMMIT DROP AS"
                " SELECT * FROM billing.invoice_line_items WITH NO DATA"
            )
        )
        unpriced: list[pa.Table] = []
        if compared:
            # a second connection, as for the line items; the month's lock keeps what it reads still
            with warehouse.engine.connect() as reader, joined_in_bulk(reader):
                snapshots = load_sql("invoicing/billing_drift_input.sql")
                prices = prices_in_use(reader)
                in_force = terms_in_use(reader, prices)
                terms = terms_of_periods(reader, BILLED, scope, in_force)
                with closing(rated_lines(reader, snapshots, scope, prices, unpriced, terms)) as lines:
                    copy_arrow_in(connection, "pg_temp.current_lines", LINE_COLUMNS, lines)
                if recut(connection, month):
                    rate_parts(connection, scope, month, prices, in_force, unpriced)
            connection.execute(text("ANALYZE pg_temp.current_lines"))
        else:
            connection.execute(text("CREATE TEMP TABLE recut (period_id uuid) ON COMMIT DROP"))
        change = replace_rows(
            connection,
            "billing.billing_drift",
            load_sql("invoicing/billing_drift.sql"),
            "t.billing_month = :month",
            scope,
            key=KEY,
            ignore=("run_id", "as_of"),
        )
        quarantine_unpriced(connection, "billing_drift", "t.billing_month = :month", unpriced, month, run_id)
        connection.execute(text(_KNOWN_BEFORE), scope)
        record_build(connection, "billing_drift", month, run_id, built_from=version_of(connection, "invoices", month))
        row_count = count_rows(connection, "billing_drift", month)
    return BuiltDrift(change.inserted, change.deleted, row_count, int(compared))


_KNOWN_BEFORE = """
DELETE FROM billing.usage_quarantine AS q
USING billing.usage_quarantine AS known
WHERE q.billing_month = :month AND q.stage = 'billing_drift'
    AND known.billing_month = :month AND known.stage = 'invoice_line_items'
    AND (q.period_id, q.meter, q.dimensions) = (known.period_id, known.meter, known.dimensions)
"""
