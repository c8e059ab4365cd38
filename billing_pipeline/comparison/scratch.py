"""Scratch tables of a month that is built beside the books, and the month's own measurement into them."""

from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.usage.measuring import measurement


def make_tables(connection: Connection, *, on_commit: str) -> None:
    """Create pg_temp.relaid, measured_periods and measured, empty.

    Args:
        connection: a transaction that may create tables.
        on_commit: what a commit does to them: `DROP` or `PRESERVE ROWS`.
    """
    for table in _TABLES:
        connection.execute(text(f"CREATE TEMP TABLE {table} ON COMMIT {on_commit}"))
    columns = f"{_MEASURED} FROM billing.usage_snapshots WITH NO DATA"
    connection.execute(text(f"CREATE TEMP TABLE measured ON COMMIT {on_commit} AS SELECT {columns}"))


def measure(connection: Connection, parameters: dict[str, Any], condition: str = "TRUE") -> None:
    """Measure pg_temp.measured_periods by pg_temp.measured_meters into pg_temp.measured: rows that meet a condition."""
    connection.execute(
        text(f"INSERT INTO pg_temp.measured SELECT * FROM ({measurement()}) AS m WHERE {condition}"), parameters
    )
    connection.execute(text("ANALYZE pg_temp.measured"))


_MEASURED = (
    "period_id, meter, dimensions, customer_id, billing_month, currency, quantity, event_count, as_of, basis, run_id,"
    " aggregation"
)
# the period's columns are those that sql/usage/usage_snapshots.sql and sql/comparison/shadow_input.sql read
_TABLES = (
    "relaid (period_id uuid, customer_id text, period_start timestamptz)",
    """measured_periods (
        period_id uuid, customer_id text, currency text, period_start timestamptz, period_end timestamptz,
        previous_end timestamptz, start_date date, end_date date, full_days integer, plan text, in_trial boolean,
        may_carry boolean
    )""",
)
