"""Reading payments: payment intents, charges, invoice payments. They come into being in `collection`."""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .listing import Page, equals, page
from .routes import list_route, listing, retrieving
from .work import Work


def list_invoice_payments(work: Work, params: Body) -> Page:
    """GET /v1/invoice_payments, by invoice, status or payment intent."""
    filters = equals(params, invoice="parent", status="status")
    payment = params.get("payment")
    if payment:
        if payment["type"] != "payment_intent" or "payment_intent" not in payment:
            raise invalid("The emulator's invoice payments are payment intents only.", param="payment[type]")
        filters.append(("tag = ?", payment["payment_intent"]))
    return page(work, "invoice_payment", params, "/v1/invoice_payments", filters)


ROUTES = (
    list_route("/v1/invoice_payments", "InvoicePaymentList", list_invoice_payments, "created invoice status payment"),
    retrieving("/v1/invoice_payments/:invoice_payment", "InvoicePaymentRetrieve", "invoice_payment"),
    listing("/v1/payment_intents", "PaymentIntentList", "payment_intent", customer="customer"),
    retrieving("/v1/payment_intents/:payment_intent", "PaymentIntentRetrieve", "payment_intent"),
    listing("/v1/charges", "ChargeList", "charge", customer="customer", payment_intent="parent"),
    retrieving("/v1/charges/:charge", "ChargeRetrieve", "charge"),
)
