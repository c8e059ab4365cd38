"""Customers as an operator reads them. Changes nothing."""

from typing import Any

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def list_customers(
    warehouse: Warehouse,
    *,
    status: str | None = None,
    search: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Customers by id; `search`: those whose id, name or email holds this text, in any case; `after`: an id."""
    return warehouse.rows(
        load_sql("customers/list_customers.sql"),
        status=status,
        search=search,
        after=after,
        customer_id=None,
        row_limit=limit,
    )


def read_customer(warehouse: Warehouse, customer_id: str) -> dict[str, Any]:
    """One customer, as `list_customers` has them.

    Raises:
        NotFound: there is none with this id.
    """
    rows = warehouse.rows(
        load_sql("customers/list_customers.sql"),
        status=None,
        search=None,
        after=None,
        customer_id=customer_id,
        row_limit=1,
    )
    if not rows:
        raise NotFound(f'customer "{customer_id}": expected the id of a customer, found none')
    return rows[0]
