"""The books as people look at them: compared with Stripe, closed, healthy, searched. Changes nothing, asks nobody."""

from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


def last_reconciliation(warehouse: Warehouse) -> dict[str, Any] | None:
    """The newest comparison as billing.stripe_reconciliations has it, with its `differences`; None: there was none."""
    found = warehouse.rows(
        "SELECT reconciliation_id, billing_month, finished_at, charge_count, stripe_invoice_count,"
        " stripe_payment_count, stripe_refund_count, stripe_credit_note_count, difference_count"
        " FROM billing.stripe_reconciliations ORDER BY reconciliation_id DESC LIMIT 1"
    )
    if not found:
        return None
    [row] = found
    statement = load_sql("books/last_reconciliation.sql")
    return {**row, "differences": warehouse.rows(statement, reconciliation_id=row["reconciliation_id"])}


def newest_differences(warehouse: Warehouse) -> list[Row]:
    """What the newest comparison with Stripe found to differ."""
    return warehouse.rows(load_sql("books/newest_differences.sql"))


def month_books(warehouse: Warehouse) -> list[Row]:
    """Which months are closed, by whom, with how much, the newest first."""
    return warehouse.rows(
        "SELECT billing_month, closed_at, closed_by, invoice_count, payment_count FROM billing.month_books"
        " ORDER BY billing_month DESC"
    )


def health(warehouse: Warehouse) -> Row:
    """What somebody on call looks at first: sql/books/health.sql."""
    [row] = warehouse.rows(load_sql("books/health.sql"))
    return row


def search(warehouse: Warehouse, wanted: str) -> list[Row]:
    """What has this very id, number or name, and where its way to an invoice stopped: sql/books/search.sql."""
    return warehouse.rows(load_sql("books/search.sql"), wanted=wanted) if wanted else []
