"""The measures of revenue and usage that analysts query, for those who look: each is a view, of one definition."""

from typing import Any

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.warehouse import Warehouse

MEASURES = {
    "revenue_summary": "MRR and its movements, a month and currency",
    "revenue_movements": "Customers whose MRR moved",
    "monthly_revenue": "Revenue by meter",
    "revenue_by_customer": "Revenue by customer, plan and country",
    "revenue_retention": "Retention of cohorts",
    "collection": "What was paid, and how fast",
    "receivables_ageing": "What is due, by age",
    "usage_trends": "Usage by meter, against the month before",
}
"""Views of the schema `billing`, and what each says."""
ROWS_MAX = 500


def read_measure(warehouse: Warehouse, name: str, *, personal: bool) -> list[dict[str, Any]]:
    """The view's first rows, the newest month first; `personal`: with the names of customers.

    Raises:
        NotFound: there is no such measure.
    """
    if name not in MEASURES:
        raise NotFound(f'report "{name}": expected one of {", ".join(MEASURES)}')
    rows = warehouse.rows(f"SELECT * FROM billing.{name} ORDER BY 1 DESC, 2 LIMIT {ROWS_MAX}")
    return rows if personal else [{key: row[key] for key in row if key != "customer_name"} for row in rows]
