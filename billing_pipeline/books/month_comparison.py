"""A month beside the one before it, in totals: what the console shows at once. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.core.months import month_before
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


def month_totals(warehouse: Warehouse, month: date) -> list[Row]:
    """Invoices, total_minor and before_minor, a row a currency; drafts too."""
    return warehouse.rows(load_sql("books/month_totals.sql"), month=month, before=month_before(month))


def largest_changes(warehouse: Warehouse, month: date) -> list[Row]:
    """Of each currency the five customers whose total moved most, with the meter that moved most of it."""
    return warehouse.rows(load_sql("books/month_changes.sql"), month=month, before=month_before(month))
