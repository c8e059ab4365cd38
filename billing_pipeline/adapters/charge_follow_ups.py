"""The queue of charges that are looked at again: those without a definite answer, and refused ones that are due.

The queue is derived from stripe_charges, so losing it loses nothing. When something is due is decided in
core/dunning.py; doing it is charge_passes.py's.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from billing_pipeline.adapters.warehouse import load_sql


def make_due(
    connection: Connection, customer_id: str, *, cause: str = "new payment method", at: datetime | None = None
) -> int:
    """Make the customer's refused charges due at once, whatever they were refused for; returns how many there are.

    For whoever learns of a newly attached or newly default payment method; twice is as good as once. Nothing is paid
    here: the next tick of the sensor asks for a run, and that asks Stripe first.

    Args:
        connection: an open transaction, so that this and marking an event as done are one.
        customer_id: the platform's key, not Stripe's.
        cause: why, for operators.
        at: the instant; default: now.
    """
    parameters = {"customer_id": customer_id, "cause": cause, "due_at": at or datetime.now(UTC)}
    return connection.execute(text(load_sql("assets/charge_make_due.sql")), parameters).rowcount
