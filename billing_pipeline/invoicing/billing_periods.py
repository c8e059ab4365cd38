"""The calendar of every customer: the periods billed in a month, chained to those before and after."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.core.months import month_after, month_before
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing.rules.periods import periods_billed_in
from billing_pipeline.postgres.arrow_copy import copy_arrow_in
from billing_pipeline.postgres.asset_months import owned_month, record_build
from billing_pipeline.postgres.locks import lock_billing_periods
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True)
class LaidPeriods:
    """Periods of the month: there now, added, removed because their customer changed; and those still running."""

    row_count: int
    inserted: int
    deleted: int
    not_ended: int


def build(warehouse: Warehouse, month: date, run_id: str, now: datetime) -> LaidPeriods:
    """Lay out the periods billed in `month` that have ended by `now`, without touching the other months.

    A customer's periods stay contiguous: months between the ones already laid out and this one are filled in. A change
    of zone or cycle takes effect in the first month that is laid out after it.
    """
    with owned_month(warehouse, month) as connection:
        # another month's build may fill in periods of this one, and a customer's periods are chained across months
        lock_billing_periods(connection)
        bridges = bridging_months(connection, month)
        make_calendar(connection, [*bridges, month])
        deleted = _drop_outdated(connection, month, now)
        inserted = 0
        for bridged in bridges:
            inserted += _lay(connection, bridged, month, now, bridging=True)
        inserted += _lay(connection, month, month, now, bridging=False)
        record_build(connection, "billing_periods", month, run_id)
        row_count = connection.execute(
            text("SELECT count(*) FROM billing.billing_periods WHERE billing_month = :month"), {"month": month}
        ).scalar_one()
        not_ended = connection.execute(text(_NOT_ENDED), {"month": month, "now": now}).scalar_one()
    return LaidPeriods(int(row_count), inserted, deleted, int(not_ended))


def bridging_months(connection: Connection, month: date) -> list[date]:
    """Months between this one and those of customers whose chain does not reach it, nearest to the chain first."""
    chains = connection.execute(text(load_sql("invoicing/period_chains.sql")), {"month": month}).one()
    forward, backward = [], []
    if chains.behind is not None:
        step = month_after(chains.behind)
        while step < month:
            forward.append(step)
            step = month_after(step)
    if chains.ahead is not None:
        step = month_before(chains.ahead)
        while step > month:
            backward.append(step)
            step = month_before(step)
    return forward + backward


def make_calendar(connection: Connection, months: Iterable[date]) -> None:
    """Write the periods that each zone and cycle of a customer has in these months into pg_temp.calendar."""
    kinds = connection.execute(
        text("SELECT DISTINCT timezone, billing_cycle, cycle_anchor FROM billing.customers ORDER BY 1, 2, 3")
    ).all()
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        cycle = parse_cycle(kind.billing_cycle, kind.cycle_anchor)
        rows.extend(
            {
                "timezone": kind.timezone,
                "billing_cycle": kind.billing_cycle,
                "cycle_anchor": kind.cycle_anchor,
                "billing_month": period.billing_month,
                "period_start": period.start,
                "period_end": period.end,
                "start_date": period.start_date,
                "end_date": period.end_date,
            }
            for month in months
            for period in periods_billed_in(month, kind.timezone, cycle)
        )
    connection.execute(
        text(
            """
            CREATE TEMP TABLE calendar (
                timezone text, billing_cycle text, cycle_anchor date, billing_month date,
                period_start timestamptz, period_end timestamptz, start_date date, end_date date
            ) ON COMMIT DROP
            """
        )
    )
    names = [field.name for field in _CALENDAR]
    copy_arrow_in(connection, "pg_temp.calendar", names, [pa.Table.from_pylist(rows, schema=_CALENDAR)])
    connection.execute(text("ANALYZE pg_temp.calendar"))


_FIELDS: list[tuple[str, pa.DataType]] = [
    ("timezone", pa.string()),
    ("billing_cycle", pa.string()),
    ("cycle_anchor", pa.date32()),
    ("billing_month", pa.date32()),
    ("period_start", pa.timestamp("us", "UTC")),
    ("period_end", pa.timestamp("us", "UTC")),
    ("start_date", pa.date32()),
    ("end_date", pa.date32()),
]
_CALENDAR = pa.schema(_FIELDS)


def _drop_outdated(connection: Connection, month: date, now: datetime) -> int:
    """Remove the month's periods whose customer has another zone, cycle or currency by now, and what hangs on them."""
    connection.execute(text(load_sql("invoicing/outdated_periods.sql")), {"month": month, "now": now})
    for table in ("invoices", "invoice_line_items", "usage_snapshots", "billing_periods"):
        statement = f"DELETE FROM billing.{table} WHERE period_id IN (SELECT period_id FROM pg_temp.relaid)"
        deleted = connection.execute(text(statement)).rowcount
    return deleted


def _lay(connection: Connection, month: date, target: date, now: datetime, *, bridging: bool) -> int:
    parameters = {"month": month, "target": target, "now": now, "bridging": bridging}
    wanted = load_sql("invoicing/billing_periods.sql")
    connection.execute(text(f"CREATE TEMP TABLE laid ON COMMIT DROP AS {wanted}"), parameters)
    # a customer has one first period: the old one gets its predecessor before an earlier one may be inserted
    connection.execute(text(_LINK))
    inserted = connection.execute(text(_INSERT)).rowcount
    connection.execute(text("DROP TABLE pg_temp.laid"))
    return inserted


_LINK = """
UPDATE billing.billing_periods AS p SET previous_end = p.period_start
FROM pg_temp.laid AS l
WHERE p.previous_end IS NULL AND p.customer_id = l.customer_id AND p.period_start = l.period_end
"""

_INSERT = """
INSERT INTO billing.billing_periods
(customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone, previous_end)
SELECT customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone, previous_end
FROM pg_temp.laid
"""

_NOT_ENDED = """
SELECT count(*)
FROM billing.customers AS c
JOIN pg_temp.calendar AS k ON (c.timezone, c.billing_cycle) = (k.timezone, k.billing_cycle)
    AND k.cycle_anchor IS NOT DISTINCT FROM c.cycle_anchor
WHERE k.billing_month = :month AND k.period_end > :now AND c.status <> 'inactive'
"""
