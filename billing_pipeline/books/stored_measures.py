"""What is kept of the measures, so that a page over very many customers comes at once: as of when it was worked out.

The views alone say what a measure is: Postgres copies their rows (`billing.store_measure`). Nothing is decided by what
is kept. A database without much in it keeps nothing, and its pages show the views as they are at the moment.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from billing_pipeline.books.measures import ALL_MONTHS, MEASURES, Range, Row, measure_of
from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.warehouse import Warehouse

PAGE_ROWS_MAX = 500
"""Rows of a measure that a page is made of; what is kept of a month of a measure that has a row a customer."""
LIVE_ROWS_MAX = 20_000
"""Snapshots, lines and invoices up to which a view is quick enough for a page."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows, the newest first. `as_of`: what came later is not in them; None: they are the view's own."""

    rows: list[Row]
    as_of: datetime | None = None


def kept_rows(warehouse: Warehouse, name: str, within: Range, limit: int) -> Reading | None:
    """The first rows of these months, without names of customers; None: nothing is kept of this measure."""
    months = within if measure_of(name).time else ALL_MONTHS
    found = warehouse.rows(
        _KEPT.format(name=name), measure=name, first=months.first, behind=months.behind, row_limit=limit
    )
    if not found:
        return None
    as_of = found[0]["kept_as_of"]
    rows = [row for row in found if row["kept_row_no"] is not None]
    return Reading([{key: row[key] for key in row if key not in ("kept_as_of", "kept_row_no")} for row in rows], as_of)


def work_out(warehouse: Warehouse, name: str) -> datetime:
    """Keep the measure as its view has it now; returns from when that is. Two at once wait for each other.

    Raises:
        NotFound: nothing is kept of it.
    """
    measure = measure_of(name)
    if not measure.is_kept:
        raise NotFound(f'report "{name}": its page always shows the view itself')
    with warehouse.transaction() as connection:
        kept_at: datetime = connection.execute(
            text("SELECT billing.store_measure(:name, :most)"),
            {"name": name, "most": PAGE_ROWS_MAX if measure.is_wide else None},
        ).scalar_one()
    return kept_at


def work_out_all(warehouse: Warehouse, *, live_rows_max: int = LIVE_ROWS_MAX) -> list[str]:
    """Work out every measure that is kept, each in a transaction of its own; returns which.

    None while the database has few rows, as long as nothing is kept of them.
    """
    rows = warehouse.scalar(_ROWS)
    if rows <= live_rows_max and not warehouse.scalar("SELECT EXISTS (SELECT FROM billing.stored_measures)"):
        return []
    names = [name for name, measure in MEASURES.items() if measure.is_kept]
    for name in names:
        work_out(warehouse, name)
    return names


_ROWS = "SELECT coalesce(sum(row_count), 0)::bigint FROM billing.month_figures WHERE subject <> 'customers'"
_KEPT = """
SELECT m.as_of AS kept_as_of, k.row_no AS kept_row_no, r.*
FROM billing.stored_measures AS m
LEFT JOIN LATERAL (
    SELECT s.row_no, s.content
    FROM billing.stored_measure_rows AS s
    WHERE s.measure = m.measure
        AND (CAST(:first AS date) IS NULL OR s.month >= CAST(:first AS date))
        AND (CAST(:behind AS date) IS NULL OR s.month < CAST(:behind AS date))
    ORDER BY s.row_no LIMIT :row_limit
) AS k ON TRUE
LEFT JOIN LATERAL jsonb_populate_record(NULL::billing.{name}, k.content) AS r ON TRUE
WHERE m.measure = :measure
ORDER BY k.row_no
"""
