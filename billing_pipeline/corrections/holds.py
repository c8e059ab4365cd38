"""Holds on customers, invoices and months: placed and released by people, obeyed by Postgres and the charger."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.invoice_reference import find_invoice
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


class HoldRefused(UserError):  # noqa: N818 - reads as what happened
    """The hold cannot be placed or released; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held: `key` as billing.holds writes it, `label` as people do."""

    kind: str
    key: str
    label: str


@dataclass(frozen=True, slots=True)
class ActiveHold:
    """A hold that nobody has released, with the drafts and the uncharged invoices that it keeps back.

    `kind`: customer, invoice or month; `subject`: its key, as Subject has it.
    """

    kind: str
    subject: str
    author: str
    reason: str
    placed_at: datetime
    drafts: int
    uncharged: int


def customer_subject(warehouse: Warehouse, customer_id: str) -> Subject:
    """A customer.

    Raises:
        HoldRefused: there is none with this id.
    """
    if not warehouse.scalar("SELECT EXISTS (SELECT FROM billing.customers WHERE customer_id = :id)", id=customer_id):
        raise HoldRefused(f'customer "{customer_id}": expected the id of a customer, found none')
    return Subject("customer", customer_id, f"customer {customer_id}")


def invoice_subject(warehouse: Warehouse, reference: str) -> Subject:
    """An invoice, draft or final. Raises InvoiceUnknown."""
    invoice = find_invoice(warehouse, reference)
    return Subject("invoice", invoice.invoice_id, invoice.label)


def month_subject(month: date) -> Subject:
    """A month, also one that is not billed yet."""
    return Subject("month", month.isoformat(), f"month {month:%Y-%m}")


def place_hold(warehouse: Warehouse, subject: Subject, signature: Signature) -> None:
    """Keep it from being finalised and charged, from now on.

    Raises:
        HoldRefused: it is held already.
    """
    values = {
        "kind": subject.kind,
        "key": subject.key,
        "author": signature.author,
        "reason": signature.reason,
    }
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_PLACE), values)
    except IntegrityError as error:
        if violated(error) != "holds_one_active":
            raise
        known = [hold for hold in active_holds(warehouse) if (hold.kind, hold.subject) == (subject.kind, subject.key)]
        by = f" by {known[0].author}: {known[0].reason}" if known else ""
        raise HoldRefused(f"{subject.label} is on hold already{by}") from None


def release_hold(warehouse: Warehouse, subject: Subject, signature: Signature) -> None:
    """End the active hold; the next run goes on with what it kept.

    Raises:
        HoldRefused: there is none.
    """
    values = {
        "kind": subject.kind,
        "key": subject.key,
        "author": signature.author,
        "reason": signature.reason,
    }
    with warehouse.transaction() as connection:
        if connection.execute(text(_RELEASE), values).rowcount != 1:
            raise HoldRefused(f"{subject.label} is not on hold")


def active_holds(warehouse: Warehouse, month: date | None = None) -> list[ActiveHold]:
    """Active holds, oldest first, with the invoices of the month (or of all) that each keeps back."""
    return [ActiveHold(**row) for row in warehouse.rows(load_sql("corrections/active_holds.sql"), month=month)]


_PLACE = """
WITH placed AS (
    INSERT INTO billing.holds (subject_type, subject, author, reason) VALUES (:kind, :key, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'hold.place', subject_type, subject, reason, state_after => jsonb_build_object('hold_id', hold_id)
) FROM placed
"""
_RELEASE = """
WITH released AS (
    UPDATE billing.holds SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE subject_type = :kind AND subject = :key AND released_at IS NULL
    RETURNING *
)
SELECT billing.log_action(
    released_by, 'hold.release', subject_type, subject, release_reason,
    state_after => jsonb_build_object('hold_id', hold_id)
) FROM released
"""
