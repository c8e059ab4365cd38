"""Invoices as an operator reads them. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

_FROM_THE_FIRST = {
    "currency": None,
    "final_only": False,
    "after_month": None,
    "after_customer_id": None,
    "after_revision": None,
    "by_number": True,
}
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
        **_FROM_THE_FIRST,
    )


def page_of_invoices(
    warehouse: Warehouse,
    *,
    month: date | None,
    customer_id: str | None,
    status: str | None,
    currency: str | None,
    final_only: bool,
    after: tuple[Any, ...] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The same in an order that no draft that becomes final changes: the newest month first, in it by customer.

    `after`: month, customer and revision of the last invoice of the page before.
    """
    after_month, after_customer_id, after_revision = after or (None, None, None)
    return warehouse.rows(
        load_sql("invoicing/list_invoices.sql"),
        month=month,
        customer_id=customer_id,
        status=status,
        invoice_id=None,
        row_limit=limit,
        currency=currency,
        final_only=final_only,
        after_month=after_month,
        after_customer_id=after_customer_id,
        after_revision=after_revision,
        by_number=False,
    )


def lines_of(warehouse: Warehouse, invoice_id: str) -> list[dict[str, Any]]:
    """An invoice's lines as the customer reads them."""
    return warehouse.rows(
        "SELECT line_no, description, meter, dimensions, usage_quantity, included_quantity, quantity, unit_amount,"
        " amount_minor, currency, price_version, basis FROM billing.invoice_lines"
        " WHERE invoice_id = CAST(:invoice_id AS uuid) ORDER BY line_no",
        invoice_id=invoice_id,
    )


def is_issued_to(warehouse: Warehouse, number: str, customer_id: str) -> bool:
    """Whether the customer has an invoice of this number, which drafts do not have."""
    found: bool = warehouse.scalar(
        "SELECT EXISTS (SELECT FROM billing.invoices WHERE number = :number AND customer_id = :id)",
        number=number,
        id=customer_id,
    )
    return found
