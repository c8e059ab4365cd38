"""Billed periods that the contracts of now cut otherwise: what they would come to, measured and rated part by part.

Here: pg_temp tables that the comparison of billed months reads. Nothing that is billed is touched.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import date

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.invoicing.billing_periods import fill_days, read_contracts
from billing_pipeline.invoicing.period_terms import MEASURED, terms_of_periods
from billing_pipeline.invoicing.rated_lines import LINE_COLUMNS, rated_lines
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.pricing.rules.terms_in_force import TermsInForce
from billing_pipeline.usage.measuring import TOO_MUCH_OR_LITTLE, bounds, measurement


def recut(connection: Connection, month: date) -> int:
    """Write the month's billed periods that lie outside a contract, or on another plan, into pg_temp.recut.

    Their parts of now go into pg_temp.measured_periods, with pg_temp.measured_meters. Returns how many periods.
    """
    scope = {"month": month}
    read_contracts(connection)
    count = connection.execute(
        text(f"CREATE TEMP TABLE recut ON COMMIT DROP AS {load_sql('invoicing/recut_periods.sql')}"), scope
    ).rowcount
    if count:
        fill_days(connection, connection.execute(text(_CUTS)).all())
        parts = load_sql("invoicing/recut_parts.sql")
        connection.execute(text(f"CREATE TEMP TABLE measured_periods ON COMMIT DROP AS {parts}"))
        connection.execute(
            text("CREATE TEMP TABLE measured_meters ON COMMIT DROP AS SELECT * FROM billing.meters"),
        )
    return count


def rate_parts(
    connection: Connection,
    scope: Mapping[str, object],
    month: date,
    prices: pa.Table,
    in_force: TermsInForce,
    unpriced: list[pa.Table],
) -> None:
    """Put the lines of the parts into pg_temp.current_lines, in place of those of the whole periods."""
    span = bounds(connection, month)
    own = connection.execute(text(_SPAN), scope).one()
    parameters = {**span, **scope, **own._mapping, "carried_forward_from": own.last_end}
    measured = f"SELECT * FROM ({measurement()}) AS m WHERE {TOO_MUCH_OR_LITTLE} IS NOT TRUE"
    connection.execute(text(f"CREATE TEMP TABLE measured ON COMMIT DROP AS {measured}"), parameters)
    terms = terms_of_periods(connection, MEASURED, {}, in_force)
    parts = load_sql("comparison/shadow_input.sql")
    with closing(rated_lines(connection, parts, {}, prices, unpriced, terms)) as lines:
        tables = list(lines)
    connection.execute(
        text("DELETE FROM pg_temp.current_lines WHERE period_id IN (SELECT r.period_id FROM pg_temp.recut AS r)")
    )
    copy_arrow_in(connection, "pg_temp.current_lines", LINE_COLUMNS, tables)
    connection.execute(
        text(
            "UPDATE pg_temp.current_lines AS l SET period_id = p.billed_period_id"
            " FROM pg_temp.measured_periods AS p WHERE l.period_id = p.period_id"
        )
    )


_CUTS = """
SELECT DISTINCT r.timezone, d.day
FROM pg_temp.recut AS r
JOIN pg_temp.contracts_now AS k USING (customer_id)
CROSS JOIN LATERAL (VALUES (k.starts_on), (k.ends_on + 1)) AS d (day)
WHERE d.day > r.start_date AND d.day < r.end_date
"""
_SPAN = """
SELECT
    coalesce(min(p.period_start), clock_timestamp()) AS first_start,
    coalesce(max(p.period_end), clock_timestamp()) AS last_end,
    coalesce((
        SELECT m.as_of FROM billing.asset_months AS m WHERE m.asset = 'usage_snapshots' AND m.billing_month = :month
    ), clock_timestamp()) AS as_of
FROM pg_temp.measured_periods AS p
"""
