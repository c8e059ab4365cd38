"""Looks at each hour's usage once the feed has passed it, and writes down what is unusual. Bills nothing by it."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from billing_pipeline.notices.rules.anomalies import NEIGHBOURS, WEEKS, Hour, Unusual, unusual
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

HOUR = timedelta(hours=1)
HOURS_A_LOOK = 6
"""A look goes on with so many hours; the next one with the rest."""
BACK = timedelta(hours=24)
"""What lies further back is not looked at: nobody is told today of last week's hours."""
_QUIET = Hour(0.0, 0)


def look_at_usage(warehouse: Warehouse, now: datetime) -> int:
    """Judge the hours that are complete and were not looked at; returns how many customers and meters were unusual."""
    found = 0
    for hour in _hours_to_judge(warehouse, now):
        found += _judge(warehouse, hour)
    return found


def list_unusual(warehouse: Warehouse, *, customer_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Hours that were unusual, as billing.unusual_usage has them, the newest first."""
    return warehouse.rows(
        "SELECT hour, customer_id, meter, quantity, usual_quantity, spreads FROM billing.unusual_usage"
        " WHERE CAST(:customer_id AS text) IS NULL OR customer_id = :customer_id"
        " ORDER BY hour DESC, abs(spreads) DESC, customer_id, meter LIMIT :row_limit",
        customer_id=customer_id,
        row_limit=limit,
    )


def _hours_to_judge(warehouse: Warehouse, now: datetime) -> list[datetime]:
    """Up to the hour that the feed has passed; the oldest first."""
    [row] = warehouse.rows(_REACH)
    if row["complete_through"] is None:
        return []
    reach = min(now, row["complete_through"]).replace(minute=0, second=0, microsecond=0)
    first = max(row["looked_through"] + HOUR if row["looked_through"] else reach - HOUR, reach - BACK)
    hours: list[datetime] = []
    while first + HOUR <= reach and len(hours) < HOURS_A_LOOK:
        hours.append(first)
        first += HOUR
    return hours


def _judge(warehouse: Warehouse, hour: datetime) -> int:
    rows = warehouse.rows(load_sql("notices/hourly_usage.sql"), hour=hour, weeks=WEEKS, neighbours=list(NEIGHBOURS))
    series: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        series[row["customer_id"], row["meter"]][row["week"], row["beside"]] = row
    found = [
        {"hour": hour, "customer_id": customer_id, "meter": meter, "quantity": used[0, 0]["quantity"] if (0, 0) in used
         else 0, "usual": judged.usual, "spreads": judged.spreads}
        for (customer_id, meter), used in series.items()
        if (judged := _judged(used)) is not None
    ]  # fmt: skip
    with warehouse.transaction() as connection:
        if connection.execute(text(_LOOK), {"hour": hour, "count": len(series)}).first() is None:
            return 0  # somebody else looked meanwhile
        if found:
            connection.execute(text(_FOUND), found)
    return len(found)


def _judged(used: dict[tuple[int, int], dict[str, Any]]) -> Unusual | None:
    def hour_at(week: int, beside: int) -> Hour:
        row = used.get((week, beside))
        return Hour(float(row["quantity"]), row["events"]) if row else _QUIET

    before = [[hour_at(week, beside) for beside in NEIGHBOURS] for week in range(1, WEEKS + 1)]
    return unusual(hour_at(0, 0), before)


_REACH = """
SELECT (SELECT max(complete_through) FROM billing.usage_imports) AS complete_through,
    (SELECT max(hour) FROM billing.usage_looks) AS looked_through
"""
_LOOK = """
INSERT INTO billing.usage_looks (hour, series_count) VALUES (:hour, :count) ON CONFLICT (hour) DO NOTHING RETURNING hour
"""
_FOUND = """
INSERT INTO billing.unusual_usage (hour, customer_id, meter, quantity, usual_quantity, spreads)
VALUES (:hour, :customer_id, :meter, :quantity, :usual, :spreads)
"""
