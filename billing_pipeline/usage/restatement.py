"""Another version of a billed period's snapshots, where the usage known by now gives something else."""

from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.postgres.connections import joined_in_bulk
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.usage.measuring import TOO_MUCH_OR_LITTLE, measurement, set_aside_unmeasurable

COLUMNS = "period_id, meter, dimensions, customer_id, billing_month, currency, quantity, event_count, as_of, basis"


def restate(connection: Connection, parameters: dict[str, Any]) -> int:
    """Measure the periods that are covered and write a version of each that differs; returns how many.

    A look further back than a period's last version writes nothing: what was known then is no news.
    """
    connection.execute(text("DROP TABLE IF EXISTS pg_temp.measured, pg_temp.restated_periods"))
    with joined_in_bulk(connection):
        connection.execute(text(f"CREATE TEMP TABLE measured ON COMMIT DROP AS {measurement()}"), parameters)
        if set_aside_unmeasurable(connection, "measured"):
            connection.execute(text(_AS_KNOWN))
            connection.execute(text(f"DELETE FROM pg_temp.measured WHERE {TOO_MUCH_OR_LITTLE}"))
        connection.execute(text("ANALYZE pg_temp.measured"))
        restated = connection.execute(
            text(f"CREATE TEMP TABLE restated_periods ON COMMIT DROP AS {load_sql('usage/restated_periods.sql')}"),
            parameters,
        ).rowcount
    if restated:
        connection.execute(text(_VERSIONS), parameters)
        connection.execute(text(_ROWS), parameters)
    return restated


# what cannot be measured is unknown, not nothing: the period keeps what it says, and its usage goes to quarantine
_AS_KNOWN = """
UPDATE pg_temp.measured AS m SET quantity = c.quantity, event_count = c.event_count, basis = c.basis
FROM billing.current_snapshots AS c, pg_temp.unmeasurable AS u
WHERE (c.period_id, c.meter, c.dimensions) = (m.period_id, m.meter, m.dimensions)
    AND (u.period_id, u.meter, u.dimensions) = (m.period_id, m.meter, m.dimensions)
"""
_VERSIONS = """
INSERT INTO billing.snapshot_versions
(period_id, snapshot_version, customer_id, billing_month, currency, as_of, run_id)
SELECT r.period_id, r.snapshot_version, p.customer_id, p.billing_month, p.currency, :as_of, :run_id
FROM pg_temp.restated_periods AS r JOIN billing.billing_periods AS p USING (period_id)
"""
_ROWS = f"""
INSERT INTO billing.restated_snapshots (snapshot_version, {COLUMNS}, aggregation, run_id)
SELECT r.snapshot_version, {COLUMNS}, m.aggregation, m.run_id
FROM pg_temp.measured AS m JOIN pg_temp.restated_periods AS r USING (period_id)
"""
