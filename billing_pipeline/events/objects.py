"""From an event's object to our rows: ask Stripe for it, find out whose it is, and say what is to be written.

A reader a kind of object. It makes the calls, with no transaction open, and returns what its caller then runs in the
one transaction that also finishes the events. Steps are decided in events/rules/stripe_events.py.
"""

from collections.abc import Callable

from billing_pipeline.events.customers import read_customer, read_payment_method, read_subscription
from billing_pipeline.events.invoices import read_invoice, read_invoice_payment
from billing_pipeline.events.reading import Reading, Write
from billing_pipeline.events.refunds_and_disputes import read_charge, read_credit_note, read_dispute, read_refund
from billing_pipeline.events.rules.stripe_events import Kind

_READERS: dict[Kind, Callable[[Reading], Write]] = {
    Kind.INVOICE: read_invoice,
    Kind.INVOICE_PAYMENT: read_invoice_payment,
    Kind.CHARGE: read_charge,
    Kind.REFUND: read_refund,
    Kind.DISPUTE: read_dispute,
    Kind.CREDIT_NOTE: read_credit_note,
    Kind.CUSTOMER: read_customer,
    Kind.PAYMENT_METHOD: read_payment_method,
    Kind.SUBSCRIPTION: read_subscription,
}


def read_object(kind: Kind, reading: Reading) -> Write:
    """Ask Stripe about the object of an event.

    Raises:
        StripeFailure: Stripe did not say.
    """
    return _READERS[kind](reading)
