"""What customers, banks and cardholders do: give a payment method, answer a debit, dispute a charge.

Functions of the control surface: they take the unit of work and the JSON fields, and return JSON.
"""

from __future__ import annotations

from typing import Any

from . import bank_transfers, disputes, invoice_payments, payment_intents, payment_methods
from .errors import StripeError, invalid
from .indexing import Body
from .outcomes import DEBIT_OUTCOMES, Outcome
from .ready_made_methods import new_method, set_outcome
from .work import Work


def customer_named(work: Work, name: str) -> Body:
    """The customer with this id (``cus_…``), or the only one whose metadata has it as ``customer_id``.

    Raises a 404 if there is none, and a 400 if there are several.
    """
    if name.startswith("cus_"):
        return work.store.get("customer", name)
    found = work.store.find("customer", ("json_extract(body, '$.metadata.customer_id') = ?", name))
    if not found:
        message = (
            f"No customer at the emulator has the customer_id {name!r} in its metadata: the first charge creates it."
        )
        raise StripeError(404, "invalid_request_error", message, code="resource_missing", param="customer")
    if len(found) > 1:
        several = ", ".join(customer["id"] for customer in found)
        raise invalid(f"Several customers have the customer_id {name!r} in the metadata: {several}.", param="customer")
    return found[0]


def give_payment_method(work: Work, fields: Body) -> Body:
    """``{"customer": "cus_… or our id", "kind": "good"}``: a new default payment method for a customer.

    ``kind`` is one of `ready_made_methods.KINDS`. ``outcome`` (optional) says how payments end, as in `change_outcome`.
    """
    customer = customer_named(work, _text(fields, "customer"))
    kind = fields.get("kind", "good")
    method = payment_methods.attach_to(work, new_method(work, kind, fields.get("outcome")), customer["id"])
    settings = customer["invoice_settings"] | {"default_payment_method": method["id"]}
    work.update(customer, customer | {"invoice_settings": settings}, "customer.updated")
    return {"customer": customer["id"], "payment_method": method["id"], "kind": kind}


def change_outcome(work: Work, fields: Body) -> Body:
    """``{"payment_method": "pm_…", "outcome": "insufficient_funds"}``: how payments with it end from now."""
    method = work.store.get("payment_method", _text(fields, "payment_method"), "payment_method")
    set_outcome(work, method, fields.get("outcome"))
    return {"payment_method": method["id"], "outcome": fields["outcome"]}


def settle_debit(work: Work, fields: Body) -> Body:
    """``{"invoice": "in_…", "outcome": "account_closed"}``: the bank answers now. Returns the payment intent.

    ``payment_intent`` or ``charge`` name the debit as well. ``outcome`` is by default what the account's would be;
    instead of it, ``code`` and ``decline_code`` (each may be null) give any failure.
    """
    charge = _pending_charge(work, fields)
    method = work.store.get("payment_method", charge["payment_method"])
    if "code" in fields or "decline_code" in fields:
        message = fields.get("message", "The bank returned the debit.")
        return payment_intents.settle(
            work, charge, Outcome("decline", fields.get("code") or "", fields.get("decline_code"), message)
        )
    name = fields.get("outcome", work.store.private(method["id"])["outcome"])
    if name not in DEBIT_OUTCOMES or name == "stays_processing":
        possible = ", ".join(known for known in DEBIT_OUTCOMES if known != "stays_processing")
        raise invalid(f"`outcome` must be one of {possible}.", param="outcome")
    return payment_intents.settle(work, charge, DEBIT_OUTCOMES[name])


def transfer_arrives(work: Work, fields: Body) -> Body:
    """``{"invoice": "in_…", "amount_minor": 500}``: a bank transfer arrives, all that is missing by default.

    ``payment_intent`` names what it is for as well. Returns the payment intent.
    """
    if "payment_intent" in fields:
        intent = work.store.get("payment_intent", str(fields["payment_intent"]), "payment_intent")
        return bank_transfers.arrive(work, intent, fields.get("amount_minor"))
    invoice = work.store.get("invoice", _text(fields, "invoice"), "invoice")
    for payment in invoice_payments.open_payments(work, invoice["id"]):
        return bank_transfers.arrive(work, invoice_payments.intent_of(work, payment), fields.get("amount_minor"))
    raise invalid("No transfer is waited for there.", param="invoice")


def _pending_charge(work: Work, fields: Body) -> Body:
    if "charge" in fields:
        return work.store.get("charge", str(fields["charge"]), "charge")
    if "payment_intent" in fields:
        intents = [str(fields["payment_intent"])]
    else:
        invoice = work.store.get("invoice", _text(fields, "invoice"), "invoice")
        payments = work.store.find("invoice_payment", ("parent = ?", invoice["id"]))
        intents = [payment["payment"]["payment_intent"] for payment in payments]
    for intent in intents:
        for charge in work.store.find("charge", ("parent = ?", intent), ("status = ?", "pending")):
            return charge
    raise invalid("No debit is pending there.", param="invoice")


def open_dispute(work: Work, fields: Body) -> Body:
    """``{"charge": "ch_…", "reason": "fraudulent", "inquiry": false}``: the cardholder disputes a charge.

    ``invoice`` names the invoice whose last payment it is instead.
    """
    charge = str(fields["charge"]) if "charge" in fields else _charge_of(work, _text(fields, "invoice"))
    return disputes.open_dispute(work, charge, fields.get("reason", "fraudulent"), inquiry=bool(fields.get("inquiry")))


def _charge_of(work: Work, invoice_id: str) -> str:
    invoice = work.store.get("invoice", invoice_id, "invoice")
    for payment in work.store.find("invoice_payment", ("parent = ?", invoice["id"]), newest_first=True):
        if payment["status"] == "paid" and payment["payment"].get("payment_intent"):
            intent = work.store.get("payment_intent", payment["payment"]["payment_intent"])
            return str(intent["latest_charge"])
    raise invalid("Nothing of this invoice was paid through Stripe.", param="invoice")


def close_dispute(work: Work, fields: Body) -> Body:
    """``{"status": "won"|"lost"|"warning_closed"}``: how it ends; an inquiry ends as the last."""
    return disputes.close_dispute(work, fields["dispute"], _text(fields, "status"))


def answer_dispute(work: Work, fields: Body) -> Body:
    """Evidence is handed in."""
    return disputes.answer(work, fields["dispute"])


def escalate_dispute(work: Work, fields: Body) -> Body:
    """An inquiry becomes a dispute."""
    return disputes.escalate(work, fields["dispute"])


def _text(fields: Body, name: str) -> str:
    value: Any = fields.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"`{name}` is missing.", param=name)
    return value


ACTIONS = (
    ("/customer_payment_methods", give_payment_method),
    ("/cards", change_outcome),
    ("/debits/settle", settle_debit),
    ("/transfers", transfer_arrives),
    ("/disputes", open_dispute),
    ("/disputes/{dispute}/close", close_dispute),
    ("/disputes/{dispute}/answer", answer_dispute),
    ("/disputes/{dispute}/escalate", escalate_dispute),
)
