"""Coupons, and granting them to customers by hand. What a grant takes off is a term: pricing/rules/term_lines.py.

Here: billing.coupons and discount_grants. Not here: which invoices use a grant (the trigger use_discounts).
"""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import one_line, shown
from billing_pipeline.imports.rules.fields import key
from billing_pipeline.postgres.errors import database_reason, violated
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

Row = dict[str, Any]


class DiscountRefused(UserError):  # noqa: N818 - reads as what happened
    """The coupon or the grant cannot be made or ended like this; nothing was written."""


@dataclass(frozen=True, slots=True)
class Coupon:
    """What a coupon takes off: `amount` in whole units of `currency`, or `percent`; of `meters`, or of all.

    It reduces `periods_max` invoices of a customer and is granted to `redemptions_max` customers, until `redeem_until`;
    None: without end.
    """

    coupon: str
    currency: str
    amount: Decimal | None = None
    percent: Decimal | None = None
    meters: tuple[str, ...] | None = None
    description: str | None = None
    periods_max: int | None = None
    redemptions_max: int | None = None
    redeem_until: date | None = None


def create_coupon(warehouse: Warehouse, new: Coupon, signature: Signature) -> None:
    """Make a coupon.

    Raises:
        DiscountRefused: the code is taken or none, a meter is not in the currency's book, or a value makes no sense.
        UserError: the description is none.
    """
    try:
        key(new.coupon)
    except ValueError as error:
        raise DiscountRefused(f'coupon "{shown(new.coupon)}": expected {error}') from None
    if new.description is not None:
        new = replace(new, description=one_line("description", new.description))
    if (new.amount is None) == (new.percent is None):
        raise DiscountRefused(f"coupon {new.coupon}: expected either an amount or a percentage")
    known = {
        row["meter"]
        for row in warehouse.rows("SELECT meter FROM billing.meters WHERE currency = :currency", currency=new.currency)
    }
    for meter in new.meters or ():
        if meter not in known:
            told = ", ".join(sorted(known)) or "none"
            raise DiscountRefused(f'coupon {new.coupon}, meter "{meter}": expected a meter of the book ({told})')
    values = {name: getattr(new, name) for name in new.__slots__}
    values["meters"] = list(new.meters) if new.meters else None
    _write(warehouse, f"coupon {new.coupon}", signature, "coupon.create", new.coupon, "coupon_create", values)


def grant_coupon(
    warehouse: Warehouse,
    coupon: str,
    customer_id: str,
    signature: Signature,
    *,
    from_on: date,
    until_on: date | None = None,
) -> None:
    """Let a coupon reduce the customer's invoices of periods that start from `from_on` until `until_on`.

    Raises:
        DiscountRefused: there is no such coupon or customer, it has been granted often enough, its day is over, the
            customer has it already or is billed in another currency.
    """
    found = warehouse.rows(
        "SELECT c.currency AS of_coupon, k.currency AS of_customer FROM (VALUES (1)) AS one (n)"
        " LEFT JOIN billing.coupons AS c ON c.coupon = :coupon"
        " LEFT JOIN billing.customers AS k ON k.customer_id = :customer",
        coupon=coupon,
        customer=customer_id,
    )[0]
    if found["of_coupon"] is None:
        raise DiscountRefused(f'coupon "{coupon}": expected one of `billing discounts list`, found none')
    if found["of_customer"] is None:
        raise DiscountRefused(f'customer "{customer_id}": expected the id of a customer, found none')
    if found["of_coupon"] != found["of_customer"]:
        raise DiscountRefused(
            f"coupon {coupon} is in {found['of_coupon']}, customer {customer_id} is billed in {found['of_customer']}"
        )
    values = {"coupon": coupon, "customer_id": customer_id, "from_on": from_on, "until_on": until_on}
    where = f"coupon {coupon} for customer {customer_id}"
    _write(warehouse, where, signature, "discount.grant", f"{coupon}/{customer_id}", "discount_grant", values)


def end_discount(warehouse: Warehouse, coupon: str, customer_id: str, on: date, signature: Signature) -> None:
    """Let the grant hold for no period that starts after this day; what is billed stays, and is drift if it differs.

    Raises:
        DiscountRefused: the customer was not granted it, or it ends or begins otherwise.
    """
    values = {"coupon": coupon, "customer_id": customer_id, "last_day": on}
    where = f"coupon {coupon} for customer {customer_id}"
    changed = _write(warehouse, where, signature, "discount.end", f"{coupon}/{customer_id}", "discount_end", values)
    if changed != 1:
        raise DiscountRefused(f"{where}: expected a grant of `billing discounts show {coupon}` that ends after {on}")


def coupons(warehouse: Warehouse, coupon: str | None = None) -> list[Row]:
    """Coupons by code; columns: sql/pricing/list_discounts.sql."""
    return warehouse.rows(load_sql("pricing/list_discounts.sql"), coupon=coupon)


def grants(warehouse: Warehouse, *, coupon: str | None = None, customer_id: str | None = None) -> list[Row]:
    """Grants, the oldest first; columns: sql/pricing/list_discount_grants.sql."""
    return warehouse.rows(load_sql("pricing/list_discount_grants.sql"), coupon=coupon, customer_id=customer_id)


def _write(
    warehouse: Warehouse, where: str, signature: Signature, action: str, key: str, statement: str, values: Row
) -> int:
    author, reason = signature.author, signature.reason
    try:
        with warehouse.transaction() as connection:
            query = text(load_sql(f"pricing/{statement}.sql"))
            changed = connection.execute(query, {**values, "author": author, "reason": reason}).rowcount
            if changed:
                log = "SELECT billing.log_action(:author, :action, 'discount', :key, :reason)"
                connection.execute(text(log), {"author": author, "action": action, "key": key, "reason": reason})
            return changed
    except DBAPIError as error:
        why = _REFUSALS.get(violated(error) or "") or database_reason(error)
        raise DiscountRefused(f"{where}: {why}") from error


_REFUSALS = {
    "coupons_pkey": "there is a coupon of this code already",
    "coupons_are_not_granted_too_often": "it has been granted to as many customers as it may be",
    "a_coupon_is_granted_once_to_a_customer": "the customer has it already",
    "terms_until_on_check": "it would end before it begins",
}
