"""Invoices as an operator reads them. Changes nothing."""

from collections.abc import Mapping, Sequence
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
    order = "i.billing_month DESC, i.invoice_number, i.customer_id, i.supplement_no, i.revision"
    return _listed(
        warehouse, [], order, limit, month=month, customer_id=customer_id, status=status, invoice_id=invoice_id
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

    `after`: month, customer, number of the supplement and revision of the last invoice of the page before.
    """
    conditions, place = ["i.status <> 'draft'"] if final_only else [], {}
    if after is not None:
        place = dict(
            zip(("after_month", "after_customer_id", "after_supplement_no", "after_revision"), after, strict=True)
        )
        conditions += ["i.billing_month <= :after_month", _AFTER]
    return _listed(
        warehouse, conditions, _PAGED, limit, place,
        month=month, customer_id=customer_id, status=status, currency=currency,
    )  # fmt: skip


def _listed(
    warehouse: Warehouse,
    conditions: Sequence[str],
    order: str,
    limit: int,
    place: Mapping[str, Any] | None = None,
    **chosen: Any,
) -> list[dict[str, Any]]:
    """Only what is asked for stands in the statement: each one is planned for its own indexes."""
    given = {name: value for name, value in chosen.items() if value is not None}
    where = " AND ".join([*(_CHOICES[name] for name in given), *conditions]) or "TRUE"
    statement = f"{load_sql('invoicing/list_invoices.sql')} WHERE {where} ORDER BY {order} LIMIT :row_limit"
    return warehouse.rows(statement, row_limit=limit, **given, **(place or {}))


_CHOICES = {
    "month": "i.billing_month = :month",
    "customer_id": "i.customer_id = :customer_id",
    "status": "i.status = :status",
    "currency": "i.currency = :currency",
    "invoice_id": "i.invoice_id = CAST(:invoice_id AS uuid)",
}
_PAGED = "i.billing_month DESC, i.customer_id, i.supplement_no, i.revision"
_AFTER = """
(i.billing_month < :after_month OR (i.customer_id, i.supplement_no, i.revision)
    > (:after_customer_id, :after_supplement_no, :after_revision))
"""


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
