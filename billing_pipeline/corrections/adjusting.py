"""One-off amounts for a customer, written once. The next draft takes them up, or an invoice of their own does.

Not here: how a draft takes them up (invoicing/invoices.py), invoices of their own (one_off_invoices.py).
"""

from dataclasses import dataclass
from uuid import UUID, uuid5

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import one_line
from billing_pipeline.postgres.errors import FOREIGN_KEY, database_reason, sqlstate, violated
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

# Part of every adjustment id ever given: never change it.
_NAMESPACE = UUID("b5c1a6a4-7c4e-4a43-9a52-6c3f4de0a9b1")


class AdjustmentRefused(UserError):  # noqa: N818 - reads as what happened
    """The adjustment cannot be made like this; nothing was written."""


@dataclass(frozen=True, slots=True)
class NewAdjustment:
    """An adjustment as it is written. `amount_minor` in minor units of `currency`, below zero a credit."""

    adjustment_id: str
    customer_id: str
    currency: str
    amount_minor: int
    description: str
    reason: str
    author: str


def currency_of(warehouse: Warehouse, customer_id: str) -> str:
    """The currency that a customer is billed in.

    Raises:
        AdjustmentRefused: there is no such customer.
    """
    found = warehouse.scalar("SELECT currency FROM billing.customers WHERE customer_id = :id", id=customer_id)
    if found is None:
        raise AdjustmentRefused(f'customer "{customer_id}": expected the id of a customer, found none')
    return str(found)


def adjust(
    warehouse: Warehouse, customer_id: str, amount_minor: int, signature: Signature, *, description: str | None = None
) -> NewAdjustment:
    """Add an amount to the customer's next invoice, or take it off, as far as its total stays at zero or above.

    Its id is derived from customer, amount and reason: the same command twice is refused the second time, and another
    adjustment needs a reason of its own.

    Raises:
        AdjustmentRefused: the amount is zero, the customer is unknown, or it was made already.
        UserError: the description is none; without one the reason is.
    """
    if amount_minor == 0:
        raise AdjustmentRefused("amount: expected another amount than 0")
    new = new_adjustment(warehouse, customer_id, amount_minor, signature, description)
    with warehouse.transaction() as connection:
        write_adjustment(connection, new)
    return new


def new_adjustment(
    warehouse: Warehouse, customer_id: str, amount_minor: int, signature: Signature, description: str | None
) -> NewAdjustment:
    """The adjustment that customer, amount and reason make, in the customer's currency. Nothing is written.

    Raises:
        AdjustmentRefused: there is no such customer.
    """
    currency = currency_of(warehouse, customer_id)
    return NewAdjustment(
        str(uuid5(_NAMESPACE, f"{customer_id}|{currency}|{amount_minor}|{signature.reason}")),
        customer_id,
        currency,
        amount_minor,
        one_line("description", description or " ".join(signature.reason.split())),
        signature.reason,
        signature.author,
    )


def write_adjustment(connection: Connection, new: NewAdjustment, *, invoiced_with: UUID | None = None) -> None:
    """Write it. `invoiced_with`: the billed period whose supplementary invoice carries it, and not the next invoice.

    Raises:
        AdjustmentRefused: it was made already.
    """
    values = {name: getattr(new, name) for name in new.__slots__} | {"period_id": invoiced_with}
    if connection.execute(text(load_sql("corrections/adjustment_make.sql")), values).rowcount != 1:
        raise AdjustmentRefused(
            f"customer {new.customer_id}: this adjustment was made already; another one needs a reason of its own"
        )


def revoke(warehouse: Warehouse, adjustment_id: str, signature: Signature) -> None:
    """Revoke an adjustment that is on no invoice yet; of a settlement's, what it settled is open again.

    Raises:
        AdjustmentRefused: there is none with this id, an invoice or a draft has it, or it is revoked.
    """
    try:
        values = {"id": str(UUID(adjustment_id)), "author": signature.author, "reason": signature.reason}
    except ValueError:
        raise AdjustmentRefused(f'adjustment "{adjustment_id}": expected an id of `billing adjustments list`') from None
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_REVOKE), values)
    except DBAPIError as error:
        if violated(error) == "adjustment_revocations_pkey":
            why = f"adjustment {adjustment_id} is revoked already"
        elif sqlstate(error) == FOREIGN_KEY:
            why = f'adjustment "{adjustment_id}": expected an id of `billing adjustments list`, found none'
        else:
            why = database_reason(error)
        raise AdjustmentRefused(why) from error


_REVOKE = """
WITH revoked AS (
    INSERT INTO billing.adjustment_revocations (adjustment_id, author, reason)
    VALUES (CAST(:id AS uuid), :author, :reason) RETURNING *
)
SELECT billing.log_action(author, 'adjustment.revoke', 'adjustment', adjustment_id::text, reason) FROM revoked
"""
