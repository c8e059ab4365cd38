"""Events of customers, their payment methods and subscriptions."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from billing_pipeline.charging.follow_ups import make_due
from billing_pipeline.events import mirror
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.rules.stripe_events import CLOCKS_DIFFER, Applied, Awaited, Ignored, Verdict
from billing_pipeline.stripe_gateway.rules.objects import CustomerFacts


def _customer(reading: Reading, stripe_customer_id: str, metadata_id: str | None = None) -> str | Ignored | Awaited:
    """Which customer of ours a customer at Stripe is."""
    known = reading.look_up(_CUSTOMER_AT_STRIPE, stripe_customer_id=stripe_customer_id)
    if known is not None:
        return str(known.customer_id)
    if metadata_id is None:
        metadata_id = reading.api.retrieve_customer_facts(stripe_customer_id).customer_id
    ours = reading.look_up(_CUSTOMER_WITHOUT_ID, customer_id=metadata_id)
    if ours is not None:
        # it gets one at its first charge, which may be weeks away
        return Awaited(f"customer {ours.customer_id} has no id at Stripe yet", dispensable=True)
    return Ignored(f"{stripe_customer_id} is no customer of ours")


def read_customer(reading: Reading) -> Write:
    """Ask for the customer, unless its events tell of nothing that is kept here."""
    if _tells_nothing(reading):
        return lambda _: Applied("nothing changed that is kept here")
    facts = reading.api.retrieve_customer_facts(reading.object_id)
    customer = _customer(reading, facts.stripe_customer_id, facts.customer_id or "")
    has_new_default = isinstance(customer, str) and _has_new_default(reading, customer, facts)

    def write(connection: Connection) -> Verdict:
        if not isinstance(customer, str):
            return customer
        mirror.mirror_customer(connection, customer, facts)
        if has_new_default:
            _retry_refused(connection, reading, customer)
        return Applied()

    return write


def _tells_nothing(reading: Reading) -> bool:
    """Whether no event says that anything changed that is kept here. A replay refreshes the row, if there is one."""
    bodies = reading.bodies_at_hand()
    if bodies is None or not all(map(_changes_nothing_kept, bodies)):
        return False
    is_replayed = any(event.replays for event in reading.events)
    return not is_replayed or reading.look_up(_DEFAULT, stripe_customer_id=reading.object_id) is None


def _changes_nothing_kept(body: Mapping[str, Any]) -> bool:
    """Whether an event says which attributes changed, and none of them is kept: Stripe counts invoices there, too."""
    changed = (body.get("data") or {}).get("previous_attributes")
    return isinstance(changed, dict) and bool(changed) and not _KEPT & changed.keys()


def _has_new_default(reading: Reading, customer_id: str, facts: CustomerFacts) -> bool:
    """Whether the default payment method is another than before, where that matters to a refused charge.

    A first look at a customer knows no earlier default: what the events say changed is then the only hint.
    """
    if facts.default_payment_method_id is None:
        return False
    before = reading.look_up(_DEFAULT, stripe_customer_id=facts.stripe_customer_id)
    if before is not None:
        return bool(before.default_payment_method_id != facts.default_payment_method_id)
    if reading.look_up(_REFUSED_AT, customer_id=customer_id)[0] is None:
        return False
    return any(
        {"invoice_settings", "default_source"} & set((body.get("data") or {}).get("previous_attributes") or {})
        for body in reading.bodies()
    )


def _retry_refused(connection: Connection, reading: Reading, customer_id: str) -> None:
    """A payment method that came after the customer's refusals makes them due; one that was refused does not."""
    created = [event.created for event in reading.events if event.created is not None]
    refused_at = connection.execute(text(_REFUSED_AT), {"customer_id": customer_id}).scalar()
    if created and refused_at is not None and max(created) + CLOCKS_DIFFER >= refused_at:
        make_due(connection, customer_id)


def read_subscription(reading: Reading) -> Write:
    """Ask for the subscription."""
    subscription = reading.api.retrieve_subscription(reading.object_id)
    customer = _customer(reading, subscription.stripe_customer_id)

    def write(connection: Connection) -> Verdict:
        if not isinstance(customer, str):
            return customer
        mirror.mirror_subscription(connection, customer, subscription)
        return Applied()

    return write


def read_payment_method(reading: Reading) -> Write:
    """Ask for the payment method."""
    method = reading.api.retrieve_payment_method(reading.object_id)
    whose = method.stripe_customer_id or _former_owner(reading)
    if whose is None:
        return lambda _: Awaited("detached, and nobody has said from whom", dispensable=True)
    customer = _customer(reading, whose)

    def write(connection: Connection) -> Verdict:
        if not isinstance(customer, str):
            return customer
        is_new = mirror.mirror_payment_method(connection, customer, whose, method)
        if is_new and method.stripe_customer_id is not None:
            _retry_refused(connection, reading, customer)
        return Applied()

    return write


def _former_owner(reading: Reading) -> str | None:
    """Whose a detached payment method was: as we have it, or as the events said."""
    known = reading.look_up(_METHOD, payment_method_id=reading.object_id)
    if known is not None:
        return str(known.stripe_customer_id)
    for body in reading.bodies():
        data = body.get("data") or {}
        for said in (data.get("object") or {}, data.get("previous_attributes") or {}):
            if isinstance(said.get("customer"), str):
                return str(said["customer"])
    return None


_KEPT = frozenset({"default_source", "deleted", "delinquent", "invoice_settings", "metadata"})
"""Attributes of a customer at Stripe from which our row is made."""
_CUSTOMER_AT_STRIPE = """
SELECT customer_id FROM billing.customers WHERE stripe_customer_id = :stripe_customer_id
UNION
SELECT customer_id FROM billing.customer_relinks WHERE from_stripe_customer_id = :stripe_customer_id
LIMIT 1
"""
_CUSTOMER_WITHOUT_ID = (
    "SELECT customer_id FROM billing.customers WHERE customer_id = :customer_id AND stripe_customer_id IS NULL"
)
_DEFAULT = (
    "SELECT default_payment_method_id FROM billing.stripe_customers WHERE stripe_customer_id = :stripe_customer_id"
)
_REFUSED_AT = (
    "SELECT max(updated_at) FROM billing.stripe_charges WHERE customer_id = :customer_id AND state = 'refused'"
)
_METHOD = "SELECT stripe_customer_id FROM billing.stripe_payment_methods WHERE payment_method_id = :payment_method_id"
