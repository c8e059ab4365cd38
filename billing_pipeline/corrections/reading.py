"""Corrections as an operator reads them: adjustments that wait, credit notes, settlements. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def waiting_adjustments(
    warehouse: Warehouse, customer_id: str | None = None, *, after: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Adjustments, or parts of credits, that are on no live invoice: the oldest first. `after`: an adjustment_id."""
    return warehouse.rows(_WAITING, customer_id=customer_id, after=after, row_limit=limit)


def list_credit_notes(
    warehouse: Warehouse,
    *,
    parked: bool = False,
    customer_id: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Credit notes, the newest first, below the one with the number `after`; `parked`: those that wait for a person."""
    return warehouse.rows(
        load_sql("corrections/list_credit_notes.sql"),
        parked=parked,
        customer_id=customer_id,
        after=after,
        row_limit=limit,
    )


def list_settlements(
    warehouse: Warehouse,
    month: date | None = None,
    *,
    customer_id: str | None = None,
    ended: bool = False,
    after: int = 0,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Settlements that are open, with `ended` also what was applied or withdrawn; `approved_by` in order of time."""
    return warehouse.rows(
        load_sql("corrections/list_settlements.sql"),
        month=month,
        customer_id=customer_id,
        ended=ended,
        after=after,
        row_limit=limit,
    )


def read_settlement(warehouse: Warehouse, settlement_id: int) -> dict[str, Any]:
    """One settlement with what it was proposed on: `settled_minor` before it, and `lines` as they were then.

    Raises:
        UserError: there is none with this number.
    """
    rows = warehouse.rows(
        "SELECT settlement_id, billing_month, customer_id, currency, amount_minor, method, status, proposed_by,"
        " proposed_at, evidence FROM billing.settlements WHERE settlement_id = :id",
        id=settlement_id,
    )
    if not rows:
        raise NotFound(f"settlement {settlement_id}: there is none with this number")
    [row] = rows
    evidence = row.pop("evidence")
    lines = [
        {
            "meter": line["meter"],
            "dimensions": line["dimensions"],
            "billed_minor": line["billed_minor"],
            "today_minor": line["current_minor"],
            "difference_minor": line["difference_minor"],
            "reason": line["reason"],
        }
        for line in evidence["lines"]
    ]
    return {**row, "settled_minor": evidence["settled_minor"], "lines": lines}


def revisions_of(warehouse: Warehouse, invoice_id: str) -> list[dict[str, Any]]:
    """The invoices that bill the period of a void one again: invoice_id, revision."""
    return warehouse.rows(
        "SELECT invoice_id::text, revision FROM billing.invoices WHERE supersedes_invoice_id = :id", id=invoice_id
    )


_WAITING = """
SELECT adjustment_id::text, customer_id, amount_minor, left_minor, currency, author, reason, created_at
FROM billing.waiting_adjustments
WHERE (CAST(:customer_id AS text) IS NULL OR customer_id = :customer_id)
    AND (CAST(:after AS text) IS NULL OR (created_at, adjustment_id) > (
        SELECT a.created_at, a.adjustment_id FROM billing.adjustments AS a WHERE a.adjustment_id::text = :after
    ))
ORDER BY created_at, adjustment_id LIMIT :row_limit
"""
