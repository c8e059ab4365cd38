"""Collecting an invoice: one attempt to pay it, and what a refusal, a bank or a payment elsewhere means for it.

Source: https://docs.stripe.com/api/invoices/pay.
"""

from __future__ import annotations

from . import invoice_payments, payment_methods
from .cards import TEST_CARDS
from .confirming import confirm, open_promised_dispute
from .errors import StripeError, invalid
from .finalising import finalise
from .indexing import Body
from .routes import route
from .work import Work


def pay(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/pay: one attempt, now; a draft is finalised first."""
    before = work.store.get("invoice", invoice)
    if before["status"] == "draft":
        before = finalise(work, before)
        if before["status"] == "paid":
            return before
    if before["status"] == "paid":
        raise invalid("Invoice is already paid")
    if before["status"] == "void":
        raise invalid("You can't pay an invoice that is void.")
    exclusive = [name for name in ("paid_out_of_band", "payment_method") if params.get(name)]
    if len(exclusive) > 1:
        raise invalid("You may only specify one of these parameters: paid_out_of_band, payment_method.")
    if params.get("paid_out_of_band"):
        if invoice_payments.processing(work, invoice):
            raise invalid("This invoice has a payment that is processing.", code="payment_intent_unexpected_state")
        invoice_payments.cancel_open(work, invoice)
        return invoice_payments.paid(work, before, attempted=True, off_stripe_minor=before["amount_remaining"])
    return attempt(work, before, params.get("payment_method"), off_session=params.get("off_session", True))


def chosen_method(work: Work, invoice: Body, requested: str | None) -> Body:
    """The payment method that a payment of the invoice is tried on, or Stripe's refusal where there is none."""
    if requested is not None:
        if requested in TEST_CARDS:
            return payment_methods.resolve(work, requested, "payment_method")
        return payment_methods.attached(work, invoice["customer"], requested, "payment_method")
    customer = work.store.get("customer", invoice["customer"], tombstones=True)
    chosen = invoice["default_payment_method"]
    if not chosen and invoice["parent"]:
        subscription = invoice["parent"]["subscription_details"]["subscription"]
        chosen = work.store.get("subscription", subscription)["default_payment_method"]
    if not chosen and not customer.get("deleted"):
        chosen = customer["invoice_settings"]["default_payment_method"]
    method = work.store.get("payment_method", chosen) if chosen else None
    if method is None or method["customer"] != invoice["customer"]:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set either "
            "prior to paying the invoice.",
            code="resource_missing",
        )
    return method


def attempt(work: Work, invoice: Body, requested: str | None, *, off_session: bool) -> Body:
    """Ask for the open amount once. A refusal raises with its effects kept: the attempt has happened.

    A bank debit leaves the invoice open until the bank has answered, days later (`payment_intents.settle`).
    """
    method = chosen_method(work, invoice, requested)
    intents = [invoice_payments.intent_of(work, one) for one in invoice_payments.open_payments(work, invoice["id"])]
    if any(intent["status"] == "processing" for intent in intents):
        raise invalid(
            "This invoice can't be paid now: a payment of it is processing. Wait until it has succeeded or failed.",
            code="payment_intent_unexpected_state",
        )
    intent, refusal = confirm(work, intents[0], method)
    counted = attempted(invoice)
    if refusal is None and intent["status"] == "processing":
        return work.update(invoice, counted | {"next_payment_attempt": None}, "invoice.updated")
    if refusal is None:
        paid = invoice_payments.credit(work, counted, intent)
        open_promised_dispute(work, intent, method)
        return paid
    if intent["status"] != "requires_action":
        work.update(invoice, counted, "invoice.updated", "invoice.payment_failed")
        raise refusal
    events = ["invoice.updated", "invoice.payment_action_required"] + ["invoice.payment_failed"] * off_session
    work.update(invoice, counted, *events)
    raise StripeError(
        402,
        "card_error",
        "Payment for this invoice requires additional user action before it can be completed successfully. "
        "Payment can be completed using the PaymentIntent associated with the invoice. For more details see: "
        "https://stripe.com/docs/billing/subscriptions/overview#requires-action",
        code="invoice_payment_intent_requires_action",
        keep_effects=True,
        payment_intent=intent,
    )


def debit_failed(work: Work, invoice: Body, intent: Body) -> None:
    """A bank has returned a debit. Of the default payment the invoice says so; the attempt was counted before."""
    payments = work.store.find("invoice_payment", ("parent = ?", invoice["id"]), ("tag = ?", intent["id"]))
    if invoice["status"] in {"open", "uncollectible"} and any(payment["is_default"] for payment in payments):
        invoice_payments.ask_for_remaining(work, invoice)
        work.announce("invoice.payment_failed", invoice)


def attempted(invoice: Body) -> Body:
    """The invoice with one more attempt to charge it."""
    return invoice | {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}


ROUTES = (route("POST", "/v1/invoices/:invoice/pay", "InvoicePay", pay, "off_session paid_out_of_band payment_method"),)
