"""MRR of each customer and month as its view takes it, from totals, and as the one definition of revenue has it."""

from billing_pipeline.postgres.warehouse import Warehouse


def recurring(warehouse: Warehouse) -> dict[tuple[str, str], int]:
    """By billing.recurring_revenue, where it is not nothing."""
    return _read(
        warehouse, "SELECT customer_id, billing_month, mrr_minor FROM billing.recurring_revenue WHERE mrr_minor <> 0"
    )


def recurring_by_lines(warehouse: Warehouse) -> dict[tuple[str, str], int]:
    """By the lines, adjustments and credit notes of invoices over one month each."""
    return _read(
        warehouse,
        "SELECT customer_id, billing_month, sum(revenue_minor) AS mrr_minor FROM billing.invoice_revenue"
        " WHERE meter <> 'adjustments' GROUP BY customer_id, billing_month HAVING sum(revenue_minor) <> 0",
    )


def _read(warehouse: Warehouse, statement: str) -> dict[tuple[str, str], int]:
    return {
        (row["customer_id"], f"{row['billing_month']:%Y-%m}"): int(row["mrr_minor"])
        for row in warehouse.rows(statement)
    }
