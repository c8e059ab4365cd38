"""Confirming a payment intent with a payment method: paid, refused, waiting for the customer or for a bank.

What that means for an invoice is decided in `invoice_payments` and `collection`.
"""

from __future__ import annotations

from . import disputes
from .bank_debits import SETTLES_AFTER_S
from .errors import StripeError, invalid
from .indexing import Body
from .outcomes import Outcome, outcomes_of
from .payment_objects import new_charge
from .work import Work

CONFIRMABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def confirm(work: Work, intent: Body, method: Body) -> tuple[Body, StripeError | None]:
    """Try once. Returns the changed intent and, if it was refused, the error whose effects are to be kept.

    Raises a 400 for an intent that is paid, canceled, or processing: a bank that was asked is not asked again.
    """
    if intent["status"] not in CONFIRMABLE:
        raise invalid(
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be confirmed: {', '.join(sorted(CONFIRMABLE))}.",
            code="payment_intent_unexpected_state",
        )
    types = intent["payment_method_types"]
    asked = intent if method["type"] in types else intent | {"payment_method_types": [*types, method["type"]]}
    if method["type"] == "customer_balance":
        return _wait_for_customer(work, asked, method, _transfer(asked))
    outcome = outcomes_of(method["type"])[work.store.private(method["id"])["outcome"]]
    if method["type"] != "card":
        return _begin_debit(work, asked, method), None
    if outcome.effect == "authenticate":
        authentication = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        return _wait_for_customer(work, asked, method, authentication)
    if outcome.effect == "decline":
        charge = new_charge(work, asked, method, _failure(outcome))
        work.create(charge, "charge.failed")
        return _refuse(work, asked, method, charge, outcome)
    charge = new_charge(work, asked, method, None)
    work.create(charge, "charge.succeeded", private={"effect": outcome.effect})
    return succeed(work, asked, charge), None


def settle_debit(work: Work, charge: Body, outcome: Outcome) -> tuple[Body, StripeError | None]:
    """The bank has answered: the pending charge ends, and its intent with it."""
    if charge["status"] != "pending":
        raise invalid(f"Charge {charge['id']} is {charge['status']}, not pending.", param="charge")
    intent = work.store.get("payment_intent", charge["payment_intent"])
    method = work.store.get("payment_method", charge["payment_method"])
    if outcome.effect == "decline":
        failure = _failure(outcome)
        fresh = new_charge(work, intent, method, failure)
        kept = {name: charge[name] for name in ("id", "created")}
        work.update(charge, fresh | kept, "charge.failed")
        return _refuse(work, intent, method, charge, outcome)
    paid = new_charge(work, intent, method, None) | {name: charge[name] for name in ("id", "created")}
    work.update(charge, paid, "charge.succeeded")
    return succeed(work, intent, charge), None


def open_promised_dispute(work: Work, intent: Body, method: Body) -> None:
    """Some test cards and accounts pay and then dispute what they paid."""
    outcome = outcomes_of(method["type"])[work.store.private(method["id"])["outcome"]]
    if outcome.effect == "dispute" and intent["status"] == "succeeded":
        disputes.open_dispute(work, intent["latest_charge"], "fraudulent")


def _begin_debit(work: Work, intent: Body, method: Body) -> Body:
    charge = new_charge(work, intent, method, None, pending=True)
    work.create(charge, "charge.pending")
    outcome = outcomes_of(method["type"])[work.store.private(method["id"])["outcome"]]
    if outcome.effect != "stay":
        work.store.schedule(charge["id"], work.now + SETTLES_AFTER_S)
    waiting = {"last_payment_error": None, "latest_charge": charge["id"], "payment_method": method["id"]}
    return work.update(intent, intent | waiting | {"status": "processing"}, "payment_intent.processing")


def succeed(work: Work, intent: Body, charge: Body) -> Body:
    """The intent is paid, by this charge."""
    paid = intent | {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "payment_method": charge["payment_method"],
        "status": "succeeded",
    }
    return work.update(intent, paid, "payment_intent.succeeded")


def _failure(outcome: Outcome) -> Body:
    return {"code": outcome.code, "decline_code": outcome.decline_code, "message": outcome.message}


def _refuse(work: Work, intent: Body, method: Body, charge: Body, outcome: Outcome) -> tuple[Body, StripeError | None]:
    type_ = "card_error" if method["type"] == "card" else "invalid_request_error"
    fields = {name: value for name, value in _failure(outcome).items() if value}
    error = fields | {"charge": charge["id"], "payment_method": method, "type": type_}
    failed = intent | {
        "last_payment_error": error,
        "latest_charge": charge["id"],
        "payment_method": None,
        "status": "requires_payment_method",
    }
    work.update(intent, failed, "payment_intent.payment_failed")
    refusal = StripeError(
        402,
        type_,
        outcome.message,
        code=outcome.code or None,
        keep_effects=True,
        decline_code=outcome.decline_code,
        charge=charge["id"],
        payment_intent=failed,
        payment_method=method,
    )
    return failed, refusal


def _transfer(intent: Body) -> Body:
    """Where to send the money; what has arrived already stays with the intent."""
    before = (intent["next_action"] or {}).get("display_bank_transfer_instructions")
    instructions = before or {
        "amount_remaining": intent["amount"],
        "currency": intent["currency"],
        "financial_addresses": [],
        "hosted_instructions_url": None,
        "reference": intent["id"][-12:].upper(),
        "type": _TRANSFER_BY_CURRENCY.get(intent["currency"], "us_bank_transfer"),
    }
    return {"display_bank_transfer_instructions": instructions, "type": "display_bank_transfer_instructions"}


_TRANSFER_BY_CURRENCY = {
    "eur": "eu_bank_transfer", "gbp": "gb_bank_transfer", "jpy": "jp_bank_transfer", "mxn": "mx_bank_transfer",
}  # fmt: skip


def _wait_for_customer(work: Work, intent: Body, method: Body, action: Body) -> tuple[Body, StripeError | None]:
    waiting = intent | {
        "next_action": action,
        "payment_method": method["id"],
        "status": "requires_action",
    }
    work.update(intent, waiting, "payment_intent.requires_action")
    refusal = StripeError(
        402,
        "card_error",
        "Your card was declined. This transaction requires authentication.",
        code="authentication_required",
        keep_effects=True,
        decline_code="authentication_required",
        payment_intent=waiting,
        payment_method=method,
    )
    return waiting, refusal
