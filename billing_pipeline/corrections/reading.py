"""Corrections as an operator reads them: adjustments that wait, credit notes, settlements. Changes nothing."""

from datetime import date
from typing import Any

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def waiting_adjustments(warehouse: Warehouse, customer_id: str | None = None) -> list[dict[str, Any]]:
    """Adjustments, or parts of credits, that are on no live invoice: the oldest first."""
    return warehouse.rows(
        "SELECT adjustment_id::text, customer_id, amount_minor, left_minor, currency, author, reason, created_at"
        " FROM billing.waiting_adjustments WHERE CAST(:customer_id AS text) IS NULL OR customer_id = :customer_id"
        " ORDER BY created_at, adjustment_id",
        customer_id=customer_id,
    )


def list_credit_notes(
    warehouse: Warehouse, *, parked: bool = False, customer_id: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Credit notes, the newest first; `parked`: only those that wait for a person."""
    return warehouse.rows(
        load_sql("corrections/list_credit_notes.sql"), parked=parked, customer_id=customer_id, row_limit=limit
    )


def list_settlements(warehouse: Warehouse, month: date | None = None, *, ended: bool = False) -> list[dict[str, Any]]:
    """Settlements that are open, with `ended` also what was applied or withdrawn; `approved_by` in order of time."""
    return warehouse.rows(load_sql("corrections/list_settlements.sql"), month=month, ended=ended)


def read_settlement(warehouse: Warehouse, settlement_id: int) -> dict[str, Any]:
    """One settlement with the evidence that it was proposed on.

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
    return rows[0]


def revisions_of(warehouse: Warehouse, invoice_id: str) -> list[dict[str, Any]]:
    """The invoices that bill the period of a void one again: invoice_id, revision."""
    return warehouse.rows(
        "SELECT invoice_id::text, revision FROM billing.invoices WHERE supersedes_invoice_id = :id", id=invoice_id
    )
