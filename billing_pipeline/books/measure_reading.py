"""Rows of a measure for a page or a spreadsheet: what is kept of it, or the view itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from billing_pipeline.books.measures import ALL_MONTHS, Range, Row, measure_of
from billing_pipeline.books.spreadsheets import csv_lines
from billing_pipeline.books.stored_measures import PAGE_ROWS_MAX, Reading, kept_rows
from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.warehouse import Warehouse

CSV_ROWS_MAX = 100_000


def read_measure(
    warehouse: Warehouse, name: str, *, personal: bool, within: Range = ALL_MONTHS, limit: int = PAGE_ROWS_MAX
) -> Reading:
    """The first rows of these months; `personal`: with the names of customers.

    Raises:
        NotFound: there is no such measure.
    """
    measure = measure_of(name)
    has_all = measure.is_kept and (limit <= PAGE_ROWS_MAX or not measure.is_wide)
    kept = kept_rows(warehouse, name, within, limit) if has_all else None
    read = kept or Reading(_live_rows(warehouse, name, within, limit))
    rows = read.rows
    if not personal:
        rows = [{key: row[key] for key in row if key != "customer_name"} for row in rows]
    elif kept is not None and rows and "customer_name" in rows[0]:
        rows = _named(warehouse, rows)
    return replace(read, rows=rows)


def measure_csv(
    warehouse: Warehouse, name: str, *, personal: bool, within: Range = ALL_MONTHS
) -> tuple[Iterator[str], datetime | None]:
    """The same for a spreadsheet, line by line, amounts in minor units: all of it or nothing; and as of when it is.

    Raises:
        NotFound: there is no such measure.
        UserError: these are more than CSV_ROWS_MAX rows.
    """
    read = read_measure(warehouse, name, personal=personal, within=within, limit=CSV_ROWS_MAX + 1)
    if len(read.rows) > CSV_ROWS_MAX:
        raise UserError(f"{name}: expected months with at most {CSV_ROWS_MAX:,} rows together; choose fewer")
    return csv_lines(list(read.rows[0]) if read.rows else [], read.rows), read.as_of


def _live_rows(warehouse: Warehouse, name: str, within: Range, limit: int) -> list[Row]:
    time = measure_of(name).time
    condition = ""
    values: Row = {"row_limit": limit}
    if time is not None:
        condition = (
            f" WHERE (CAST(:first AS date) IS NULL OR {time} >= CAST(:first AS date))"
            f" AND (CAST(:behind AS date) IS NULL OR {time} < CAST(:behind AS date))"
        )
        values |= {"first": within.first, "behind": within.behind}
    return warehouse.rows(
        f"SELECT v.* FROM billing.{name} AS v{condition} ORDER BY 1 DESC, 2, 3, v LIMIT :row_limit", **values
    )


def _named(warehouse: Warehouse, rows: list[Row]) -> list[Row]:
    """With the names of customers, which are never kept, as they are today."""
    found = warehouse.rows(
        "SELECT customer_id, name FROM billing.customers WHERE customer_id = ANY(:ids)",
        ids=list({row["customer_id"] for row in rows}),
    )
    names = {row["customer_id"]: row["name"] for row in found}
    return [{**row, "customer_name": names[row["customer_id"]]} for row in rows]
