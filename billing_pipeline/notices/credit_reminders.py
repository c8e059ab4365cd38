"""What customers are told of prepaid credits that a day ends. Of those that an invoice draws a trigger tells."""

from datetime import datetime

from sqlalchemy import text

from billing_pipeline.postgres.warehouse import Warehouse

EXPIRING_WITHIN_DAYS = 14


def remind_of_expiring_credits(warehouse: Warehouse, now: datetime) -> None:
    """Write the notices of grants whose last day is near, each once; doing it often changes nothing."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("SELECT billing.tell_of_expiring_credits(:now, :days)"), {"now": now, "days": EXPIRING_WITHIN_DAYS}
        )
