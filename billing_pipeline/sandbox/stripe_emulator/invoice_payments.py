"""The payments of an invoice: the default one that finalising makes, and others that pay a part of it.

Sources: https://docs.stripe.com/invoicing/partial-payments, https://docs.stripe.com/api/invoices/attach_payment.
"""

from __future__ import annotations

from . import customer_balance
from .confirming import confirm
from .errors import StripeError, invalid
from .indexing import Body
from .listing import Page, equals, page
from .payment_objects import new_invoice_payment, new_payment_intent
from .routes import list_route, retrieving, route
from .work import Work


def open_payments(work: Work, invoice: str) -> list[Body]:
    """The payments that are waiting for money, the default one first."""
    found = work.store.find("invoice_payment", ("parent = ?", invoice), ("status = ?", "open"))
    return sorted(found, key=lambda payment: not payment["is_default"])


def intent_of(work: Work, payment: Body) -> Body:
    """The payment intent behind an invoice payment."""
    return work.store.get("payment_intent", payment["payment"]["payment_intent"])


def processing(work: Work, invoice: str) -> bool:
    """Whether a bank was asked for one of the invoice's payments and has not answered yet."""
    return any(intent_of(work, payment)["status"] == "processing" for payment in open_payments(work, invoice))


def begin(work: Work, invoice: Body, amount_minor: int, *, is_default: bool) -> Body:
    """A new payment intent for the invoice, and the payment that links them. Returns the intent."""
    intent = new_payment_intent(work, invoice["customer"], invoice["currency"], amount_minor, "Payment for Invoice")
    work.create(intent, "payment_intent.created")
    work.create(new_invoice_payment(work, invoice, intent["id"], amount_minor, is_default=is_default))
    return intent


def cancel_open(work: Work, invoice: str, reason: str = "void_invoice") -> None:
    """Nothing is asked of the customer any more; a bank that was asked already goes on."""
    for payment in open_payments(work, invoice):
        intent = intent_of(work, payment)
        if intent["status"] == "processing":
            continue
        canceled = {"canceled_at": work.now, "cancellation_reason": reason, "status": "canceled"}
        work.update(intent, intent | canceled, "payment_intent.canceled")
        transitions = payment["status_transitions"] | {"canceled_at": work.now}
        work.store.replace(payment | {"status": "canceled", "status_transitions": transitions})


def ask_for_remaining(work: Work, invoice: Body) -> None:
    """The default payment asks for what is still open."""
    for payment in open_payments(work, invoice["id"]):
        intent = intent_of(work, payment)
        if payment["is_default"] and intent["status"] != "processing":
            work.store.replace(intent | {"amount": invoice["amount_remaining"]})
            work.store.replace(payment | {"amount_requested": invoice["amount_remaining"]})


def paid(work: Work, before: Body, *, attempted: bool, off_stripe_minor: int = 0) -> Body:
    """Nothing of the invoice is open any more."""
    after = before | {
        "amount_paid": before["amount_paid"] + before["amount_remaining"],
        "amount_paid_off_stripe": before["amount_paid_off_stripe"] + off_stripe_minor,
        "amount_remaining": 0,
        "attempted": attempted or before["attempted"],
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": before["status_transitions"] | {"paid_at": work.now},
    }
    return work.update(before, after, "invoice.updated", "invoice.paid", "invoice.payment_succeeded")


def credit(work: Work, invoice: Body, intent: Body) -> Body:
    """A payment intent has succeeded: its invoice payment is paid and so much less of the invoice is open.

    What is paid beyond the open amount becomes credit of the customer.
    """
    (payment,) = [one for one in open_payments(work, invoice["id"]) if one["payment"]["payment_intent"] == intent["id"]]
    received = intent["amount_received"]
    transitions = payment["status_transitions"] | {"paid_at": work.now}
    settled = payment | {"amount_paid": received, "status": "paid", "status_transitions": transitions}
    work.update(payment, settled, "invoice_payment.paid")
    excess = max(0, received - invoice["amount_remaining"])
    if received >= invoice["amount_remaining"]:
        cancel_open(work, invoice["id"], "automatic")
        after = paid(work, invoice, attempted=True) if invoice["status"] != "paid" else invoice
        return _overpaid(work, after, excess) if excess else after
    left = invoice["amount_remaining"] - received
    part = invoice | {"amount_paid": invoice["amount_paid"] + received, "amount_remaining": left}
    after = work.update(invoice, part, "invoice.updated")
    ask_for_remaining(work, after)
    return after


def _overpaid(work: Work, invoice: Body, excess_minor: int) -> Body:
    owner = work.store.get("customer", invoice["customer"], tombstones=True)
    if not owner.get("deleted"):
        currency = invoice["currency"]
        customer_balance.change(work, owner, currency, -excess_minor, "invoice_overpaid", invoice=invoice["id"])
    after = invoice | {"amount_overpaid": invoice["amount_overpaid"] + excess_minor}
    return work.update(invoice, after, "invoice.updated", "invoice.overpaid")


def invoices_of(work: Work, intent: str) -> list[Body]:
    """The invoices that wait for this payment intent."""
    found = work.store.find("invoice_payment", ("tag = ?", intent), ("status = ?", "open"))
    return [work.store.get("invoice", payment["invoice"]) for payment in found]


def attach(work: Work, params: Body, invoice: str) -> Body:
    """POST /v1/invoices/:id/attach_payment: another payment intent pays the invoice, or a part of it."""
    before = _collectable(work, invoice)
    if "payment_intent" not in params:
        raise invalid("Missing required param: payment_intent.", code="parameter_missing", param="payment_intent")
    intent = work.store.get("payment_intent", params["payment_intent"], "payment_intent")
    if work.store.count("invoice_payment", ("tag = ?", intent["id"])):
        raise invalid("This PaymentIntent is already attached to an invoice.", param="payment_intent")
    if intent["customer"] != before["customer"] or intent["currency"] != before["currency"]:
        raise invalid(
            "The PaymentIntent must have the customer and the currency of the invoice.", param="payment_intent"
        )
    if intent["status"] == "canceled":
        raise invalid("You cannot attach a canceled PaymentIntent to an invoice.", param="payment_intent")
    work.create(new_invoice_payment(work, before, intent["id"], intent["amount"], is_default=False))
    return credit(work, before, intent) if intent["status"] == "succeeded" else before


def charge_part(work: Work, invoice: str, amount_minor: int, method: Body) -> tuple[Body, StripeError | None]:
    """What the dashboard calls "Charge customer": a part of the open amount, now.

    Returns the invoice, and the refusal if there was one.
    """
    before = _collectable(work, invoice)
    if not 0 < amount_minor <= before["amount_remaining"]:
        raise invalid(f"The amount must be between 1 and {before['amount_remaining']}.", param="amount_minor")
    intent, refusal = confirm(work, begin(work, before, amount_minor, is_default=False), method)
    if intent["status"] == "succeeded":
        return credit(work, before, intent), None
    return work.store.get("invoice", invoice), refusal


def _collectable(work: Work, invoice: str) -> Body:
    found = work.store.get("invoice", invoice)
    if found["status"] not in {"open", "uncollectible"}:
        raise invalid(f"Payments can't be added to an invoice that is {found['status']}.", code="invoice_not_editable")
    return found


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/invoice_payments, by invoice, status or payment intent."""
    filters = equals(params, invoice="parent", status="status")
    payment = params.get("payment")
    if payment:
        if payment["type"] != "payment_intent" or "payment_intent" not in payment:
            raise invalid("The emulator's invoice payments are payment intents only.", param="payment[type]")
        filters.append(("tag = ?", payment["payment_intent"]))
    return page(work, "invoice_payment", params, "/v1/invoice_payments", filters)


ROUTES = (
    route("POST", "/v1/invoices/:invoice/attach_payment", "InvoiceAttachPayment", attach, "payment_intent"),
    list_route("/v1/invoice_payments", "InvoicePaymentList", list_all, "created invoice status payment"),
    retrieving("/v1/invoice_payments/:invoice_payment", "InvoicePaymentRetrieve", "invoice_payment"),
)
