"""Line items of a month into draft invoices."""

from datetime import date

from sqlalchemy import text

from billing_pipeline.adapters.builds.month import (
    Built,
    count_rows,
    owned_month,
    record_build,
    version_of,
)
from billing_pipeline.adapters.warehouse import Warehouse, load_sql


def build(warehouse: Warehouse, month: date, run_id: str) -> Built:
    """Draft an invoice for every period of the month that has lines and no invoice yet.

    Existing drafts are right by constraint: whoever changes lines drops their draft first.
    """
    with owned_month(warehouse, month) as connection:
        parameters = {"month": month, "run_id": run_id}
        inserted = connection.execute(text(load_sql("assets/invoices.sql")), parameters).rowcount
        built_from = version_of(connection, "invoice_line_items", month)
        record_build(connection, "invoices", month, run_id, built_from=built_from)
        row_count = count_rows(connection, "invoices", month)
    return Built(inserted, 0, row_count)
