"""What changes in a charge, as one value that one statement writes; and which change Stripe's word makes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from billing_pipeline.charging.rules.charge_at_stripe import (
    Contradicts,
    Foreign,
    Meaning,
    PaymentUnderWay,
    Reached,
    bank_payment_of,
)
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice

_LEFT_ALONE = ("parked", "paid", "void", "uncollectible")
"""States that a contradiction does not park: they are at their end, or with a person already."""


@dataclass(frozen=True, slots=True)
class ChargeChange:
    """What changes, and what the audit log says about it.

    State, attempt and what is known of Stripe's invoice stay as they are where None is given; a reason belongs to the
    new state, so None clears it. `stripe_total_minor` is in minor units of `stripe_currency`. `outcome_unknown` None
    leaves it as it is. `page_url` and `pdf_url` are kept for mails (billing.invoice_pages) and are in no log. `action`,
    `evidence` and `note` go to the audit log only.
    """

    action: str
    state: str | None = None
    attempt: int | None = None
    reason_code: str | None = None
    reason: str | None = None
    stripe_customer_id: str | None = None
    stripe_invoice_id: str | None = None
    stripe_total_minor: int | None = None
    stripe_currency: str | None = None
    outcome_unknown: bool | None = False
    bank_payment_id: str | None = None
    page_url: str | None = field(default=None, repr=False)
    pdf_url: str | None = field(default=None, repr=False)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None

    def showing(self, invoice: StripeInvoice) -> Self:
        """The same, with the total that Stripe's invoice shows, and where the customer finds it.

        Of what is parked there is no such place: the invoice may be somebody else's, or over something else.
        """
        is_ours = self.state != "parked"
        return replace(
            self,
            stripe_total_minor=invoice.total_minor,
            stripe_currency=invoice.currency,
            page_url=invoice.page_url if is_ours else None,
            pdf_url=invoice.pdf_url if is_ours else None,
        )

    def applied_to(self, charge: Charge) -> Charge:
        """The charge after it."""
        begins_attempt = self.attempt not in (None, charge.attempt)
        return replace(
            charge,
            state=self.state or charge.state,
            attempt=self.attempt or charge.attempt,
            stripe_customer_id=self.stripe_customer_id or charge.stripe_customer_id,
            stripe_invoice_id=self.stripe_invoice_id or charge.stripe_invoice_id,
            bank_payment_id=self.bank_payment_id or (None if begins_attempt else charge.bank_payment_id),
            key_may_be_gone=charge.key_may_be_gone and not begins_attempt,
        )


def evidence_of(invoice: StripeInvoice) -> dict[str, Any]:
    """What the audit log keeps of an invoice that was seen."""
    return {"stripe_invoice": invoice.id, "status": invoice.status}


def change_by(meaning: Meaning, charge: Charge, invoice: StripeInvoice, action: str) -> ChargeChange | None:
    """The change that Stripe's invoice makes to the charge; None: nothing is to be recorded."""
    match meaning:
        case PaymentUnderWay(_, str(payment_intent_id)) if payment_intent_id != charge.bank_payment_id:
            change = ChargeChange(action, bank_payment_id=payment_intent_id, note="payment_processing")
        case Reached(state, reason_code, reason):
            bank_payment_id = bank_payment_of(invoice) if state == "refused" else None
            change = ChargeChange(
                action, state, reason_code=reason_code, reason=reason, bank_payment_id=bank_payment_id
            )
        case Foreign(reason_code, reason) | Contradicts(reason_code, reason) if charge.state not in _LEFT_ALONE:
            change = ChargeChange(action, "parked", reason_code=reason_code, reason=reason)
        case _:
            return None
    return replace(change.showing(invoice), evidence=evidence_of(invoice))
