"""Payments by bank transfer (`customer_balance`): the customer is told where to send money, and some day it arrives.

Source: https://docs.stripe.com/payments/bank-transfers. Of the customer's cash balance only what pays an invoice is
emulated: money that arrives for a payment intent pays it once all of it is there.
"""

from __future__ import annotations

from . import invoice_payments
from .confirming import succeed
from .errors import invalid
from .indexing import Body
from .payment_objects import new_charge
from .work import Work

AWAITING = "display_bank_transfer_instructions"


def arrive(work: Work, intent: Body, amount_minor: int | None) -> Body:
    """Money arrives for a payment intent that waits for it, all that is missing by default. Returns the intent."""
    instructions = (intent["next_action"] or {}).get(AWAITING)
    if intent["status"] != "requires_action" or instructions is None:
        raise invalid(f"{intent['id']} does not wait for a bank transfer.", param="invoice")
    missing = instructions["amount_remaining"]
    arrived = missing if amount_minor is None else amount_minor
    if not isinstance(arrived, int) or not 0 < arrived <= missing:
        raise invalid(f"`amount_minor` must be between 1 and {missing}.", param="amount_minor")
    if arrived < missing:
        action = intent["next_action"] | {AWAITING: instructions | {"amount_remaining": missing - arrived}}
        return work.update(intent, intent | {"next_action": action}, "payment_intent.partially_funded")
    method = work.store.get("payment_method", intent["payment_method"])
    charge = work.create(new_charge(work, intent, method, None), "charge.succeeded")
    paid = succeed(work, intent, charge)
    for invoice in invoice_payments.invoices_of(work, intent["id"]):
        invoice_payments.credit(work, invoice, paid)
    return paid
