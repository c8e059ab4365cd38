"""Bringing our charge up to what Stripe's invoice says, by whoever has just asked and holds the invoice's lock."""

from billing_pipeline.charging.rules.charge_at_stripe import meaning_of
from billing_pipeline.charging.rules.charge_change import change_by
from billing_pipeline.charging.rules.charging import Charge
from billing_pipeline.charging.store import ChargeStore
from billing_pipeline.stripe_gateway.rules.api import StripeInvoice


def follow_stripe(store: ChargeStore, charge: Charge, invoice: StripeInvoice) -> Charge:
    """Record what the charge's own invoice at Stripe means for it; the charge as it is then.

    An invoice that is not the charge's own says nothing about it.

    Raises:
        ChargeMoved: somebody else changed the charge meanwhile.
    """
    if charge.stripe_invoice_id != invoice.id:
        return charge
    change = change_by(meaning_of(charge, invoice), charge, invoice, "stripe.invoice.retrieve")
    return store.change(charge, change) if change is not None else charge
