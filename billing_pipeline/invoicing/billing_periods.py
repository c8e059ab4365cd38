"""The calendar of every customer: the periods billed in a month, chained to those before and after."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.core.months import month_after, month_before
from billing_pipeline.core.timezones import start_of_day
from billing_pipeline.customers.rules.billing_cycle import parse_cycle
from billing_pipeline.invoicing.rules.periods import periods_touching
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
        laid = lay_out(connection, month, now)
        record_build(connection, "billing_periods", month, run_id)
    return laid


def lay_out(connection: Connection, month: date, now: datetime, customer: str | None = None) -> LaidPeriods:
    """What `build` does, in a transaction that owns the month; of one customer alone, if one is named."""
    # another month's build may fill in periods of this one, and a customer's periods are chained across months
    lock_billing_periods(connection)
    read_contracts(connection, None if customer is None else [customer])
    bridges = bridging_months(connection, month)
    make_parts(connection, [*bridges, month])
    deleted = _drop_outdated(connection, month, now, customer)
    inserted = 0
    for bridged in bridges:
        inserted += _lay(connection, bridged, month, now, bridging=True)
    inserted += _lay(connection, month, month, now, bridging=False)
    counts = connection.execute(text(_COUNTS), {"month": month, "now": now, "customer": customer}).one()
    return LaidPeriods(int(counts.laid), inserted, deleted, int(counts.not_ended))


def read_contracts(connection: Connection, customers: Sequence[str] | None = None) -> None:
    """Copy billing.contracts, as they are now, into pg_temp.contracts_now; only of these customers, if some are named.

    What is laid out from that table is laid out for them alone.
    """
    which = "" if customers is None else "WHERE customer_id = ANY(:customers)"
    connection.execute(
        text(f"CREATE TEMP TABLE contracts_now ON COMMIT DROP AS SELECT * FROM billing.contracts {which}"),
        {"customers": customers} if customers is not None else {},
    )
    if customers is None:  # of a few it would cost more than it saves
        connection.execute(text("CREATE INDEX ON pg_temp.contracts_now (customer_id)"))
    connection.execute(text("ANALYZE pg_temp.contracts_now"))


def bridging_months(connection: Connection, month: date) -> list[date]:
    """Months between this one and those of customers whose chain does not reach it, nearest to the chain first.

    A chain that a contract ended reaches as far as it should. Customers are those of pg_temp.contracts_now.
    """
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


def make_parts(connection: Connection, months: Iterable[date]) -> None:
    """Write what is billed in these months by the contracts of now into pg_temp.contract_parts.

    A part is a period of the customer's cycle, or as much of one as lies within one stretch of its contract
    (sql/invoicing/contract_parts.sql has the columns).
    """
    wanted = sorted(set(months))
    kinds = connection.execute(
        text(
            "SELECT DISTINCT timezone, billing_cycle, cycle_anchor FROM billing.customers"
            " WHERE customer_id IN (SELECT customer_id FROM pg_temp.contracts_now) ORDER BY 1, 2, 3"
        )
    ).all()
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        cycle = parse_cycle(kind.billing_cycle, kind.cycle_anchor)
        periods = {period for month in wanted for period in periods_touching(month, kind.timezone, cycle)}
        rows.extend(
            {
                "timezone": kind.timezone,
                "billing_cycle": kind.billing_cycle,
                "cycle_anchor": kind.cycle_anchor,
                "period_start": period.start,
                "period_end": period.end,
                "start_date": period.start_date,
                "end_date": period.end_date,
                "full_days": cycle.full_days(period.start_date, period.end_date),
            }
            for period in sorted(periods, key=lambda period: period.start)
        )
    _fill(connection, "calendar", _CALENDAR, rows)
    fill_days(connection, connection.execute(text(_CUTS)).all())
    connection.execute(
        text(f"CREATE TEMP TABLE contract_parts ON COMMIT DROP AS {load_sql('invoicing/contract_parts.sql')}"),
        {"months": wanted},
    )
    connection.execute(text("ANALYZE pg_temp.contract_parts"))


def fill_days(connection: Connection, cuts: Iterable[Any]) -> None:
    """Write the first instants of days, rows of `timezone` and `day`, into pg_temp.contract_days."""
    days = [{"timezone": cut.timezone, "day": cut.day, "instant": start_of_day(cut.day, cut.timezone)} for cut in cuts]
    _fill(connection, "contract_days", _DAYS, days)


def _fill(connection: Connection, table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    columns = ", ".join(f"{field.name} {_TYPES[str(field.type)]}" for field in schema)
    connection.execute(text(f"CREATE TEMP TABLE {table} ({columns}) ON COMMIT DROP"))
    names = [field.name for field in schema]
    copy_arrow_in(connection, f"pg_temp.{table}", names, [pa.Table.from_pylist(rows, schema=schema)])
    connection.execute(text(f"ANALYZE pg_temp.{table}"))


_INSTANT = pa.timestamp("us", "UTC")
_TYPES = {"string": "text", "date32[day]": "date", "int64": "integer", str(_INSTANT): "timestamptz"}
_FIELDS: list[tuple[str, pa.DataType]] = [
    ("timezone", pa.string()),
    ("billing_cycle", pa.string()),
    ("cycle_anchor", pa.date32()),
    ("period_start", _INSTANT),
    ("period_end", _INSTANT),
    ("start_date", pa.date32()),
    ("end_date", pa.date32()),
    ("full_days", pa.int64()),
]
_CALENDAR = pa.schema(_FIELDS)
_DAY_FIELDS: list[tuple[str, pa.DataType]] = [("timezone", pa.string()), ("day", pa.date32()), ("instant", _INSTANT)]
_DAYS = pa.schema(_DAY_FIELDS)
_CUTS = """
SELECT DISTINCT c.timezone, d.day
FROM pg_temp.contracts_now AS k
JOIN billing.customers AS c USING (customer_id)
CROSS JOIN LATERAL (VALUES (k.starts_on), (k.ends_on + 1)) AS d (day)
WHERE d.day > (SELECT min(start_date) FROM pg_temp.calendar) AND d.day < (SELECT max(end_date) FROM pg_temp.calendar)
"""


def _drop_outdated(connection: Connection, month: date, now: datetime, customer: str | None) -> int:
    """Remove the month's periods whose customer has another zone, cycle, currency or contract by now.

    What hangs on them goes too.
    """
    connection.execute(text("CREATE INDEX ON pg_temp.contract_parts (customer_id)"))
    scope = {"month": month, "now": now, "customer": customer}
    connection.execute(text(load_sql("invoicing/outdated_periods.sql")), scope)
    for table in ("invoices", "invoice_line_items", "usage_snapshots", "billing_periods"):
        statement = f"DELETE FROM billing.{table} WHERE period_id IN (SELECT period_id FROM pg_temp.relaid)"
        deleted = connection.execute(text(statement)).rowcount
    return deleted


def _lay(connection: Connection, month: date, target: date, now: datetime, *, bridging: bool) -> int:
    parameters = {"months": [month], "month": month, "target": target, "now": now, "bridging": bridging}
    wanted = load_sql("invoicing/billing_periods.sql")
    connection.execute(text(f"CREATE TEMP TABLE laid ON COMMIT DROP AS {wanted}"), parameters)
    # a period has one successor: the old one gets its new predecessor before that one may be inserted
    connection.execute(text(load_sql("invoicing/link_periods.sql")))
    inserted = connection.execute(text(_INSERT)).rowcount
    connection.execute(text("DROP TABLE pg_temp.laid"))
    return inserted


_INSERT = """
INSERT INTO billing.billing_periods (
    customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone, previous_end,
    follows_end, plan, full_days, in_trial
)
SELECT
    customer_id, billing_month, currency, period_start, period_end, start_date, end_date, timezone, previous_end,
    follows_end, plan, full_days, in_trial
FROM pg_temp.laid
"""

_COUNTS = """
SELECT
    (
        SELECT count(*) FROM billing.billing_periods AS p
        WHERE p.billing_month = :month AND (CAST(:customer AS text) IS NULL OR p.customer_id = :customer)
    ) AS laid,
    (
        SELECT count(*)
        FROM pg_temp.contract_parts AS k
        JOIN billing.customers AS c USING (customer_id)
        WHERE k.billing_month = :month AND k.period_end > :now AND c.status <> 'inactive'
    ) AS not_ended
"""
