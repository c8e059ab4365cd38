"""What Stripe showed is of our invoices and customers, keeps its identity, and does not come back from a final status."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from billing_pipeline_tests.postgres.invariants.rows import (
    START,
    charged,
    customer,
    execute,
    insert,
    move,
    refused,
    undone,
    value,
)

FINAL = {
    "stripe_payments": ["paid", "canceled"],
    "stripe_refunds": ["failed", "canceled"],
    "stripe_credit_notes": ["void"],
    "stripe_disputes": ["won", "lost", "warning_closed", "prevented"],
    "stripe_customers": ["deleted"],
    "stripe_payment_methods": ["detached"],
    "stripe_subscriptions": ["canceled", "incomplete_expired"],
}
MONEY = sorted(set(FINAL) - {"stripe_customers", "stripe_payment_methods", "stripe_subscriptions"})


@pytest.fixture
def invoice_id(db: Connection) -> UUID:
    made = charged(db)
    move(db, made, "finalized")
    return made


def rows(invoice_id: UUID) -> dict[str, dict[str, Any]]:
    of_invoice = {"invoice_id": invoice_id, "stripe_invoice_id": f"in_{invoice_id}", "currency": "usd"}
    dated = {"created_at": START}
    of_customer = {"customer_id": "c1", "stripe_customer_id": "cus_1"}
    return {
        "stripe_payments": {
            **of_invoice, **dated, "payment_id": "inpay_1", "requested_minor": 1000, "paid_minor": 0, "status": "open"
        },
        "stripe_refunds": {**of_invoice, **dated, "refund_id": "re_1", "amount_minor": 10, "status": "pending"},
        "stripe_credit_notes": {
            **of_invoice, **dated, "credit_note_id": "cn_1", "number": "1", "total_minor": 10, "pre_payment_minor": 0,
            "post_payment_minor": 10, "status": "issued",
        },
        "stripe_disputes": {
            **of_invoice, **dated, "dispute_id": "du_1", "charge_id": "ch_1", "amount_minor": 10, "reason": "fraudulent",
            "status": "needs_response",
        },
        "stripe_customers": {**of_customer, "delinquent": False, "status": "live"},
        "stripe_payment_methods": {
            **of_customer, **dated, "payment_method_id": "pm_1", "type": "card", "status": "attached"
        },
        "stripe_subscriptions": {**of_customer, **dated, "subscription_id": "sub_1", "status": "active"},
    }  # fmt: skip


def put(db: Connection, table: str, of: UUID, /, **over: Any) -> None:
    insert(db, table, **{**rows(of)[table], **over})


@pytest.mark.parametrize(("table", "status"), [(table, status) for table in FINAL for status in FINAL[table]])
def test_a_final_status_is_final(db: Connection, invoice_id: UUID, table: str, status: str) -> None:
    put(db, table, invoice_id)
    before = value(db, f"SELECT status FROM billing.{table}")
    paid = ", paid_at = now()" if (table, status) == ("stripe_payments", "paid") else ""
    execute(db, f"UPDATE billing.{table} SET status = :status {paid}", status=status)
    with refused(db, f"status does not go from {status} to {before}"):
        execute(db, f"UPDATE billing.{table} SET status = :status", status=before)


def test_a_refund_that_succeeded_may_still_fail(db: Connection, invoice_id: UUID) -> None:
    put(db, "stripe_refunds", invoice_id, status="succeeded")
    with undone(db):
        execute(db, "UPDATE billing.stripe_refunds SET status = 'failed'")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("stripe_payments", "payment_id = 'inpay_2'"),
        ("stripe_payments", "currency = 'eur'"),
        ("stripe_refunds", "amount_minor = 11"),
        ("stripe_refunds", "refund_id = 're_2'"),
        ("stripe_credit_notes", "total_minor = 11"),
        ("stripe_credit_notes", "number = '2'"),
        ("stripe_disputes", "charge_id = 'ch_2'"),
        ("stripe_customers", "stripe_customer_id = 'cus_2'"),
        ("stripe_payment_methods", "stripe_customer_id = 'cus_2'"),
        ("stripe_subscriptions", "created_at = now()"),
        *((table, "first_seen_at = '2020-01-01'") for table in FINAL),
    ],
)
def test_what_identifies_an_object_does_not_change(db: Connection, invoice_id: UUID, table: str, change: str) -> None:
    put(db, table, invoice_id)
    with refused(db, f"{table}: {change.split(' ')[0]} does not change"):
        execute(db, f"UPDATE billing.{table} SET {change}")


@pytest.mark.parametrize("table", sorted(FINAL))
@pytest.mark.parametrize("how", ["DELETE FROM", "TRUNCATE"])
def test_what_stripe_showed_is_kept(db: Connection, invoice_id: UUID, table: str, how: str) -> None:
    put(db, table, invoice_id)
    with refused(db, "what Stripe showed is kept"):
        execute(db, f"{how} billing.{table}")


@pytest.mark.parametrize("table", MONEY)
def test_money_moves_for_the_invoice_that_our_charge_made(db: Connection, invoice_id: UUID, table: str) -> None:
    other = charged(db, "c2", 2)
    for over in ({"stripe_invoice_id": "in_other"}, {"invoice_id": other}):
        with refused(db, "foreign key"):
            put(db, table, invoice_id, **over)


@pytest.mark.parametrize("table", sorted(set(FINAL) - set(MONEY)))
def test_customers_are_ours(db: Connection, invoice_id: UUID, table: str) -> None:
    customer(db, "c3")
    with refused(db, "foreign key"):
        put(db, table, invoice_id, customer_id="nobody")
    with undone(db):
        put(db, table, invoice_id, customer_id="c3")


@pytest.mark.parametrize(
    ("table", "over"),
    [
        ("stripe_payments", {"status": "paid", "paid_minor": 1000}),
        ("stripe_payments", {"paid_at": START}),
        ("stripe_payments", {"paid_minor": 1}),
        ("stripe_payments", {"requested_minor": -1}),
        ("stripe_refunds", {"amount_minor": 0}),
        ("stripe_credit_notes", {"total_minor": -1}),
        ("stripe_disputes", {"amount_minor": -1}),
        *((table, {"status": "unheard of"}) for table in FINAL),
    ],
)
def test_values_that_make_no_sense_are_refused(
    db: Connection, invoice_id: UUID, table: str, over: dict[str, Any]
) -> None:
    with refused(db, "check"):
        put(db, table, invoice_id, **over)


def test_a_change_is_dated_by_the_database(db: Connection, invoice_id: UUID) -> None:
    put(db, "stripe_refunds", invoice_id, changed_at=START)
    execute(db, "UPDATE billing.stripe_refunds SET status = 'succeeded', changed_at = '2020-01-01'")
    assert value(db, "SELECT changed_at > now() - interval '1 minute' FROM billing.stripe_refunds")


@pytest.mark.parametrize("table", ["stripe_event_sweeps", "stripe_reconciliations", "stripe_differences"])
@pytest.mark.parametrize("how", ["DELETE FROM", "TRUNCATE"])
def test_the_records_of_looking_are_append_only(db: Connection, table: str, how: str) -> None:
    with refused(db, "append-only"):
        execute(db, f"{how} billing.{table} CASCADE" if how == "TRUNCATE" else f"{how} billing.{table}")


def test_an_update_of_a_record_of_looking_is_refused(db: Connection) -> None:
    with refused(db, "append-only"):
        execute(db, "UPDATE billing.stripe_differences SET proposed_action = 'look_at_it'")
    with refused(db, "append-only"):
        execute(db, "UPDATE billing.stripe_event_sweeps SET new_count = 0")
