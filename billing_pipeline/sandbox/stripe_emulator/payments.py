"""Reading payments: payment intents, charges, invoice payments. They come into being in `collection`."""

from __future__ import annotations

from .errors import invalid
from .indexing import Body
from .listing import Page, equals, page
from .work import Work


def retrieve_intent(work: Work, params: Body, payment_intent: str) -> str:
    """GET /v1/payment_intents/:id."""
    del params
    return work.store.text("payment_intent", payment_intent)


def list_intents(work: Work, params: Body) -> Page:
    """GET /v1/payment_intents."""
    return page(work, "payment_intent", params, "/v1/payment_intents", equals(params, customer="customer"))


def retrieve_charge(work: Work, params: Body, charge: str) -> str:
    """GET /v1/charges/:id."""
    del params
    return work.store.text("charge", charge)


def list_charges(work: Work, params: Body) -> Page:
    """GET /v1/charges."""
    filters = equals(params, customer="customer", payment_intent="parent")
    return page(work, "charge", params, "/v1/charges", filters)


def retrieve_invoice_payment(work: Work, params: Body, invoice_payment: str) -> str:
    """GET /v1/invoice_payments/:id."""
    del params
    return work.store.text("invoice_payment", invoice_payment)


def list_invoice_payments(work: Work, params: Body) -> Page:
    """GET /v1/invoice_payments, by invoice, status or payment intent."""
    filters = equals(params, invoice="parent", status="status")
    payment = params.get("payment")
    if payment:
        if payment["type"] != "payment_intent" or "payment_intent" not in payment:
            raise invalid("The emulator's invoice payments are payment intents only.", param="payment[type]")
        filters.append(("tag = ?", payment["payment_intent"]))
    return page(work, "invoice_payment", params, "/v1/invoice_payments", filters)
