"""Charges as an operator reads them: lists, and the whole story of one. Changes nothing and asks nobody."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one charge: the charge itself, its follow-ups, the audit log and Stripe's events."""

    charge: dict[str, Any]
    follow_ups: list[dict[str, Any]]
    entries: list[dict[str, Any]]
    events: list[dict[str, Any]]


def list_charges(
    warehouse: Warehouse,
    states: tuple[str, ...] = (),
    month: date | None = None,
    reason_code: str | None = None,
    limit: int = 100,
    *,
    customer_id: str | None = None,
    after: tuple[date, str] | None = None,
) -> list[dict[str, Any]]:
    """Charges in these states (or all), the newest months first; `after`: those behind this month and number."""
    after_month, after_number = after or (None, None)
    return warehouse.rows(
        load_sql("charging/charges.sql"),
        any_state=not states,
        states=list(states),
        month=month,
        reason_code=reason_code,
        row_limit=limit,
        customer_id=customer_id,
        after_month=after_month,
        after_number=after_number,
    )


def count_charges(warehouse: Warehouse) -> list[dict[str, Any]]:
    """How many charges are in which state, for which reason: as counted with their changes, not one by one."""
    return warehouse.rows(load_sql("charging/count_charges.sql"))


def state_of(warehouse: Warehouse, invoice_id: str) -> str | None:
    """Where an invoice's charge is; None: it has none, because it is a draft."""
    statement = "SELECT state FROM billing.stripe_charges WHERE invoice_id = CAST(:id AS uuid)"
    found: str | None = warehouse.scalar(statement, id=invoice_id)
    return found


def story(warehouse: Warehouse, invoice_id: str) -> Story:
    """Everything about one charge, in the order in which it happened."""
    [charge] = warehouse.rows(load_sql("charging/charge.sql"), invoice_id=invoice_id)
    return Story(
        charge=charge,
        follow_ups=warehouse.rows(
            "SELECT kind, step, due_at, cause FROM billing.charge_follow_ups WHERE invoice_id = :id ORDER BY kind",
            id=invoice_id,
        ),
        entries=warehouse.rows(
            "SELECT logged_at, actor, run_id, action, reason, state_before, state_after FROM billing.automation_log"
            " WHERE object_type = 'invoice' AND object_id = :id ORDER BY log_id",
            id=invoice_id,
        ),
        events=_events(warehouse, charge["stripe_invoice_id"]),
    )


def _events(warehouse: Warehouse, stripe_invoice_id: str | None) -> list[dict[str, Any]]:
    """Stripe's events about the invoice, where this database keeps events."""
    if stripe_invoice_id is None or not warehouse.scalar("SELECT to_regclass('billing.stripe_events') IS NOT NULL"):
        return []
    return warehouse.rows(
        "SELECT event_id, type, received_at FROM billing.stripe_events WHERE object_id = :id ORDER BY received_at",
        id=stripe_invoice_id,
    )
