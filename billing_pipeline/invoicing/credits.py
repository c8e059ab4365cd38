"""Prepaid credits by hand: grant them, look at them, book what expired, take back what is left.

Here: billing.credit_grants and their ledger. Not here: which invoice draws what (the function draw_credits, in the
finalising transaction), what a void invoice gives back (a trigger).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import one_line
from billing_pipeline.invoicing.invoice_reference import find_final_invoice
from billing_pipeline.postgres.errors import database_reason
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

# Part of every grant id ever given: never change it.
_NAMESPACE = UUID("5be2c1d8-3f6e-4f2c-8c7d-0a4b8a5d9e31")

Row = dict[str, Any]
CreditKind = Literal["paid", "promotional"]


class CreditsRefused(UserError):  # noqa: N818 - reads as what happened
    """The credits cannot be granted or taken back like this; nothing was written."""


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant as it is written. `amount_minor` in minor units of `currency`; the lower `priority` is drawn first."""

    grant_id: str
    customer_id: str
    currency: str
    kind: CreditKind
    amount_minor: int
    priority: int
    expires_on: date | None
    description: str


def grant_credits(
    warehouse: Warehouse,
    customer_id: str,
    amount_minor: int,
    signature: Signature,
    *,
    kind: CreditKind = "paid",
    priority: int = 100,
    expires_on: date | None = None,
    description: str | None = None,
) -> NewGrant:
    """Grant credits, which the customer's invoices draw when they become final.

    The id is derived from customer, kind, amount and reason: the same command twice is refused the second time, and
    another grant needs a reason of its own.

    Raises:
        CreditsRefused: the amount is not above zero, the customer is unknown, or it was granted already.
        UserError: the description is none.
    """
    currency = warehouse.scalar("SELECT currency FROM billing.customers WHERE customer_id = :id", id=customer_id)
    if currency is None:
        raise CreditsRefused(f'customer "{customer_id}": expected the id of a customer, found none')
    if amount_minor <= 0:
        raise CreditsRefused("amount: expected more than 0")
    new = NewGrant(
        str(uuid5(_NAMESPACE, f"{customer_id}|{currency}|{kind}|{amount_minor}|{signature.reason}")),
        customer_id,
        str(currency),
        kind,
        amount_minor,
        priority,
        expires_on,
        one_line("description", description or ("Prepaid credits" if kind == "paid" else "Promotional credits")),
    )
    values = {name: getattr(new, name) for name in new.__slots__}
    values |= {"author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        if connection.execute(text(load_sql("invoicing/credit_grant.sql")), values).rowcount != 1:
            raise CreditsRefused(
                f"customer {customer_id}: this was granted already; another grant needs a reason of its own"
            )
    return new


def void_credits(warehouse: Warehouse, grant_id: str, signature: Signature) -> int:
    """Take back what is left of a grant; returns it in minor units.

    Raises:
        CreditsRefused: there is no such grant, or nothing is left of it.
    """
    try:
        values = {"id": str(UUID(grant_id)), "author": signature.author, "reason": signature.reason}
    except ValueError:
        raise CreditsRefused(f'grant "{grant_id}": expected an id of `billing credits list`') from None
    try:
        with warehouse.transaction() as connection:
            taken = connection.execute(text(load_sql("invoicing/credit_void.sql")), values).scalar()
    except DBAPIError as error:
        raise CreditsRefused(f"grant {grant_id}: {database_reason(error)}") from error
    if taken is None:
        raise CreditsRefused(f'grant "{grant_id}": expected one of `billing credits list` with something left')
    return int(taken)


def expire_credits(warehouse: Warehouse, signature: Signature, *, customer_id: str | None = None) -> int:
    """Book what is left of grants whose last day is over; returns how many. Finalising a month does it by itself."""
    values = {"whose": customer_id, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        query = "SELECT billing.expire_credits(:whose, :author, :reason)"
        return int(connection.execute(text(query), values).scalar_one())


def return_credits(
    warehouse: Warehouse, reference: str, signature: Signature, *, amount_minor: int | None = None
) -> int:
    """Give back to their grants what a final invoice drew, or a part of it, what was drawn last first.

    It is what a credit note is for the part of an invoice that Stripe was asked for.

    Returns:
        What came back, in minor units.

    Raises:
        CreditsRefused: the invoice is a draft or void, or has not so much left of what it drew.
    """
    invoice = find_final_invoice(warehouse, reference)
    values = {"id": invoice.invoice_id, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        kept = connection.execute(text(load_sql("invoicing/credits_kept.sql")), values).scalar_one()
        wanted = kept if amount_minor is None else amount_minor
        if not 0 < wanted <= kept:
            told, left = (format_minor(minor, invoice.currency) for minor in (wanted, kept))
            raise CreditsRefused(
                f"{invoice.label}: {told} is not above 0 and up to the {left} that it keeps of credits"
            )
        returned = connection.execute(text(load_sql("invoicing/credits_return.sql")), {**values, "amount": wanted})
        return int(returned.scalar_one())


def list_grants(
    warehouse: Warehouse,
    *,
    customer_id: str | None = None,
    every: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Grants in the order in which they are drawn, below the grant `after`; `every`: also those that are used up."""
    return warehouse.rows(
        load_sql("invoicing/list_credits.sql"), customer_id=customer_id, every=every, after=after, row_limit=limit
    )


def credit_entries(warehouse: Warehouse, customer_id: str) -> list[Row]:
    """The customer's ledger with the balance after each entry, the oldest first: billing.credit_burn_down."""
    return warehouse.rows(
        "SELECT * FROM billing.credit_burn_down WHERE customer_id = :customer_id ORDER BY entry_id",
        customer_id=customer_id,
    )


def credit_balances(warehouse: Warehouse, customer_id: str | None = None) -> list[Row]:
    """What each customer has, had and used: billing.credit_balances."""
    return warehouse.rows(
        "SELECT * FROM billing.credit_balances WHERE cast(:customer_id AS text) IS NULL OR customer_id = :customer_id"
        " ORDER BY customer_id, currency",
        customer_id=customer_id,
    )
