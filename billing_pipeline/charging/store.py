"""billing.stripe_charges as it is read and changed, by runs, events and people alike.

Every change is the one statement of sql/charging/charge_change.sql, which re-checks what it relies on and writes its
entry in the audit log with it. What to change is decided in charging/rules/.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, text

from billing_pipeline.charging.brakes import require_permission
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.postgres.locks import charge_lock_key
from billing_pipeline.postgres.shared_session import SharedSession
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

LISTING_MARGIN = timedelta(days=1)
"""Invoices at Stripe are listed from so long before the first that can be the month's: clocks differ."""
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
    """The charges on one session. exclusive.py gives one whose session holds an invoice's lock.

    Args:
        session: a shared one is in autocommit mode, so that no transaction is open during a call to Stripe; events pass
            their connection, in the transaction that also finishes them.
        run_id: the Dagster run; None: a person at the command line.
        actor: who acts, for the audit log.

    Every method raises SessionLost where another thread has found a shared session ended.
    """

    def __init__(self, session: SharedSession | Connection, run_id: str | None, actor: str = CHARGER) -> None:
        self._session = session
        self._run_id = run_id
        self._actor = actor

    def turn(self) -> AbstractContextManager[Connection]:
        """The connection of the session that holds the lock, for what else is written while it does."""
        return self._session.turn() if isinstance(self._session, SharedSession) else nullcontext(self._session)

    @property
    def connection(self) -> Connection:
        """The connection that holds the lock, where no other thread uses it."""
        if isinstance(self._session, SharedSession):
            raise TypeError("threads share this session: they use it in turns")
        return self._session

    def require_permission(self, invoice_id: str) -> None:
        """Return if a call that moves the invoice's charge on may be made now, by this session.

        Raises:
            StripeFailure: charging is paused.
            LockLost: this session does not hold the invoice's lock.
        """
        with self.turn() as connection:
            require_permission(connection, charge_lock_key(invoice_id))

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
        with self.turn() as connection:
            row = connection.execute(text(_READ), {"invoice_id": invoice_id}).one_or_none()
        return StoredCharge(Charge(*row[:10]), bytes(row[10]), *row[11:]) if row is not None else None

    def is_held(self, invoice_id: str) -> bool:
        """Whether an active hold on the invoice, its customer or its month keeps it from being charged."""
        with self.turn() as connection:
            return bool(connection.execute(text(_HELD), {"invoice_id": invoice_id}).scalar_one())

    def change(self, charge: Charge, change: ChargeChange) -> Charge:
        """Write the change and its entry in the audit log, if the charge is still in the state and attempt of `charge`.

        Raises:
            ChargeMoved: it is not; nothing was changed.
        """
        after = change.applied_to(charge)
        parameters = {
            **{name: getattr(change, name) for name in _WRITTEN_AS_GIVEN},
            "invoice_id": charge.invoice_id,
            "from_state": charge.state,
            "from_attempt": charge.attempt,
            "state": after.state,
            "attempt": after.attempt,
            "actor": self._actor,
            "run_id": self._run_id,
            "evidence": json.dumps(dict(change.evidence)),
        }
        with self.turn() as connection:
            changed = connection.execute(text(load_sql("charging/charge_change.sql")), parameters).rowcount
        if changed != 1:
            raise ChargeMoved(f"charge {charge.invoice_id} is no longer {charge.state}, attempt {charge.attempt}")
        return after


_WRITTEN_AS_GIVEN = (
    "reason_code", "reason", "stripe_customer_id", "stripe_invoice_id", "stripe_total_minor", "stripe_currency",
    "outcome_unknown", "bank_payment_id", "page_url", "pdf_url", "action", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MonthCharge:
    """A charge of a month as a run plans with it.

    `released`: its canaries went before it. `waits_for_bank`: a payment of it is under way, which may take days.
    """

    invoice_id: str
    invoice_number: int
    number: str
    state: str
    reason_code: str | None
    amount_minor: int
    currency: str
    released: bool
    waits_for_bank: bool = False
    stripe_invoice_id: str | None = None


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
    ), 0) AS released,
    c.state = 'finalized' AND c.bank_payment_id IS NOT NULL AS waits_for_bank, c.stripe_invoice_id
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.billing_month = :month
ORDER BY i.invoice_number
"""
_READ = """
SELECT c.invoice_id::text, c.customer_id, c.amount_minor, c.currency, c.state, c.attempt, c.stripe_customer_id,
    c.stripe_invoice_id, c.bank_payment_id, billing.key_may_be_gone(c.attempt_began_at),
    c.request_body, cu.stripe_customer_id, c.reason_code, c.billing_month::date
FROM billing.stripe_charges AS c JOIN billing.customers AS cu USING (customer_id)
WHERE c.invoice_id = :invoice_id
"""
