"""What a customer sees and does about paying: the payment methods that we know of, and another try with the default."""

from collections.abc import Callable
from typing import Any

from billing_pipeline.charging.operations import invoice_named, retry_charge
from billing_pipeline.charging.reading import state_of
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.correcting_api import VoidingApi

TRIES_MAX_A_DAY = 3
"""Banks refuse a card for good that is tried again and again."""
ASKED = "asked for in the portal"


class TriedEnough(UserError):  # noqa: N818 - reads as what happened
    """The customer has asked for TRIES_MAX_A_DAY tries of this invoice within a day."""


def payment_methods_of(warehouse: Warehouse, customer_id: str) -> list[dict[str, Any]]:
    """Those attached at Stripe as its events last showed them, the default first."""
    return warehouse.rows(
        "SELECT m.payment_method_id, m.type, m.brand, m.last4, m.expires_on,"
        " m.payment_method_id = c.default_payment_method_id AS is_default"
        " FROM billing.stripe_payment_methods AS m LEFT JOIN billing.stripe_customers AS c USING (stripe_customer_id)"
        " WHERE m.customer_id = :id AND m.status = 'attached' ORDER BY is_default DESC NULLS LAST, m.created_at DESC",
        id=customer_id,
    )


def customer_of(customer_id: str) -> Signature:
    """The customer as the author of what they ask for."""
    return Signature(f"customer {customer_id}", ASKED)


def pay_again(
    warehouse: Warehouse,
    api: VoidingApi,
    customer_id: str,
    reference: str,
    *,
    limits: Limits,
    log: Callable[[str], None],
) -> str:
    """Try the customer's refused invoice again with the default payment method, as a person at the console would.

    Returns:
        The charge's state afterwards: paid, refused, or what it waits for.

    Raises:
        NotFound: the customer has no such invoice.
        TriedEnough: it was tried too often.
        UserError: it is not refused, is being charged right now, charging is paused, or Stripe cannot be asked.
    """
    invoice_id = invoice_named(warehouse, reference)
    signature = customer_of(customer_id)
    [found] = warehouse.rows(_CHARGE, id=invoice_id, author=signature.author)
    if found["customer_id"] != customer_id:
        raise NotFound(f"{reference}: customer {customer_id} has no such invoice")
    if found["state"] != "refused":
        raise UserError(f"{reference} is {found['state']}, not refused: there is nothing to try again")
    if found["tries"] >= TRIES_MAX_A_DAY:
        raise TriedEnough(f"{reference} was tried {found['tries']} times within a day: expected another payment method")
    retry_charge(warehouse, api, invoice_id, signature, limits=limits, log=log)
    return str(state_of(warehouse, invoice_id))


_CHARGE = """
SELECT c.customer_id, c.state, (
    SELECT count(*) FROM billing.automation_log AS l
    WHERE l.object_type = 'invoice' AND l.object_id = c.invoice_id::text AND l.action = 'charge.retry'
        AND l.actor = :author AND l.logged_at > clock_timestamp() - interval '1 day'
) AS tries
FROM billing.stripe_charges AS c WHERE c.invoice_id = CAST(:id AS uuid)
"""
