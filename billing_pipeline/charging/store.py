"""billing.stripe_charges as the charger reads and changes it, on one connection without open transactions.

Every change is one statement that re-checks what it relies on and writes its entry in the audit log with it. What to
change is decided in charging/rules/charging.py.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.brakes import require_permission
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

LISTING_MARGIN = timedelta(days=1)
CHARGER = "stripe-charger"
"""The actor in the audit log of what the program does by itself."""


class ChargeMoved(RuntimeError):  # noqa: N818 - reads as what happened
    """Somebody else changed the charge in between: what was decided on is no longer so."""


class ChargeMissing(LookupError):  # noqa: N818 - reads as what happened
    """The invoice has no charge: it is no final one, or a crash of the database took the commit that made it one."""


@dataclass(frozen=True, slots=True)
class StoredCharge:
    """A charge, its frozen request, and its customer's id at Stripe as it is now."""

    charge: Charge
    request_body: bytes
    customer_at_stripe: str | None
    reason_code: str | None
    billing_month: date


class ChargeStore:
    """The charges on one autocommit connection, which also holds the lock of the invoice that is worked on.

    Args:
        connection: in autocommit mode; nobody else uses it meanwhile.
        run_id: the Dagster run; None: a person at the command line.
        actor: who acts, for the audit log.
    """

    def __init__(self, connection: Connection, run_id: str | None, actor: str = CHARGER) -> None:
        self._connection = connection
        self._run_id = run_id
        self._actor = actor

    @contextmanager
    def locked(self, invoice_id: str) -> Iterator[bool]:
        """The right to charge the invoice, held by this session until the end of the block; False: others have it."""
        key = {"key": lock_key(invoice_id)}
        got = bool(self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one())
        try:
            yield got
        finally:
            if got and not self._connection.invalidated:
                try:
                    self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
                except DBAPIError:
                    # a connection that may still hold the lock must not go back to the pool
                    self._connection.invalidate()

    def require_permission(self, invoice_id: str) -> None:
        """Return if a call that moves the invoice's charge on may be made now, by this session.

        Raises:
            StripeFailure: charging is paused.
            LockLost: this session does not hold the invoice's lock.
        """
        require_permission(self._connection, lock_key(invoice_id))

    def read(self, invoice_id: str) -> StoredCharge:
        """The charge as it is now.

        Raises:
            ChargeMissing: the invoice has none.
        """
        found = self.find(invoice_id)
        if found is None:
            raise ChargeMissing(f"invoice {invoice_id} has no charge")
        return found

    def find(self, invoice_id: str) -> StoredCharge | None:
        """The charge as it is now; None: the invoice is no final one."""
        row = self._connection.execute(text(_READ), {"invoice_id": invoice_id}).one_or_none()
        return StoredCharge(Charge(*row[:8]), bytes(row[8]), *row[9:]) if row is not None else None

    def is_held(self, invoice_id: str) -> bool:
        """Whether an active hold on the invoice, its customer or its month keeps it from being charged."""
        return bool(self._connection.execute(text(_HELD), {"invoice_id": invoice_id}).scalar_one())

    def change(
        self,
        charge: Charge,
        action: str,
        *,
        state: str | None = None,
        attempt: int | None = None,
        reason_code: str | None = None,
        reason: str | None = None,
        stripe_customer_id: str | None = None,
        stripe_invoice_id: str | None = None,
        stripe_total_minor: int | None = None,
        stripe_currency: str | None = None,
        outcome_unknown: bool | None = False,
        evidence: Mapping[str, Any] | None = None,
        note: str | None = None,
    ) -> Charge:
        """Change what is given, if the charge is still in the state and attempt that `charge` says.

        `outcome_unknown` None leaves it as it is; `evidence` and `note` go to the audit log only.

        Raises:
            ChargeMoved: it is not; nothing was changed.
        """
        after = replace(
            charge,
            state=state or charge.state,
            attempt=attempt or charge.attempt,
            stripe_customer_id=stripe_customer_id or charge.stripe_customer_id,
            stripe_invoice_id=stripe_invoice_id or charge.stripe_invoice_id,
        )
        parameters = {
            "invoice_id": charge.invoice_id,
            "from_state": charge.state,
            "from_attempt": charge.attempt,
            "state": after.state,
            "attempt": after.attempt,
            "reason_code": reason_code,
            "reason": reason,
            "stripe_customer_id": stripe_customer_id,
            "stripe_invoice_id": stripe_invoice_id,
            "stripe_total_minor": stripe_total_minor,
            "stripe_currency": stripe_currency,
            "outcome_unknown": outcome_unknown,
            "actor": self._actor,
            "run_id": self._run_id,
            "action": action,
            "evidence": json.dumps(dict(evidence or {})),
            "note": note,
        }
        changed = self._connection.execute(text(load_sql("charging/charge_change.sql")), parameters).rowcount
        if changed != 1:
            raise ChargeMoved(f"charge {charge.invoice_id} is no longer {charge.state}, attempt {charge.attempt}")
        return after


def lock_key(invoice_id: str) -> int:
    """The 64-bit advisory lock of an invoice's charge."""
    return int.from_bytes(sha256(f"charge:{invoice_id}".encode()).digest()[:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class MonthCharge:
    """A charge of a month as a run plans with it. `released`: its canaries went before it."""

    invoice_id: str
    invoice_number: int
    number: str
    state: str
    reason_code: str | None
    amount_minor: int
    currency: str
    released: bool


def charges_of(warehouse: Warehouse, month: date) -> list[MonthCharge]:
    """All charges of the month, in the order of their numbers."""
    return [MonthCharge(**row) for row in warehouse.rows(_MONTH, month=month)]


def listing_start(warehouse: Warehouse, month: date) -> int:
    """Unix time before which no invoice of the month can have been made at Stripe.

    Its first period's end, not its oldest intent: a failover may have lost an intent that Stripe has heard of.
    """
    start = warehouse.scalar(
        "SELECT least(min(p.period_end), min(c.created_at)) FROM billing.stripe_charges AS c"
        " JOIN billing.invoices AS i USING (invoice_id) JOIN billing.billing_periods AS p USING (period_id)"
        " WHERE c.billing_month = :month",
        month=month,
    )
    return int((start - LISTING_MARGIN).timestamp()) if start is not None else 0


_HELD = """
SELECT billing.is_held(customer_id, invoice_id, billing_month) FROM billing.invoices WHERE invoice_id = :invoice_id
"""
_MONTH = """
SELECT c.invoice_id::text AS invoice_id, i.invoice_number, i.number, c.state, c.reason_code, c.amount_minor, c.currency,
    i.invoice_number <= coalesce((
        SELECT max(r.through_number) FROM billing.charge_releases AS r WHERE r.billing_month = :month
    ), 0) AS released
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.billing_month = :month
ORDER BY i.invoice_number
"""
_READ = """
SELECT c.invoice_id::text, c.customer_id, c.amount_minor, c.currency, c.state, c.attempt, c.stripe_customer_id,
    c.stripe_invoice_id, c.request_body, cu.stripe_customer_id, c.reason_code, c.billing_month::date
FROM billing.stripe_charges AS c JOIN billing.customers AS cu USING (customer_id)
WHERE c.invoice_id = :invoice_id
"""
