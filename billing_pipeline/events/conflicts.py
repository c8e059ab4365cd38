"""Copies of events that say something else than the stored one: each is an alarm until somebody has looked at it."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def contradictions(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Copies that nobody has acknowledged, newest first: event_id, type, object_id, source, received_at."""
    return warehouse.rows(load_sql("events/contradictions.sql"))


def acknowledge(warehouse: Warehouse, event_id: str, signature: Signature) -> int:
    """Say in the audit log that the copies of an event that are here were looked at. Returns how many were new.

    The copies stay as they are; one that comes later is an alarm of its own.

    Raises:
        UserError: no copy contradicts the event.
    """
    with warehouse.transaction() as connection:
        copies = connection.execute(text(load_sql("events/contradictions.sql")))
        count = sum(1 for copy in copies if copy.event_id == event_id)
        if not count:
            raise UserError(f"{event_id}: expected the id of an event that an unacknowledged copy contradicts")
        connection.execute(text(_LOG), {**asdict(signature), "event_id": event_id, "count": count})
    return count


_LOG = """
SELECT billing.log_action(:author, 'stripe_event.acknowledge', 'stripe_event', :event_id, :reason,
    state_after => jsonb_build_object('contradicting_copies', CAST(:count AS integer)))
"""
