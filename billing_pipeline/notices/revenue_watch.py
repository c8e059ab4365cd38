"""Looks at a month's invoices once it has ended, and writes down whose are unusual. Bills nothing by it."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from billing_pipeline.notices.rules.anomalies import unusual_amount
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def look_at_revenue(warehouse: Warehouse, now: datetime) -> int:
    """Judge the months that were not looked at as they are now; returns how many customers were unusual."""
    return sum(
        _judge(warehouse, row["billing_month"], row["version"], now)
        for row in warehouse.rows(load_sql("notices/months_to_look_at.sql"), now=now)
    )


def list_unusual_revenue(
    warehouse: Warehouse, *, customer_id: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Months that were unusual when they were looked at last, the newest first, as billing.unusual_revenue has them."""
    return warehouse.rows(_LIST, customer_id=customer_id, row_limit=limit)


def _judge(warehouse: Warehouse, month: date, version: int, now: datetime) -> int:
    rows = warehouse.rows(load_sql("notices/monthly_amounts.sql"), month=month)
    found = [
        {"month": month, "version": version, "customer_id": row["customer_id"], "currency": row["currency"],
         "amount": row["amount_minor"], "usual": round(judged.usual), "spreads": judged.spreads}
        for row in rows
        if (judged := unusual_amount(row["amount_minor"], row["days"], row["a_day_before"] or ())) is not None
    ]  # fmt: skip
    look = {"month": month, "version": version, "now": now, "count": len(rows)}
    with warehouse.transaction() as connection:
        if connection.execute(text(_LOOK), look).first() is None:
            return 0  # somebody else looked meanwhile
        if found:
            connection.execute(text(_FOUND), found)
    return len(found)


_LIST = """
SELECT u.billing_month, u.customer_id, u.currency, u.amount_minor, u.usual_minor, u.spreads
FROM billing.unusual_revenue AS u
WHERE (CAST(:customer_id AS text) IS NULL OR u.customer_id = :customer_id)
    AND u.version = (SELECT max(l.version) FROM billing.revenue_looks AS l WHERE l.billing_month = u.billing_month)
ORDER BY u.billing_month DESC, abs(u.spreads) DESC, u.customer_id, u.currency LIMIT :row_limit
"""
_LOOK = """
INSERT INTO billing.revenue_looks (billing_month, version, looked_at, customer_count)
VALUES (:month, :version, :now, :count)
ON CONFLICT (billing_month, version) DO NOTHING RETURNING version
"""
_FOUND = """
INSERT INTO billing.unusual_revenue (billing_month, version, customer_id, currency, amount_minor, usual_minor, spreads)
VALUES (:month, :version, :customer_id, :currency, :amount, :usual, :spreads)
"""
