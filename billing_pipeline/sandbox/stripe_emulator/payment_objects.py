"""The shapes of payment intents, charges and invoice payments; what happens to them is decided elsewhere."""

from __future__ import annotations

from .bank_debits import charge_details
from .indexing import Body
from .payment_method_objects import EMPTY_ADDRESS
from .store import new_id
from .work import Work


def new_payment_intent(
    work: Work, customer: str | None, currency: str, amount_minor: int, description: str | None
) -> Body:
    """A payment intent that nobody has tried to pay yet."""
    intent_id = new_id("pi")
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount_minor,
        "amount_capturable": 0,
        "allowed_payment_method_types": None,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{intent_id}_secret_{new_id('x')[2:]}",
        "confirmation_method": "automatic",
        "created": work.now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "payment_record": None,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def new_invoice_payment(work: Work, invoice: Body, intent: str, amount_minor: int, *, is_default: bool) -> Body:
    """The link between an invoice and a payment intent that is to pay it, or a part of it."""
    return {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": amount_minor,
        "created": work.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": is_default,
        "livemode": False,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


def new_charge(work: Work, intent: Body, method: Body, failure: Body | None, *, pending: bool = False) -> Body:
    """One attempt; ``failure`` is None, or ``{"code", "decline_code", "message"}``. A debit is ``pending`` for days."""
    paid = failure is None and not pending
    captured = failure is None
    charge_id = new_id("ch" if method["type"] == "card" else "py")
    if failure is None:
        outcome = {
            "network_status": "approved_by_network",
            "reason": None,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    else:
        outcome = {
            "network_status": "declined_by_network",
            "reason": failure["decline_code"] or failure["code"] or None,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }
    advice = {"advice_code": None, "network_advice_code": None, "network_decline_code": None}
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": new_id("txn") if paid else None,
        "billing_details": method["billing_details"]
        | {"address": EMPTY_ADDRESS | method["billing_details"]["address"]},
        "calculated_statement_descriptor": "STRIPE EMULATOR",
        "captured": captured,
        "created": work.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if failure is None else failure["code"] or None,
        "failure_message": None if failure is None else failure["message"],
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": outcome | advice | {"risk_level": "normal", "risk_score": 20},
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            method["type"]: _details(method, intent["amount"], paid=paid),
            "type": method["type"],
        },
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending" if pending else "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }


def _details(method: Body, amount_minor: int, *, paid: bool) -> Body:
    if method["type"] != "card":
        return charge_details(method)
    card = method["card"]
    shown = ["brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4"]
    return {name: card[name] for name in shown} | {
        "amount_authorized": amount_minor if paid else None,
        "authorization_code": None,
        "electronic_commerce_indicator": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }
