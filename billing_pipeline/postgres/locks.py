"""Keys of the advisory locks that more than one module takes, and the lock of a month."""

from datetime import date

from sqlalchemy import Connection, text

USAGE_LOCK = 7_151_002
"""Held exclusively by imports while they fix received_at and insert, shared by snapshots while they read."""

DAGSTER_STORAGE_LOCK = 7_151_003
"""Held in Dagster's own database while its tables are made."""


def lock_month(connection: Connection, month: date) -> None:
    """Wait for, then hold, the month until the end of the transaction: one builder or charger at a time."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('billing month'), :month - date '1970-01-01')"), {"month": month}
    )
