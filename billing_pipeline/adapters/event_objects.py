"""From an event's object to our rows: ask Stripe for it, find out whose it is, and say what is to be written.

A reader a kind of object. It makes the calls, with no transaction open, and returns what its caller then runs in the
one transaction that also finishes the events. Steps are decided in core/stripe_events.py.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection, text

from billing_pipeline.adapters import event_mirror as mirror
from billing_pipeline.adapters.charge_follow_ups import make_due
from billing_pipeline.adapters.charge_store import lock_key
from billing_pipeline.adapters.event_cipher import EventCipher
from billing_pipeline.adapters.event_queue import ClaimedEvent
from billing_pipeline.adapters.warehouse import load_sql
from billing_pipeline.core.charging import Charge
from billing_pipeline.core.received_event import read_json
from billing_pipeline.core.stripe_errors import StripeFailure
from billing_pipeline.core.stripe_events import (
    Applied,
    Awaited,
    Busy,
    ChargeStep,
    Ignored,
    Kind,
    Verdict,
    invoice_step,
    is_our_id,
)
from billing_pipeline.core.stripe_objects import InvoiceFacts, Refund, StripeObjects

CLOCKS_DIFFER = timedelta(seconds=5)
"""Stripe's `created` has whole seconds, by its own clock."""

Write: TypeAlias = Callable[[Connection], Verdict]
"""What is to be done in the transaction, and what it leads to."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader works with: Stripe, our database, and all claimed events of the object."""

    api: StripeObjects
    connection: Connection
    cipher: Callable[[], EventCipher]
    run_id: str
    object_id: str
    events: Sequence[ClaimedEvent]

    def look_up(self, statement: str, **parameters: Any) -> Any:
        """First row of a query, with no transaction left open; None without rows."""
        try:
            return self.connection.execute(text(statement), parameters).first()
        finally:
            self.connection.commit()

    def bodies(self) -> list[dict[str, Any]]:
        """What the events said when they were sent."""
        ids = [event.event_id for event in self.events]
        try:
            rows = self.connection.execute(text(_BODIES), {"ids": ids}).all()
        finally:
            self.connection.commit()
        return [read_json(self.cipher().decrypt(row.event_id, row.key_id, bytes(row.body))) for row in rows]


def read_object(kind: Kind, reading: Reading) -> Write:
    """Ask Stripe about the object of an event.

    Raises:
        StripeFailure: Stripe did not say.
    """
    return _READERS[kind](reading)


@dataclass(frozen=True, slots=True)
class _Owner:
    invoice_id: str
    stripe_invoice_id: str


def _read_invoice(reading: Reading) -> Write:
    try:
        facts = reading.api.retrieve_invoice_facts(reading.object_id)
    except StripeFailure as failure:
        if failure.evidence.kind == "not_found" and _were_drafts(reading):
            return lambda _: Applied("the draft was deleted at Stripe")
        raise
    return lambda connection: _apply_invoice(connection, reading, facts)


def _were_drafts(reading: Reading) -> bool:
    """Whether every event spoke of a draft: nothing else can be deleted at Stripe."""
    return all(((body.get("data") or {}).get("object") or {}).get("status") == "draft" for body in reading.bodies())


def _apply_invoice(connection: Connection, reading: Reading, facts: InvoiceFacts) -> Verdict:
    invoice = facts.invoice
    ours = invoice.invoice_id if is_our_id(invoice.invoice_id) else None
    row = connection.execute(
        text(load_sql("events/charge_of_invoice.sql")), {"invoice_id": ours, "stripe_invoice_id": invoice.id}
    ).first()
    if row is None:
        return Awaited(f"no charge of invoice {ours} is here") if ours else Ignored("an invoice that is not ours")
    charge = Charge(*row[:8])
    if _is_being_charged(connection, charge.invoice_id):
        return Busy()
    step = invoice_step(charge, row.reason_code, row.customer_at_stripe, facts)
    if isinstance(step, ChargeStep) and row.is_closed:
        # the books of that month are closed: what came later is in the payments, which are records of their own
        step = Applied(f"the month is closed, the charge stays {charge.state}")
    if isinstance(step, ChargeStep):
        _take(connection, reading, charge, step, invoice.status)
        charge = replace(charge, stripe_invoice_id=step.stripe_invoice_id)
        step = Applied()
    if charge.stripe_invoice_id == invoice.id:
        for payment in facts.payments:
            mirror.mirror_payment(connection, charge.invoice_id, payment)
    return step


def _take(connection: Connection, reading: Reading, charge: Charge, step: ChargeStep, status: str | None) -> None:
    evidence = {
        "stripe_invoice": step.stripe_invoice_id,
        "status": status,
        "events": [event.event_id for event in reading.events],
    }
    connection.execute(
        text(load_sql("events/charge_step.sql")),
        {
            "invoice_id": charge.invoice_id,
            "from_state": charge.state,
            "state": step.state,
            "reason_code": step.reason_code,
            "reason": step.reason,
            "stripe_customer_id": step.stripe_customer_id,
            "stripe_invoice_id": step.stripe_invoice_id,
            "stripe_total_minor": step.stripe_total_minor,
            "stripe_currency": step.stripe_currency,
            "run_id": reading.run_id,
            "evidence": json.dumps(evidence),
        },
    )


def _is_being_charged(connection: Connection, invoice_id: str) -> bool:
    """Whether a charging run holds the invoice's lock.

    Only looked at, never taken: a run that found it taken would leave the invoice to nobody. Without it nothing would
    be wrong either, because the run changes a charge only as long as it is what it read.
    """
    return bool(connection.execute(text(_HELD), {"key": lock_key(invoice_id)}).scalar_one())


def _owner(
    reading: Reading, stripe_invoice_id: str | None, payment_intent_id: str | None
) -> _Owner | Ignored | Awaited:
    """Which invoice of ours an object belongs to, by the invoice at Stripe or by the payment intent that pays it."""
    if stripe_invoice_id is None and payment_intent_id is not None:
        known = reading.look_up(_INVOICE_OF_INTENT, intent=payment_intent_id)
        stripe_invoice_id = (
            known.stripe_invoice_id if known else reading.api.invoice_of_payment_intent(payment_intent_id)
        )
    if stripe_invoice_id is None:
        return Ignored("it belongs to no invoice")
    charge = reading.look_up(_CHARGE_AT_STRIPE, stripe_invoice_id=stripe_invoice_id)
    if charge is not None:
        return _Owner(charge.invoice_id, stripe_invoice_id)
    ours = reading.api.retrieve_invoice_facts(stripe_invoice_id).invoice.invoice_id
    if not is_our_id(ours):
        return Ignored(f"it belongs to {stripe_invoice_id}, an invoice that is not ours")
    other = reading.look_up(_CHARGE_OF_INVOICE, invoice_id=ours)
    if other is not None and other.stripe_invoice_id == stripe_invoice_id:
        return _Owner(str(ours), stripe_invoice_id)  # adopted a moment ago
    if other is not None and other.stripe_invoice_id is not None:
        return Ignored(f"it belongs to {stripe_invoice_id}, which is not the charge's invoice at Stripe")
    return Awaited(f"no charge of {stripe_invoice_id} is here")


def _read_charge(reading: Reading) -> Write:
    charge = reading.api.retrieve_charge(reading.object_id)
    owner = _owner(reading, None, charge.payment_intent_id)
    if not isinstance(owner, _Owner):
        return lambda _: owner
    refunds = list(reading.api.refunds_of_charge(charge.charge_id))
    return lambda connection: _apply_refunds(connection, owner, refunds)


def _read_refund(reading: Reading) -> Write:
    refund = reading.api.retrieve_refund(reading.object_id)
    owner = _owner(reading, None, refund.payment_intent_id)
    if not isinstance(owner, _Owner):
        return lambda _: owner
    return lambda connection: _apply_refunds(connection, owner, [refund])


def _apply_refunds(connection: Connection, owner: _Owner, refunds: Sequence[Refund]) -> Verdict:
    for refund in refunds:
        mirror.mirror_refund(connection, owner.invoice_id, owner.stripe_invoice_id, refund)
    return Applied()


def _read_dispute(reading: Reading) -> Write:
    dispute = reading.api.retrieve_dispute(reading.object_id)
    owner = _owner(reading, None, dispute.payment_intent_id)

    def write(connection: Connection) -> Verdict:
        if not isinstance(owner, _Owner):
            return owner
        mirror.mirror_dispute(connection, owner.invoice_id, owner.stripe_invoice_id, dispute)
        return Applied()

    return write


def _read_credit_note(reading: Reading) -> Write:
    note = reading.api.retrieve_credit_note(reading.object_id)
    owner = _owner(reading, note.stripe_invoice_id, None)

    def write(connection: Connection) -> Verdict:
        if not isinstance(owner, _Owner):
            return owner
        mirror.mirror_credit_note(connection, owner.invoice_id, note)
        return Applied()

    return write


def _customer(reading: Reading, stripe_customer_id: str, metadata_id: str | None = None) -> str | Ignored | Awaited:
    """Which customer of ours a customer at Stripe is."""
    known = reading.look_up(_CUSTOMER_AT_STRIPE, stripe_customer_id=stripe_customer_id)
    if known is not None:
        return str(known.customer_id)
    if metadata_id is None:
        metadata_id = reading.api.retrieve_customer_facts(stripe_customer_id).customer_id
    ours = reading.look_up(_CUSTOMER_WITHOUT_ID, customer_id=metadata_id)
    if ours is not None:
        return Awaited(f"customer {ours.customer_id} has no id at Stripe yet")
    return Ignored(f"{stripe_customer_id} is no customer of ours")


def _read_customer(reading: Reading) -> Write:
    facts = reading.api.retrieve_customer_facts(reading.object_id)
    customer = _customer(reading, facts.stripe_customer_id, facts.customer_id or "")
    # a first look at a customer knows no earlier default; what the events say changed is then the only hint
    has_new_default = facts.default_payment_method_id is not None and any(
        {"invoice_settings", "default_source"} & set((body.get("data") or {}).get("previous_attributes") or {})
        for body in reading.bodies()
    )

    def write(connection: Connection) -> Verdict:
        if not isinstance(customer, str):
            return customer
        before = mirror.default_payment_method(connection, facts.stripe_customer_id)
        mirror.mirror_customer(connection, customer, facts)
        if has_new_default and facts.default_payment_method_id not in (None, before):
            _retry_refused(connection, reading, customer)
        return Applied()

    return write


def _retry_refused(connection: Connection, reading: Reading, customer_id: str) -> None:
    """A payment method that came after the customer's refusals makes them due; one that was refused does not."""
    created = [event.created for event in reading.events if event.created is not None]
    refused_at = connection.execute(text(_REFUSED_AT), {"customer_id": customer_id}).scalar()
    if created and refused_at is not None and max(created) + CLOCKS_DIFFER >= refused_at:
        make_due(connection, customer_id)


def _read_subscription(reading: Reading) -> Write:
    subscription = reading.api.retrieve_subscription(reading.object_id)
    customer = _customer(reading, subscription.stripe_customer_id)

    def write(connection: Connection) -> Verdict:
        if not isinstance(customer, str):
            return customer
        mirror.mirror_subscription(connection, customer, subscription)
        return Applied()

    return write


def _read_payment_method(reading: Reading) -> Write:
    method = reading.api.retrieve_payment_method(reading.object_id)
    whose = method.stripe_customer_id or _former_owner(reading)
    if whose is None:
        return lambda _: Awaited("detached, and nobody has said from whom", whose=True)
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


_READERS: dict[Kind, Callable[[Reading], Write]] = {
    Kind.INVOICE: _read_invoice,
    Kind.CHARGE: _read_charge,
    Kind.REFUND: _read_refund,
    Kind.DISPUTE: _read_dispute,
    Kind.CREDIT_NOTE: _read_credit_note,
    Kind.CUSTOMER: _read_customer,
    Kind.PAYMENT_METHOD: _read_payment_method,
    Kind.SUBSCRIPTION: _read_subscription,
}

# a bigint key shows in pg_locks as its two halves
_HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint)) = :key
)
"""
_BODIES = (
    "SELECT event_id, key_id, body FROM billing.stripe_events WHERE event_id = ANY(:ids) ORDER BY created, event_id"
)
_INVOICE_OF_INTENT = "SELECT stripe_invoice_id FROM billing.stripe_payments WHERE payment_intent_id = :intent LIMIT 1"
_CHARGE_AT_STRIPE = (
    "SELECT invoice_id::text AS invoice_id FROM billing.stripe_charges WHERE stripe_invoice_id = :stripe_invoice_id"
)
_CHARGE_OF_INVOICE = "SELECT stripe_invoice_id FROM billing.stripe_charges WHERE invoice_id = CAST(:invoice_id AS uuid)"
_CUSTOMER_AT_STRIPE = "SELECT customer_id FROM billing.customers WHERE stripe_customer_id = :stripe_customer_id"
_CUSTOMER_WITHOUT_ID = (
    "SELECT customer_id FROM billing.customers WHERE customer_id = :customer_id AND stripe_customer_id IS NULL"
)
_REFUSED_AT = (
    "SELECT max(updated_at) FROM billing.stripe_charges WHERE customer_id = :customer_id AND state = 'refused'"
)
_METHOD = "SELECT stripe_customer_id FROM billing.stripe_payment_methods WHERE payment_method_id = :payment_method_id"
