"""Which draft of a month takes which of the adjustments that wait, and the lines that they become on it."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from billing_pipeline.invoicing.rules.adjustments import Waiting, allocate, left_over
from billing_pipeline.invoicing.rules.invoice_ids import invoice_id
from billing_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True, slots=True)
class _Period:
    """A period that is drafted or may be, with the sum and the last number of its metered lines."""

    customer_id: str
    period_id: UUID
    period_start: datetime
    currency: str
    revision: int
    lines_minor: int
    last_line_no: int


@dataclass(frozen=True, slots=True)
class _AdjustmentLine:
    """A row of billing.invoice_adjustments."""

    invoice_id: str
    line_no: int
    adjustment_id: str
    customer_id: str
    period_id: UUID
    billing_month: date
    currency: str
    description: str
    amount_minor: int


def place_adjustments(connection: Connection, month: date, oldest: date, customer: str | None = None) -> int:
    """Put on each draft-to-be of the month what it takes of the waiting adjustments.

    A draft that has other ones is dropped, to be drafted anew.

    Args:
        connection: a transaction that owns the month.
        month: the partition.
        oldest: the first month that is not too old to be charged.
        customer: the drafts of this one alone; the others' stay as they are. Default: of everybody.

    Returns:
        How many drafts were dropped.
    """
    if not connection.execute(text("SELECT EXISTS (SELECT FROM billing.adjustments)")).scalar_one():
        return 0
    waiting = waiting_adjustments(connection, month)
    query = text(load_sql("invoicing/adjustable_periods.sql"))
    wanted: list[_AdjustmentLine] = []
    scope = {"month": month, "oldest": oldest, "customer": customer}
    for row in connection.execute(query, scope).mappings():
        period = _Period(**row)
        own = waiting[period.customer_id, period.currency]
        taken = allocate(period.lines_minor, own)
        waiting[period.customer_id, period.currency] = left_over(own, taken)
        wanted.extend(_lines(period, month, taken))
    connection.execute(text(_WANTED))
    if wanted:
        connection.execute(text(_INSERT_WANTED), [asdict(line) for line in wanted])
    dropped = connection.execute(text(load_sql("invoicing/drop_adjusted_drafts.sql")), scope).rowcount
    connection.execute(text(_INSERT))
    return dropped


def waiting_adjustments(connection: Connection, month: date) -> dict[tuple[str, str], list[Waiting]]:
    """By customer and currency, oldest first: what is on no live invoice but the month's own drafts."""
    found: dict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for row in connection.execute(text(load_sql("invoicing/adjustments_to_place.sql")), {"month": month}):
        found[row.customer_id, row.currency].append(Waiting(row.adjustment_id, row.left_minor, row.description))
    return found


def _lines(period: _Period, month: date, taken: list[Waiting]) -> list[_AdjustmentLine]:
    own = str(invoice_id(period.customer_id, period.period_start, period.revision))
    return [
        _AdjustmentLine(
            invoice_id=own,
            line_no=period.last_line_no + place,
            adjustment_id=one.adjustment_id,
            customer_id=period.customer_id,
            period_id=period.period_id,
            billing_month=month,
            currency=period.currency,
            description=one.description,
            amount_minor=one.left_minor,
        )
        for place, one in enumerate(taken, start=1)
    ]


_WANTED = """
CREATE TEMP TABLE wanted_adjustments (LIKE billing.invoice_adjustments) ON COMMIT DROP
"""
_INSERT_WANTED = """
INSERT INTO pg_temp.wanted_adjustments (
    invoice_id, line_no, adjustment_id, customer_id, period_id, billing_month, currency, description, amount_minor
) VALUES (
    :invoice_id, :line_no, :adjustment_id, :customer_id, :period_id, :billing_month, :currency, :description,
    :amount_minor
)
"""
_INSERT = """
INSERT INTO billing.invoice_adjustments
SELECT w.* FROM pg_temp.wanted_adjustments AS w
WHERE NOT EXISTS (SELECT FROM billing.invoices AS i WHERE i.invoice_id = w.invoice_id)
"""
