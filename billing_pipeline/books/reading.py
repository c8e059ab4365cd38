"""What the last comparison with Stripe found. Changes nothing and asks nobody."""

from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


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
