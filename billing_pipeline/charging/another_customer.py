"""Another customer at Stripe for one of ours, after the one before was deleted there: which one, and writing it down.

What becomes of the charges that stand on the one before is corrections/relink_customer.py's.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.charging.customers import create_instead, customers_there
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.api import StripeCustomer
from billing_pipeline.stripe_gateway.rules.correcting_api import RelinkingApi
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure


class RelinkRefused(UserError):  # noqa: N818 - reads as what happened
    """The customer does not get another customer at Stripe like this; the text says why. Nothing was changed."""


def customers_to_relink(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Rows of billing.customers_to_relink, by customer."""
    return warehouse.rows("SELECT * FROM billing.customers_to_relink ORDER BY customer_id")


def give_another(
    warehouse: Warehouse, api: RelinkingApi, customer_id: str, signature: Signature, to: str | None
) -> tuple[str, str]:
    """Make `to`, or one that carries our key, or else a new one, the customer's at Stripe: who it was and who it is.

    The same twice where the one that it has is there. Whoever calls holds the customer's lock.

    Raises:
        RelinkRefused: see the class.
        StripeFailure: Stripe could not be asked, or charging is paused and a new one would have to be made.
    """
    found = warehouse.rows(
        "SELECT stripe_customer_id, email FROM billing.customers WHERE customer_id = :id", id=customer_id
    )
    if not found:
        raise RelinkRefused(f'customer "{customer_id}": expected the id of a customer, found none')
    before = found[0]["stripe_customer_id"]
    if before is None:
        raise RelinkRefused(
            f"customer {customer_id} has no customer at Stripe yet: its first charge finds or makes one"
        )
    at_stripe = _retrieve(api, before)
    if at_stripe is not None and not at_stripe.deleted:
        if to not in (None, before):
            raise RelinkRefused(f"customer {customer_id} is {before} at Stripe, which is there and not deleted")
        return before, before
    if at_stripe is None and to is None:
        raise RelinkRefused(
            f"customer {customer_id}: Stripe has never had {before} under this key. If the key is of another account"
            " or mode, set the right one; if the id was wrong, name the right customer with --to cus_…"
        )
    chosen = (
        _named(api, customer_id, to) if to is not None else _own(warehouse, api, customer_id, found[0]["email"], before)
    )
    values = {
        "customer_id": customer_id,
        "from_stripe_customer_id": before,
        "to_stripe_customer_id": chosen,
        "author": signature.author,
        "reason": signature.reason,
    }
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(load_sql("charging/relink_customer.sql")), values)
            connection.execute(text(_RELINK), values)
    except IntegrityError as error:
        raise RelinkRefused(f"{chosen} is another customer's of ours: name one that is not, with --to") from error
    return before, chosen


def _retrieve(api: RelinkingApi, stripe_customer_id: str) -> StripeCustomer | None:
    try:
        return api.retrieve_customer(stripe_customer_id)
    except StripeFailure as failure:
        if failure.evidence.kind == "not_found":
            return None
        raise


def _named(api: RelinkingApi, customer_id: str, to: str) -> str:
    """The customer that was named; it carries our key from now on."""
    named = _retrieve(api, to)
    if named is None or named.deleted:
        raise RelinkRefused(f"{to}: expected a customer at Stripe, it {'is deleted' if named else 'is not there'}")
    if named.customer_id not in (None, "", customer_id):
        raise RelinkRefused(f"{to} is customer {named.customer_id}'s, by its metadata at Stripe")
    if named.customer_id != customer_id:
        api.claim_customer(to, customer_id, key=f"customer:{to}:claim")
    return to


def _own(warehouse: Warehouse, api: RelinkingApi, customer_id: str, email: str, gone: str) -> str:
    """The customer there that carries our key, or a new one."""
    there = customers_there(api, customer_id, email)
    if len(there) > 1:
        ids = ", ".join(sorted(one.id for one in there))
        raise RelinkRefused(
            f"customer {customer_id}: several customers at Stripe carry its id: {ids}; choose with --to"
        )
    return (there[0] if there else create_instead(warehouse, api, customer_id, gone)).id


_RELINK = """
UPDATE billing.customers SET stripe_customer_id = :to_stripe_customer_id
WHERE customer_id = :customer_id AND stripe_customer_id = :from_stripe_customer_id
"""
