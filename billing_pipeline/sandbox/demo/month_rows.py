"""What Postgres has of the demo's month: the rows that its tables and checks are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

_COVERAGE = "SELECT customer_id, invoice_id, reason FROM billing.invoice_coverage(:month) ORDER BY customer_id"

_ALL_IDS = "SELECT invoice_id::text AS invoice_id FROM billing.invoices"

_NUMBERS = """
SELECT count(*) AS count, coalesce(max(invoice_number), 0) AS last FROM billing.invoices WHERE status <> 'draft'
"""


@dataclass(frozen=True, slots=True)
class Month:
    """What Postgres has of the month. Rows are those of `sql/sandbox/demo_*.sql`."""

    month: date
    invoices: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]
    quarantine: Sequence[Mapping[str, Any]]
    coverage: Sequence[Mapping[str, Any]]
    unbalanced_usage: Sequence[Mapping[str, Any]]
    event_count: int
    all_invoice_ids: frozenset[str]
    """Of every month."""
    numbers: tuple[int, int]
    """Finalised invoices of every month, and the highest number."""


def read_month(warehouse: Warehouse, month: date) -> Month:
    """Read the month's rows."""
    usage = warehouse.rows(load_sql("sandbox/demo_usage.sql"), month=month)
    finalised = warehouse.rows(_NUMBERS)[0]
    return Month(
        month=month,
        invoices=warehouse.rows(load_sql("sandbox/demo_invoices.sql"), month=month),
        lines=warehouse.rows(load_sql("sandbox/demo_lines.sql"), month=month),
        quarantine=warehouse.rows(load_sql("sandbox/demo_quarantine.sql"), month=month),
        coverage=warehouse.rows(_COVERAGE, month=month),
        unbalanced_usage=[row for row in usage if row["events"] != row["accounted"]],
        event_count=sum(int(row["events"]) for row in usage),
        all_invoice_ids=frozenset(row["invoice_id"] for row in warehouse.rows(_ALL_IDS)),
        numbers=(int(finalised["count"]), int(finalised["last"])),
    )
