"""Invoices as an operator reads them. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

STATUSES = ("draft", "open", "paid", "void", "uncollectible")


def list_invoices(
    warehouse: Warehouse,
    *,
    month: date | None = None,
    customer_id: str | None = None,
    status: str | None = None,
    invoice_id: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Invoices, drafts too: the newest month first, in it by number. Columns: sql/invoicing/list_invoices.sql."""
    return warehouse.rows(
        load_sql("invoicing/list_invoices.sql"),
        month=month,
        customer_id=customer_id,
        status=status,
        invoice_id=invoice_id,
        row_limit=limit,
    )


def lines_of(warehouse: Warehouse, invoice_id: str) -> list[dict[str, Any]]:
    """An invoice's lines as the customer reads them."""
    return warehouse.rows(
        "SELECT line_no, description, meter, dimensions, usage_quantity, included_quantity, quantity, unit_amount,"
        " amount_minor, currency, price_version, basis FROM billing.invoice_lines"
        " WHERE invoice_id = CAST(:invoice_id AS uuid) ORDER BY line_no",
        invoice_id=invoice_id,
    )
