"""What an event of Stripe's leads to: the type says which object to look at, the object as it is now says the rest.

Pure decisions. An event is a hint: its body may be old, and others of the same object may have overtaken it. So every
event of an object leads to the same step, and steps only go forward: duplicates and any order end in the same state.
Here: kinds and steps. Not here: what becomes of an event that could not be applied (endings.py), asking Stripe, rows.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from billing_pipeline.charging.rules.charge_at_stripe import Contradicts, Foreign, meaning_of
from billing_pipeline.charging.rules.charge_change import ChargeChange, change_by
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.stripe_gateway.rules.objects import InvoiceFacts

CLOCKS_DIFFER = timedelta(seconds=5)
"""Stripe's `created` has whole seconds, by its own clock."""


class Kind(StrEnum):
    """Which object an event's `object_id` names."""

    INVOICE = "invoice"
    INVOICE_PAYMENT = "invoice_payment"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    CREDIT_NOTE = "credit_note"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"
    SUBSCRIPTION = "subscription"


HANDLED: dict[str, Kind] = {
    "invoice.created": Kind.INVOICE,
    "invoice.finalized": Kind.INVOICE,
    "invoice.paid": Kind.INVOICE,
    "invoice.payment_succeeded": Kind.INVOICE,
    "invoice.payment_failed": Kind.INVOICE,
    "invoice.payment_action_required": Kind.INVOICE,
    "invoice.voided": Kind.INVOICE,
    "invoice.marked_uncollectible": Kind.INVOICE,
    # an invoice may be paid in parts, each with a payment of its own
    "invoice_payment.paid": Kind.INVOICE_PAYMENT,
    "customer.subscription.created": Kind.SUBSCRIPTION,
    "customer.subscription.updated": Kind.SUBSCRIPTION,
    "customer.subscription.deleted": Kind.SUBSCRIPTION,
    "payment_method.attached": Kind.PAYMENT_METHOD,
    "payment_method.detached": Kind.PAYMENT_METHOD,
    "customer.updated": Kind.CUSTOMER,
    "customer.deleted": Kind.CUSTOMER,
    "charge.refunded": Kind.CHARGE,
    # a refund that fails later changes no charge
    "refund.created": Kind.REFUND,
    "refund.updated": Kind.REFUND,
    "refund.failed": Kind.REFUND,
    "charge.dispute.created": Kind.DISPUTE,
    "charge.dispute.updated": Kind.DISPUTE,
    "charge.dispute.closed": Kind.DISPUTE,
    "charge.dispute.funds_withdrawn": Kind.DISPUTE,
    "charge.dispute.funds_reinstated": Kind.DISPUTE,
    "credit_note.created": Kind.CREDIT_NOTE,
    "credit_note.updated": Kind.CREDIT_NOTE,
    "credit_note.voided": Kind.CREDIT_NOTE,
}
"""Event type -> kind (https://docs.stripe.com/api/events/types). Any other type is kept and ignored."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The object was looked at and what it says is in the books."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing of ours."""

    reason: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """The row that it belongs to is not there yet. `dispensable`: if it never comes, the event is ignored, not dead."""

    reason: str
    dispensable: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """A charging run is working on the invoice: what it is told first-hand is better than a hint."""


Verdict: TypeAlias = Applied | Ignored | Awaited | Busy


def is_our_id(invoice_id: str | None) -> bool:
    """Whether an invoice's metadata names an invoice as we name them."""
    try:
        return invoice_id is not None and str(UUID(invoice_id)) == invoice_id
    except ValueError:
        return False


def invoice_step(
    charge: Charge, reason_code: str | None, customer_at_stripe: str | None, facts: InvoiceFacts
) -> ChargeChange | Verdict:
    """The change that an event makes to the charge by what Stripe's invoice shows; Applied if it is as far already.

    What the invoice means is decided in charging/rules/charge_at_stripe.py. Here: what an event keeps its hands off.

    Args:
        charge: our row.
        reason_code: why it is refused or parked.
        customer_at_stripe: the customer's id there, for a charge that has none yet.
        facts: the invoice as it is now; its metadata names the charge.
    """
    invoice = facts.invoice
    if charge.stripe_invoice_id not in (None, invoice.id):
        return Ignored(f"another invoice at Stripe carries our id: the charge's is {charge.stripe_invoice_id}")
    if charge.state == "parked" and reason_code == "duplicate_at_stripe":
        return Applied("a person decides which of the invoices there stands")
    customer = charge.stripe_customer_id or customer_at_stripe
    if customer is None:
        return Awaited(f"customer {charge.customer_id} has no id at Stripe yet")
    adopted = replace(charge, stripe_customer_id=customer, stripe_invoice_id=invoice.id)
    # a refusal is of this attempt only if Stripe has counted as many: an older one is answered already
    meaning = meaning_of(adopted, invoice, refusal_is_of_this_attempt=facts.attempt_count >= charge.attempt)
    match meaning:
        case Foreign(_, reason) if charge.stripe_invoice_id is None:
            return Ignored(f"it is a copy: {reason}")
        case Contradicts(_, reason, only_under_lock=True):
            return Applied(f"left to the next run: {reason}")
    change = change_by(meaning, adopted, invoice, "stripe.invoice.event")
    if change is None:
        return Applied(meaning.reason) if isinstance(meaning, Foreign | Contradicts) else Applied()
    return replace(change, stripe_customer_id=customer, stripe_invoice_id=invoice.id)
