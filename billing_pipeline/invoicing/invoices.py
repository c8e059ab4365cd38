"""Line items of a month, and the adjustments that wait, into draft invoices."""

from datetime import date

from sqlalchemy import text

from billing_pipeline.invoicing.draft_adjustments import place_adjustments
from billing_pipeline.postgres.asset_months import Built, count_rows, owned_month, record_build, version_of
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
    query = load_sql("invoicing/passed_over_months.sql")
    for row in warehouse.rows(query, month=month, oldest=oldest):
        _build(warehouse, row["billing_month"], run_id, oldest)
    return _build(warehouse, month, run_id, oldest)


def _build(warehouse: Warehouse, month: date, run_id: str, oldest: date) -> Built:
    with owned_month(warehouse, month) as connection:
        parameters = {"month": month, "run_id": run_id}
        dropped = place_adjustments(connection, month, oldest)
        inserted = connection.execute(text(load_sql("invoicing/invoices.sql")), parameters).rowcount
        built_from = version_of(connection, "invoice_line_items", month)
        record_build(connection, "invoices", month, run_id, built_from=built_from)
        row_count = count_rows(connection, "invoices", month)
    return Built(inserted, dropped, row_count)
