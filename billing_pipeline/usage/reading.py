"""Quantities as a reader asks for them. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def quantities(
    warehouse: Warehouse,
    month: date,
    *,
    customer_id: str | None = None,
    meter: str | None = None,
    after: tuple[str, str, date, str] | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """What each period of the month measured, by customer, meter, period and dimensions; `after`: these four."""
    customer, after_meter, start, dimensions = after or (None, None, None, None)
    return warehouse.rows(
        load_sql("usage/quantities.sql"),
        month=month,
        customer_id=customer_id,
        meter=meter,
        after_customer_id=customer,
        after_meter=after_meter,
        after_start=start,
        after_dimensions=dimensions,
        row_limit=limit,
    )
