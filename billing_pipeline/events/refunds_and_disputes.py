"""Events of what takes money back: refunds, credit notes and disputes, each of an invoice that has to be found."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from billing_pipeline.events import mirror
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.rules.stripe_events import Applied, Awaited, Ignored, Verdict, is_our_id
from billing_pipeline.stripe_gateway.rules.objects import Refund


@dataclass(frozen=True, slots=True)
class _Owner:
    invoice_id: str
    stripe_invoice_id: str


def read_charge(reading: Reading) -> Write:
    """Ask for a charge and its refunds."""
    charge = reading.api.retrieve_charge(reading.object_id)
    owner = _owner(reading, None, charge.payment_intent_id)
    if not isinstance(owner, _Owner):
        return lambda _: owner
    refunds = list(reading.api.refunds_of_charge(charge.charge_id))
    return lambda connection: _apply_refunds(connection, owner, refunds)


def read_refund(reading: Reading) -> Write:
    """Ask for the refund."""
    refund = reading.api.retrieve_refund(reading.object_id)
    owner = _owner(reading, None, refund.payment_intent_id)
    if not isinstance(owner, _Owner):
        return lambda _: owner
    return lambda connection: _apply_refunds(connection, owner, [refund])


def _apply_refunds(connection: Connection, owner: _Owner, refunds: Sequence[Refund]) -> Verdict:
    for refund in refunds:
        mirror.mirror_refund(connection, owner.invoice_id, owner.stripe_invoice_id, refund)
    return Applied()


def read_dispute(reading: Reading) -> Write:
    """Ask for the dispute."""
    dispute = reading.api.retrieve_dispute(reading.object_id)
    owner = _owner(reading, None, dispute.payment_intent_id)

    def write(connection: Connection) -> Verdict:
        if not isinstance(owner, _Owner):
            return owner
        mirror.mirror_dispute(connection, owner.invoice_id, owner.stripe_invoice_id, dispute)
        return Applied()

    return write


def read_credit_note(reading: Reading) -> Write:
    """Ask for the credit note."""
    note = reading.api.retrieve_credit_note(reading.object_id)
    owner = _owner(reading, note.stripe_invoice_id, None)

    def write(connection: Connection) -> Verdict:
        if not isinstance(owner, _Owner):
            return owner
        mirror.mirror_credit_note(connection, owner.invoice_id, note)
        return Applied()

    return write


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


_INVOICE_OF_INTENT = "SELECT stripe_invoice_id FROM billing.stripe_payments WHERE payment_intent_id = :intent LIMIT 1"
_CHARGE_AT_STRIPE = (
    "SELECT invoice_id::text AS invoice_id FROM billing.stripe_charges WHERE stripe_invoice_id = :stripe_invoice_id"
)
_CHARGE_OF_INVOICE = "SELECT stripe_invoice_id FROM billing.stripe_charges WHERE invoice_id = CAST(:invoice_id AS uuid)"
