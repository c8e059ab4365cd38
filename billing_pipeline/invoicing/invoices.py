"""Line items of a month, and the adjustments that wait, into draft invoices."""

from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.invoicing.rules.adjustments import Waiting, allocate, left_over
from billing_pipeline.invoicing.rules.invoice_ids import invoice_id
from billing_pipeline.postgres.asset_months import Built, count_rows, owned_month, record_build, version_of
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def build(warehouse: Warehouse, month: date, run_id: str, *, oldest: date = date.min) -> Built:
    """Draft an invoice for every period of the month that has lines or charges waiting, and no invoice yet.

    Existing drafts are right by constraint: whoever changes lines drops their draft first. A draft whose adjustments
    are not the ones that it would take now is dropped and drafted anew.

    An adjustment goes to an invoice that a run will charge. A draft of another month that holds one, and that no run
    will charge any more, is drafted anew without it first, so that this month's may take it.

    Args:
        warehouse: the billing database.
        month: the partition.
        run_id: who builds.
        oldest: the first month that is not too old to be charged (rules.adjustments.oldest_charged); default: any.
    """
    query = load_sql("invoicing/passed_over_months.sql")
    for row in warehouse.rows(query, month=month, oldest=oldest):
        _build(warehouse, row["billing_month"], run_id, oldest)
    return _build(warehouse, month, run_id, oldest)


def _build(warehouse: Warehouse, month: date, run_id: str, oldest: date) -> Built:
    with owned_month(warehouse, month) as connection:
        parameters = {"month": month, "run_id": run_id}
        dropped = _adjust(connection, month, oldest)
        inserted = connection.execute(text(load_sql("invoicing/invoices.sql")), parameters).rowcount
        built_from = version_of(connection, "invoice_line_items", month)
        record_build(connection, "invoices", month, run_id, built_from=built_from)
        row_count = count_rows(connection, "invoices", month)
    return Built(inserted, dropped, row_count)


def _adjust(connection: Connection, month: date, oldest: date) -> int:
    """Put on each period's draft-to-be what it takes of the waiting adjustments; returns drafts that were dropped."""
    if not connection.execute(text("SELECT EXISTS (SELECT FROM billing.adjustments)")).scalar_one():
        return 0
    waiting = _waiting(connection, month)
    query = load_sql("invoicing/adjustable_periods.sql")
    periods = connection.execute(text(query), {"month": month, "oldest": oldest}).mappings().all()
    wanted: list[dict[str, Any]] = []
    for customer_id, own in groupby(periods, key=lambda row: row["customer_id"]):
        for period in own:
            mine = [one for one in waiting.get(customer_id, []) if one[1] == period["currency"]]
            taken = allocate(period["lines_minor"], [one[0] for one in mine])
            rest = {one.adjustment_id: one for one in left_over([one[0] for one in mine], taken)}
            waiting[customer_id] = [
                (rest.get(one.adjustment_id, one), currency)
                for one, currency in waiting.get(customer_id, [])
                if currency != period["currency"] or one.adjustment_id in rest
            ]
            wanted.extend(_lines(period, month, taken))
    connection.execute(text(_WANTED))
    if wanted:
        connection.execute(text(_INSERT_WANTED), wanted)
    dropped = connection.execute(text(load_sql("invoicing/drop_adjusted_drafts.sql")), {"month": month}).rowcount
    connection.execute(text(_INSERT))
    return dropped


def _waiting(connection: Connection, month: date) -> dict[str, list[tuple[Waiting, str]]]:
    """By customer, oldest first: what is on no live invoice but the month's own drafts; and its currency."""
    found: dict[str, list[tuple[Waiting, str]]] = {}
    for row in connection.execute(text(load_sql("invoicing/adjustments_to_place.sql")), {"month": month}).mappings():
        one = Waiting(row["adjustment_id"], row["left_minor"], row["description"])
        found.setdefault(row["customer_id"], []).append((one, row["currency"]))
    return found


def _lines(period: Any, month: date, taken: list[Waiting]) -> list[dict[str, Any]]:
    own = str(invoice_id(period["customer_id"], period["period_start"], period["revision"]))
    return [
        {
            "invoice_id": own,
            "line_no": period["last_line_no"] + place,
            "adjustment_id": one.adjustment_id,
            "customer_id": period["customer_id"],
            "period_id": period["period_id"],
            "billing_month": month,
            "currency": period["currency"],
            "description": one.description,
            "amount_minor": one.left_minor,
        }
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
