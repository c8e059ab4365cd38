"""What moved a month's revenue since the month before, as long as that can be said while somebody waits."""

from collections.abc import Sequence
from datetime import date

from billing_pipeline.comparison.rules.month_diff import Waterfall, differences, waterfalls
from billing_pipeline.comparison.shadow import month_lines
from billing_pipeline.core.months import month_before
from billing_pipeline.postgres.warehouse import Warehouse

LINES_MAX = 100_000
"""About a second's work; `billing diff` takes any number."""


def month_waterfalls(warehouse: Warehouse, month: date, lines_max: int = LINES_MAX) -> list[Waterfall] | None:
    """From the month before to this one, a currency each, as `billing diff` has them; None: too many lines."""
    months = [month_before(month), month]
    if not at_most_lines(warehouse, months, lines_max):
        return None
    before, after = (month_lines(warehouse, one) for one in months)
    return waterfalls(before, after, differences(before, after))


def at_most_lines(warehouse: Warehouse, months: Sequence[date], lines_max: int) -> bool:
    """Whether the months have no more lines than that together; it counts no further."""
    lines = warehouse.scalar(
        "SELECT count(*) FROM ("
        "SELECT FROM billing.invoice_line_items WHERE billing_month = ANY(CAST(:months AS date[])) LIMIT :most) AS l",
        months=list(months),
        most=lines_max + 1,
    )
    return bool(lines <= lines_max)
