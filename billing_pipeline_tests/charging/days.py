"""Days that pass for charges, and what they leave in the queue."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from billing_pipeline.charging.follow_up_runs import FollowUpReport, follow_up
from billing_pipeline_tests.charging.world import NO_EXPECTATION, World, invoice_id_of


class Days:
    """The clock of the passes, ahead of the database's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def after(self, **by: float) -> FollowUpReport:
        """A pass after a while; the rows are as old as if it had been one."""
        step = timedelta(**by)
        with self.world.warehouse.transaction() as connection:
            connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
            connection.execute(
                text("UPDATE billing.stripe_charges SET updated_at = updated_at - :step"), {"step": step}
            )
            connection.execute(text("UPDATE billing.charge_follow_ups SET due_at = due_at - :step"), {"step": step})
        return follow_up(
            self.world.warehouse, self.world.gateway(), "janitor", log=self.world.said.append, limits=NO_EXPECTATION,
            workers=2,
        )  # fmt: skip


def row(world: World, customer_id: str, kind: str) -> dict[str, Any] | None:
    rows = world.warehouse.rows(
        "SELECT step, due_at, cause, attempt FROM billing.charge_follow_ups WHERE invoice_id = :id AND kind = :kind",
        id=invoice_id_of(customer_id),
        kind=kind,
    )
    return rows[0] if rows else None


def card_works(world: World, customer_id: str, outcome: str = "success") -> None:
    """From now on the customer's card ends charges like this."""
    customer = world.warehouse.scalar(
        "SELECT stripe_customer_id FROM billing.customers WHERE customer_id = :c", c=customer_id
    )
    method = world.stripe.api.payment_methods.list({"customer": customer}).data[0]
    world.stripe.control("POST", "/cards", {"payment_method": method.id, "outcome": outcome})
