"""What a customer owes: billing.receivables. Changes nothing."""

from typing import Any

from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


def open_invoices_of(warehouse: Warehouse, customer_id: str) -> list[Row]:
    """The customer's invoices on which something is due, the oldest first."""
    return warehouse.rows(
        "SELECT number, remaining_minor, currency, charge_state, stripe_invoice_id FROM billing.receivables"
        " WHERE customer_id = :id AND remaining_minor > 0 ORDER BY finalised_at",
        id=customer_id,
    )


def due_of(warehouse: Warehouse, customer_id: str) -> list[Row]:
    """Invoices and remaining_minor, a row a currency."""
    return warehouse.rows(
        "SELECT currency, count(*) AS invoices, sum(remaining_minor)::bigint AS remaining_minor"
        " FROM billing.receivables WHERE customer_id = :id GROUP BY currency",
        id=customer_id,
    )
