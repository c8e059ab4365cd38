"""The tables of what Stripe has beside the charges: a row an object, as last retrieved, written when it differs."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.stripe_gateway.rules.objects import (
    CreditNote,
    CustomerFacts,
    Dispute,
    PaymentMethod,
    Refund,
    Subscription,
)


def mirror_refund(connection: Connection, invoice_id: str, stripe_invoice_id: str, refund: Refund) -> None:
    """Write a refund of a payment of ours."""
    row = {**asdict(refund), "invoice_id": invoice_id, "stripe_invoice_id": stripe_invoice_id}
    _write(connection, "stripe_refunds", "refund_id", row)


def mirror_credit_note(connection: Connection, invoice_id: str, note: CreditNote) -> None:
    """Write a credit note for an invoice of ours."""
    _write(connection, "stripe_credit_notes", "credit_note_id", {**asdict(note), "invoice_id": invoice_id})


def mirror_dispute(connection: Connection, invoice_id: str, stripe_invoice_id: str, dispute: Dispute) -> None:
    """Write a dispute of a payment of ours."""
    row = {**asdict(dispute), "invoice_id": invoice_id, "stripe_invoice_id": stripe_invoice_id}
    _write(connection, "stripe_disputes", "dispute_id", row)


def mirror_customer(connection: Connection, customer_id: str, customer: CustomerFacts) -> None:
    """Write a customer of ours."""
    _write(connection, "stripe_customers", "stripe_customer_id", {**asdict(customer), "customer_id": customer_id})


def mirror_payment_method(
    connection: Connection, customer_id: str, stripe_customer_id: str, method: PaymentMethod
) -> bool:
    """Write a payment method of a customer of ours; `stripe_customer_id` is whose it is or was. True: it is new."""
    status = "attached" if method.stripe_customer_id is not None else "detached"
    row = {
        **asdict(method),
        "customer_id": customer_id,
        "stripe_customer_id": stripe_customer_id,
        "status": status,
    }
    return _write(connection, "stripe_payment_methods", "payment_method_id", row)


def mirror_subscription(connection: Connection, customer_id: str, subscription: Subscription) -> None:
    """Write a subscription of a customer of ours."""
    _write(connection, "stripe_subscriptions", "subscription_id", {**asdict(subscription), "customer_id": customer_id})


def _write(connection: Connection, table: str, key: str, row: Mapping[str, Any]) -> bool:
    """Insert the row, or change it where it differs; True if it was inserted."""
    columns = [name for name in row if name != key]
    new = ", ".join(f"excluded.{name}" for name in columns)
    old = ", ".join(f"t.{name}" for name in columns)
    written = connection.execute(
        text(
            f"INSERT INTO billing.{table} AS t ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"
            f" ON CONFLICT ({key}) DO UPDATE SET ({', '.join(columns)}) = ROW ({new})"
            # an updated row carries the transaction that locked it
            f" WHERE ({old}) IS DISTINCT FROM ({new}) RETURNING t.xmax = 0"
        ),
        dict(row),
    )
    return bool(written.scalar())
