"""The kill switch in Postgres: who may switch it, and the question before every call that moves a charge on.

It goes off by itself when the database turns out to be another one (a failover, a restore), because commits may be
lost then; only a clean reconciliation (failover.py) lets it on again. History is in automation_log, written by
the table's own trigger.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from billing_pipeline.charging.follow_ups import hasten
from billing_pipeline.charging.rules.brakes import Brake, Limits
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.charging import ChargingSettings
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, StripeFailure, Verdict

PAUSED = "charging_paused"
UNAVAILABLE = "stripe_unavailable"


class LockLost(RuntimeError):  # noqa: N818 - reads as what happened
    """The session does not hold the invoice's lock: somebody else may be charging it. No call was made."""


@dataclass(frozen=True, slots=True)
class Brakes:
    """The row of billing.charge_brakes, and the incarnation that the database has now."""

    charges_enabled: bool
    needs_reconciliation: bool
    changed_by: str
    reason: str
    changed_at: datetime
    incarnation: str
    present_incarnation: str
    consecutive_failures: int
    probe_at: datetime | None

    def on(self) -> list[Brake]:
        """What stops charging now."""
        found = []
        if not self.charges_enabled:
            found.append(Brake(PAUSED, paused_text(self.changed_by, self.reason)))
        if self.probe_at is not None:
            found.append(
                Brake(
                    UNAVAILABLE,
                    f"{self.consecutive_failures} calls to Stripe in a row had no answer; the next is tried at"
                    f" {self.probe_at:%Y-%m-%d %H:%M:%S} UTC",
                )
            )
        return found


def limits_of(settings: ChargingSettings) -> Limits:
    """What one charging run may do without a person."""
    return Limits(settings.invoice_cap_minor, settings.run_cap_minor, settings.canary_refusals_max_percent)


def read_brakes(warehouse: Warehouse) -> Brakes:
    """The brakes as they are, after looking whether the database is still the same."""
    with warehouse.transaction() as connection:
        connection.execute(text("SELECT billing.stop_if_another_database()"))
        row = connection.execute(text(_BRAKES)).one()
    return Brakes(*row)


def paused_text(changed_by: str, reason: str) -> str:
    """Who stopped charging and why."""
    return f"charging is paused by {changed_by}: {reason}"


def require_permission(connection: Connection, lock_key: int | None = None) -> None:
    """Return if a call that moves a charge on may be made now.

    Args:
        connection: in autocommit mode; the one that holds the invoice's lock, if `lock_key` is given.
        lock_key: the lock that this session must hold.

    Raises:
        StripeFailure: charging is paused; its outcome is RETRY, because nothing was sent.
        LockLost: the session does not hold the lock.
        DBAPIError: the connection is lost, and the lock with it.
    """
    row = connection.execute(text(load_sql("charging/charge_permit.sql")), {"key": lock_key or 0}).one()
    if row.charges_enabled and not row.same_database:
        connection.execute(text("SELECT billing.stop_if_another_database()"))
        row = connection.execute(text(load_sql("charging/charge_permit.sql")), {"key": lock_key or 0}).one()
    if not row.charges_enabled:
        why = paused_text(row.changed_by, row.reason)
        raise StripeFailure(Verdict(Outcome.RETRY, PAUSED), Evidence("brake", PAUSED, message=why))
    if lock_key is not None and not row.locked:
        raise LockLost("the lock of the invoice is not this session's any more")


def pause_charging(warehouse: Warehouse, signature: Signature) -> None:
    """Stop charging everywhere: no run makes another call that creates, finalises or pays."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("UPDATE billing.charge_brakes SET charges_enabled = false, changed_by = :author, reason = :reason"),
            asdict(signature),
        )


def resume_charging(warehouse: Warehouse, signature: Signature) -> None:
    """Let charging go on.

    Raises:
        UserError: it is not paused, or has to be reconciled first.
    """
    brakes = read_brakes(warehouse)
    if brakes.needs_reconciliation:
        raise UserError(f"{brakes.reason}: run `billing charges reconcile` first, it resumes when all is well")
    if brakes.charges_enabled:
        raise UserError("charging is not paused")
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "UPDATE billing.charge_brakes SET charges_enabled = true, changed_by = :author, reason = :reason"
                " WHERE NOT needs_reconciliation"
            ),
            asdict(signature),
        )
    hasten(warehouse, datetime.now(UTC))


def mark_reconciled(warehouse: Warehouse, signature: Signature, incarnation: str) -> bool:
    """Charging may go on in the database of this incarnation; False: it has changed again meanwhile."""
    with warehouse.transaction() as connection:
        changed = connection.execute(
            text(
                "UPDATE billing.charge_brakes SET charges_enabled = true, needs_reconciliation = false,"
                " incarnation = :incarnation, changed_by = :author, reason = :reason"
                " WHERE needs_reconciliation AND billing.database_incarnation() = :incarnation"
            ),
            {**asdict(signature), "incarnation": incarnation},
        )
    hasten(warehouse, datetime.now(UTC))
    return changed.rowcount == 1


_BRAKES = """
SELECT charges_enabled, needs_reconciliation, changed_by, reason, changed_at, incarnation,
    billing.database_incarnation(), consecutive_failures, probe_at
FROM billing.charge_brakes
"""
