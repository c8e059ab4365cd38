"""What a measurement of usage covers: the periods and meters that sql/usage/usage_snapshots.sql finds in pg_temp."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.core.months import first_of, month_after
from billing_pipeline.postgres.sql_files import load_sql

FINALISED = """EXISTS (
    SELECT FROM billing.invoices AS i
    WHERE i.period_id = p.period_id AND i.billing_month = p.billing_month AND billing.is_final(i.status)
)"""

TOO_MUCH_OR_LITTLE = "(quantity < 0 OR quantity >= 1e18)"
"""Measured quantities that cannot be billed: below zero, or beyond what numeric(30,12) holds."""


def measure_open_periods(connection: Connection, month: date, customer: str | None = None) -> None:
    """Cover the month's periods that may still be drafted anew. Any of them may be released with carry-forward."""
    _cover(
        connection,
        month,
        customer,
        "TRUE",
        f"INNER JOIN billing.customers AS c USING (customer_id) WHERE c.status <> 'inactive' AND NOT {FINALISED}",
    )


def measure_billed_periods(connection: Connection, month: date, customer: str | None = None) -> int:
    """Cover the month's periods behind a finalised invoice; returns how many there are.

    A customer who left since then was one when the period ran, so its status does not matter. Carry-forward stays with
    those that were billed so, until the feed has caught up with them.
    """
    carried = """EXISTS (
        SELECT FROM billing.usage_snapshots AS s WHERE s.period_id = p.period_id AND s.basis = 'carried_forward'
    )"""
    return _cover(connection, month, customer, carried, f"WHERE {FINALISED}")


def bounds(connection: Connection, month: date) -> dict[str, Any]:
    """The parameters of a measurement that follow from the month: where its periods and its days begin and end."""
    found = connection.execute(
        text(
            "SELECT coalesce(min(period_start), :first) AS first_start, coalesce(max(period_end), :last) AS last_end"
            " FROM billing.billing_periods WHERE billing_month = :month"
        ),
        {"month": month, "first": first_of(month), "last": first_of(month_after(month))},
    ).one()
    return {
        "month": month,
        "first_start": found.first_start,
        "last_end": found.last_end,
        "month_start": first_of(month),
        "month_end": first_of(month_after(month)),
    }


def feed_reach(connection: Connection, as_of: datetime, default: datetime) -> datetime:
    """How far the feed was complete by `as_of`, at most `default`; that too if no import told how far it goes."""
    reach = connection.execute(
        text("SELECT max(complete_through) FROM billing.usage_imports WHERE received_at <= :as_of"), {"as_of": as_of}
    ).scalar()
    return default if reach is None else min(reach, default)


def measurement() -> str:
    """The SELECT that measures what is covered. It may give quantities that cannot be billed: TOO_MUCH_OR_LITTLE."""
    return load_sql("usage/usage_snapshots.sql")


def start_setting_aside(connection: Connection) -> None:
    """Make the empty pg_temp.unmeasurable, which sql/usage/usage_quarantine.sql takes into quarantine."""
    connection.execute(text("DROP TABLE IF EXISTS pg_temp.unmeasurable"))
    connection.execute(text(load_sql("usage/unmeasurable.sql")))


def set_aside_unmeasurable(connection: Connection, table: str) -> int:
    """Note the rows of pg_temp.`table` whose quantity cannot be billed; returns how many there are."""
    return connection.execute(
        text(
            "INSERT INTO pg_temp.unmeasurable"
            " SELECT period_id, customer_id, meter, dimensions, quantity, event_count,"
            "   CASE WHEN quantity < 0 THEN 'negative quantity' ELSE 'a quantity larger than can be billed' END"
            f" FROM pg_temp.{table} WHERE {TOO_MUCH_OR_LITTLE}"
        )
    ).rowcount


def _cover(connection: Connection, month: date, customer: str | None, may_carry: str, which: str) -> int:
    connection.execute(text("DROP TABLE IF EXISTS pg_temp.measured_periods, pg_temp.measured_meters"))
    count = connection.execute(
        text(
            f"""
            CREATE TEMP TABLE measured_periods ON COMMIT DROP AS
            SELECT p.period_id, p.customer_id, p.currency, p.period_start, p.period_end, p.previous_end,
                {may_carry} AS may_carry
            FROM billing.billing_periods AS p {which} AND p.billing_month = :month
                AND (CAST(:customer AS text) IS NULL OR p.customer_id = :customer)
            """
        ),
        {"month": month, "customer": customer},
    ).rowcount
    connection.execute(
        text(
            "CREATE TEMP TABLE measured_meters ON COMMIT DROP AS SELECT * FROM billing.meters; ANALYZE measured_periods"
        )
    )
    return count
