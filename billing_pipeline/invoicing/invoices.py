"""Line items of a month, and the adjustments that wait, into draft invoices."""

from datetime import date

from sqlalchemy import Connection, text

from billing_pipeline.invoicing.draft_adjustments import place_adjustments
from billing_pipeline.postgres.asset_months import Built, owned_month, record_build, version_of
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def build(warehouse: Warehouse, month: date, run_id: str, *, oldest: date = date.min) -> Built:
    """Draft an invoice for every period of the month that has lines or charges waiting, and no invoice yet.

    Existing drafts are right by constraint: whoever changes lines drops their draft first. A draft whose adjustments
    are not the ones that it would take now is dropped and drafted anew.

    An adjustment goes to an invoice that a run will charge. A draft of another month that holds one, and that no run
    will charge any more, is drafted anew without it first, so that this month's may take it.

    Args:
        warehouse: the billing database.
        month: the partition.
        run_id: who builds.
        oldest: the first month that is not too old to be charged (rules.adjustments.oldest_charged); default: any.
    """
    for passed_over in passed_over_months(warehouse, month, oldest):
        _build(warehouse, passed_over, run_id, oldest)
    return _build(warehouse, month, run_id, oldest)


def passed_over_months(warehouse: Warehouse, month: date, oldest: date, customer: str | None = None) -> list[date]:
    """Other months whose drafts hold adjustments that this month's may take; those of one customer, if one is named."""
    query = load_sql("invoicing/passed_over_months.sql")
    rows = warehouse.rows(query, month=month, oldest=oldest, customer=customer)
    return [row["billing_month"] for row in rows]


def draft(connection: Connection, month: date, run_id: str, oldest: date, customer: str | None = None) -> Built:
    """What `build` does within the month, in a transaction that owns it; of one customer alone, if one is named."""
    dropped = place_adjustments(connection, month, oldest, customer)
    scope = {"month": month, "run_id": run_id, "customer": customer}
    inserted = connection.execute(text(load_sql("invoicing/invoices.sql")), scope).rowcount
    row_count = connection.execute(text(_COUNT), scope).scalar_one()
    return Built(inserted, dropped, int(row_count))


def _build(warehouse: Warehouse, month: date, run_id: str, oldest: date) -> Built:
    with owned_month(warehouse, month) as connection:
        built = draft(connection, month, run_id, oldest)
        built_from = version_of(connection, "invoice_line_items", month)
        record_build(connection, "invoices", month, run_id, built_from=built_from)
    return built


_COUNT = """
SELECT count(*) FROM billing.invoices
WHERE billing_month = :month AND (CAST(:customer AS text) IS NULL OR customer_id = :customer)
"""
