"""Every advisory lock by its key, which never changes: an old process and a new one must exclude each other."""

from datetime import date
from hashlib import sha256

from sqlalchemy import Connection, text

MIGRATIONS_LOCK = 7_151_001
"""Held while a migration is applied, so that two processes may migrate at once."""

USAGE_LOCK = 7_151_002
"""Held exclusively by imports while they fix received_at and insert, shared by snapshots while they read."""

THRESHOLDS_LOCK = 7_151_004
"""Held while it is written which budgets and allowances are reached, so that no lower share follows a higher one."""

DAGSTER_STORAGE_LOCK = 7_151_003
"""Held in Dagster's own database while its tables are made."""


def lock_migrations(connection: Connection) -> None:
    """Wait for, then hold until the end of the transaction, the right to change the schema."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATIONS_LOCK})


def lock_thresholds(connection: Connection) -> None:
    """Wait for, then hold until the end of the transaction, the right to tell of budgets and allowances."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": THRESHOLDS_LOCK})


def lock_usage(connection: Connection) -> None:
    """Wait for, then hold until the end of the transaction, the right to add usage events.

    Without it an event could appear with a received_at before the cut-off of a snapshot that did not see it.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": USAGE_LOCK})


def keep_usage_still(connection: Connection) -> None:
    """Until the end of the transaction nobody adds usage events; several may hold it at once."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": USAGE_LOCK})


def lock_month(connection: Connection, month: date) -> None:
    """Wait for, then hold, the month until the end of the transaction: one builder or charger at a time."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('billing month'), :month - date '1970-01-01')"), {"month": month}
    )


def lock_billing_periods(connection: Connection) -> None:
    """Wait for, then hold, the calendar of all customers until the end of the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('billing periods'))"))


def lock_price_books(connection: Connection) -> None:
    """Wait for, then hold, the price tables until the end of the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('price books'))"))


def lock_audit_chain(connection: Connection) -> None:
    """Wait for, then hold until the end of the transaction, the right to seal: a chain has one end."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit chain'))"))


def lock_alerts(connection: Connection) -> None:
    """Wait for, then hold until the end of the transaction, the right to open, tell and end alerts."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('alerts'))"))


def charge_lock_key(invoice_id: str) -> int:
    """Held by the session that works on an invoice's charge: a run, a person, a correction; never two of them."""
    return _key_of(f"charge:{invoice_id}")


def customer_at_stripe_lock_key(customer_id: str) -> int:
    """Held by the session that gives a customer another customer at Stripe."""
    return _key_of(f"customer at stripe:{customer_id}")


def stripe_object_lock_key(kind: str, object_id: str) -> int:
    """Held by the session that asks Stripe for an object of an event and writes what it says."""
    return _key_of(f"event:{kind}:{object_id}")


def started_run_lock_key(run_id: str) -> int:
    """Held by the process of a run that somebody started, as long as it lives."""
    return _key_of(f"started run {run_id}")


def _key_of(name: str) -> int:
    """64 bits of a name's digest."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
