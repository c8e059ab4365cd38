"""Payment intents and charges: created and confirmed by themselves, or as the payment of an invoice."""

from __future__ import annotations

from . import currencies, customers, invoice_payments, payment_methods
from .cards import TEST_CARDS
from .collection import debit_failed
from .confirming import confirm, open_promised_dispute, settle_debit
from .errors import invalid
from .indexing import Body
from .outcomes import Outcome
from .payment_objects import new_payment_intent
from .routes import listing, retrieving, route
from .work import Work, merged_metadata, text_or_none


def create(work: Work, params: Body) -> Body:
    """POST /v1/payment_intents, confirmed at once with ``confirm=true``."""
    currency = currencies.known(params["currency"])
    if params["amount"] < currencies.minimum_minor(currency):
        raise invalid(
            f"Amount must be at least {currencies.minimum_minor(currency)} minor units of {currency}.",
            code="amount_too_small",
            param="amount",
        )
    owner = customers.live(work, params)["id"] if "customer" in params else None
    intent = new_payment_intent(work, owner, currency, params["amount"], text_or_none(params, "description"))
    intent |= {
        "metadata": merged_metadata(None, params.get("metadata")),
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "payment_method_types": params.get("allowed_payment_method_types", ["card"]),
        "setup_future_usage": params.get("setup_future_usage"),
    }
    if "payment_method" in params:
        method = _method(work, owner, params["payment_method"])
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    work.create(intent, "payment_intent.created")
    return _confirm(work, intent, None) if params.get("confirm") else intent


def confirm_intent(work: Work, params: Body, payment_intent: str) -> Body:
    """POST /v1/payment_intents/:id/confirm."""
    return _confirm(work, work.store.get("payment_intent", payment_intent), params.get("payment_method"))


def cancel(work: Work, params: Body, payment_intent: str) -> Body:
    """POST /v1/payment_intents/:id/cancel; a payment that a bank was asked for can't be taken back."""
    before = work.store.get("payment_intent", payment_intent)
    if before["status"] in {"succeeded", "canceled", "processing"}:
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {before['status']}.",
            code="payment_intent_unexpected_state",
        )
    reason = params.get("cancellation_reason")
    canceled = {"canceled_at": work.now, "cancellation_reason": reason, "status": "canceled"}
    return work.update(before, before | canceled, "payment_intent.canceled")


def settle(work: Work, charge: Body, outcome: Outcome) -> Body:
    """A bank answers about a pending debit: the charge, the payment intent and its invoice end. Returns the intent."""
    method = work.store.get("payment_method", charge["payment_method"])
    intent, refusal = settle_debit(work, charge, outcome)
    for invoice in invoice_payments.invoices_of(work, intent["id"]):
        if refusal is None:
            invoice_payments.credit(work, invoice, intent)
        else:
            debit_failed(work, invoice, intent)
    open_promised_dispute(work, intent, method)
    return intent


def _method(work: Work, owner: str | None, requested: str) -> Body:
    if owner is None or requested in TEST_CARDS:
        return payment_methods.resolve(work, requested, "payment_method")
    return payment_methods.attached(work, owner, requested, "payment_method")


def _confirm(work: Work, intent: Body, requested: str | None) -> Body:
    chosen = requested or intent["payment_method"]
    if chosen is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = _method(work, intent["customer"], chosen)
    after, refusal = confirm(work, intent, method)
    if refusal is not None:
        if after["status"] == "requires_action":
            return after
        raise refusal
    if after["status"] == "succeeded":
        for invoice in invoice_payments.invoices_of(work, after["id"]):
            invoice_payments.credit(work, invoice, after)
    open_promised_dispute(work, after, method)
    return after


ROUTES = (
    route(
        "POST",
        "/v1/payment_intents",
        "PaymentIntentCreate",
        create,
        "allowed_payment_method_types amount confirm currency customer description metadata off_session "
        "payment_method setup_future_usage",
    ),
    listing("/v1/payment_intents", "PaymentIntentList", "payment_intent", customer="customer"),
    retrieving("/v1/payment_intents/:payment_intent", "PaymentIntentRetrieve", "payment_intent"),
    route(
        "POST",
        "/v1/payment_intents/:payment_intent/confirm",
        "PaymentIntentConfirm",
        confirm_intent,
        "off_session payment_method",
    ),
    route("POST", "/v1/payment_intents/:payment_intent/cancel", "PaymentIntentCancel", cancel, "cancellation_reason"),
    listing("/v1/charges", "ChargeList", "charge", customer="customer", payment_intent="parent"),
    retrieving("/v1/charges/:charge", "ChargeRetrieve", "charge"),
)
